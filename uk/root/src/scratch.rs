//! Where a component's recovery box waits while its domain is rebuilt: memory that a restart of root
//! keeps, so that root may die between destroying the old domain and filling the new one.

use crate::books::{Books, ScratchRecord};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use kernel::window::Slot;
use uk_abi::layout::PAGE_SIZE;

const PAGE_WORDS: usize = PAGE_SIZE / 8;

/// The scratch area.
pub struct Scratch {
    words: &'static [AtomicU64],
}

impl Scratch {
    /// The area in `words`.
    pub fn new(words: &'static [AtomicU64]) -> Self {
        Self { words }
    }

    /// Pages of all the recovery boxes that can wait here at once.
    pub fn pages(&self) -> usize {
        self.words.len() / PAGE_WORDS
    }

    /// Takes the box of component `index` in, `pages` pages from `at` on in `slot`. Answers whether there
    /// was room.
    pub fn take_in(&self, books: &mut Books, index: u32, slot: &Slot, at: usize, pages: usize) -> bool {
        let Some(first) = self.find_room(books, pages) else { return false };
        for (to, from) in self.words[first * PAGE_WORDS..].iter().zip(slot.words(at, pages)) {
            to.store(from.load(Relaxed), Relaxed);
        }
        books.put(index, &ScratchRecord { first: first as u32, pages: pages as u32 }).is_ok()
    }

    /// The first page of `pages` that no waiting box has.
    fn find_room(&self, books: &Books, pages: usize) -> Option<usize> {
        let taken = |first: usize| {
            let records = books.iter::<ScratchRecord>().filter_map(|entry| entry.value.ok());
            let mut over = records.filter(|r| (r.first as usize) < first + pages && first < r.end());
            over.next().map(|record| record.end())
        };
        let mut first = 0;
        while let Some(end) = taken(first) {
            first = end;
        }
        (first + pages <= self.pages()).then_some(first)
    }

    /// Gives the box of component `index` back, if it is here and has `pages` pages.
    pub fn give_back(&self, books: &Books, index: u32, slot: &Slot, at: usize, pages: usize) {
        let Ok(Some(record)) = books.get::<ScratchRecord>(index) else { return };
        if record.pages as usize == pages && record.end() <= self.pages() {
            for (from, to) in
                self.words[record.first as usize * PAGE_WORDS..].iter().zip(slot.words(at, pages))
            {
                to.store(from.load(Relaxed), Relaxed);
            }
        }
    }

    /// Forgets the box of component `index`: the new domain has it.
    pub fn forget(&self, books: &mut Books, index: u32) {
        books.remove::<ScratchRecord>(index);
    }

    /// Whether the box of component `index` is here.
    pub fn holds(&self, books: &Books, index: u32) -> bool {
        matches!(books.get::<ScratchRecord>(index), Ok(Some(_)))
    }
}
