//! The toolstack: the life cycle of virtual machines, without a privilege and without a hypercall.
//!
//! ```text
//!   phase     the life of a VM: one machine of phases
//!   toolstack drives every VM through its phases; advance, recover and operate are its parts
//!   journal   what a new life is to know, in XenStore, written before it is done
//!   layout    where everything of a VM stands in XenStore, as libxl has it
//!   changes   changes of XenStore that are made together or not at all
//!   broker    asking root, and waiting for the answer
//!   boot      building a domain, step by step
//!   command   what the operator can ask for
//!   console   what guests write: kept, and shown line by line
//! ```
//!
//! Two things hold it together:
//!
//! - **What is about to be done is journalled first.** A life that ends at any point leaves a phase from which the next one goes
//!   on: see [`phase`].
//! - **What belongs together in XenStore is one transaction.** A domain's nodes, its devices and the phase that says they are
//!   there appear at once, and go at once.
//!
//! Whoever uses it gives it a [`World`], and calls [`Toolstack::start`] once and then [`Toolstack::turn`] and
//! [`Toolstack::wait`] in turn. An error of XenStore ends a life of the toolstack: the next begins where this one stopped.

#![no_std]

extern crate alloc;

pub mod boot;
pub mod broker;
pub mod changes;
pub mod command;
pub mod console;
pub mod journal;
pub mod layout;
pub mod phase;
mod toolstack;
pub mod uuid;
mod vm;
mod world;

pub use crate::broker::Broker;
pub use command::Command;
pub use phase::Phase;
pub use toolstack::{DeviceInfo, Refused, Toolstack, VmInfo};
pub use uuid::Uuid;
pub use world::{Host, World};
