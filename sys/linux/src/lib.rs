//! What the native programs need of Linux that takes `unsafe`, so that they themselves can forbid it.
//!
//! - [`shared`]: memory that several processes map, seen as atomic words only, and a system call that reads into it
//!   without a copy.
//! - [`evtchn`], [`gntdev`]: the kernel's doors to Xen's event channels and grants. Their `ioctl` structures are those of
//!   Linux's `include/uapi/xen/evtchn.h` and `gntdev.h`.
//! - [`privcmd`]: what Xen knows about domains, asked through the kernel.
//! - [`inherited`]: descriptors that come through an `execve`.
//! - [`peek_offset`]: one socket option that no safe crate knows.

pub mod evtchn;
pub mod gntdev;
pub mod inherited;
pub mod peek_offset;
pub mod privcmd;
pub mod shared;
