//! A session's memory: a header, output and partial input, all of it twice.
//!
//! ```text
//! half A | half B        half:  header | output, a ring of bytes addressed by stream position | partial input
//! ```
//!
//! Bytes go to both halves first, beyond what the header speaks of. Then header A is written, which is the moment
//! in which the session changes, then header B. So at any moment one half is whole: A if its header is sound, else B.

use crate::frame::Stamp;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::{Acquire, Release};
use uk_abi::Words;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};
use zerocopy::IntoBytes;

/// Bytes of output that a session holds for a client that does not take it.
pub const OUT_BYTES: usize = 8192;

const HEADER_WORDS: usize = 10;
const OUT_WORDS: usize = OUT_BYTES / 8;

/// One of the two copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    A = 0,
    B = 1,
}

impl Half {
    pub(super) const BOTH: [Half; 2] = [Half::A, Half::B];

    pub(super) const fn other(self) -> Half {
        match self {
            Half::A => Half::B,
            Half::B => Half::A,
        }
    }
}

/// Where a session stands. All positions are stream positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// Whose session it is; `None` if the slot is free.
    pub(super) owner: Option<u32>,
    /// All requests before this have been applied.
    pub(super) applied: u32,
    /// From `applied` to here the input is held as partial input.
    pub(super) staged: u32,
    /// All output before `from` has been handed over.
    pub(super) from: u32,
    /// From `from` to here the output is held.
    pub(super) queued: u32,
    /// Checksum of the output held: the sum over its messages.
    pub(super) out_sum: u64,
    /// Checksum of the partial input.
    pub(super) staged_sum: u64,
    /// The last step that changed this session.
    pub(super) stamp: Stamp,
    /// How many of its deferred messages have come into the output.
    pub(super) taken: u64,
}

impl Header {
    /// Bytes of output held.
    pub(super) fn held(&self) -> usize {
        self.queued.wrapping_sub(self.from) as usize
    }

    /// Bytes of partial input.
    pub(super) fn partial(&self) -> usize {
        self.staged.wrapping_sub(self.applied) as usize
    }

    fn to_words(self, slot: usize, half: Half) -> [u64; HEADER_WORDS] {
        let mut words = [
            u64::from(self.owner.is_some()) << 32 | u64::from(self.owner.unwrap_or(0)),
            u64::from(self.applied) << 32 | u64::from(self.staged),
            u64::from(self.from) << 32 | u64::from(self.queued),
            self.out_sum,
            self.staged_sum,
            u64::from(self.stamp.term),
            self.stamp.sequence,
            self.taken,
            0,
            0,
        ];
        words[HEADER_WORDS - 1] = header_sum(&words, slot, half);
        words
    }

    fn from_words(words: &[u64; HEADER_WORDS]) -> Self {
        let pair = |word: u64| ((word >> 32) as u32, word as u32);
        let (applied, staged) = pair(words[1]);
        let (from, queued) = pair(words[2]);
        Header {
            owner: (words[0] >> 32 == 1).then_some(words[0] as u32),
            applied,
            staged,
            from,
            queued,
            out_sum: words[3],
            staged_sum: words[4],
            stamp: Stamp { term: words[5] as u32, sequence: words[6] },
            taken: words[7],
        }
    }
}

fn header_sum(words: &[u64; HEADER_WORDS], slot: usize, half: Half) -> u64 {
    xxh3_64_with_seed(words[..HEADER_WORDS - 1].as_bytes(), (slot as u64) << 1 | half as u64)
}

/// What a message adds to [`Header::out_sum`]. Messages are summed, so that one can come and another go.
pub(super) fn message_sum(start: u32, content: u64) -> u64 {
    xxh3_64_with_seed(content.as_bytes(), u64::from(start))
}

