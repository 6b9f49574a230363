//! Memory that outlives programs.

use super::Fuse;
use crate::Words;
use core::sync::atomic::{AtomicU64, Ordering};
use std::rc::Rc;
use std::vec::Vec;

/// Words that outlive the program that stores into them, which can die before each store. All clones are the same memory.
#[derive(Clone, Debug)]
pub struct Memory {
    words: Rc<Vec<AtomicU64>>,
    fuse: Fuse,
}

impl Memory {
    /// `count` zeros, in which each store is a moment of `fuse`.
    pub fn zeroed(count: usize, fuse: &Fuse) -> Self {
        Self { words: Rc::new((0..count).map(|_| AtomicU64::new(0)).collect()), fuse: fuse.clone() }
    }

    /// Inverts the bits of `mask` in the word `index`, as nothing in the program would. Behind the last word comes the first.
    pub fn flip(&self, index: usize, mask: u64) {
        self.words[index % self.words.len()].fetch_xor(mask, Ordering::Relaxed);
    }
}

impl Words for Memory {
    fn count(&self) -> usize {
        self.words.len()
    }

    fn load(&self, index: usize, order: Ordering) -> u64 {
        self.words[index].load(order)
    }

    fn store(&self, index: usize, value: u64, order: Ordering) {
        self.fuse.burn();
        self.words[index].store(value, order);
    }
}
