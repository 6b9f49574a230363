//! The vault: the state as a log, in memory that outlives the program.
//!
//! ```text
//!  head A | head B | area 0: chunk step chunk chunk end step step step (torn)  | area 1: chunk chunk step ...
//!                            ^------ a pass ------^                ^ tail                 the next pass
//! ```
//!
//! - **Append only.** A frame exists from the store of its checksum on. What a crash leaves half written lies
//!   after the tail, and is written over.
//! - **Passes instead of searching for garbage.** Before an area is full the owner writes its whole state into
//!   the other one, in chunks, while service goes on; steps go to both areas meanwhile. When the pass has ended,
//!   the head is changed, and the old area is free. So nothing asks of an old frame whether it still counts,
//!   every pass also heals what was damaged at rest, and a crash during a pass costs nothing but the pass.
//! - **Paced.** [`Vault::pass_share`] says how much of a pass is to be written along with a step. It is chosen
//!   so that a pass is over before the space is, and no step pays for more than a fixed multiple of its size.
//! - **Full is said before anything changes.** [`Vault::room`] is what steps may still take, with the next pass
//!   already put aside.
//! - A vault in which no pass has ended holds no state. Who starts with an empty state writes an empty pass.
//!
//! The head says which area counts; it is kept twice, copy A always written first. Where the log ends is
//! found by reading it: at the tail there is no sound frame, and none after it. So that nobody has to look through all
//! that is free to know the latter, the head says for each area how far its log may *reach*: no frame lies beyond. It is
//! moved on before a frame is written there, by so much that this is seldom.

mod head;

use crate::frame::{Frame, HEADER_WORDS, Kind, PAYLOAD_MAX, Ring, Stamp};
use alloc::vec::Vec;
use core::ops::{ControlFlow, Range};
use core::sync::atomic::Ordering::Acquire;
#[cfg(feature = "harm")]
use core::sync::atomic::Ordering::Release;
use head::{AREAS, NO_AREA, read_head, read_reach, write_heads, write_reach};
use uk_abi::Words;
use xxhash_rust::xxh3::xxh3_64_with_seed;
use zerocopy::IntoBytes;

/// By how many words a log's reach moves on at most: what is searched in vain when the vault is opened, a fraction of a
/// millisecond.
const STRIDE_MAX: usize = 1 << 14;

/// By which part of its area it moves on otherwise.
const STRIDES: usize = 16;

/// Words of a pass that are written for each word of a step. With 4, a state that takes a tenth of the vault
/// costs a step two fifths more, and the largest that fits takes three tenths.
const PACE: usize = 4;

/// Words of steps, for each word of the state, after which a pass is due: what is to be read at a start stays in
/// proportion to what it is worth.
const STALE: usize = 4;

/// The fewest words of steps after which a pass may be due.
const STALE_MIN: usize = 1 << 15;

/// Words of an area that is free again which are given back at a time.
const FORGOTTEN: usize = 1 << 14;

/// Words that are kept for steps that make the state smaller: those of some large records.
const RESERVE: usize = 2048;

/// The smallest vault: what is below has no room for a pass and a step.
pub const WORDS_MIN: usize = AREAS + 2 * 256;

/// Words of a chunk at most, unless a single item is larger: what is written at once between two requests.
pub const CHUNK_WORDS: usize = 256;

/// Why a frame was not appended. Nothing has been changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// Words that the frame takes.
    pub needed: usize,
    /// Words that are free.
    pub free: usize,
}

/// The memory is too small to be a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSmall {
    /// Words needed.
    pub needed: usize,
    /// Words found.
    pub found: usize,
}

/// Where a vault comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The memory was all zeros where a head should be.
    Fresh,
    /// It was a vault.
    Kept,
    /// It was something else, or both heads are damaged.
    Rubbish,
}

/// What [`Vault::open`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Where the vault comes from.
    pub origin: Origin,
    /// Whether there is a whole state in it: a complete pass.
    pub complete: bool,
    /// Words of that state, and of the steps after it, that make no sense. If this is not 0, something is lost.
    pub damaged: usize,
    /// Whether a copy of the head was mended from the other.
    pub mended: bool,
    /// Whether the last frame was torn, or damaged: the two look the same.
    pub torn: bool,
    /// The greatest stamp of any step.
    pub stamp: Stamp,
}

