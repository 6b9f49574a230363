#![no_std]
//! Keeps a service alive whose every part may die, or be damaged, at any moment.
extern crate alloc;

pub mod channel;
pub mod deferred;
pub mod frame;
pub mod keeper;
pub mod master;
mod message;
pub mod record;
pub mod replica;
pub mod report;
pub mod seal;
pub mod session;
pub mod state;
pub mod vault;
