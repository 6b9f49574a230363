//! Frames: what stands in a vault and in a channel, each with its checksum.
//!
//! ```text
//! word 0   mark (8) | kind (4) | words of payload (20) | term (32)
//!      1   sequence (48) | checksum of the header (16)
//!      2   checksum of the payload, of words 0 and 1, and of the place: position in the log and the log's salt
//!      3   payload
//! ```
//!
//! The checksum is the last word to be stored, and the one that makes a frame exist. It binds the frame to its
//! place: what an earlier lap of the ring has left behind, or a frame that landed elsewhere, is no frame.
//!
//! The checksum of the header alone is for a search, which looks at every word: without it what merely looks like a header
//! would have megabytes summed behind it.
//!
//! The checksum is XXH3, as in the recovery box: it has to find a wild store, a torn record or a flipped bit,
//! and misses one case in 2^64.

use core::sync::atomic::Ordering::{Acquire, Release};
use uk_abi::Words;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};
use zerocopy::IntoBytes;

use alloc::vec::Vec;

/// Words before the payload.
pub const HEADER_WORDS: usize = 3;

/// Bits of the checksum of the header.
const HEADER_SUM_BITS: u32 = 16;

/// Words of payload that a frame can hold: 20 bits.
pub const PAYLOAD_MAX: usize = (1 << 20) - 1;

/// A point in the service's history. Later points are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// The life of a master. Each begins a new one, with a number greater than any that it has found.
    pub term: u32,
    /// Steps since the service began: less than 2^48.
    pub sequence: u64,
}

/// What a frame is, in a vault or between a master and a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// One step of the service: what a request changed, and what it answered.
    Step = 1,
    /// Items of the state, written by a pass.
    Chunk = 2,
    /// The chunks so far, and the steps between them, are the whole state.
    PassEnd = 3,
    /// A master begins its term.
    Term = 4,
    /// A copy of the whole state follows: chunks between steps, then [`Kind::PassEnd`].
    Join = 5,
    /// A replica says how far it is.
    Status = 6,
    /// The master asks for a copy of the whole state.
    SeedWanted = 7,
}

impl Kind {
    const ALL: [Kind; 7] =
        [Kind::Step, Kind::Chunk, Kind::PassEnd, Kind::Term, Kind::Join, Kind::Status, Kind::SeedWanted];
}

/// A frame to be written, perhaps to several places: its payload is summed once.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: Kind,
    /// When it was.
    pub stamp: Stamp,
    payload: &'a [u64],
    payload_sum: u64,
}

impl<'a> Frame<'a> {
    /// A frame with this payload, of at most [`PAYLOAD_MAX`] words.
    pub fn new(kind: Kind, stamp: Stamp, payload: &'a [u64]) -> Self {
        Frame { kind, stamp, payload, payload_sum: xxh3_64(payload.as_bytes()) }
    }

    /// Words that it takes in a log.
    pub fn words(&self) -> usize {
        HEADER_WORDS + self.payload.len()
    }
}

/// The header of a frame that was found, and is sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// When it was.
    pub stamp: Stamp,
    /// Words that it takes in the log.
    pub words: usize,
}

/// Part of a memory, used as a ring: position `p` is the word `p` modulo its size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring {
    /// The first word.
    pub(crate) base: usize,
    /// How many words.
    pub(crate) capacity: usize,
}

impl Ring {
    /// The index of the word at `position`, within the ring.
    fn index(&self, position: u64) -> usize {
        (position % self.capacity as u64) as usize
    }

    fn store_all(&self, words: &impl Words, position: u64, values: &[u64]) {
        let start = self.index(position);
        let (before_end, wrapped) = values.split_at(values.len().min(self.capacity - start));
        for (index, value) in before_end.iter().enumerate() {
            words.store(self.base + start + index, *value, Release);
        }
        for (index, value) in wrapped.iter().enumerate() {
            words.store(self.base + index, *value, Release);
        }
    }

    fn load(&self, words: &impl Words, position: u64) -> u64 {
        words.load(self.base + self.index(position), Acquire)
    }

    fn load_all(&self, words: &impl Words, position: u64, count: usize, into: &mut Vec<u64>) {
        into.clear();
        let start = self.index(position);
        let before_end = count.min(self.capacity - start);
        into.extend((start..start + before_end).map(|index| words.load(self.base + index, Acquire)));
        into.extend((0..count - before_end).map(|index| words.load(self.base + index, Acquire)));
    }

    /// Writes a frame, which must fit. Before the last store it does not exist, after it it does.
    pub(crate) fn write(&self, words: &impl Words, position: u64, salt: u64, frame: &Frame<'_>) {
        let first = first_word(position, salt, frame);
        self.store_all(words, position + HEADER_WORDS as u64, frame.payload);
        let second = second_word(position, salt, first, frame.stamp.sequence);
        self.store_all(words, position, &[first, second]);
        let sum = checksum(frame.payload_sum, first, second, position, salt);
        self.store_all(words, position + 2, &[sum]);
    }

    /// Reads the frame at `position` if there is a sound one that takes no more than `limit` words.
    pub(crate) fn read(
        &self,
        words: &impl Words,
        position: u64,
        salt: u64,
        limit: usize,
        payload: &mut Vec<u64>,
    ) -> Option<Found> {
        if limit < HEADER_WORDS {
            return None;
        }
        let first = self.load(words, position);
        if first >> 56 != u64::from(mark(position, salt)) {
            return None;
        }
        let kind = *Kind::ALL.get((first >> 52 & 0xf).checked_sub(1)? as usize)?;
        let length = (first >> 32 & PAYLOAD_MAX as u64) as usize;
        if length > limit - HEADER_WORDS {
            return None;
        }
        let second = self.load(words, position + 1);
        let sequence = second >> HEADER_SUM_BITS;
        if second != second_word(position, salt, first, sequence) {
            return None;
        }
        self.load_all(words, position + HEADER_WORDS as u64, length, payload);
        let sum = checksum(xxh3_64(payload.as_bytes()), first, second, position, salt);
        (sum == self.load(words, position + 2)).then_some(Found {
            kind,
            stamp: Stamp { term: first as u32, sequence },
            words: HEADER_WORDS + length,
        })
    }

    /// Whether a frame seems to begin at `position`, sound or not.
    pub(crate) fn has_mark(&self, words: &impl Words, position: u64, salt: u64) -> bool {
        self.load(words, position) >> 56 == u64::from(mark(position, salt))
    }
}

/// Lets a search for frames pass over nearly everything that is none. Never 0, which is what fresh memory holds.
fn mark(position: u64, salt: u64) -> u8 {
    (((position ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).max(1)
}

fn first_word(position: u64, salt: u64, frame: &Frame<'_>) -> u64 {
    u64::from(mark(position, salt)) << 56
        | (frame.kind as u64) << 52
        | (frame.payload.len() as u64) << 32
        | u64::from(frame.stamp.term)
}

fn second_word(position: u64, salt: u64, first: u64, sequence: u64) -> u64 {
    let sum = xxh3_64_with_seed([first, sequence, position].as_bytes(), salt) & ((1 << HEADER_SUM_BITS) - 1);
    sequence << HEADER_SUM_BITS | sum
}

fn checksum(payload_sum: u64, first: u64, second: u64, position: u64, salt: u64) -> u64 {
    xxh3_64_with_seed([payload_sum, first, second, position].as_bytes(), salt)
}