impl Opened {
    /// Whether the vault holds a whole state, and all of it is sound.
    pub fn is_sound(&self) -> bool {
        self.complete && self.damaged == 0
    }
}

/// What stands at a place of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A frame; its payload is in the buffer.
    Frame {
        /// What it is.
        kind: Kind,
        /// When it was.
        stamp: Stamp,
    },
    /// Words between two frames, or between a frame and the tail, that make no sense.
    Damaged {
        /// Position of the first.
        position: u64,
        /// How many.
        words: usize,
    },
}

/// What [`Vault::scrub`] has found wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A copy of the head was damaged. It has been mended.
    Head,
    /// Words of the log make no sense: a pass heals them.
    Log {
        /// Position of the first.
        position: u64,
        /// How many.
        words: usize,
    },
}

/// A place in the log, for [`Vault::next`].
#[derive(Clone, Copy, Debug)]
pub struct Cursor(u64);

/// What a pass begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The state that is in the vault. Steps go on to be added to it until the pass has ended.
    Kept,
    /// Another state. The old one stays as it is until the pass has ended.
    Replaced,
}

/// A log in one of the two areas.
#[derive(Clone, Copy, Debug)]
struct Log {
    area: usize,
    /// Tells this log from the ones that were in this area before. Nobody outside can guess it.
    salt: u64,
    tail: usize,
    /// No frame lies beyond.
    reach: usize,
}

/// A pass that has begun.
#[derive(Clone, Copy, Debug)]
struct Pass {
    log: Log,
    base: Base,
    /// Words of its chunks so far.
    written: usize,
    /// Words that all its chunks take, at most.
    bound: usize,
}

/// The vault in `W`. There must be only one for the same memory.
#[derive(Debug)]
pub struct Vault<W> {
    words: W,
    /// Where new salts come from.
    seed: u64,
    /// The log that counts.
    active: Option<Log>,
    pass: Option<Pass>,
    /// Where the last pass ended.
    after_pass: usize,
    scrubbed: usize,
    /// Words of the area that does not count which hold a log that is over.
    over: Range<usize>,
}

impl<W: Words> Vault<W> {
    /// Opens the vault in `words`. Any content is fine; what is not a vault is formatted.
    ///
    /// `seed` is a random number, another one each time: it makes the salts of new logs, so that nobody who can
    /// have values stored in the vault can make them look like frames.
    ///
    /// # Errors
    /// There are less than [`WORDS_MIN`] words.
    pub fn open(words: W, seed: u64) -> Result<(Self, Opened), TooSmall> {
        let found = words.count();
        if found < WORDS_MIN {
            return Err(TooSmall { needed: WORDS_MIN, found });
        }
        let heads = [0, 1].map(|copy| read_head(&words, copy));
        let blank = (0..AREAS).all(|index| words.load(index, Acquire) == 0);
        let mut opened = Opened {
            origin: if blank { Origin::Fresh } else { Origin::Rubbish },
            complete: false,
            damaged: 0,
            mended: false,
            torn: false,
            stamp: Stamp::default(),
        };
        let mut vault =
            Vault { words, seed, active: None, pass: None, after_pass: 0, scrubbed: 0, over: 0..0 };
        let Some((area, salt)) = heads[0].or(heads[1]) else {
            vault.write_heads();
            return Ok((vault, opened));
        };
        opened.origin = Origin::Kept;
        if heads[0] != heads[1] {
            opened.mended = true;
            write_heads(&vault.words, area, salt);
        }
        if area < 2 {
            let reach = vault.open_reach(area, &mut opened);
            let other = Log { area: 1 - area, salt, tail: 0, reach: 0 }.ring(found).base;
            vault.over = other..other + read_reach(&vault.words, 0, 1 - area).unwrap_or(0);
            vault.find_end(Log { area, salt, tail: reach, reach }, &mut opened);
        }
        Ok((vault, opened))
    }

