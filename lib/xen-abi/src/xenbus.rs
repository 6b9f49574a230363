//! Where the two ends of a device stand (`io/xenbus.h`): the number in each one's `state` node in XenStore.

numbers! {
    /// How far one end is, as the other sees it.
    pub enum XenbusState: u32 {
        /// There is no such end, or it has gone.
        Unknown = 0,
        /// It begins.
        Initialising = 1,
        /// It has said what it can do and waits for the other.
        InitWait = 2,
        /// It has said how to connect and waits for the other to do so.
        Initialised = 3,
        /// It is at work.
        Connected = 4,
        /// It is about to go, or has seen that the other is.
        Closing = 5,
        /// It has let go of everything.
        Closed = 6,
        /// It is being configured anew.
        Reconfiguring = 7,
        /// It has been configured anew.
        Reconfigured = 8,
    }
}
