#![no_std]
//! What root and a unikernel share: the address space, and the pages in which they talk.
//!
//! ```text
//!              writes                            reads
//! boot info    root, before the unikernel runs   the unikernel     who it is, and what it has been given
//! health page  both, each its own words          both              beats, progress, requests, crash report
//! log ring     the unikernel                     root              what it has to say
//! register     root                              the unikernel     the domains of this host (for some)
//! ```
//!
//! The two sides are different domains that may run on different processors at the same moment, and the one
//! may be broken in any way. So shared words are [`Words`]: atomics, read once and checked, with nothing that
//! a reader has to trust. A page of zeros is a valid health page and a valid, empty log ring.
//!
//! # Memory orderings
//! Each word has one writer at a time. A writer publishes with a `Release` store (or add) and a reader looks
//! with an `Acquire` load, so that who sees a counter, a flag or a ring index also sees all that was written
//! before it. On x86-64 such loads and stores are plain `mov`s: they only hold the compiler to the order that
//! the processor keeps anyway. Nothing here needs the order of a store and a *later* load of another word (the
//! one thing that would take a fence): whoever must be woken is woken by an event channel, whose hypercall and
//! locked bit operations are full barriers.

#[cfg(any(test, feature = "testing"))]
extern crate std;

pub mod boot_info;
pub mod crash;
pub mod device_info;
pub mod fault;
pub mod health;
pub mod kept;
pub mod layout;
pub mod log_ring;
pub mod register;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod text;
pub mod words;

pub use words::Words;
