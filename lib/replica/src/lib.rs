#![no_std]
//! Keeps a service alive whose every part may die, or be damaged, at any moment.
//!
//! ```text
//!   client's stream        session            vault                  inbox of each replica
//!   requests ----look----> applied            step step step ...     step step step ...  ----> replica's copy, and vault
//!   answers <---deliver--- queued, output     = the state
//!
//!              stays with the client     memory that outlives the program
//! ```
//!
//! - [`vault`]: the state as a log, in two areas; a crash at any store leaves the state before or after a step.
//! - [`channel`]: frames from one side to another, in memory that outlives both.
//! - [`session`]: each request of a client applied once and answered once.
//! - [`seed`]: what all members key their digests with.
//! - [`master`] and [`replica`]: these put together around [`xenstore::Engine`].
//!
//! The first four know nothing of XenStore. Everything is driven by calls: no I/O, no clock, no waiting. All memory
//! is [`uk_abi::Words`], words of which each store is whole; what is found there is checked, never trusted. The protocol
//! with its invariants is described in the book, on the page "XenStore: how it survives".

extern crate alloc;

pub mod channel;
mod deferred;
pub mod frame;
#[cfg(feature = "harm")]
mod harm;
mod keeper;
pub mod master;
mod message;
mod record;
pub mod replica;
pub mod report;
pub mod seal;
pub mod seed;
pub mod session;
mod state;
pub mod vault;
