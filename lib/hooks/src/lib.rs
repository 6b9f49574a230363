//! Webhooks: receivers outside are told what local repair could not solve, by an HTTP request for each such line of the event log.
//!
//! ```text
//!   event log --- line ---> kinds: is it told? --- yes ---> message (JSON, signed) --- exchange ---> receiver
//!   (256 lines)    ^              | no                                                  |
//!                  |              v                                                     | 2xx: it has it
//!                  +---------- progress, in the recovery box <--------------------------+
//!                                                              anything else: pace, and once more
//! ```
//!
//! What is promised, and what `tests/` holds it to: **each receiver is told of each such line at least once, and in order**, whatever
//! happens to it or to the program that tells. Progress is noted only when the receiver has said that it has it; so a life that ends
//! in between tells the same again, under the same number. Lines that the log has lost before they could be told are told as lost.
//!
//! The receivers have nothing to do with each other: each has its own progress, its own pace and its own connection.
//!
//! | file | subject |
//! |---|---|
//! | `address` | where a receiver is |
//! | `kinds` | which lines are told |
//! | `progress` | how far a receiver was told, and what is next |
//! | `kept` | progress in memory that outlives every life |
//! | `message` | what is sent |
//! | `exchange` | one request and its answer |
//! | `pace` | when it is sent again |
//! | `run` | all of it together |

#![no_std]

extern crate alloc;

mod address;
mod exchange;
mod kept;
mod kinds;
mod message;
mod pace;
mod progress;
mod run;

pub use address::{Address, NoAddress};
pub use exchange::{Failure, MAX_ANSWER, exchange};
pub use kept::{Kept, MAX_HOOKS};
pub use kinds::{TOLD, is_told};
pub use message::{Sender, signature};
pub use pace::{FIRST_US, LONGEST_US, Pace};
pub use progress::{Next, Progress};
pub use run::{World, run};
