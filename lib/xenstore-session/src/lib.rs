//! A session with XenStore: requests that are awaited one at a time, and events that wait until somebody asks for them.
//!
//! ```text
//!   write(..).await --> ring, doorbell --> server
//!   answer          <-- ring <------------ server
//!                        |
//!   event().await   <-- [ queue ]   events that came meanwhile
//! ```
//!
//! A session lives as long as the life of the program that has it: whoever serves XenStore may be restarted meanwhile, and
//! every request is still carried out once. A new life begins with [`Session::connect`], which ends what the last one has left:
//! its watches and open transactions.
//!
//! A future of a session may be dropped before it is ready. The request may then have been carried out or not, its answer is
//! passed over, and no event is lost.

#![no_std]

extern crate alloc;

mod error;
mod event;
mod requests;
mod session;

pub use error::Error;
pub use event::Event;
pub use requests::{Access, Outcome, Permission, Transaction};
pub use session::{Doorbell, Session};
pub use xenstore::wire::{Errno, Kind};
pub use xenstore_ring::ConnectionLost;
