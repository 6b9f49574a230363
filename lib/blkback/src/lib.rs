//! The backend of Xen's block protocol, without a hypercall: requests out of guests' rings, and their answers into them.
//!
//! A guest's file system must never notice that the disk service died. So whatever is taken from a ring is noted in a journal
//! that outlives the program, and every request is answered once: see the crate `shadow`. A frontend that lies harms only
//! itself: what comes from it is copied once and then looked at, and what no frontend in good faith says is a [`Reason`] to
//! disconnect it.
//!
//! | file | subject |
//! |---|---|
//! | `keys` | what stands in XenStore, when: what is offered, chosen and told |
//! | `geometry` | what a disk is |
//! | `request`, `reason` | requests decoded and checked; why a frontend is disconnected |
//! | `device`, `pages` | what this crate needs: a device that takes commands, and guests' memory |
//! | `persistent`, `layout` | grants that stay mapped; which bytes go where |
//! | `vbd`, `flight` | one frontend's disk; one request on its way |
//! | `service` | all disks of one driver |
//! | `intake`, `start`, `settle` | what `service` does in a run: take, start, answer |
//!
//! ```text
//!   loop {
//!       // events of frontends and of the device, changes in XenStore, the end of a driver's restart ...
//!       while blkback.run(now, &mut device, &mut pages, &mut |report| ...) {}
//!       // sleep until the next
//!   }
//! ```

#![no_std]
extern crate alloc;

pub mod device;
mod flight;
pub mod geometry;
mod intake;
pub mod keys;
mod layout;
pub mod pages;
mod persistent;
mod reason;
pub mod request;
mod service;
mod settle;
mod start;
mod vbd;

pub use persistent::Persistent;
pub use reason::Reason;
pub use service::{Blkback, PAYLOAD, Report};
pub use shadow::Limits;
pub use vbd::{Disk, VbdId};
