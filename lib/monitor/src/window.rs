//! Counting what happened lately, in memory that does not grow with what happened.

use serde::{Deserialize, Serialize};

/// Into how many slices a window is cut. What falls out of the window is forgotten slice by slice.
const SLICES: u64 = 8;

/// All slices of a window, and the one that has only begun.
const KEPT: usize = SLICES as usize + 1;

/// How often something happened within a sliding window of time.
///
/// The window slides by eighths: an event is remembered for the whole window and at most one eighth longer. So a limit
/// on the count is never exceeded within any window, and is lifted a little late.
///
/// The length of the window is the caller's to give, the same one each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Window {
    /// Events in the newest slice, the one before it, and so on.
    counts: [u8; KEPT],
    /// The number of the newest slice, counted from the time 0.
    newest: u64,
}

impl Window {
    /// Notes that it happened now. A slice counts up to 255 events.
    pub(crate) fn record(&mut self, now_us: u64, window_us: u64) {
        self.slide(slice(now_us, window_us));
        self.counts[0] = self.counts[0].saturating_add(1);
    }

    /// How often it happened within the window that ends now.
    pub(crate) fn count(&self, now_us: u64, window_us: u64) -> u32 {
        let passed = slice(now_us, window_us).saturating_sub(self.newest);
        let kept = KEPT - passed.min(KEPT as u64) as usize;
        self.counts[..kept].iter().map(|&count| u32::from(count)).sum()
    }

    /// Takes back what cannot be: a record from before a restart that claims to be from the future.
    pub(crate) fn not_after(&mut self, now_us: u64, window_us: u64) {
        self.newest = self.newest.min(slice(now_us, window_us));
    }

    fn slide(&mut self, to: u64) {
        let passed = to.saturating_sub(self.newest).min(KEPT as u64) as usize;
        self.counts.rotate_right(passed % KEPT);
        self.counts[..passed].fill(0);
        self.newest = self.newest.max(to);
    }
}

/// The number of the slice in which a time lies.
fn slice(time_us: u64, window_us: u64) -> u64 {
    time_us / window_us.div_ceil(SLICES).max(1)
}
