//! Giving up the CPU, and shutting down.

use crate::hypercall::{Result, arg, call};
use xen_abi::sched::{Poll, SchedOp, Shutdown, ShutdownReason, Watchdog};
use xen_abi::{GuestHandle, Hypercall, Port};

/// Waits until an event is pending on one of `ports`, masked or not, or until Xen's system time is
/// `until_ns` (0: without end). Returns at once where one is pending already: take them first.
///
/// # Errors
/// Xen's: a port that does not exist, or more than 128 of them.
pub fn poll(ports: &[Port], until_ns: u64) -> Result {
    let mut argument =
        Poll { ports: GuestHandle::to(ports), nr_ports: ports.len() as u32, timeout: until_ns, pad: 0 };
    // SAFETY: Xen reads the live slice and writes nothing.
    unsafe { call(Hypercall::SchedOp, [u64::from(SchedOp::Poll.raw()), arg(&mut argument)]) }.map(|_| ())
}

/// Starts a watchdog of Xen's (`id` 0) that shuts this domain down in `timeout_s` seconds, or puts the
/// one of that number off. Answers the number of a new one.
///
/// # Errors
/// Xen's: no such watchdog, or no room for another.
pub fn watchdog(id: u32, timeout_s: u32) -> Result<u32> {
    let mut argument = Watchdog { id, timeout: timeout_s };
    // SAFETY: Xen reads the structure and writes nothing.
    unsafe { call(Hypercall::SchedOp, [u64::from(SchedOp::Watchdog.raw()), arg(&mut argument)]) }
        .map(|id| id as u32)
}

/// Gives the rest of this time slice to others.
pub fn yield_now() {
    // SAFETY: the operation has no argument. It cannot fail.
    let _ = unsafe { call(Hypercall::SchedOp, [u64::from(SchedOp::Yield.raw()), 0]) };
}

/// Shuts this domain down; returns only where Xen refuses, which it does not.
pub fn shutdown(reason: ShutdownReason) {
    let mut argument = Shutdown { reason: reason.raw() };
    // SAFETY: Xen reads the structure. There is nobody left to tell of an error.
    let _ = unsafe { call(Hypercall::SchedOp, [u64::from(SchedOp::Shutdown.raw()), arg(&mut argument)]) };
}
