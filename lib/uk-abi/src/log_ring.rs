//! The log ring: how a unikernel tells root what it has to say.
//!
//! ```text
//! word  0  head: words written so far, by the unikernel          published last, so that a record is there or is not
//!       1  dropped: records that found no room                   by the unikernel
//!       8  tail: words read so far, by root
//!       9  dropped records that root has reported, by root
//!      16  the ring: position p is word 16 + p mod capacity
//!
//! record:  mark (16) | level (8) | 0 (8) | bytes (32)    time in us    text, eight bytes a word, little-endian
//! ```
//!
//! - A writer can be reset between any two stores. All it keeps is in `head`, one word, and a record does not
//!   exist before `head` says so: the next incarnation simply writes over what was not finished.
//! - A record that finds no room is dropped and counted. Nobody waits, and what has been said stays.
//! - Root takes a bounded number of bytes at a time, reads each word once, and believes nothing. Where `head`
//!   or a record makes no sense it goes on at `head`, and says how much it has skipped.

use crate::Words;
use crate::text::Line;
use core::fmt::{self, Write};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Bytes of text that a record can hold; more is cut.
pub const TEXT_MAX: usize = 256;

const HEAD: usize = 0;
const DROPPED: usize = 1;
const TAIL: usize = 8;
const DROPPED_SEEN: usize = 9;
const RING: usize = 16;

/// Words before a record's text.
const RECORD_HEADER: u64 = 2;
/// The largest record.
const RECORD_MAX: u64 = RECORD_HEADER + (TEXT_MAX as u64).div_ceil(8);
const MARK: u64 = 0x4c6f_u64 << 48;
const MARK_MASK: u64 = 0xffff_00ff_0000_0000;

/// How important a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something is not as it should be.
    Warn = 2,
    /// What the operator wants to know.
    Info = 3,
    /// What the developer wants to know.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

impl Level {
    /// The level for a number; those that do not exist are [`Level::Trace`].
    pub const fn from_u8(level: u8) -> Level {
        match level {
            1 => Level::Error,
            2 => Level::Warn,
            3 => Level::Info,
            4 => Level::Debug,
            _ => Level::Trace,
        }
    }

    /// The name, as in the event log.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The memory has not even room for one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingTooSmall {
    /// Words that there must be.
    pub needed: usize,
    /// Words that there are.
    pub found: usize,
}

impl fmt::Display for RingTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a log ring takes at least {} words, not {}", self.needed, self.found)
    }
}

impl core::error::Error for RingTooSmall {}

/// What both sides know about the memory.
#[derive(Clone, Copy, Debug)]
struct Ring<W> {
    words: W,
    capacity: u64,
}

impl<W: Words> Ring<W> {
    fn new(words: W) -> Result<Self, RingTooSmall> {
        let found = words.count();
        let needed = RING + RECORD_MAX as usize;
        if found < needed {
            return Err(RingTooSmall { needed, found });
        }
        Ok(Ring { words, capacity: (found - RING) as u64 })
    }

    /// The word that holds position `at`.
    fn index(&self, at: u64) -> usize {
        RING + (at % self.capacity) as usize
    }
}

/// The unikernel's side.
///
/// There must be one at a time, and a write must not be interrupted by another; a trap that never returns may
/// write.
#[derive(Clone, Copy, Debug)]
pub struct LogWriter<W> {
    ring: Ring<W>,
}

impl<W: Words> LogWriter<W> {
    /// Goes on where the last incarnation ended, or starts in zeroed memory.
    pub fn new(words: W) -> Result<Self, RingTooSmall> {
        let ring = Ring::new(words)?;
        let tail = ring.words.load(TAIL, Acquire);
        if ring.words.load(HEAD, Relaxed).wrapping_sub(tail) > ring.capacity {
            // The last incarnation has left rubbish: go on where root stands.
            ring.words.store(HEAD, tail, Release);
        }
        Ok(LogWriter { ring })
    }

    /// Writes one record, or counts it as dropped. The text is cut to [`TEXT_MAX`] bytes. Returns whether it
    /// was written.
    pub fn write(&self, level: Level, time_us: u64, text: fmt::Arguments<'_>) -> bool {
        let written = self.write_if_room(level, time_us, text);
        if !written {
            let words = &self.ring.words;
            words.store(DROPPED, words.load(DROPPED, Relaxed).wrapping_add(1), Relaxed);
        }
        written
    }

    /// Writes one record, unless there is no room: then it is the caller who tries again.
    pub fn write_if_room(&self, level: Level, time_us: u64, text: fmt::Arguments<'_>) -> bool {
        let mut line = Line::<TEXT_MAX>::new();
        // An error only says that the line is full.
        let _ = line.write_fmt(text);
        self.append(level, time_us, line.as_bytes())
    }

    /// Another number after each record that was written, whatever becomes of the writer. It is kept as long as the memory.
    pub fn position(&self) -> u64 {
        self.ring.words.load(HEAD, Relaxed)
    }

