//! Xen's public interface, as an x86-64 PV domain and its builder see it.
//!
//! One file here for each of Xen's public headers. The crate only describes: it makes no hypercall, holds no
//! pointer and has no `unsafe`. Every structure is plain data whose bytes are its meaning (`repr(C)`,
//! zerocopy's traits, every byte of padding a named field), so that it goes into a hypercall buffer and comes
//! out of one without conversions. All of them have `Default`, which is all zeroes.
//!
//! Sizes are asserted here; sizes, offsets and numbers are compared with Xen's own headers in
//! `tests/headers/`, for Xen 4.17 as well as 4.20. Where those two differ, the type in question takes an
//! [`AbiVersion`], which is probed at run time.
//!
//! Values that Xen writes concurrently (shared info, grant entries, runstate) are described here, and read
//! through volatile or atomic accesses by whoever maps them.
#![no_std]

#[macro_use]
mod macros;

pub mod blkif;
pub mod callback;
pub mod console;
pub mod console_io;
pub mod context;
pub mod domctl;
pub mod elfnote;
pub mod errno;
pub mod event_channel;
pub mod grant_table;
pub mod hypercall;
pub mod memory;
pub mod mmu;
pub mod multicall;
pub mod netif;
pub mod payload;
pub mod physdev;
pub mod ring;
pub mod sched;
pub mod shared_info;
pub mod start_info;
pub mod sysctl;
pub mod types;
pub mod vcpu;
pub mod version;
pub mod virq;
pub mod xenbus;
pub mod xs_wire;

pub use errno::XenError;
pub use hypercall::Hypercall;
pub use types::{Domid, GrantRef, GuestHandle, MachineAddr, Mfn, PAGE_SHIFT, PAGE_SIZE, Pfn, Port, VirtAddr};
pub use version::AbiVersion;
