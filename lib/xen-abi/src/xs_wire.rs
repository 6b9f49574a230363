//! A domain's connection to XenStore (`io/xs_wire.h`): the page that both share. The messages are not Xen's, and not here.

/// The bytes that each direction holds.
pub const XENSTORE_RING_SIZE: usize = 1024;

flags! {
    /// What a server can do.
    pub struct ServerFeatures: u32 {
        /// A client may ask for the connection to be reset.
        const RECONNECTION = 1;
        /// The page says why the server gave the connection up.
        const ERROR = 2;
    }
}

structs! {
    /// The page of a connection; the rest of it is unused. Indexes run freely, modulo 2^32.
    pub struct DomainInterface: 2076 {
        /// The bytes of requests.
        pub req: [u8; XENSTORE_RING_SIZE],
        /// The bytes of replies and watch events.
        pub rsp: [u8; XENSTORE_RING_SIZE],
        /// How far the server has read.
        pub req_cons: u32,
        /// How far the client has written.
        pub req_prod: u32,
        /// How far the client has read.
        pub rsp_cons: u32,
        /// How far the server has written.
        pub rsp_prod: u32,
        /// What the server can do.
        pub server_features: ServerFeatures,
        /// A [`Connection`].
        pub connection: u32,
        /// A [`ConnectionError`].
        pub error: u32,
    }
}

numbers! {
    /// Where a connection stands.
    pub enum Connection: u32 {
        /// In use.
        Connected = 0,
        /// The client wants it reset, and the server will do so.
        Reconnect = 1,
    }

    /// Why a server gave a connection up.
    pub enum ConnectionError: u32 {
        /// It did not.
        None = 0,
        /// The server cannot go on with it.
        Communication = 1,
        /// The indexes contradict each other.
        RingIndexes = 2,
        /// What the ring holds is no request.
        Protocol = 3,
    }
}
