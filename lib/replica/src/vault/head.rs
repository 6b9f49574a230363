//! The head of a vault, kept twice: which area counts, and how far the logs of both may reach.

use core::sync::atomic::Ordering::{Acquire, Release};

use uk_abi::Words;
use xxhash_rust::xxh3::xxh3_64_with_seed;
use zerocopy::IntoBytes;

use crate::seal;

const MAGIC: u64 = u64::from_le_bytes(*b"Vault  2");
/// Words of a copy that say which area counts: a mark, the area, its salt, and their checksum.
const SUMMED: usize = 4;
/// Words of one copy.
const HEAD_WORDS: usize = 8;
/// In a copy: how far the logs of the two areas reach.
const REACHES: usize = 4;
/// Where the areas begin: behind both copies.
pub(super) const AREAS: usize = 2 * HEAD_WORDS;

/// Stands in the head while no area counts.
pub(super) const NO_AREA: usize = 2;

fn head_sum(area: usize, salt: u64, words: usize) -> u64 {
    xxh3_64_with_seed([area as u64, salt].as_bytes(), MAGIC ^ words as u64)
}

/// The area that counts, with its salt, as a copy says it; none if the copy is damaged.
pub(super) fn read_head(words: &impl Words, copy: usize) -> Option<(usize, u64)> {
    let word = |index| words.load(copy * HEAD_WORDS + index, Acquire);
    let (area, salt) = (word(1) as usize, word(2));
    let sound = word(0) == MAGIC && area <= NO_AREA && word(3) == head_sum(area, salt, words.count());
    sound.then_some((area, salt))
}

/// Says in both copies which area counts.
pub(super) fn write_heads(words: &impl Words, area: usize, salt: u64) {
    let values: [u64; SUMMED] = [MAGIC, area as u64, salt, head_sum(area, salt, words.count())];
    for copy in 0..2 {
        for (index, value) in values.into_iter().enumerate() {
            words.store(copy * HEAD_WORDS + index, value, Release);
        }
    }
}

/// Marks the reach of the first area; that of the second has the next tag.
const REACH_TAG: u8 = 0x70;

/// How far an area's log may reach, as a copy of the head says it; none if that is damaged.
pub(super) fn read_reach(words: &impl Words, copy: usize, area: usize) -> Option<usize> {
    let word = words.load(copy * HEAD_WORDS + REACHES + area, Acquire);
    seal::open(REACH_TAG + area as u8, word).map(|reach| reach as usize)
}

/// Before anything is written beyond the reach that was there, in both copies.
pub(super) fn write_reach(words: &impl Words, area: usize, reach: usize) {
    for copy in 0..2 {
        let word = seal::seal(REACH_TAG + area as u8, reach as u64);
        words.store(copy * HEAD_WORDS + REACHES + area, word, Release);
    }
}

/// The words of both copies that mean something while this area counts.
#[cfg(feature = "harm")]
pub(super) fn words_in_use(area: usize) -> impl Iterator<Item = usize> + Clone {
    (0..2 * HEAD_WORDS).filter(move |word| {
        let place = word % HEAD_WORDS;
        place < SUMMED || place == REACHES + area
    })
}
