//! Channels: frames from one writer to one reader, over shared memory that outlives both.
//!
//! ```text
//! word 0  epoch, by the writer          8  epoch that the reader follows
//!      1  head: position after the      9  tail: position of the first frame that the
//!         last frame, by the writer        reader may still want
//!     16  ring of frames
//! ```
//!
//! - The writer never waits. A frame that finds no room is refused, and the writer decides: see
//!   [`Refused`].
//! - Frames stay until the reader lets them go, so a reader that restarts in the middle of one finds it again,
//!   and one that takes the writer's place reads what it has missed. Readers must not mind seeing a frame twice.
//! - The four words are [sealed](crate::seal); each has one writer and changes in one store.
//! - A writer that cannot find its place begins a new epoch: whatever is in the ring is void. The reader is told
//!   by [`Next::Reset`]; the same happens when the reader finds a frame damaged and the writer starts over.

use crate::frame::{Found, Frame, Ring};
use crate::seal;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::{Acquire, Release};
use uk_abi::Words;

const EPOCH: usize = 0;
const HEAD: usize = 1;
const EPOCH_SEEN: usize = 8;
const TAIL: usize = 9;
const RING_BASE: usize = 16;

/// The smallest channel.
pub const WORDS_MIN: usize = RING_BASE + 64;

/// A frame was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The reader has not made room yet.
    Full {
        /// Words that the frame takes.
        needed: usize,
        /// Words that are free.
        free: usize,
    },
    /// The frame is larger than the channel.
    TooLarge {
        /// Words that the frame takes.
        needed: usize,
        /// Words of the whole ring.
        capacity: usize,
    },
}

fn load(words: &impl Words, word: usize) -> Option<u64> {
    seal::open(word as u8, words.load(word, Acquire))
}

fn store(words: &impl Words, word: usize, value: u64) {
    words.store(word, seal::seal(word as u8, value), Release);
}

/// Stores control words that are not what they should be. Returns whether there were any.
fn mend(words: &impl Words, expected: [(usize, u64); 2]) -> bool {
    let is_wrong = |&(word, value): &(usize, u64)| load(words, word) != Some(value);
    let wrong = expected.into_iter().filter(is_wrong);
    wrong.map(|(word, value)| store(words, word, value)).count() > 0
}

#[cfg(feature = "harm")]
fn flip(words: &impl Words, among: [usize; 2], bit: usize) {
    let word = among[bit / 64 % 2];
    words.store(word, words.load(word, Acquire) ^ 1 << (bit % 64), Release);
}

/// The ring behind the control words.
fn ring(words: &impl Words) -> Ring {
    assert!(words.count() >= WORDS_MIN, "a channel of {} words", words.count());
    Ring { base: RING_BASE, capacity: words.count() - RING_BASE }
}

/// The writing end. One at a time.
#[derive(Debug)]
pub struct Writer<W> {
    words: W,
    ring: Ring,
    epoch: u64,
    head: u64,
    /// A control word was damaged when it was to be written.
    was_damaged: bool,
}

impl<W: Words> Writer<W> {
    /// The writing end of the channel in `words`, which goes on where the last writer stopped, if the channel
    /// says where that was. The second value is whether it does; if not, a new epoch has begun.
    ///
    /// # Panics
    /// There are less than [`WORDS_MIN`] words.
    pub fn open(words: W) -> (Self, bool) {
        let ring = ring(&words);
        match (load(&words, EPOCH), load(&words, HEAD)) {
            (Some(epoch), Some(head)) => (Writer { words, ring, epoch, head, was_damaged: false }, true),
            (epoch, _) => {
                // If the epoch is damaged the reader's word tells which one it was.
                let epoch = epoch.max(load(&words, EPOCH_SEEN)).unwrap_or(0);
                let mut writer = Writer { words, ring, epoch, head: 0, was_damaged: false };
                writer.reset();
                (writer, false)
            }
        }
    }

    /// Begins a new epoch: takes back what the reader has not read.
    pub fn reset(&mut self) {
        self.epoch = (self.epoch + 1) & seal::VALUE_MAX;
        self.head = 0;
        // In this order: frames are bound to the epoch, so the old head is of no use to who sees the new one.
        store(&self.words, HEAD, 0);
        store(&self.words, EPOCH, self.epoch);
    }

    /// Words that are free.
    pub fn free(&self) -> usize {
        let seen = load(&self.words, EPOCH_SEEN) == Some(self.epoch);
        let tail = if seen { load(&self.words, TAIL) } else { Some(0) };
        let pending = tail.and_then(|tail| self.head.checked_sub(tail));
        self.ring.capacity.saturating_sub(pending.map_or(usize::MAX, |pending| pending as usize))
    }

    /// Words of the ring.
    pub fn capacity(&self) -> usize {
        self.ring.capacity
    }

    /// Whether the reader has let go of everything.
    pub fn is_drained(&self) -> bool {
        self.free() == self.capacity()
    }

