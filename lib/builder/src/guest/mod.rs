//! Guests: other people's kernels.
//!
//! A guest is laid out as its kernel's ELF notes ask, in the classic form that Xen's public `xen.h` specifies for the
//! start of a PV domain's day.
//!
//! - [`params`] says what a guest is to have.
//! - [`notes`] reads what the kernel says about itself.
//! - [`layout`] places everything in the guest's memory.
//! - [`plan`] is the whole plan, and the content of what the builder makes up: page tables, start info, vCPU.
//! - [`extents`] knows which frames Xen has given.
//! - [`build`] carries a plan out as a sequence of [`Step`](crate::Step)s, one at a time and without a copy of the
//!   guest.

pub mod build;
pub mod error;
pub mod extents;
pub mod layout;
pub mod notes;
pub mod params;
pub mod plan;
