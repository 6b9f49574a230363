//! A cable between two unikernels: Ethernet frames in both directions, through memory that root keeps for them.
//!
//! A guest grants pages of its own to the backend of its interface. Unikernels do without: as long as one maps a page of
//! the other, the other's domain cannot be rebuilt. This memory is root's and outlives both, so either end may die at any
//! moment and be revived in any way, and the other need not do anything about it.
//!
//! ```text
//!   word 0    how far the first end has produced       each index counts words, runs freely, and is written
//!   word 1    how far the second end has consumed      by the one end that it is about
//!   word 2    how far the second end has produced
//!   word 3    how far the first end has consumed
//!   word 8    frames of the first end  | length | bytes, padded to words | length | ...
//!   ...       frames of the second end
//! ```
//!
//! A frame is shown by one store of an index, when all of it is there. What an end reads is checked: where indexes or
//! lengths contradict each other it passes over everything that waits, and goes on with what is sent from then on. Frames
//! are lost where there is no room for them, as on any network.
//!
//! Whoever has something else to say than Ethernet frames says how long its frames may be ([`End::carrying`]).

#![no_std]

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use uk_abi::Words;

/// The longest frame: 1500 bytes and an Ethernet header.
pub const MAX_FRAME: usize = 1514;

/// The shortest frame: a header.
const MIN_FRAME: usize = 14;

/// Words before the frames.
const HEADER: usize = 8;

const WORD: usize = size_of::<u64>();

/// The fewest words of a cable: a page, in which one frame of each end has room.
const MIN_WORDS: usize = uk_abi::layout::PAGE_SIZE / WORD;

/// Which end of a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// That of the domain with the lower number.
    First,
    /// That of the other.
    Second,
}

/// One end of a cable.
#[derive(Clone, Copy, Debug)]
pub struct End<W> {
    words: W,
    out: Lane,
    into: Lane,
    /// Bytes of the shortest and of the longest frame.
    lengths: (usize, usize),
}

/// One direction.
#[derive(Clone, Copy, Debug)]
struct Lane {
    produced: usize,
    consumed: usize,
    /// The first word of its frames, and how many there are.
    first: usize,
    size: usize,
}

/// The address of the unikernel in the domain `domid` on the network: one that is administered locally.
pub const fn mac(domid: u16) -> [u8; 6] {
    let [high, low] = domid.to_be_bytes();
    [0x02, 0x52, 0x56, 0x4d, high, low]
}

impl<W: Words> End<W> {
    /// This end of the cable for Ethernet frames in `words`, which goes on wherever an earlier life was; none if there are too few for a
    /// frame each way. Zeros are a cable on which nothing was ever sent.
    pub fn new(words: W, side: Side) -> Option<Self> {
        Self::carrying(words, side, MIN_FRAME, MAX_FRAME)
    }

    /// The same for frames of other lengths, from `shortest` bytes to `longest`. Both ends say the same.
    pub fn carrying(words: W, side: Side, shortest: usize, longest: usize) -> Option<Self> {
        let size = words.count().saturating_sub(HEADER) / 2;
        if words.count() < MIN_WORDS || size < words_of(longest) {
            return None;
        }
        let first = Lane { produced: 0, consumed: 1, first: HEADER, size };
        let second = Lane { produced: 2, consumed: 3, first: HEADER + size, size };
        let (out, into) = match side {
            Side::First => (first, second),
            Side::Second => (second, first),
        };
        Some(Self { words, out, into, lengths: (shortest, longest) })
    }

    /// Sends a frame. Answers whether there was room for it, and it was a frame.
    pub fn send(&self, frame: &[u8]) -> bool {
        let Lane { produced, consumed, first, size } = self.out;
        let at = self.words.load(produced, Relaxed);
        let filled = at.wrapping_sub(self.words.load(consumed, Acquire));
        let needed = words_of(frame.len());
        if !self.is_frame(frame.len()) || filled.saturating_add(needed as u64) > size as u64 {
            return false;
        }
        let place = |offset: usize| first + (at.wrapping_add(offset as u64) % size as u64) as usize;
        self.words.store(place(0), frame.len() as u64, Relaxed);
        for (offset, bytes) in frame.chunks(WORD).enumerate() {
            let mut word = [0; WORD];
            word[..bytes.len()].copy_from_slice(bytes);
            self.words.store(place(offset + 1), u64::from_le_bytes(word), Relaxed);
        }
        self.words.store(produced, at.wrapping_add(needed as u64), Release);
        true
    }

    /// Takes the next frame, if there is one, into `buffer`; answers its length. One that is longer than `buffer` is passed
    /// over.
    pub fn receive(&self, buffer: &mut [u8]) -> Option<usize> {
        let Lane { produced, consumed, first, size } = self.into;
        loop {
            let at = self.words.load(consumed, Relaxed);
            let until = self.words.load(produced, Acquire);
            if at == until {
                return None;
            }
            let filled = until.wrapping_sub(at);
            let place = |offset: usize| first + (at.wrapping_add(offset as u64) % size as u64) as usize;
            let length = usize::try_from(self.words.load(place(0), Relaxed)).unwrap_or(usize::MAX);
            if filled > size as u64 || !self.is_frame(length) || words_of(length) as u64 > filled {
                // Nothing that waits there means anything.
                self.words.store(consumed, until, Release);
                continue;
            }
            let fits = length <= buffer.len();
            if fits {
                for (offset, bytes) in buffer[..length].chunks_mut(WORD).enumerate() {
                    let word = self.words.load(place(offset + 1), Relaxed).to_le_bytes();
                    bytes.copy_from_slice(&word[..bytes.len()]);
                }
            }
            self.words.store(consumed, at.wrapping_add(words_of(length) as u64), Release);
            if fits {
                return Some(length);
            }
        }
    }

    /// Whether something waits to be received.
    pub fn has_waiting(&self) -> bool {
        self.words.load(self.into.consumed, Relaxed) != self.words.load(self.into.produced, Acquire)
    }

    const fn is_frame(&self, length: usize) -> bool {
        let (shortest, longest) = self.lengths;
        length >= shortest && length <= longest
    }
}

/// Words that a frame takes: one for its length, and those of its bytes.
const fn words_of(length: usize) -> usize {
    1 + length.div_ceil(WORD)
}
