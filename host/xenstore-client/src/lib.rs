//! A XenStore client: one connection to a daemon, over its Unix socket or over a domain's ring.
//!
//! ```no_run
//! use std::path::Path;
//! use xenstore_client::Client;
//!
//! # fn main() -> Result<(), xenstore_client::Error> {
//! let mut client = Client::connect(Path::new("/run/xenstored/socket"))?;
//! client.write(0, "/local/domain/0/name", b"Domain-0")?;
//! assert_eq!(client.directory(0, "/local/domain/0")?, ["name"]);
//! # Ok(())
//! # }
//! ```

mod client;
mod error;
mod link;
mod permission;
mod requests;

pub use client::{Client, Event, Message, Request, TIMEOUT, WINDOW};
pub use error::{Error, ErrorName};
pub use link::{Link, Socket};
pub use permission::{Access, Permission, PermissionError};
pub use requests::terminated;
/// The wire format: the engine's own. What it refuses can still be sent, since a header holds any number: see
/// [`Client::send_raw`].
pub use xenstore::wire;
