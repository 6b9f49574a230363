//! The clock that root and every unikernel share.

use crate::start;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The latest time that this life was told, in nanoseconds. Processors differ by some milliseconds under emulation, and a domain
/// moves between them: but nobody may see time go back.
static LATEST_NS: AtomicU64 = AtomicU64::new(0);

/// Nanoseconds since Xen booted. Never less than it answered before.
pub fn now_ns() -> u64 {
    let now_ns = pv::clock::now_ns(&start::shared_info());
    LATEST_NS.fetch_max(now_ns, Relaxed).max(now_ns)
}

/// Microseconds since Xen booted. Never less than it answered before.
pub fn now_us() -> u64 {
    now_ns() / 1000
}
