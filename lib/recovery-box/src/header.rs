//! The header of a box: says that the memory has been formatted, and to which shape.

use core::sync::atomic::Ordering::{Relaxed, Release};
use uk_abi::Words;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Words of the header: two copies.
pub(crate) const WORDS: usize = 2 * COPY_WORDS;

const COPY_WORDS: usize = 4;

/// Changes when the layout of the memory does.
const FORMAT: u64 = 1;

/// `recovery` in ASCII.
const MAGIC: u64 = u64::from_le_bytes(*b"recovery");

/// What is where the header should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The header of a box of this shape.
    Ours,
    /// The header of a box of another shape.
    Other { slots: u32, payload: u32 },
    /// Nothing but zeros.
    Blank,
    /// No header.
    Rubbish,
}

fn header(slots: u32, payload: u32) -> [u64; COPY_WORDS] {
    let shape = (slots as u64) << 32 | payload as u64;
    [MAGIC, FORMAT, shape, xxh3_64_with_seed(&shape.to_le_bytes(), MAGIC ^ FORMAT)]
}

/// What is where the header should be, and whether only one copy of it.
pub(crate) fn read<const SLOTS: usize, const PAYLOAD: usize>(words: &impl Words) -> (Found, bool) {
    let copies: [[u64; COPY_WORDS]; 2] = core::array::from_fn(|copy| {
        core::array::from_fn(|word| words.load(copy * COPY_WORDS + word, Relaxed))
    });
    let sound = copies.into_iter().find_map(|copy| {
        let (slots, payload) = ((copy[2] >> 32) as u32, copy[2] as u32);
        (copy == header(slots, payload)).then_some((slots, payload))
    });
    let found = match sound {
        Some((slots, payload)) if (slots as usize, payload as usize) == (SLOTS, PAYLOAD) => Found::Ours,
        Some((slots, payload)) => Found::Other { slots, payload },
        None if copies.as_flattened().iter().all(|&word| word == 0) => Found::Blank,
        None => Found::Rubbish,
    };
    (found, copies[0] != copies[1])
}

/// Writes both copies. Written over a sound header of the same shape, this changes nothing.
pub(crate) fn write<const SLOTS: usize, const PAYLOAD: usize>(words: &impl Words) {
    let header = header(SLOTS as u32, PAYLOAD as u32);
    for copy in 0..2 {
        for (word, value) in header.into_iter().enumerate() {
            words.store(copy * COPY_WORDS + word, value, Release);
        }
    }
}
