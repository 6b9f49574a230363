//! Slots: each holds one record, twice.
//!
//! # The checksum
//! XXH3, 64 bits, over the payload, seeded with the checksum of everything else. The damage to be found is a
//! wild store, a page of rubbish, half a record: arbitrary, where any good 64-bit checksum misses one case in
//! 2^64. A CRC-64 would promise more for a few flipped bits alone, and takes ten times as long.
//!
//! # Orderings
//! Every store is a `Release`: neither compiler nor processor lets copy B get ahead of copy A, nor a store to
//! A ahead of the mending of B. On x86-64 these are plain stores.

use core::sync::atomic::Ordering::{Acquire, Release};
use uk_abi::Words;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Words of a copy before its payload.
const HEADER_WORDS: usize = 3;

/// The type of free slots.
const FREE: u16 = 0;

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) type_id: u16,
    pub(crate) version: u16,
    pub(crate) key: u32,
    /// 48 bits.
    pub(crate) sequence: u64,
    pub(crate) bytes: u16,
}

impl Header {
    /// The header of a free slot.
    pub(crate) const FREE: Header = Header { type_id: FREE, version: 0, key: 0, sequence: 0, bytes: 0 };

    pub(crate) const fn is_free(&self) -> bool {
        self.type_id == FREE
    }

    /// Type and key.
    pub(crate) const fn id(&self) -> (u16, u32) {
        (self.type_id, self.key)
    }

    const fn to_words(self) -> [u64; 2] {
        let Header { type_id, version, key, sequence, bytes } = self;
        [(type_id as u64) << 48 | (version as u64) << 32 | key as u64, sequence << 16 | bytes as u64]
    }

    const fn from_words(words: [u64; 2]) -> Self {
        Header {
            type_id: (words[0] >> 48) as u16,
            version: (words[0] >> 32) as u16,
            key: words[0] as u32,
            sequence: words[1] >> 16,
            bytes: words[1] as u16,
        }
    }
}

/// A record as it was found in a slot.
pub(crate) struct Found<const PAYLOAD: usize> {
    pub(crate) header: Header,
    /// Whether the other copy had to be written anew.
    pub(crate) mended: bool,
    payload: [u8; PAYLOAD],
}

impl<const PAYLOAD: usize> Found<PAYLOAD> {
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload[..self.header.bytes as usize]
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Copy {
    A = 0,
    B = 1,
}

/// All slots of a box.
#[derive(Debug)]
pub(crate) struct Slots<W, const SLOTS: usize, const PAYLOAD: usize> {
    pub(crate) words: W,
}

impl<W: Words, const SLOTS: usize, const PAYLOAD: usize> Slots<W, SLOTS, PAYLOAD> {
    const COPY_WORDS: usize = {
        assert!(PAYLOAD.is_multiple_of(8) && PAYLOAD <= u16::MAX as usize);
        HEADER_WORDS + PAYLOAD / 8
    };

    /// Words of a slot.
    pub(crate) const SLOT_WORDS: usize = 2 * Self::COPY_WORDS;

    pub(crate) const fn new(words: W) -> Self {
        Slots { words }
    }

    fn base(slot: usize, copy: Copy) -> usize {
        crate::header::WORDS + slot * Self::SLOT_WORDS + copy as usize * Self::COPY_WORDS
    }

