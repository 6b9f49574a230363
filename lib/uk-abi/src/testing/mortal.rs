//! Memory for tests that resets whoever writes it, between any two stores.

use crate::Words;
use core::cell::Cell;
use core::sync::atomic::Ordering;
use std::vec::Vec;

/// Words that take so many stores and then no more, as if the writer had been reset at that point. What it
/// does afterwards leaves no trace.
#[derive(Debug)]
pub struct Mortal {
    words: Vec<Cell<u64>>,
    stores_left: Cell<usize>,
    loads: Cell<usize>,
    stores: Cell<usize>,
}

impl Mortal {
    /// Memory that holds `words`, and lives for ever.
    pub fn new(words: impl IntoIterator<Item = u64>) -> Self {
        Mortal {
            words: words.into_iter().map(Cell::new).collect(),
            stores_left: Cell::new(usize::MAX),
            loads: Cell::new(0),
            stores: Cell::new(0),
        }
    }

    /// `count` zeros.
    pub fn zeroed(count: usize) -> Self {
        Self::new(core::iter::repeat_n(0, count))
    }

    /// From now on it takes `stores` more.
    pub fn die_after(&self, stores: usize) {
        self.stores_left.set(stores);
    }

    /// Takes all stores again. Returns whether it had died.
    pub fn revive(&self) -> bool {
        self.stores_left.replace(usize::MAX) == 0
    }

    /// Loads and stores so far, also those after its death.
    pub fn accesses(&self) -> (usize, usize) {
        (self.loads.get(), self.stores.get())
    }

    /// What it holds.
    pub fn contents(&self) -> Vec<u64> {
        self.words.iter().map(Cell::get).collect()
    }

    /// Inverts the bits of `mask` in the word `index`, whether it lives or not.
    pub fn flip(&self, index: usize, mask: u64) {
        self.words[index].set(self.words[index].get() ^ mask);
    }
}

impl Words for &Mortal {
    fn count(&self) -> usize {
        self.words.len()
    }

    fn load(&self, index: usize, _: Ordering) -> u64 {
        self.loads.set(self.loads.get() + 1);
        self.words[index].get()
    }

    fn store(&self, index: usize, value: u64, _: Ordering) {
        self.stores.set(self.stores.get() + 1);
        if let Some(left) = self.stores_left.get().checked_sub(1) {
            self.stores_left.set(left);
            self.words[index].set(value);
        }
    }
}
