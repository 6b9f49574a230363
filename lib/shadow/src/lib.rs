//! The shadow of a driver: it knows what the driver was asked to do, and sees to it that this is done once, whoever dies.
//!
//! ```text
//!            taken from a guest                                     answered
//!                  |                                                    ^
//!    Journal  begin|--- in flight, in the recovery box ------ answering |--- end
//!                  v                                                    |
//!    Shadow   admit ----> start ----> [ driver and device ] ----> finished
//!                           ^                   |
//!                           '--- driver failed -'       what had been started is started again
//! ```
//!
//! While all is well the shadow is *passive*: it notes and passes on. When the driver has failed it is *active*: what comes
//! waits, and what had been started is started again when there is a driver, in the order in which it came. It is not told
//! what the work is: a disk's requests and a network's frames are alike in this.
//!
//! | file | subject | lost with |
//! |---|---|---|
//! | `journal` | what was taken and is not answered | nothing: it is in a recovery box |
//! | `supervisor` | what may start, what starts again, who is to blame | the uk; made anew from the journal |
//! | `attempts` | how often a part was made anew of late | the uk |
//! | `patience` | how long a device may finish nothing | the uk |
//! | `repaired` | what is said of it | |

#![no_std]
extern crate alloc;

mod attempts;
mod journal;
mod patience;
mod repaired;
mod supervisor;

pub use attempts::Attempts;
pub use journal::{Found, Journal, NotNoted, Open, Work};
pub use patience::Patience;
pub use repaired::{Part, Repaired};
pub use supervisor::{Group, Limits, Next, Order, Outcome, Shadow, Token, Verdict};
