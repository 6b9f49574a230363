//! The clock: Xen's system time, from the time record in `shared_info` and the TSC.
//!
//! Every domain reads the same clock, so that a fault stamped by a unikernel and its detection
//! stamped by root can be subtracted.

use crate::shared_info::SharedInfo;
use core::sync::atomic::{Ordering, fence};

/// Nanoseconds since Xen booted.
///
/// The record is read again while its version is odd (Xen is writing) or changes under the reader
/// (Xen's public/xen.h, `vcpu_time_info`).
pub fn now_ns(shared: &SharedInfo) -> u64 {
    loop {
        let record = shared.time_record();
        fence(Ordering::Acquire);
        let tsc = tsc();
        fence(Ordering::Acquire);
        if record.version & 1 == 0 && shared.time_record().version == record.version {
            return record.system_time_at(tsc);
        }
    }
}

/// Microseconds since Xen booted.
pub fn now_us(shared: &SharedInfo) -> u64 {
    now_ns(shared) / 1000
}

fn tsc() -> u64 {
    // SAFETY: reading the TSC has no effect on memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}
