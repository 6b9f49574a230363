//! Volumes from afar: how one unikernel has the one that drives the disks list, read and write them.
//!
//! The two share memory that root keeps, and in it a [cable]: frames both ways, which arrive whole or not at all. One end asks, one thing at a
//! time; the other does it and answers. Either may die at any moment and be revived in any way:
//!
//! | who dies | what was asked | so |
//! |---|---|---|
//! | who is asked, before it has taken the request | waits on the cable | the next life takes it |
//! | who is asked, later | is done, or not, or half | the next life says that it has begun, and whoever waits asks again |
//! | who asks | is done, and the answer is nobody's | the next life passes over it: its own requests have other numbers |
//!
//! So something may be done more than once. For sectors that changes nothing as long as the order stays: requests are taken in the order in
//! which they were asked, and nothing is asked before what came before it is answered or given up.
//!
//! What comes from the other end is checked like anything that somebody else has written: it is copied out of the memory once, and then
//! decoded; what is no message is passed over.
//!
//! | file | subject |
//! |---|---|
//! | `message` | what is said |
//! | `asker`, `server` | the two ends |

#![no_std]
extern crate alloc;

mod asker;
mod message;
mod server;

pub use asker::{Asker, Heard, NoRoom};
pub use message::{Answer, Description, Refusal, Request, User};
pub use server::{Asked, NotARequest, Server};

/// Bytes of a volume that go with one request or answer at most.
pub const MAX_DATA: usize = 32 * 1024;

/// Bytes of a message besides its data: names of volumes, reasons.
const MAX_WORDS: usize = 1024;

/// Bytes of a message.
const MAX_MESSAGE: usize = MAX_WORDS + MAX_DATA;

/// Opens an end of the cable in `words`, if they are enough for a message each way.
fn open<W: uk_abi::Words>(words: W, side: cable::Side) -> Option<cable::End<W>> {
    cable::End::carrying(words, side, 1, MAX_MESSAGE)
}
