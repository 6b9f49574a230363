//! The clock that root and every unikernel share.

use crate::start;

/// Microseconds since Xen booted.
pub fn now_us() -> u64 {
    pv::clock::now_us(&start::shared_info())
}