    /// Writes a frame. When this returns, the frame is there for the reader, whatever happens to the writer.
    ///
    /// # Errors
    /// There is no room; nothing has been changed.
    pub fn write(&mut self, frame: &Frame<'_>) -> Result<(), Refused> {
        let (needed, free, capacity) = (frame.words(), self.free(), self.ring.capacity);
        if needed > capacity {
            return Err(Refused::TooLarge { needed, capacity });
        }
        if needed > free {
            return Err(Refused::Full { needed, free });
        }
        self.ring.write(&self.words, self.head, self.epoch, frame);
        self.was_damaged |= load(&self.words, HEAD) != Some(self.head);
        self.head += needed as u64;
        store(&self.words, HEAD, self.head);
        Ok(())
    }

    /// Writes the control words anew if they are damaged. To be called now and then. Returns whether they were, since the
    /// last call.
    pub fn refresh(&mut self) -> bool {
        let is_damaged = mend(&self.words, [(EPOCH, self.epoch), (HEAD, self.head)]);
        core::mem::take(&mut self.was_damaged) | is_damaged
    }

    /// Flips a bit of this side's control words.
    #[cfg(feature = "harm")]
    pub(crate) fn flip(&self, bit: usize) {
        flip(&self.words, [EPOCH, HEAD], bit);
    }
}

/// What a reader finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A frame; its payload is in the buffer.
    Frame(Found),
    /// Nothing more.
    Empty,
    /// The writer began a new epoch: frames may be missing before the next one.
    Reset,
    /// What should be a frame is none, or the channel's head makes no sense. The reader will get nothing
    /// more in this epoch, and has to tell the writer.
    Damaged,
}

/// The reading end. One at a time.
#[derive(Debug)]
pub struct Reader<W> {
    words: W,
    ring: Ring,
    epoch: Option<u64>,
    /// Position of the next frame to be read.
    next: u64,
    /// What the tail says.
    released: u64,
    damaged: bool,
    /// A control word was damaged when it was to be written.
    was_damaged: bool,
}

impl<W: Words> Reader<W> {
    /// The reading end of the channel in `words`, which goes on at the first frame that the last reader has
    /// not let go.
    ///
    /// # Panics
    /// There are less than [`WORDS_MIN`] words.
    pub fn open(words: W) -> Self {
        let ring = ring(&words);
        let epoch = load(&words, EPOCH_SEEN).filter(|seen| load(&words, EPOCH) == Some(*seen));
        let tail = load(&words, TAIL);
        let reader =
            Reader { words, ring, epoch: None, next: 0, released: 0, damaged: false, was_damaged: false };
        match (epoch, tail) {
            (Some(epoch), Some(tail)) => Reader { epoch: Some(epoch), next: tail, released: tail, ..reader },
            // To be told of a reset at the first look.
            _ => reader,
        }
    }

    /// The next frame. It stays in the channel until [`release`](Self::release).
    pub fn next(&mut self, payload: &mut Vec<u64>) -> Next {
        let (epoch, head) = (load(&self.words, EPOCH), load(&self.words, HEAD));
        match epoch {
            Some(epoch) if Some(epoch) != self.epoch => {
                self.epoch = Some(epoch);
                (self.next, self.released) = (0, 0);
                self.damaged = false;
                // In this order: with the old epoch the writer takes no notice of the tail.
                store(&self.words, TAIL, 0);
                store(&self.words, EPOCH_SEEN, epoch);
                return Next::Reset;
            }
            // No writer has come yet; or its word is damaged, and it will write it again.
            None => return Next::Empty,
            Some(_) if self.damaged => return Next::Empty,
            Some(_) => {}
        }
        let (Some(epoch), Some(head)) = (epoch, head) else {
            return Next::Empty;
        };
        let limit = match head.checked_sub(self.next) {
            Some(0) => return Next::Empty,
            Some(pending) if pending <= self.ring.capacity as u64 => pending as usize,
            _ => return self.give_up(),
        };
        match self.ring.read(&self.words, self.next, epoch, limit, payload) {
            Some(found) => {
                self.next += found.words as u64;
                Next::Frame(found)
            }
            None => self.give_up(),
        }
    }

    fn give_up(&mut self) -> Next {
        self.damaged = true;
        Next::Damaged
    }

    /// Whether [`Next::Damaged`] was said, and the writer has not begun a new epoch since.
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Lets go of all frames that were read: the next reader begins after them.
    pub fn release(&mut self) {
        if self.epoch.is_some() {
            self.was_damaged |= load(&self.words, TAIL) != Some(self.released);
            self.released = self.next;
            store(&self.words, TAIL, self.released);
        }
    }

    /// Writes the control words anew if they are damaged. To be called now and then. Returns whether they were, since the
    /// last call.
    pub fn refresh(&mut self) -> bool {
        let Some(epoch) = self.epoch else { return false };
        let is_damaged = mend(&self.words, [(EPOCH_SEEN, epoch), (TAIL, self.released)]);
        core::mem::take(&mut self.was_damaged) | is_damaged
    }

    /// Flips a bit of this side's control words.
    #[cfg(feature = "harm")]
    pub(crate) fn flip(&self, bit: usize) {
        flip(&self.words, [EPOCH_SEEN, TAIL], bit);
    }
}
