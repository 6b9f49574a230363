//! A stream of bytes in one direction.
//!
//! Both indexes run freely: they count the bytes since the connection began, modulo 2^32, and the byte at position `p` lies at
//! `p` modulo the size. So an index says how far a stream has come even to a server that has just been born. Only the consumer
//! moves `consumed`, only the producer `produced`; but both are the other side's to forge.
//!
//! A stock client of XenStore tells of what it writes only if it finds everything before it consumed, and of what it reads only if it
//! finds the ring full (`xb_write` and `xb_read` of Linux). So who moves an index looks at the other's once more before it waits; a
//! full barrier behind each move sees to it that one of the two sides finds what the other has done.

use core::fmt;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicU32, fence};

/// Bytes in a word of shared memory.
const WORD: usize = size_of::<u32>();

/// The shared memory of one direction.
#[derive(Clone, Copy, Debug)]
pub struct Ring<'a> {
    /// The bytes, of a size that is a power of two.
    pub(crate) data: &'a [AtomicU32],
    pub(crate) consumed: &'a AtomicU32,
    pub(crate) produced: &'a AtomicU32,
}

/// Indexes that contradict each other: more would be in the ring than it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// How far the consumer says it is.
    pub consumed: u32,
    /// How far the producer says it is.
    pub produced: u32,
    /// What the ring holds, in bytes.
    pub size: u32,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { consumed, produced, size } = self;
        write!(
            f,
            "expected at most {size} bytes between the indexes, found {consumed} consumed and {produced} produced"
        )
    }
}

impl core::error::Error for Broken {}

impl<'a> Ring<'a> {
    /// What the ring holds, in bytes.
    pub const fn size(&self) -> u32 {
        (self.data.len() * WORD) as u32
    }

    /// The bytes that were produced and not consumed yet.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn filled(&self) -> Result<u32, Broken> {
        let (consumed, produced, size) =
            (self.consumed.load(Acquire), self.produced.load(Acquire), self.size());
        let filled = produced.wrapping_sub(consumed);
        if filled <= size { Ok(filled) } else { Err(Broken { consumed, produced, size }) }
    }

    /// The consumer's end.
    pub const fn reader(self) -> Reader<'a> {
        Reader(self)
    }

    /// The producer's end.
    pub const fn writer(self) -> Writer<'a> {
        Writer(self)
    }

    /// The parts of the words that hold the `length` bytes from `position` on: the word, the first byte in it, and how many.
    fn pieces(&self, position: u32, length: usize) -> impl Iterator<Item = (&'a AtomicU32, usize, usize)> {
        let (data, mask) = (self.data, self.data.len() * WORD - 1);
        let mut at = position as usize;
        let mut left = length.min(mask + 1);
        core::iter::from_fn(move || {
            let first = at % WORD;
            let count = left.min(WORD - first);
            let word = &data[(at & mask) / WORD];
            (at, left) = (at.wrapping_add(count), left - count);
            (count > 0).then_some((word, first, count))
        })
    }
}

/// The end that consumes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(Ring<'a>);

impl Reader<'_> {
    /// The bytes that can be read.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn available(&self) -> Result<u32, Broken> {
        self.0.filled()
    }

    /// How far this end is.
    pub fn position(&self) -> u32 {
        self.0.consumed.load(Relaxed)
    }

    /// Copies the bytes from `position` on, without consuming them. What lies behind the producer's index is rubbish; of
    /// `bytes`, no more is filled than the ring holds.
    pub fn peek(&self, position: u32, bytes: &mut [u8]) {
        let mut rest = &mut bytes[..];
        for (word, first, count) in self.0.pieces(position, rest.len()) {
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(&word.load(Relaxed).to_le_bytes()[first..first + count]);
            rest = later;
        }
    }

    /// Gives the producer the room of everything before `position`. A look that follows finds what it has written without telling.
    pub fn consume_to(&self, position: u32) {
        self.0.consumed.store(position, Release);
        fence(SeqCst);
    }
}

/// The end that produces.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a>(Ring<'a>);

impl Writer<'_> {
    /// The bytes for which there is room.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn free(&self) -> Result<u32, Broken> {
        Ok(self.0.size() - self.0.filled()?)
    }

    /// How far this end is.
    pub fn position(&self) -> u32 {
        self.0.produced.load(Relaxed)
    }

    /// Writes `bytes` from `position` on; the consumer does not see them before they are published. The caller knows that
    /// there is room; of what is longer than the ring only the beginning is written.
    pub fn write(&self, position: u32, bytes: &[u8]) {
        let mut rest = bytes;
        for (word, first, count) in self.0.pieces(position, bytes.len()) {
            let (now, later) = rest.split_at(count);
            // The producer is alone in writing data, so reading the rest of the word and storing it back loses nothing.
            let mut value = if count == WORD { [0; WORD] } else { word.load(Relaxed).to_le_bytes() };
            value[first..first + count].copy_from_slice(now);
            word.store(u32::from_le_bytes(value), Relaxed);
            rest = later;
        }
    }

    /// Shows the consumer everything before `position`. A look that follows finds the room that it has made without telling.
    pub fn publish(&self, position: u32) {
        self.0.produced.store(position, Release);
        fence(SeqCst);
    }
}
