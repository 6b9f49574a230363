//! What every PV domain needs of Xen, be it root or a unikernel: the hypercall instruction, event
//! channels, scheduling, the clock, and the memory primitives that compiled code expects.
//!
//! Nothing here keeps state of its own: after a restart in place there is nothing to set right.

#![no_std]

pub mod clock;
pub mod event;
pub mod grant;
pub mod hypercall;
pub mod irq;
mod mem;
pub mod mmu;
pub mod sched;
pub mod shared_info;
pub mod vcpu;
pub mod version;

pub use hypercall::Result;
pub use xen_abi as abi;