    /// The checksum of a record in `slot` of a box of this shape.
    fn checksum(slot: usize, header: [u64; 2], payload: &[u8]) -> u64 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&header[0].to_le_bytes());
        bytes[8..].copy_from_slice(&header[1].to_le_bytes());
        let place = (SLOTS as u64) << 48 ^ (PAYLOAD as u64) << 32 ^ slot as u64;
        xxh3_64_with_seed(payload, xxh3_64_with_seed(&bytes, place))
    }

    /// Reads one copy, each word once; `None` if it is not sound.
    fn read(&self, slot: usize, copy: Copy) -> Option<Found<PAYLOAD>> {
        let base = Self::base(slot, copy);
        let word = |index: usize| self.words.load(base + index, Acquire);
        let header_words = [word(0), word(1)];
        let header = Header::from_words(header_words);
        let bytes = header.bytes as usize;
        if bytes > PAYLOAD {
            return None;
        }
        let mut payload = [0; PAYLOAD];
        for (index, chunk) in payload[..bytes.next_multiple_of(8)].chunks_mut(8).enumerate() {
            chunk.copy_from_slice(&word(HEADER_WORDS + index).to_le_bytes());
        }
        // With the padding, which is 0: what is in no checksum could be damaged unseen.
        let checksum = Self::checksum(slot, header_words, &payload[..bytes.next_multiple_of(8)]);
        (word(2) == checksum).then_some(Found { header, mended: false, payload })
    }

    /// The record of the slot: copy A if it is sound, else B.
    pub(crate) fn find(&self, slot: usize) -> Option<Found<PAYLOAD>> {
        self.read(slot, Copy::A).or_else(|| self.read(slot, Copy::B))
    }

    /// The record of the slot, in both copies afterwards; `None` if both are damaged.
    pub(crate) fn mend(&self, slot: usize) -> Option<Found<PAYLOAD>> {
        let a = self.read(slot, Copy::A);
        match a.filter(|a| self.is_repeated(slot, a)) {
            // What is the same as a sound copy is sound: nothing needs to be summed up twice.
            Some(a) => Some(a),
            None => self.mend_difference(slot),
        }
    }

    /// Whether copy B says the same as copy A, in which `found` was.
    fn is_repeated(&self, slot: usize, found: &Found<PAYLOAD>) -> bool {
        let [a, b] = [Copy::A, Copy::B].map(|copy| Self::base(slot, copy));
        let words = HEADER_WORDS + usize::from(found.header.bytes).div_ceil(8);
        (0..words).all(|word| self.words.load(a + word, Acquire) == self.words.load(b + word, Acquire))
    }

    fn mend_difference(&self, slot: usize) -> Option<Found<PAYLOAD>> {
        match (self.read(slot, Copy::A), self.read(slot, Copy::B)) {
            (Some(a), _) => {
                self.write_copies(slot, &[Copy::B], &a.header, a.payload());
                Some(Found { mended: true, ..a })
            }
            (None, Some(b)) => {
                self.write_copies(slot, &[Copy::A], &b.header, b.payload());
                Some(Found { mended: true, ..b })
            }
            (None, None) => None,
        }
    }

    /// Writes a record into both copies.
    ///
    /// If B has been damaged while it was at rest it is mended first: a reset that tears A must find the old
    /// value in B, and that the slot was free is such a value too.
    pub(crate) fn write(&self, slot: usize, header: &Header, payload: &[u8]) {
        if self.read(slot, Copy::B).is_none() {
            self.mend(slot);
        }
        self.write_copies(slot, &[Copy::A, Copy::B], header, payload);
    }

    /// Writes the same into these copies, one after the other. What is in both has one checksum.
    fn write_copies(&self, slot: usize, copies: &[Copy], header: &Header, payload: &[u8]) {
        let mut padded = [0; PAYLOAD];
        padded[..payload.len()].copy_from_slice(payload);
        let padded = &padded[..payload.len().next_multiple_of(8)];
        let header = header.to_words();
        let checksum = Self::checksum(slot, header, padded);
        for &copy in copies {
            let base = Self::base(slot, copy);
            let head = [header[0], header[1], checksum].into_iter();
            let body = padded.chunks_exact(8).map(|chunk| {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(chunk);
                u64::from_le_bytes(bytes)
            });
            for (index, value) in head.chain(body).enumerate() {
                self.words.store(base + index, value, Release);
            }
        }
    }

    /// Type and key, if the headers of both copies name the same: a hint, for a slot that is lost.
    pub(crate) fn presumed_id(&self, slot: usize) -> Option<(u16, u32)> {
        let id = |copy| Header::from_words([self.words.load(Self::base(slot, copy), Acquire), 0]).id();
        let a = id(Copy::A);
        (a.0 != FREE && a == id(Copy::B)).then_some(a)
    }
}