    /// How far an area's log may reach, from the copies of the head. A crash between the two leaves the first one
    /// ahead, so the greater counts.
    fn open_reach(&self, area: usize, opened: &mut Opened) -> usize {
        let copies = [0, 1].map(|copy| read_reach(&self.words, copy, area));
        let reach = copies.into_iter().flatten().max().unwrap_or(self.capacity()).min(self.capacity());
        if copies != [Some(reach); 2] {
            opened.mended |= copies.contains(&None);
            write_reach(&self.words, area, reach);
        }
        reach
    }

    /// Reads the log to its end, which is not known yet.
    fn find_end(&mut self, log: Log, opened: &mut Opened) {
        let (mut position, mut payload) = (0, Vec::new());
        let tail = loop {
            let at = position;
            match self.entry_at(&log, &mut position, &mut payload) {
                Some(Entry::Frame { kind, stamp }) => {
                    if kind == Kind::PassEnd {
                        opened.complete = true;
                        self.after_pass = position as usize;
                    }
                    if matches!(kind, Kind::Step | Kind::PassEnd) {
                        opened.stamp = opened.stamp.max(stamp);
                    }
                }
                Some(Entry::Damaged { words, .. }) if position < log.tail as u64 => opened.damaged += words,
                // Nothing sound follows: this is where the next frame goes.
                _ => break at as usize,
            }
        };
        let area = log.ring(self.words.count());
        opened.torn = tail < area.capacity && area.has_mark(&self.words, tail as u64, log.salt);
        self.active = Some(Log { tail, ..log });
    }

    /// Words of one area: a state has to fit into it, with room for what happens during a pass.
    pub fn capacity(&self) -> usize {
        (self.words.count() - AREAS) / 2
    }

    fn write_heads(&self) {
        let (area, salt) = self.active.map_or((NO_AREA, 0), |log| (log.area, log.salt));
        write_heads(&self.words, area, salt);
    }

    /// Words that steps may take from now on, so that this pass or the next one still fits.
    pub fn room(&self) -> usize {
        let used = self.active.map_or(0, |log| log.tail);
        let (new, to_write) = match self.pass {
            Some(pass) => (pass.log.tail, pass.bound.saturating_sub(pass.written)),
            // The state takes no more than what has been written so far.
            None => (0, used),
        };
        let steps = to_write / PACE + 2 * HEADER_WORDS + 16;
        let needed = (used + steps).max(new + to_write + to_write / 32 + steps);
        self.capacity().saturating_sub(needed)
    }

    /// Whether a pass should begin.
    pub fn needs_pass(&self) -> bool {
        let won = self.active.map_or(0, |log| log.tail) - self.after_pass;
        // Not again at once when the state is nearly all that there is.
        self.pass.is_none()
            && won >= STALE_MIN.min(self.capacity() / 32)
            && (self.room() < self.capacity() / 8 || won >= STALE * self.after_pass)
    }

    /// Words below which [`room`](Self::room) should not fall but for steps that make the state smaller.
    pub fn reserve(&self) -> usize {
        RESERVE.min(self.capacity() / 16)
    }

    /// Whether a pass has begun and has not ended.
    pub fn in_pass(&self) -> bool {
        self.pass.is_some()
    }

    /// Words of chunks to be written after `words` of steps, for a pass to end in time; 0 if none is under way. Four for
    /// each, and more only if the vault is so full that half of what is free would be gone before.
    pub fn pass_share(&self, words: usize) -> usize {
        let Some(pass) = self.pass else { return 0 };
        let to_write = pass.bound.saturating_sub(pass.written);
        let used = self.active.map_or(0, |log| log.tail).max(pass.log.tail);
        let free = (self.capacity() - used).max(1);
        words * PACE.max(2 * to_write / free)
    }