    fn append(&self, level: Level, time_us: u64, text: &[u8]) -> bool {
        let Ring { words, capacity } = &self.ring;
        let head = words.load(HEAD, Relaxed);
        // Acquire: root has read the words behind its tail before they are written again.
        let used = head.wrapping_sub(words.load(TAIL, Acquire));
        let size = RECORD_HEADER + (text.len() as u64).div_ceil(8);
        if used > *capacity || size > *capacity - used {
            return false;
        }
        let header = MARK | (level as u64) << 40 | text.len() as u64;
        words.store(self.ring.index(head), header, Relaxed);
        words.store(self.ring.index(head.wrapping_add(1)), time_us, Relaxed);
        for (offset, chunk) in (RECORD_HEADER..).zip(text.chunks(8)) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            words.store(self.ring.index(head.wrapping_add(offset)), u64::from_le_bytes(bytes), Relaxed);
        }
        // Release: who sees the new head sees the record.
        words.store(HEAD, head.wrapping_add(size), Release);
        true
    }
}

/// A record, as root got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRecord<'a> {
    /// How important the unikernel thinks it is.
    pub level: Level,
    /// When the unikernel says it was written, in microseconds of Xen's system time.
    pub time_us: u64,
    /// The text: any bytes; to be shown as [`Printable`](crate::text::Printable).
    pub text: &'a [u8],
}

/// What a drain did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Drained {
    /// Records delivered.
    pub records: u64,
    /// Bytes of the ring that were looked at; at most the budget and one record.
    pub bytes: u64,
    /// Records that the writer says it had no room for, since the last drain.
    pub dropped: u64,
    /// Bytes that made no sense and were skipped.
    pub skipped: u64,
    /// Whether there was more than the budget allowed.
    pub more: bool,
}

/// Root's side. It keeps its position itself: what the unikernel does to `tail` only harms its own log.
///
/// It goes on across micro-reboots; memory that was zeroed takes a new one.
#[derive(Debug)]
pub struct LogReader<W> {
    ring: Ring<W>,
    tail: u64,
    dropped: u64,
}

impl<W: Words> LogReader<W> {
    /// Goes on where the ring says that root ended: in zeroed memory at the start. Wherever that is, the
    /// first drain finds its way.
    pub fn new(words: W) -> Result<Self, RingTooSmall> {
        let ring = Ring::new(words)?;
        let tail = ring.words.load(TAIL, Relaxed);
        let dropped = ring.words.load(DROPPED_SEEN, Relaxed);
        Ok(LogReader { ring, tail, dropped })
    }

    /// Delivers what has been written, until about `budget` bytes have been looked at.
    pub fn drain(&mut self, budget: u64, mut deliver: impl FnMut(LogRecord<'_>)) -> Drained {
        let Ring { words, capacity } = &self.ring;
        let mut drained = Drained::default();
        // Acquire: the records before this head are seen whole.
        let head = words.load(HEAD, Acquire);
        let mut left = head.wrapping_sub(self.tail);
        if left > *capacity {
            drained.skipped = *capacity * 8;
            left = 0;
        }
        while left > 0 && drained.bytes < budget {
            let at = head.wrapping_sub(left);
            let Some(size) = self.ring.deliver(at, left, &mut deliver) else {
                drained.skipped = left * 8;
                left = 0;
                break;
            };
            drained.records += 1;
            drained.bytes += size * 8;
            left -= size;
        }
        drained.more = left > 0;
        self.tail = head.wrapping_sub(left);
        // Release: the records have been read before the writer may use their words again. Stored even if
        // nothing was read, for the unikernel may have damaged it.
        words.store(TAIL, self.tail, Release);
        let dropped = words.load(DROPPED, Relaxed);
        drained.dropped = dropped.wrapping_sub(self.dropped);
        self.dropped = dropped;
        words.store(DROPPED_SEEN, dropped, Relaxed);
        drained
    }
}

impl<W: Words> Ring<W> {
    /// Delivers the record at position `at`, if it makes sense in `left` words. Returns its words.
    fn deliver(&self, at: u64, left: u64, deliver: &mut impl FnMut(LogRecord<'_>)) -> Option<u64> {
        let word = |offset: u64| self.words.load(self.index(at.wrapping_add(offset)), Relaxed);
        let header = word(0);
        let len = header as u32 as usize;
        let size = RECORD_HEADER + (len as u64).div_ceil(8);
        if header & MARK_MASK != MARK || len > TEXT_MAX || size > left {
            return None;
        }
        let mut text = [0; TEXT_MAX];
        for (offset, chunk) in (RECORD_HEADER..size).zip(text.chunks_mut(8)) {
            chunk.copy_from_slice(&word(offset).to_le_bytes());
        }
        let level = Level::from_u8((header >> 40) as u8);
        deliver(LogRecord { level, time_us: word(1), text: &text[..len] });
        Some(size)
    }
}

#[cfg(test)]
mod tests;
