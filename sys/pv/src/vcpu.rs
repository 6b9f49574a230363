//! The timers of this vCPU.

use crate::hypercall::{Result, arg, call};
use xen_abi::Hypercall;
use xen_abi::vcpu::{SetSingleshotTimer, VcpuOp};

/// Stops the 100 Hz timer that Xen starts every PV vCPU with.
///
/// # Errors
/// Xen's.
pub fn stop_periodic_timer() -> Result {
    // SAFETY: the operation has no argument.
    unsafe { call(Hypercall::VcpuOp, [u64::from(VcpuOp::StopPeriodicTimer.raw()), 0, 0]) }.map(|_| ())
}

/// Has `VIRQ_TIMER` come when Xen's system time is `at_ns`, at once if that is past.
///
/// # Errors
/// Xen's.
pub fn set_singleshot_timer(at_ns: u64) -> Result {
    let mut argument = SetSingleshotTimer { timeout_abs_ns: at_ns, ..Default::default() };
    // SAFETY: Xen reads the structure.
    unsafe { call(Hypercall::VcpuOp, [u64::from(VcpuOp::SetSingleshotTimer.raw()), 0, arg(&mut argument)]) }
        .map(|_| ())
}
