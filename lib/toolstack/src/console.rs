//! A guest's console: what the guest has written is kept, and shown line by line.
//!
//! ```text
//!   ring (the guest's)             kept (outlives every life of the toolstack)
//!   ... consumed ... produced      [ last bytes, by their position in the stream ]
//!            |                        shown ......... taken
//!            +------- take ----------------------------->|
//!                                     |--- whole lines -->  shown to the operator
//! ```
//!
//! All positions count the bytes since the console began, as the ring's own indexes do. A byte is kept before the ring is told
//! that it was taken; how far bytes are taken and lines are shown is one word. So a life that ends anywhere loses nothing
//! and takes nothing twice.
//!
//! A line that was just shown is the one thing that is in two places: in the log, and in that word. The log's position is noted
//! before the line goes there, so that a new life sees whether it has arrived.
//!
//! In the other direction a line for the guest has a number of its own. Where the line ends in the ring is noted with the number
//! before the ring is told: who comes with the same number again sees whether it was. What was shown stays until its room is needed,
//! and can be shown again.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;
use ring::console::Console as Ring;
use thiserror::Error;
use uk_abi::Words;

/// Whose console it is.
const OWNER: usize = 0;
/// How far bytes are taken (high half), and how far lines are shown (low half).
const POSITIONS: usize = 1;
/// Where the log was before the line that begins at the end of `POSITIONS` was shown, and the length of that line: 0 if none is
/// being shown.
const LOG: usize = 2;
const SHOWING: usize = 3;
/// The number of the line that the guest was given last, 0 if there was none.
const TYPED: usize = 4;
/// Where the stream began to be kept (high half), and where that line ends in the ring to the guest (low half).
const BEGUN: usize = 5;
/// The first word of the bytes.
const BYTES: usize = 6;

/// Words of one console besides its bytes.
pub const HEADER: usize = BYTES;

/// The longest line; what is longer goes on in another.
pub const LINE: usize = 200;

/// Bytes that are taken from a guest in one turn, so that none keeps the others waiting.
const AT_ONCE: usize = 512;

/// Why a guest cannot be given a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotTyped {
    /// It has not read yet what it was given before.
    #[error(
        "the guest has not read yet what was typed before: there is room for {room} bytes, and {asked} are asked for"
    )]
    NoRoom {
        /// Bytes for which there is room.
        room: usize,
        /// Bytes of the line.
        asked: usize,
    },
    /// It has broken its ring.
    #[error("the guest has broken its console")]
    Broken,
    /// Nobody has its console open.
    #[error("its console is not open")]
    Closed,
}

/// What is kept of one console, in memory that outlives every life of the toolstack.
#[derive(Clone, Copy, Debug)]
pub struct Kept<W> {
    words: W,
}

/// What was kept, seen from a new life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Positions {
    taken: u32,
    shown: u32,
}

impl<W: Words> Kept<W> {
    /// The words that are for one console. Zeros are none's.
    pub const fn new(words: W) -> Self {
        Self { words }
    }

    /// Whose console is kept here: a number that no other console has. 0 if it is nobody's.
    pub fn owner(&self) -> u64 {
        self.words.load(OWNER, Relaxed)
    }

    /// Gives it to a console that begins, whose ring is at `position`.
    pub fn begin(&self, owner: u64, position: u32) {
        self.words.store(OWNER, 0, Relaxed);
        self.words.store(SHOWING, 0, Relaxed);
        self.words.store(TYPED, 0, Relaxed);
        self.words.store(BEGUN, u64::from(position) << 32, Relaxed);
        self.set(Positions { taken: position, shown: position });
        self.words.store(OWNER, owner, Relaxed);
    }

    /// Forgets the console.
    pub fn end(&self) {
        self.words.store(OWNER, 0, Relaxed);
    }

    /// Goes on after another life: settles whether the line that was being shown has arrived in the log, which stands at `log`.
    pub fn resume(&self, log: u64) {
        let length = self.words.load(SHOWING, Relaxed) as u32;
        let positions = self.positions();
        if length > 0
            && length <= positions.taken.wrapping_sub(positions.shown)
            && self.words.load(LOG, Relaxed) != log
        {
            self.set(Positions { shown: positions.shown.wrapping_add(length), ..positions });
        }
        self.words.store(SHOWING, 0, Relaxed);
    }

    /// Takes what the guest has written, some of it at least, as far as there is room. Answers how many bytes; none if the guest
    /// has broken its ring.
    pub fn take(&self, ring: Ring<'_>) -> Option<usize> {
        let reader = ring.output().reader();
        let positions = self.positions();
        let available = reader.available().ok()?;
        // A life may have ended when the bytes were kept and the ring was not told.
        let ahead = positions.taken.wrapping_sub(reader.position());
        let positions = if ahead <= available {
            reader.consume_to(positions.taken);
            positions
        } else {
            let position = reader.position();
            self.set(Positions { taken: position, shown: position });
            Positions { taken: position, shown: position }
        };
        let unshown = positions.taken.wrapping_sub(positions.shown) as usize;
        let room = self.capacity().saturating_sub(unshown).min(AT_ONCE);
        let count = (reader.available().ok()? as usize).min(room);
        let mut bytes = vec![0; count];
        reader.peek(positions.taken, &mut bytes);
        for (offset, byte) in bytes.iter().enumerate() {
            self.put(positions.taken.wrapping_add(offset as u32), *byte);
        }
        let taken = positions.taken.wrapping_add(count as u32);
        self.set(Positions { taken, ..positions });
        reader.consume_to(taken);
        Some(count)
    }

