//! The management API of a host: what can be asked for, by whom, what is answered, and the HTTP/1.1 that carries it.
//!
//! ```text
//!   bytes -- http --> method, path, token, body -- routes --> Operation -- the toolstack --> types -- http --> bytes
//!                          |                          |
//!                          +---------- role ----------+   who may ask for it
//! ```
//!
//! Nothing here does input or output of its own, so the server in a unikernel, the client on a laptop and the tests share it.
//!
//! | file | subject |
//! |---|---|
//! | `routes` | the one table of what can be asked for; everything else follows from it |
//! | `types` | what is said in bodies |
//! | `problem` | why something is not done |
//! | `checksum` | what tells whether content is what it should be |
//! | `role` | who may ask for what |
//! | `http` | heads of requests and answers |
//! | `rate` | how often |
//! | `doors` | who has which connection, and who makes room |
//! | `limits` | how much of everything |
//! | `server` | one connection, from the handshake to its end |
//! | `openapi` | the description for others, `docs/openapi.json` |

#![no_std]

extern crate alloc;

mod checksum;
mod doors;
pub mod http;
pub mod limits;
#[cfg(feature = "openapi")]
pub mod openapi;
mod problem;
mod rate;
mod role;
pub mod routes;
pub mod server;
pub mod types;

pub use checksum::Checksum;
pub use doors::Doors;
pub use problem::{Problem, Status};
pub use rate::Bucket;
pub use role::{Role, Tokens};
pub use routes::{Found, Operation, ROUTES, find};
