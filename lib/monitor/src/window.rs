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

#[cfg(test)]
mod tests {
    extern crate std;

    use super::{SLICES, Window};
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn a_window_counts_what_lies_in_it_and_no_more_than_a_slice_beyond(
            window_us in 1..1_000u64,
            gaps in prop::collection::vec(0..400u64, 1..100),
        ) {
            let mut window = Window::default();
            let mut times: Vec<u64> = Vec::new();
            let mut now_us = 0;
            for gap_us in gaps {
                now_us += gap_us;
                let within = |longest_us: u64| times.iter().filter(|&&at_us| at_us + longest_us > now_us).count() as u32;
                let counted = window.count(now_us, window_us);
                let slice_us = window_us.div_ceil(SLICES);
                prop_assert!(counted >= within(window_us), "{counted} of {times:?} at {now_us}");
                prop_assert!(counted <= within(slice_us * (SLICES + 1)), "{counted} of {times:?} at {now_us}");
                window.record(now_us, window_us);
                times.push(now_us);
            }
        }
    }

    #[test]
    fn what_claims_to_be_from_the_future_is_of_now() {
        let mut window = Window::default();
        window.record(1_000_000, 80);
        window.not_after(100, 80);
        assert_eq!(window.count(100, 80), 1);
        assert_eq!(window.count(200, 80), 0);
    }
}