    /// Appends a step. When this returns it survives; a crash before that leaves all of it or nothing.
    ///
    /// # Errors
    /// It does not fit. Whoever wants to be sure beforehand asks for [`room`](Self::room).
    pub fn append(&mut self, step: &Frame<'_>) -> Result<(), Full> {
        self.forget_some();
        let replaced = self.pass.is_some_and(|pass| pass.base == Base::Replaced);
        let mut active = self.active.filter(|_| !replaced);
        let mut new = self.pass.map(|pass| pass.log);
        for log in [&active, &new].into_iter().flatten() {
            self.check_fit(log, step)?;
        }
        if active.is_none() && new.is_none() {
            return Err(Full { needed: step.words(), free: 0 });
        }
        // The new area first: what counts is what is in the active one, for as long as it is that.
        if let Some((log, pass)) = new.as_mut().zip(self.pass.as_mut()) {
            write(&self.words, log, step);
            pass.log = *log;
        }
        if let Some(log) = &mut active {
            write(&self.words, log, step);
            self.active = Some(*log);
        }
        Ok(())
    }

    /// Gives back a part of the memory of a log that is over.
    fn forget_some(&mut self) {
        if !self.over.is_empty() {
            let end = self.over.end.min(self.over.start + FORGOTTEN);
            self.words.forget(self.over.start..end);
            self.over.start = end;
        }
    }

    fn check_fit(&self, log: &Log, frame: &Frame<'_>) -> Result<(), Full> {
        let (needed, free) = (frame.words(), self.capacity() - log.tail);
        if needed > free || needed > PAYLOAD_MAX { Err(Full { needed, free }) } else { Ok(()) }
    }

    /// Begins a pass, in place of one that may be under way. Chunks that hold every item of the state are to
    /// follow; steps may stand between them.
    pub fn begin_pass(&mut self, base: Base) {
        self.seed = xxh3_64_with_seed(self.seed.as_bytes(), self.active.map_or(0, |log| log.salt));
        let area = self.active.map_or(0, |log| 1 - log.area);
        let bound = if base == Base::Kept { self.active.map_or(0, |log| log.tail) } else { 0 };
        let log = Log { area, salt: self.seed, tail: 0, reach: 0 };
        // What was not given back yet is written over.
        self.over = 0..0;
        self.pass = Some(Pass { log, base, written: 0, bound });
    }

    /// Appends a chunk to the pass.
    ///
    /// # Errors
    /// It does not fit, or no pass has begun.
    pub fn append_chunk(&mut self, chunk: &Frame<'_>) -> Result<(), Full> {
        let Some(mut pass) = self.pass else {
            return Err(Full { needed: chunk.words(), free: 0 });
        };
        self.check_fit(&pass.log, chunk)?;
        write(&self.words, &mut pass.log, chunk);
        pass.written += chunk.words();
        self.pass = Some(pass);
        Ok(())
    }

    /// Ends the pass: from now on its area is the one that counts. `payload` is what the reader wants to check the
    /// state with.
    ///
    /// # Errors
    /// It does not fit, or no pass has begun.
    pub fn end_pass(&mut self, stamp: Stamp, payload: &[u64]) -> Result<(), Full> {
        self.append_chunk(&Frame::new(Kind::PassEnd, stamp, payload))?;
        let before = core::mem::replace(&mut self.active, self.pass.take().map(|pass| pass.log));
        self.over = before.map_or(0..0, |log| log.written(self.words.count()));
        self.after_pass = self.active.map_or(0, |log| log.tail);
        self.scrubbed = 0;
        self.write_heads();
        Ok(())
    }

    /// Gives up a pass that cannot be finished. What was in the vault stays.
    pub fn abandon_pass(&mut self) {
        self.pass = None;
    }

    /// The beginning of the log.
    pub fn beginning(&self) -> Cursor {
        Cursor(0)
    }

    /// The entry at the cursor, which moves on; `None` at the end.
    pub fn next(&self, cursor: &mut Cursor, payload: &mut Vec<u64>) -> Option<Entry> {
        self.entry_at(self.active.as_ref()?, &mut cursor.0, payload)
    }

    fn entry_at(&self, log: &Log, position: &mut u64, payload: &mut Vec<u64>) -> Option<Entry> {
        let area = log.ring(self.words.count());
        let at = *position;
        let mut end = at;
        while end < log.tail as u64 {
            let limit = log.tail - end as usize;
            if let Some(found) = area.read(&self.words, end, log.salt, limit, payload) {
                if end == at {
                    *position += found.words as u64;
                    return Some(Entry::Frame { kind: found.kind, stamp: found.stamp });
                }
                break;
            }
            end += 1;
        }
        *position = end;
        (end > at).then_some(Entry::Damaged { position: at, words: (end - at) as usize })
    }

