//! Live update: another daemon goes on in this process, or this one goes on where another was.
//!
//! ```text
//!   xenstore-control live-update FILE       command    what CONTROL says, until it says that it shall begin
//!           old daemon --execve--> new      departure  the state into a file, and what is open stays open
//!                 state_dump, sockets       arrival    the same, the other way round
//! ```
//!
//! The file is Xen's migration stream ([`xenstore::stream`]), so that the C daemon may be on either side.

mod arrival;
mod command;
mod departure;

pub use arrival::{Arrival, ArrivalError, arrive};
pub use command::{Plan, Updates};
pub(crate) use departure::depart;