/// Checksum of a message, or of partial input.
pub(super) fn content_sum(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// The slots in a memory, each with room for a partial message of `MESSAGE` bytes.
#[derive(Debug)]
pub(super) struct Slots<W> {
    words: W,
    staging_words: usize,
}

impl<W: Words> Slots<W> {
    pub(super) const fn new(words: W, message_max: usize) -> Self {
        Slots { words, staging_words: message_max.div_ceil(8) }
    }

    /// Words of a slot.
    pub(super) const fn slot_words(message_max: usize) -> usize {
        2 * (HEADER_WORDS + OUT_WORDS + message_max.div_ceil(8))
    }

    fn half_words(&self) -> usize {
        HEADER_WORDS + OUT_WORDS + self.staging_words
    }

    /// How many slots there are.
    pub(super) fn count(&self) -> usize {
        self.words.count() / (2 * self.half_words())
    }

    fn base(&self, slot: usize, half: Half) -> usize {
        (2 * slot + half as usize) * self.half_words()
    }

    fn out_base(&self, slot: usize, half: Half) -> usize {
        self.base(slot, half) + HEADER_WORDS
    }

    /// The byte of the memory in which output at `position` stands.
    pub(super) fn out_byte(&self, slot: usize, half: Half, position: u32) -> usize {
        self.out_base(slot, half) * 8 + position as usize % OUT_BYTES
    }

    /// The header, if it is sound.
    pub(super) fn read_header(&self, slot: usize, half: Half) -> Option<Header> {
        let base = self.base(slot, half);
        let mut words = [0; HEADER_WORDS];
        for (index, word) in words.iter_mut().enumerate() {
            *word = self.words.load(base + index, Acquire);
        }
        let header = Header::from_words(&words);
        (words[HEADER_WORDS - 1] == header_sum(&words, slot, half)
            && header.held() <= OUT_BYTES
            && header.partial() <= self.staging_words * 8)
            .then_some(header)
    }

    /// Whether all words of the header are 0, as in memory that nobody has used.
    pub(super) fn is_blank(&self, slot: usize, half: Half) -> bool {
        let base = self.base(slot, half);
        (0..HEADER_WORDS).all(|index| self.words.load(base + index, Acquire) == 0)
    }

    pub(super) fn write_header(&self, slot: usize, half: Half, header: &Header) {
        let base = self.base(slot, half);
        for (index, word) in header.to_words(slot, half).into_iter().enumerate() {
            self.words.store(base + index, word, Release);
        }
    }

    /// Whether the header is exactly this one.
    pub(super) fn holds_header(&self, slot: usize, half: Half, header: &Header) -> bool {
        let base = self.base(slot, half);
        let expected = header.to_words(slot, half);
        (0..HEADER_WORDS).all(|index| self.words.load(base + index, Acquire) == expected[index])
    }

    /// Flips a bit of a header: the one with this number, modulo how many there are.
    #[cfg(feature = "harm")]
    pub(super) fn flip(&self, slot: usize, bit: usize) {
        let number = bit / 64 % (2 * HEADER_WORDS);
        let word = self.base(slot, Half::BOTH[number / HEADER_WORDS]) + number % HEADER_WORDS;
        self.words.store(word, self.words.load(word, Acquire) ^ 1 << (bit % 64), Release);
    }

    /// Writes output at `position`.
    pub(super) fn write_out(&self, slot: usize, half: Half, position: u32, bytes: &[u8]) {
        let start = position as usize % OUT_BYTES;
        let (before_end, wrapped) = bytes.split_at(bytes.len().min(OUT_BYTES - start));
        let base = self.out_base(slot, half);
        self.write_bytes(base, start, before_end);
        self.write_bytes(base, 0, wrapped);
    }

    /// Reads `count` bytes of output from `position` on.
    pub(super) fn read_out(&self, slot: usize, half: Half, position: u32, count: usize, into: &mut Vec<u8>) {
        into.clear();
        let start = position as usize % OUT_BYTES;
        let before_end = count.min(OUT_BYTES - start);
        let base = self.out_base(slot, half);
        self.read_bytes(base, start, before_end, into);
        self.read_bytes(base, 0, count - before_end, into);
    }

    /// Writes partial input, `offset` bytes after its beginning.
    pub(super) fn write_staged(&self, slot: usize, half: Half, offset: usize, bytes: &[u8]) {
        self.write_bytes(self.out_base(slot, half) + OUT_WORDS, offset, bytes);
    }

    /// Reads the partial input.
    pub(super) fn read_staged(&self, slot: usize, half: Half, count: usize, into: &mut Vec<u8>) {
        into.clear();
        self.read_bytes(self.out_base(slot, half) + OUT_WORDS, 0, count, into);
    }

    /// Writes bytes from byte `offset` after word `base` on; other bytes of the words at both ends stay.
    fn write_bytes(&self, base: usize, offset: usize, bytes: &[u8]) {
        let (mut word, within) = (base + offset / 8, offset % 8);
        let (head, rest) = bytes.split_at(bytes.len().min((8 - within) % 8));
        if !head.is_empty() {
            self.merge(word, within, head);
            word += 1;
        }
        let mut chunks = rest.chunks_exact(8);
        for chunk in &mut chunks {
            self.words.store(word, u64_of(chunk), Release);
            word += 1;
        }
        if !chunks.remainder().is_empty() {
            self.merge(word, 0, chunks.remainder());
        }
    }

    /// Replaces some bytes of a word.
    fn merge(&self, word: usize, within: usize, bytes: &[u8]) {
        let mut value = self.words.load(word, Acquire).to_le_bytes();
        value[within..within + bytes.len()].copy_from_slice(bytes);
        self.words.store(word, u64::from_le_bytes(value), Release);
    }

    fn read_bytes(&self, base: usize, offset: usize, count: usize, into: &mut Vec<u8>) {
        let (mut word, mut skip, mut left) = (base + offset / 8, offset % 8, count);
        while left > 0 {
            let value = self.words.load(word, Acquire).to_le_bytes();
            let taken = left.min(8 - skip);
            into.extend_from_slice(&value[skip..skip + taken]);
            (word, skip, left) = (word + 1, 0, left - taken);
        }
    }
}

/// Up to eight bytes as a word, little-endian.
fn u64_of(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}