    /// Reads about `budget` words of the log, going on where the last call stopped, and mends a damaged copy
    /// of the head. `Break` says what is, or was, wrong.
    pub fn scrub(&mut self, budget: usize, payload: &mut Vec<u64>) -> ControlFlow<Flaw> {
        self.forget_some();
        let head = self.active.map_or((NO_AREA, 0), |log| (log.area, log.salt));
        let mut is_whole = [0, 1].iter().all(|copy| read_head(&self.words, *copy) == Some(head));
        if !is_whole {
            self.write_heads();
        }
        for log in [self.active, self.pass.map(|pass| pass.log)].into_iter().flatten() {
            let is_known = |copy| read_reach(&self.words, copy, log.area) == Some(log.reach);
            if log.reach > 0 && ![0, 1].into_iter().all(is_known) {
                write_reach(&self.words, log.area, log.reach);
                is_whole = false;
            }
        }
        if !is_whole {
            return ControlFlow::Break(Flaw::Head);
        }
        let Some(log) = self.active else { return ControlFlow::Continue(()) };
        let end = log.tail.min(self.scrubbed + budget);
        while self.scrubbed < end {
            let mut position = self.scrubbed as u64;
            let entry = self.entry_at(&log, &mut position, payload);
            self.scrubbed = position as usize;
            if let Some(Entry::Damaged { position, words }) = entry {
                return ControlFlow::Break(Flaw::Log { position, words });
            }
        }
        if self.scrubbed >= log.tail {
            self.scrubbed = 0;
        }
        ControlFlow::Continue(())
    }
}

#[cfg(feature = "harm")]
impl<W: Words> Vault<W> {
    /// Flips a bit of a head or of the log that counts: the one with this number, modulo how many there are. Returns the
    /// word that it is in; none if no log counts.
    pub(crate) fn flip(&self, bit: usize) -> Option<usize> {
        let log = self.active?;
        let heads = head::words_in_use(log.area);
        let base = log.ring(self.words.count()).base;
        let count = heads.clone().count() + log.tail;
        let word = heads.chain(base..base + log.tail).nth(bit / 64 % count)?;
        self.flip_word(word, bit);
        Some(word)
    }

    /// Flips a bit of each frame whose payload `is_wanted`, in a log that no pass replaces. Returns how many there are.
    pub(crate) fn flip_frames(&mut self, bit: usize, is_wanted: impl Fn(&[u64]) -> bool) -> usize {
        self.abandon_pass();
        let Some(log) = self.active else { return 0 };
        let (base, mut position, mut payload) = (log.ring(self.words.count()).base, 0, Vec::new());
        let mut wanted = Vec::new();
        while let Some(entry) = self.entry_at(&log, &mut position, &mut payload) {
            if matches!(entry, Entry::Frame { .. }) && is_wanted(&payload) {
                // The last word of its payload.
                wanted.push(base + position as usize - 1);
            }
        }
        wanted.iter().for_each(|word| self.flip_word(*word, bit));
        wanted.len()
    }

    fn flip_word(&self, word: usize, bit: usize) {
        self.words.store(word, self.words.load(word, Acquire) ^ 1 << (bit % 64), Release);
    }
}

impl Log {
    /// The area of a vault with so many words.
    fn ring(&self, words: usize) -> Ring {
        let capacity = (words - AREAS) / 2;
        Ring { base: AREAS + self.area * capacity, capacity }
    }

    /// The words that it has written to.
    fn written(&self, words: usize) -> Range<usize> {
        let base = self.ring(words).base;
        base..base + self.tail
    }
}

/// Writes a frame that fits.
fn write(words: &impl Words, log: &mut Log, frame: &Frame<'_>) {
    let (area, end) = (log.ring(words.count()), log.tail + frame.words());
    if end > log.reach {
        let stride = STRIDE_MAX.min(area.capacity / STRIDES);
        log.reach = end.next_multiple_of(stride).min(area.capacity);
        write_reach(words, log.area, log.reach);
    }
    area.write(words, log.tail as u64, log.salt, frame);
    log.tail = end;
}
