//! The number that all hashes and digests are keyed with, the same in every member and in every life.
//!
//! It stands in memory that the members share, several times and each time with a checksum. Members begin at the same time, and each may
//! be the first: the first word decides, which only one of them changes from zero.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use xxhash_rust::xxh3::xxh3_64;

/// Copies of the number. All would have to be hit before the state is read with another one.
pub const COPIES: usize = 4;

/// Words that they take.
pub const WORDS: usize = 2 * COPIES;

/// What the members go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The number.
    pub seed: u64,
    /// How many copies of it were damaged. They are mended.
    pub mended: usize,
}

/// The number that stands in `words`, of which there should be [`WORDS`] and which are zeros at first; or the one that `draw` makes, which
/// stands there then. Whoever dies in between leaves what the others will take.
pub fn agree(words: &[AtomicU64], draw: impl FnOnce() -> u64) -> Agreed {
    let copies = || words.chunks_exact(2).map(|pair| (pair[0].load(Acquire), pair[1].load(Acquire)));
    let is_sound = |(seed, check): &(u64, u64)| check_of(*seed) == *check;
    // What is not written yet, or only begun, is not damaged.
    let mended = copies().filter(|copy| !is_sound(copy) && copy.0 != 0 && copy.1 != 0).count();
    let seed = copies().find(is_sound).map_or_else(|| decide(words, draw()), |(seed, _)| seed);
    for pair in words.chunks_exact(2) {
        pair[0].store(seed, Release);
        pair[1].store(check_of(seed), Release);
    }
    Agreed { seed, mended }
}

/// What stands in the first word; `mine` if nothing does.
fn decide(words: &[AtomicU64], mine: u64) -> u64 {
    let Some(first) = words.first() else { return mine };
    match first.compare_exchange(0, mine, AcqRel, Acquire) {
        Ok(_) => mine,
        Err(theirs) => theirs,
    }
}

/// Zeros do not pass for a number.
fn check_of(seed: u64) -> u64 {
    xxh3_64(&seed.to_le_bytes())
}
