//! Where a component's recovery box waits while its domain is rebuilt: memory that a restart of root
//! keeps, so that root may die between destroying the old domain and filling the new one.

use crate::books::{Books, ScratchRecord};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use kernel::window::Slot;
use uk_abi::layout::PAGE_SIZE;

/// The scratch area. One component is rebuilt at a time.
pub struct Scratch {
    words: &'static [AtomicU64],
}

impl Scratch {
    /// The area in `words`.
    pub fn new(words: &'static [AtomicU64]) -> Self {
        Self { words }
    }

    /// Pages of the largest recovery box that there is room for.
    pub fn pages(&self) -> usize {
        self.words.len() / (PAGE_SIZE / 8)
    }

    /// Takes the box of component `index` in, `pages` pages from `at` on in `slot`.
    pub fn take_in(&self, books: &mut Books, index: u32, slot: &Slot, at: usize, pages: usize) {
        for (to, from) in self.words.iter().zip(slot.words(at, pages)) {
            to.store(from.load(Relaxed), Relaxed);
        }
        // The books have room for one such record for each component.
        let _ = books.put(index, &ScratchRecord { pages: pages as u32 });
    }

    /// Gives the box of component `index` back, if it is here and has `pages` pages.
    pub fn give_back(&self, books: &mut Books, index: u32, slot: &Slot, at: usize, pages: usize) {
        let here = books.get::<ScratchRecord>(index).ok().flatten();
        if here.is_some_and(|record| record.pages as usize == pages) {
            for (from, to) in self.words.iter().zip(slot.words(at, pages)) {
                to.store(from.load(Relaxed), Relaxed);
            }
        }
    }

    /// Forgets whose box is here: the new domain has it.
    pub fn forget(&self, books: &mut Books, index: u32) {
        books.remove::<ScratchRecord>(index);
    }

    /// Whether the box of component `index` is here.
    pub fn holds(&self, books: &Books, index: u32) -> bool {
        matches!(books.get::<ScratchRecord>(index), Ok(Some(_)))
    }
}
