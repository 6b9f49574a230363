#![no_std]
//! Keeps a service alive whose every part may die, or be damaged, at any moment.
extern crate alloc;

pub mod channel;
pub mod frame;
pub mod seal;
pub mod session;
pub mod vault;
