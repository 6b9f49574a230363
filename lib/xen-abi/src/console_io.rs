//! Xen's console (`xen.h`, `HYPERVISOR_console_io`): arguments are the command, a count of bytes, and the
//! buffer.

numbers! {
    /// The command of `HYPERVISOR_console_io`. A domain other than dom0 gets `-EPERM`, unless Xen was
    /// built for debugging.
    pub enum ConsoleIo: u32 {
        /// Writes to the console.
        Write = 0,
        /// Reads what was typed, if input goes to the caller; answers the count of bytes.
        Read = 1,
    }
}
