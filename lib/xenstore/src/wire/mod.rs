//! The wire protocol: what `xs_wire.h` and `docs/misc/xenstore.txt` say, as plain data.
//!
//! Every message in either direction is a 16-byte [`Header`] and at most [`PAYLOAD_MAX`] bytes of payload.

mod error;
mod frame;
mod header;
mod kind;
mod text;

pub use error::Errno;
pub use frame::{Broken, Decoded, Message, decode};
pub use header::Header;
pub use kind::Kind;
pub(crate) use text::{Decimal, number, one_string, signed_number, string_count, strings, strtol};

/// The most bytes a payload may have, in both directions (`XENSTORE_PAYLOAD_MAX`).
pub const PAYLOAD_MAX: usize = 4096;
/// The most bytes a whole message may have: a header and the largest payload.
pub const MESSAGE_MAX: usize = Header::SIZE + PAYLOAD_MAX;
/// The longest path below a domain's home, and the default limit for every other path (`XENSTORE_REL_PATH_MAX`).
pub const RELATIVE_PATH_MAX: usize = 2048;
