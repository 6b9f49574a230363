//! Interrupts of devices that root has given this domain.

use crate::hypercall::{Result, arg, call};
use xen_abi::event_channel::{BindPirq, BindPirqFlags, EventChannelOp};
use xen_abi::physdev::{Eoi, PhysdevOp};
use xen_abi::{Hypercall, Port};

/// Binds `pirq`, which was mapped for this domain, to a new port; `shared` where other domains may have
/// the same line.
///
/// # Errors
/// Xen's: EEXIST where it is bound already; or it is not this domain's.
pub fn bind(pirq: u32, shared: bool) -> Result<Port> {
    let flags = if shared { BindPirqFlags::WILL_SHARE } else { BindPirqFlags::empty() };
    let mut argument = BindPirq { pirq, flags, port: Port(0) };
    // SAFETY: Xen reads and writes the structure; an event channel changes no memory but its bits.
    unsafe {
        call(Hypercall::EventChannelOp, [u64::from(EventChannelOp::BindPirq.raw()), arg(&mut argument)])
    }?;
    Ok(argument.port)
}

/// Says that an interrupt of the line behind `pirq` was handled: it may come again.
///
/// # Errors
/// Xen's: not this domain's.
pub fn end(pirq: u32) -> Result {
    let mut argument = Eoi { irq: pirq };
    // SAFETY: Xen reads the structure and changes no memory.
    unsafe { call(Hypercall::PhysdevOp, [u64::from(PhysdevOp::Eoi.raw()), arg(&mut argument)]) }.map(|_| ())
}
