//! The clock that root and every unikernel share.

use crate::start;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use embassy_time::{Duration, Instant, Timer};

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

/// The next multiple of `period_us` after `now_us`.
pub(crate) const fn next_multiple_us(now_us: u64, period_us: u64) -> u64 {
    (now_us / period_us + 1) * period_us
}

/// A timer for what is done once in a `period`, at its multiples in Xen's time: there all that are idle wake together, and a guest that has
/// the processor is interrupted once for all of them.
pub fn at_next(period: Duration) -> Timer {
    Timer::at(Instant::from_micros(next_multiple_us(now_us(), period.as_micros())))
}
