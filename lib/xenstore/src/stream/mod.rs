//! Xen's migration stream: a store as bytes, to move it between daemons (Xen's `docs/designs/xenstore-migration.md`).
//!
//! [`Dump`] writes what C `xenstored` reads at a live update, and [`Loader`] reads what it writes: a preamble, then
//! records of a type, a length and a body, each padded to 8 bytes. What only a host knows of a connection (its file
//! descriptor, bytes that are under way) goes along as an [`Attachment`]. Open transactions are named in the stream,
//! but not what they did: after loading, they can only end in EAGAIN.

mod dump;
mod load;
mod nodes;
mod reader;

pub use dump::Dump;
pub use load::{Loaded, Loader, Restored};
pub use reader::{Problem, StreamError};

/// What the first bytes say.
const IDENT: &[u8; 8] = b"xenstore";
/// The length of the preamble: the identification, a version and flags.
const PREAMBLE: usize = 16;
/// The length of a record's header: a type and the body's length.
const HEADER: usize = 8;
/// The longest body that is taken.
const BODY_MAX: usize = 4 << 20;
/// In the place of a descriptor or of a watch's depth: there is none.
const NO_DEPTH: u16 = 0xffff;

/// The types of records.
mod kind {
    pub const END: u32 = 0;
    pub const GLOBAL: u32 = 1;
    pub const CONNECTION: u32 = 2;
    pub const WATCH: u32 = 3;
    pub const TRANSACTION: u32 = 4;
    pub const NODE: u32 = 5;
    pub const QUOTAS: u32 = 6;
    pub const WATCH_EXTENDED: u32 = 8;
}

/// The types of connections.
mod connection {
    pub const RING: u16 = 0;
    pub const SOCKET: u16 = 1;
}

/// Descriptors of the process, for a live update in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Global {
    /// The socket that accepts connections, or -1.
    pub socket: i32,
    /// The event channels' device, or -1.
    pub event_channels: i32,
}

/// What only the host knows of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Attachment<'a> {
    /// A socket's descriptor, or -1.
    pub socket: i32,
    /// A ring's port at the server's end.
    pub port: u32,
    /// What has been read and is not a whole request yet.
    pub input: &'a [u8],
    /// How many of the first bytes of `output` are the rest of a message of which a part has been sent.
    pub partial: u16,
    /// What is to be sent.
    pub output: &'a [u8],
}

impl Default for Attachment<'_> {
    fn default() -> Self {
        Self { socket: -1, port: 0, input: &[], partial: 0, output: &[] }
    }
}
