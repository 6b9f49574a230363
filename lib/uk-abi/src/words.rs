//! Shared memory, as words.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

/// Memory that somebody else may write at any moment, as 64-bit words.
///
/// A word is the unit that is never torn: it is read and written whole, and a reset falls between two stores.
/// Pages are `&[AtomicU64]`; tests put memory in its place that dies after so many stores.
pub trait Words {
    /// How many words there are. Never changes.
    fn count(&self) -> usize;

    /// The word `index`, which must be less than [`count`](Words::count).
    fn load(&self, index: usize, order: Ordering) -> u64;

    /// Sets the word `index`, which must be less than [`count`](Words::count).
    fn store(&self, index: usize, value: u64, order: Ordering);

    /// Nobody needs any more what these words hold: from now on they may read as they are, or as zero. Memory that can be
    /// given back is.
    fn forget(&self, words: Range<usize>) {
        let _ = words;
    }
}

impl Words for &[AtomicU64] {
    fn count(&self) -> usize {
        self.len()
    }

    #[inline]
    fn load(&self, index: usize, order: Ordering) -> u64 {
        self[index].load(order)
    }

    #[inline]
    fn store(&self, index: usize, value: u64, order: Ordering) {
        self[index].store(value, order);
    }
}
