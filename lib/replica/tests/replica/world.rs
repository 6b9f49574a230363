//! A world in which a program can die at every store it makes, and be damaged at rest.

use core::sync::atomic::Ordering;
use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use uk_abi::Words;
use uk_abi::testing::Fuse;

/// Memory that outlives programs. A store is two moments: just before it and just after it.
#[derive(Clone)]
pub(crate) struct Memory {
    words: Rc<Vec<Cell<u64>>>,
    fuse: Fuse,
}

impl Memory {
    pub(crate) fn new(count: usize, fuse: &Fuse) -> Self {
        Memory { words: Rc::new(vec![Cell::new(0); count]), fuse: fuse.clone() }
    }

    /// Inverts one bit.
    pub(crate) fn flip(&self, word: usize, bit: u32) {
        self.words[word].set(self.words[word].get() ^ 1 << bit);
    }

    /// Puts rubbish everywhere.
    pub(crate) fn scramble(&self, seed: u64) {
        let mut random = Random(seed);
        self.words.iter().for_each(|word| word.set(random.next()));
    }

    /// What it holds.
    pub(crate) fn contents(&self) -> Vec<u64> {
        self.words.iter().map(Cell::get).collect()
    }

    /// Holds `contents` again.
    pub(crate) fn restore(&self, contents: &[u64]) {
        self.words.iter().zip(contents).for_each(|(word, value)| word.set(*value));
    }
}

impl Words for Memory {
    fn count(&self) -> usize {
        self.words.len()
    }

    fn load(&self, index: usize, _: Ordering) -> u64 {
        self.words[index].get()
    }

    fn store(&self, index: usize, value: u64, _: Ordering) {
        self.fuse.burn();
        self.words[index].set(value);
        self.fuse.burn();
    }

    /// What nobody needs is gone at once.
    fn forget(&self, words: Range<usize>) {
        words.for_each(|index| self.words[index].set(0));
    }
}

/// Numbers from a seed (splitmix64).
#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ value >> 31
    }

    /// Less than `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Whether something happens that happens once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} words", self.words.len())
    }
}