    /// Shows the next line, if there is a whole one: `show` answers whether it was shown, and the log stands at `log` before that.
    /// With `all`, what is left counts as a line. Answers whether a line was shown.
    pub fn show(&self, all: bool, log: u64, show: impl FnOnce(&str) -> bool) -> bool {
        let positions = self.positions();
        let unshown = (positions.taken.wrapping_sub(positions.shown) as usize).min(self.capacity());
        let (line, is_whole) = self.line(positions.shown, unshown);
        if !is_whole && (!all || line.is_empty()) {
            return false;
        }
        let length = line.len() as u32;
        self.words.store(LOG, log, Relaxed);
        self.words.store(SHOWING, length.into(), Relaxed);
        let was_shown = show(&plain(&line));
        if was_shown {
            self.set(Positions { shown: positions.shown.wrapping_add(length), ..positions });
        }
        self.words.store(SHOWING, 0, Relaxed);
        was_shown
    }

    /// Gives the guest a line, and the end of a line behind it. To do so again with the same `number`, which is not 0, changes nothing.
    ///
    /// # Errors
    /// [`NotTyped`].
    pub fn give(&self, ring: Ring<'_>, number: u64, line: &str) -> Result<(), NotTyped> {
        let writer = ring.input().writer();
        let room = writer.free().map_err(|_| NotTyped::Broken)? as usize;
        let begun = self.words.load(BEGUN, Relaxed) & !0xffff_ffff;
        let end = if self.words.load(TYPED, Relaxed) == number {
            self.words.load(BEGUN, Relaxed) as u32
        } else {
            let asked = line.len() + 1;
            if asked > room {
                return Err(NotTyped::NoRoom { room, asked });
            }
            let end = writer.position().wrapping_add(asked as u32);
            self.words.store(BEGUN, begun | u64::from(end), Relaxed);
            self.words.store(TYPED, number, Relaxed);
            end
        };
        if writer.position() != end {
            writer.write(writer.position(), line.as_bytes());
            writer.write(end.wrapping_sub(1), b"\n");
            writer.publish(end);
        }
        Ok(())
    }

    /// Forgets the number of the line that was given last: numbers begin anew.
    pub fn forget_numbers(&self) {
        self.words.store(TYPED, 0, Relaxed);
    }

    /// Where the oldest byte is that is still kept.
    pub fn oldest(&self) -> u32 {
        let Positions { taken, .. } = self.positions();
        let begun = (self.words.load(BEGUN, Relaxed) >> 32) as u32;
        let kept = (taken.wrapping_sub(begun) as usize).min(self.capacity());
        taken.wrapping_sub(kept as u32)
    }

    /// The line from `position` on, and where the next one begins; none if nothing behind that has been shown yet.
    pub fn recall(&self, position: u32) -> Option<(String, u32)> {
        let Positions { taken, shown } = self.positions();
        let kept = taken.wrapping_sub(position);
        let count = kept.checked_sub(taken.wrapping_sub(shown))? as usize;
        if count == 0 || kept as usize > self.capacity() {
            return None;
        }
        let line = self.line(position, count).0;
        Some((plain(&line), position.wrapping_add(line.len() as u32)))
    }

    /// At most `most` of the bytes that are still kept, shown or not, from `from` on, or from the oldest where that is not kept; and the
    /// position of the first.
    pub fn bytes(&self, from: u32, most: usize) -> (u32, Vec<u8>) {
        let (oldest, taken) = (self.oldest(), self.positions().taken);
        let is_kept = from.wrapping_sub(oldest) <= taken.wrapping_sub(oldest);
        let first = if is_kept { from } else { oldest };
        let count = (taken.wrapping_sub(first) as usize).min(most) as u32;
        (first, (0..count).map(|offset| self.get(first.wrapping_add(offset))).collect())
    }

    /// Whether everything that was taken has been shown.
    pub fn is_shown(&self) -> bool {
        let Positions { taken, shown } = self.positions();
        taken == shown
    }

    /// The bytes from `position` on, `count` at most, to the end of a line; and whether the line is whole.
    fn line(&self, position: u32, count: usize) -> (Vec<u8>, bool) {
        let mut line = Vec::new();
        for offset in 0..count {
            let byte = self.get(position.wrapping_add(offset as u32));
            line.push(byte);
            if byte == b'\n' || line.len() == LINE {
                return (line, true);
            }
        }
        (line, false)
    }

    fn positions(&self) -> Positions {
        let word = self.words.load(POSITIONS, Relaxed);
        Positions { taken: (word >> 32) as u32, shown: word as u32 }
    }

    fn set(&self, Positions { taken, shown }: Positions) {
        self.words.store(POSITIONS, u64::from(taken) << 32 | u64::from(shown), Relaxed);
    }

    /// How many bytes there is room for: a power of two, so that positions can pass 2^32.
    fn capacity(&self) -> usize {
        let bytes = self.words.count().saturating_sub(BYTES) * 8;
        if bytes == 0 { 0 } else { 1 << bytes.ilog2() }
    }

    fn place(&self, position: u32) -> (usize, u32) {
        let at = position as usize & (self.capacity() - 1);
        (BYTES + at / 8, (at % 8 * 8) as u32)
    }

    fn put(&self, position: u32, byte: u8) {
        let (index, shift) = self.place(position);
        let word = self.words.load(index, Relaxed) & !(0xff << shift) | u64::from(byte) << shift;
        self.words.store(index, word, Relaxed);
    }

    fn get(&self, position: u32) -> u8 {
        let (index, shift) = self.place(position);
        (self.words.load(index, Relaxed) >> shift) as u8
    }
}

/// A line without what a terminal would obey.
fn plain(line: &[u8]) -> String {
    let plain = |byte: &u8| if matches!(byte, b' '..=b'~' | b'\t') { char::from(*byte) } else { '.' };
    line.iter().filter(|byte| !matches!(byte, b'\r' | b'\n')).map(plain).collect()
}
