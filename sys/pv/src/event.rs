//! Event channels.

use crate::hypercall::{Result, arg, call};
use xen_abi::event_channel::{self as abi, EventChannelOp};
use xen_abi::virq::Virq;
use xen_abi::{Domid, Hypercall, Port};

/// Issues one event channel operation.
fn op<T>(op: EventChannelOp, argument: &mut T) -> Result {
    // SAFETY: Xen reads and writes the structure that belongs to the operation, which every caller
    // in this file passes; event channels change no memory but the bits in shared_info.
    unsafe { call(Hypercall::EventChannelOp, [u64::from(op.raw()), arg(argument)]) }.map(|_| ())
}

/// Makes a port in domain `in_domain` that `remote` may bind to.
///
/// # Errors
/// Xen's: no such domain, not allowed, no free port.
pub fn alloc_unbound(in_domain: Domid, remote: Domid) -> Result<Port> {
    let mut argument = abi::AllocUnbound { dom: in_domain, remote_dom: remote, ..Default::default() };
    op(EventChannelOp::AllocUnbound, &mut argument)?;
    Ok(argument.port)
}

/// Binds a new local port to `remote_port` of `remote`. The local port is pending once, at once.
///
/// # Errors
/// Xen's: the remote port is not there, or not for us.
pub fn bind_interdomain(remote: Domid, remote_port: Port) -> Result<Port> {
    let mut argument = abi::BindInterdomain { remote_dom: remote, remote_port, ..Default::default() };
    op(EventChannelOp::BindInterdomain, &mut argument)?;
    Ok(argument.local_port)
}

/// Binds `virq` of vCPU 0 to a new port.
///
/// # Errors
/// Xen's: it is bound already, or not for this domain.
pub fn bind_virq(virq: Virq) -> Result<Port> {
    let mut argument = abi::BindVirq::new(virq, 0);
    op(EventChannelOp::BindVirq, &mut argument)?;
    Ok(argument.port)
}

/// Binds a physical interrupt that was mapped for this domain to a new port.
///
/// # Errors
/// Xen's: the interrupt is not this domain's, or bound already.
pub fn bind_pirq(pirq: u32) -> Result<Port> {
    let mut argument = abi::BindPirq { pirq, ..Default::default() };
    op(EventChannelOp::BindPirq, &mut argument)?;
    Ok(argument.port)
}

/// Makes a port by which this domain's one vCPU notifies itself.
///
/// # Errors
/// Xen's: no free port.
pub fn bind_ipi() -> Result<Port> {
    let mut argument = abi::BindIpi { vcpu: 0, ..Default::default() };
    op(EventChannelOp::BindIpi, &mut argument)?;
    Ok(argument.port)
}

/// Closes a local port.
///
/// # Errors
/// Xen's: the port is not open.
pub fn close(port: Port) -> Result {
    op(EventChannelOp::Close, &mut abi::Close { port })
}

/// Sends an event through a local port.
///
/// # Errors
/// Xen's: the port is not open, or is bound to nothing that can be sent to.
pub fn send(port: Port) -> Result {
    op(EventChannelOp::Send, &mut abi::SendEvent { port })
}

/// What `port` of `domain` is bound to.
///
/// # Errors
/// Xen's: no such port, or not ours to ask about.
pub fn status(domain: Domid, port: Port) -> Result<abi::Status> {
    let mut argument = abi::Status::of(domain, port);
    op(EventChannelOp::Status, &mut argument)?;
    Ok(argument)
}
