//! Rings of requests and responses (`io/ring.h`): the indexes at the start of the memory that both sides share.

structs! {
    /// What stands before a ring's slots. Indexes run freely, modulo 2^32.
    pub struct Header: 64 {
        /// How many requests the frontend has shown.
        pub req_prod: u32,
        /// The backend wants an event when `req_prod` reaches this.
        pub req_event: u32,
        /// How many responses the backend has shown.
        pub rsp_prod: u32,
        /// The frontend wants an event when `rsp_prod` reaches this.
        pub rsp_event: u32,
        /// A protocol's own.
        pub private: [u8; 4],
        /// Unused.
        pub pad: [u8; 44],
    }
}
