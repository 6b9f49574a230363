//! Guests, cards and the switch between them, put together; and the repair of what fails among them.
//!
//! ```text
//!    guest                    guest                    guest
//!   netfront                 netfront                 netfront
//!      |  rings, pages          |                        |
//!   +--+------------------------+------------------------+--+
//!   |  netback                netback                netback |   level 2: private against shared counters
//!   |     \                      |                      /    |
//!   |      +------------------ switch -----------------+     |   level 3: heartbeat and summed counters, by root
//!   |                            |                           |
//!   |                          shadow                        |
//!   |                          driver                        |   level 1: descriptors that do not come back
//!   +----------------------------+---------------------------+
//!                               card
//! ```
//!
//! It makes no call: who may copy between domains, what a card is and what time it is comes from outside. So a test runs
//! exactly what a unikernel runs.
//!
//! | file | subject |
//! |---|---|
//! | `card` | what is asked of a driver |
//! | `uplink` | a card's place on the bridge, and its shadow |
//! | `plane` | how frames get from port to port |
//! | `rebirth` | what happens when the backend itself is made anew |
//! | `watch` | detection: who is stuck |
//! | `policy` | decision: what is done about it |

#![no_std]
extern crate alloc;

mod card;
mod plane;
mod policy;
mod rebirth;
mod uplink;
mod watch;

pub use card::{Arrived, Card, CardConfig};
pub use netback;
pub use plane::{Gone, MAX_CARDS, Plane, PlaneCounters, PortNotify};
pub use policy::{Decision, Granularity, Level, Policy, Repair};
pub use switch;
pub use uplink::{DriverFault, Uplink, UplinkCounters};
pub use watch::{Book, Look, Stuck, open_requests};
