//! Sessions: each request of a client is applied once and answered once, whatever happens to the server.
//!
//! For every client there is a slot in memory that outlives the server. It says how far the client's requests
//! have been *applied* and which output is *queued*. The client's own streams say what has been *consumed* and
//! *produced*. A server that takes over compares the two:
//!
//! ```text
//! input    ......consumed==========staged------------->      = in the slot or applied: consume it
//!                      applied
//! output   ......from===produced==========queued              = not handed over yet: hand it over
//! ```
//!
//! One request: look at it without consuming it, apply it, [`queue`](Sessions::queue) what it answers,
//! [`commit`](Sessions::commit), then [`deliver`](Sessions::deliver) and [`consume`](Sessions::consume). The commit is
//! one store that moves `applied` and `queued` together. Before it nothing has happened to the session, so the request
//! is found again; after it the request is never looked at again, and its answer cannot get lost.
//!
//! A message that has not arrived whole is taken in parts: each part goes into the slot before it is consumed.

mod scrub;
mod slot;
mod stream;

pub use slot::OUT_BYTES;
pub use stream::{Framing, Stream};

use crate::frame::Stamp;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::marker::PhantomData;
use slot::{Half, Header, Slots, content_sum, message_sum};
use uk_abi::Words;

/// What is wrong with a session. The client cannot be served any further; its connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionError<E> {
    /// The stream is broken.
    Stream(E),
    /// The stream says that bytes were consumed which the session has not seen.
    Input {
        /// Position up to which the session has taken input.
        staged: u32,
        /// Position that the stream claims to have been consumed.
        consumed: u32,
    },
    /// The stream says that bytes were handed over which the session never had.
    Output {
        /// First position that the session still holds.
        from: u32,
        /// Position after its last byte.
        queued: u32,
        /// Position that the stream claims to have been produced.
        produced: u32,
    },
    /// The client has sent what is no message.
    NoMessage,
    /// Output that was not handed over yet is damaged in both copies.
    Damaged,
}

/// What has become of a look for the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is in the buffer.
    Message,
    /// It has not arrived yet, or not all of it.
    Nothing,
}

/// A slot, as [`Sessions::open`] found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// The session goes on.
    Open {
        /// The slot.
        slot: usize,
        /// Whose it is.
        owner: u32,
        /// Whether one copy had to be written from the other.
        mended: bool,
    },
    /// Both copies are damaged. The slot is free now.
    Lost {
        /// The slot.
        slot: usize,
        /// Whose it was, if that can still be read.
        owner: Option<u32>,
    },
}

/// A message of the output that is held.
#[derive(Clone, Copy, Debug)]
struct Pending {
    end: u32,
    content: u64,
}

/// A session in ordinary memory: what its slot says, and what follows from it.
#[derive(Debug, Default)]
struct Session {
    /// As in the slot.
    saved: Header,
    /// As it shall be after the next commit.
    next: Header,
    /// The messages between `next.from` and `next.queued`.
    pending: VecDeque<Pending>,
    /// The partial input.
    staged: Vec<u8>,
    /// How much of the output was handed over when somebody looked last; `None` if nobody has looked yet.
    produced: Option<u32>,
}

/// All sessions of a server, in the memory `W`.
#[derive(Debug)]
pub struct Sessions<W, F> {
    slots: Slots<W>,
    sessions: Vec<Session>,
    scratch: Vec<u8>,
    /// Slots of which a copy was damaged, and is mended.
    mended: Vec<usize>,
    framing: PhantomData<F>,
}

impl<W: Words, F: Framing> Sessions<W, F> {
    /// Words that one session takes.
    pub const SLOT_WORDS: usize = Slots::<W>::slot_words(F::MESSAGE_MAX);

    /// Opens the sessions in `words`, as many as there is room for, and tells of each that is not free.
    pub fn open(words: W) -> (Self, Vec<Recovered>) {
        let slots = Slots::new(words, F::MESSAGE_MAX);
        let mut sessions = Sessions {
            sessions: (0..slots.count()).map(|_| Session::default()).collect(),
            slots,
            scratch: Vec::new(),
            mended: Vec::new(),
            framing: PhantomData,
        };
        let recovered = (0..sessions.sessions.len()).filter_map(|slot| sessions.recover(slot)).collect();
        (sessions, recovered)
    }

    fn recover(&mut self, slot: usize) -> Option<Recovered> {
        let headers = Half::BOTH.map(|half| self.slots.read_header(slot, half));
        // Nothing was ever committed here, at most the first header A was begun.
        let blank = headers[0].is_none() && self.slots.is_blank(slot, Half::B);
        for half in Half::BOTH {
            let Some(header) = headers[half as usize] else { continue };
            if !self.load(slot, half, &header) {
                continue;
            }
            let mended = !self.same_in(slot, half.other());
            if mended {
                self.copy_to(slot, half.other());
            }
            return header.owner.map(|owner| Recovered::Open { slot, owner, mended });
        }
        let sound = headers[0].or(headers[1]);
        self.sessions[slot] = Session::default();
        if blank {
            return None;
        }
        // The stamp still tells how far the service had come.
        self.sessions[slot].next.stamp = sound.map_or(Stamp::default(), |header| header.stamp);
        self.commit(slot);
        Some(Recovered::Lost { slot, owner: sound.and_then(|header| header.owner) })
    }

    /// Takes the session over from one half, if what it holds is sound.
    fn load(&mut self, slot: usize, half: Half, header: &Header) -> bool {
        let session = &mut self.sessions[slot];
        *session = Session { saved: *header, next: *header, ..Session::default() };
        self.slots.read_staged(slot, half, header.partial(), &mut session.staged);
        self.slots.read_out(slot, half, header.from, header.held(), &mut self.scratch);
        let (mut rest, mut start, mut sum) = (&self.scratch[..], header.from, 0_u64);
        while !rest.is_empty() {
            let length = rest.get(..F::HEADER).and_then(F::length).filter(|length| *length <= rest.len());
            let Some(length) = length.filter(|length| *length > 0) else { return false };
            let content = content_sum(&rest[..length]);
            sum = sum.wrapping_add(message_sum(start, content));
            start = start.wrapping_add(length as u32);
            session.pending.push_back(Pending { end: start, content });
            rest = &rest[length..];
        }
        let staged_sum = if session.staged.is_empty() { 0 } else { content_sum(&session.staged) };
        sum == header.out_sum && staged_sum == header.staged_sum
    }

    /// How many sessions there can be.
    pub fn capacity(&self) -> usize {
        self.sessions.len()
    }

    /// The slots in use, and whose they are.
    pub fn open_slots(&self) -> impl Iterator<Item = (usize, u32)> {
        let owner = |(slot, session): (usize, &Session)| session.saved.owner.map(|owner| (slot, owner));
        self.sessions.iter().enumerate().filter_map(owner)
    }

    /// A slot that nobody uses.
    pub fn free_slot(&self) -> Option<usize> {
        self.sessions.iter().position(|session| session.saved.owner.is_none())
    }

    /// The last step that any session knows of: who has not seen that step must not serve.
    pub fn stamp(&self) -> Stamp {
        self.sessions.iter().map(|session| session.saved.stamp).max().unwrap_or_default()
    }

    /// The last step that this session knows of.
    pub fn stamp_of(&self, slot: usize) -> Stamp {
        self.sessions[slot].saved.stamp
    }

    /// Begins a session in a free slot, with streams that stand where they stand.
    ///
    /// # Errors
    /// The stream is broken.
    pub fn begin<S: Stream>(
        &mut self,
        slot: usize,
        owner: u32,
        stamp: Stamp,
        stream: &S,
    ) -> Result<(), SessionError<S::Error>> {
        let consumed = stream.consumed().map_err(SessionError::Stream)?;
        let produced = stream.produced().map_err(SessionError::Stream)?;
        self.begin_at(slot, owner, stamp, consumed, produced);
        Ok(())
    }

    /// Begins a session in a free slot, with streams that stand at these positions.
    fn begin_at(&mut self, slot: usize, owner: u32, stamp: Stamp, consumed: u32, produced: u32) {
        let session = &mut self.sessions[slot];
        session.next = Header {
            owner: Some(owner),
            applied: consumed,
            staged: consumed,
            from: produced,
            queued: produced,
            stamp: session.saved.stamp.max(stamp),
            ..Header::default()
        };
        session.pending.clear();
        session.staged.clear();
        session.produced = Some(produced);
        self.commit(slot);
    }

    /// Begins a session of a client that another server has served, and whose streams stand at these positions: that one
    /// has consumed `part`, the beginning of a message.
    pub fn begin_within(
        &mut self,
        slot: usize,
        owner: u32,
        stamp: Stamp,
        (consumed, produced): (u32, u32),
        part: &[u8],
    ) {
        self.begin_at(slot, owner, stamp, consumed.wrapping_sub(part.len() as u32), produced);
        self.stage(slot, part);
    }

    /// What was taken of a message that is not whole yet.
    pub fn part(&self, slot: usize) -> &[u8] {
        &self.sessions[slot].staged
    }

    /// The committed output that was not handed over, if the stream stands at `produced`; and how many of its first bytes
    /// are the rest of a message that was handed over in part. `None` if it is damaged in both copies.
    pub fn unsent(&mut self, slot: usize, produced: u32) -> Option<(&[u8], usize)> {
        self.forget_delivered(slot, produced);
        self.read_checked(slot).ok()?;
        let session = &self.sessions[slot];
        let begun = produced.wrapping_sub(session.next.from) as usize;
        let first = session.pending.front().map_or(0, |first| first.end.wrapping_sub(produced) as usize);
        Some((self.scratch.get(begun..)?, if begun > 0 { first } else { 0 }))
    }

    /// Ends a session: its slot is free.
    pub fn end(&mut self, slot: usize, stamp: Stamp) {
        let session = &mut self.sessions[slot];
        let stamp = session.saved.stamp.max(stamp);
        *session = Session {
            saved: session.saved,
            next: Header { stamp, ..Header::default() },
            ..Session::default()
        };
        self.commit(slot);
    }

    /// Looks for the next message, and puts it into `message`. It stays in the stream, or in the slot.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub fn next_message<S: Stream>(
        &mut self,
        slot: usize,
        stream: &mut S,
        message: &mut Vec<u8>,
    ) -> Result<Next, SessionError<S::Error>> {
        let consumed = stream.consumed().map_err(SessionError::Stream)?;
        let window = stream.window();
        let session = &mut self.sessions[slot];
        let staged = session.next.staged;
        let skip = staged.wrapping_sub(consumed) as usize;
        if skip > window {
            return Err(SessionError::Input { staged, consumed });
        }
        let partial = session.staged.len();
        message.clear();
        message.extend_from_slice(&session.staged);
        let wanted = F::HEADER.saturating_sub(partial);
        let seen = stream.peek(skip, wanted).map_err(SessionError::Stream)?;
        message.extend_from_slice(&seen[..wanted.min(seen.len())]);
        if message.len() < F::HEADER {
            return self.take_part(slot, stream, &message[partial..]);
        }
        let length = F::length(&message[..F::HEADER]).filter(|length| *length >= F::HEADER);
        let length = length.ok_or(SessionError::NoMessage)?;
        let wanted = length - partial;
        let seen = stream.peek(skip, wanted).map_err(SessionError::Stream)?;
        let seen = &seen[..wanted.min(seen.len())];
        message.truncate(partial);
        message.extend_from_slice(seen);
        if message.len() < length {
            return self.take_part(slot, stream, &message[partial..]);
        }
        // Who has begun to take a message in parts goes on so.
        if partial > 0 {
            self.take_part(slot, stream, &message[partial..])?;
        }
        Ok(Next::Message)
    }

    /// Takes a part of a message out of the stream. Stock clients tell of what they write only where everything before it has been
    /// consumed: a part that was left in the stream would be the last thing to be heard of them. For the same reason whoever consumes
    /// looks for [more input](Self::has_input) before it waits.
    fn take_part<S: Stream>(
        &mut self,
        slot: usize,
        stream: &mut S,
        bytes: &[u8],
    ) -> Result<Next, SessionError<S::Error>> {
        self.stage(slot, bytes);
        self.consume(slot, stream)?;
        Ok(Next::Nothing)
    }

    /// Puts a part of a message into the slot.
    fn stage(&mut self, slot: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let session = &self.sessions[slot];
        if session.staged.is_empty() && session.saved.partial() > 0 {
            // The slot still speaks of the last message in parts: these bytes would go over it.
            self.commit(slot);
        }
        let session = &mut self.sessions[slot];
        for half in Half::BOTH {
            self.slots.write_staged(slot, half, session.staged.len(), bytes);
        }
        session.staged.extend_from_slice(bytes);
        session.next.staged = session.next.staged.wrapping_add(bytes.len() as u32);
        session.next.staged_sum = content_sum(&session.staged);
        self.commit(slot);
    }

    /// Notes that the message which [`next_message`](Self::next_message) found has been applied. Takes effect with the
    /// next [`commit`](Self::commit).
    pub fn applied(&mut self, slot: usize, message_bytes: usize) {
        let Session { next, staged, .. } = &mut self.sessions[slot];
        next.applied = next.applied.wrapping_add(message_bytes as u32);
        (next.staged, next.staged_sum) = (next.applied, 0);
        staged.clear();
    }

    /// Bytes of output that can be queued.
    pub fn room(&self, slot: usize) -> usize {
        let session = &self.sessions[slot];
        OUT_BYTES - session.next.queued.wrapping_sub(session.saved.from) as usize
    }

    /// Whether all output that was committed has been handed over.
    pub fn is_drained(&self, slot: usize) -> bool {
        let session = &self.sessions[slot];
        session.produced == Some(session.saved.queued)
    }

    /// Queues a message, for which there must be [`room`](Self::room). Takes effect with the next
    /// [`commit`](Self::commit).
    pub fn queue(&mut self, slot: usize, message: &[u8]) {
        debug_assert!(message.len() <= self.room(slot));
        let session = &mut self.sessions[slot];
        let start = session.next.queued;
        for half in Half::BOTH {
            self.slots.write_out(slot, half, start, message);
        }
        let content = content_sum(message);
        session.next.queued = start.wrapping_add(message.len() as u32);
        session.next.out_sum = session.next.out_sum.wrapping_add(message_sum(start, content));
        session.pending.push_back(Pending { end: session.next.queued, content });
    }

    /// Notes that one more deferred message has been queued. Takes effect with the next [`commit`](Self::commit).
    pub fn took_deferred(&mut self, slot: usize) {
        self.sessions[slot].next.taken += 1;
    }

    /// How many deferred messages have ever been queued in this session.
    pub fn taken(&self, slot: usize) -> u64 {
        self.sessions[slot].next.taken
    }

    /// Notes the step that changes this session. Takes effect with the next [`commit`](Self::commit).
    pub fn stamped(&mut self, slot: usize, stamp: Stamp) {
        self.sessions[slot].next.stamp = stamp;
    }

    /// Whether a message equal to this one is queued, and none of it has been handed over.
    pub fn holds(&self, slot: usize, message: &[u8]) -> bool {
        let session = &self.sessions[slot];
        // After a restart, what is queued may be long gone: then nothing is known to wait.
        let Some(produced) = session.produced else { return false };
        let begun = produced != session.next.from;
        let content = content_sum(message);
        session.pending.iter().skip(begun.into()).any(|pending| pending.content == content)
    }

    /// Takes back what was queued and noted since the last commit.
    pub fn revert(&mut self, slot: usize) {
        let Session { saved, next, pending, .. } = &mut self.sessions[slot];
        let kept = saved.queued.wrapping_sub(next.from);
        while let Some(message) = pending.back().copied() {
            if message.end.wrapping_sub(next.from) <= kept {
                break;
            }
            pending.pop_back();
            let start = pending.back().map_or(next.from, |before| before.end);
            next.out_sum = next.out_sum.wrapping_sub(message_sum(start, message.content));
        }
        *next = Header { from: next.from, out_sum: next.out_sum, ..*saved };
    }

    /// Makes everything since the last commit take effect, at once.
    pub fn commit(&mut self, slot: usize) {
        let session = &mut self.sessions[slot];
        if session.saved != Header::default() {
            let [a, b] = Half::BOTH.map(|half| self.slots.holds_header(slot, half, &session.saved));
            // If A is torn, what was before must be in B.
            if !b {
                self.slots.write_header(slot, Half::B, &session.saved);
            }
            if !a || !b {
                self.mended.push(slot);
            }
        }
        for half in Half::BOTH {
            self.slots.write_header(slot, half, &session.next);
        }
        session.saved = session.next;
    }

    /// Hands over as much output as the stream takes. Each message is checked before. Returns whether all is gone.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub fn deliver<S: Stream>(
        &mut self,
        slot: usize,
        stream: &mut S,
    ) -> Result<bool, SessionError<S::Error>> {
        let session = &self.sessions[slot];
        let Header { from, queued, .. } = session.saved;
        let produced = stream.produced().map_err(SessionError::Stream)?;
        if produced.wrapping_sub(from) as usize > session.saved.held() {
            return Err(SessionError::Output { from, queued, produced });
        }
        self.sessions[slot].produced = Some(produced);
        self.forget_delivered(slot, produced);
        if produced == queued {
            return Ok(true);
        }
        self.read_checked(slot).map_err(|()| SessionError::Damaged)?;
        let session = &mut self.sessions[slot];
        let mut done = produced.wrapping_sub(session.next.from) as usize;
        while done < self.scratch.len() {
            let taken = stream.produce(&self.scratch[done..]).map_err(SessionError::Stream)?;
            if taken == 0 {
                break;
            }
            done += taken.min(self.scratch.len() - done);
        }
        let produced = session.next.from.wrapping_add(done as u32);
        session.produced = Some(produced);
        self.forget_delivered(slot, produced);
        let session = &self.sessions[slot];
        // What is held must leave room for the largest message, or nothing would ever move it on.
        if OUT_BYTES - session.saved.held() < F::MESSAGE_MAX && session.next.from != session.saved.from {
            self.commit(slot);
        }
        Ok(self.is_drained(slot))
    }

    /// Lets go of the messages that were handed over.
    fn forget_delivered(&mut self, slot: usize, produced: u32) {
        let Session { next, pending, .. } = &mut self.sessions[slot];
        while let Some(message) = pending.front() {
            if message.end.wrapping_sub(next.from) > produced.wrapping_sub(next.from) {
                break;
            }
            next.out_sum = next.out_sum.wrapping_sub(message_sum(next.from, message.content));
            next.from = message.end;
            pending.pop_front();
        }
    }

    /// Reads the committed output that is not forgotten yet, and mends what is damaged in one half.
    fn read_checked(&mut self, slot: usize) -> Result<(), ()> {
        let Session { next, pending, saved, .. } = &self.sessions[slot];
        let held = saved.queued.wrapping_sub(next.from) as usize;
        self.slots.read_out(slot, Half::A, next.from, held, &mut self.scratch);
        let mut copy = Vec::new();
        let mut start = next.from;
        for message in pending {
            let offset = start.wrapping_sub(next.from) as usize;
            let length = message.end.wrapping_sub(start) as usize;
            if offset + length > held {
                break;
            }
            let bytes = &mut self.scratch[offset..offset + length];
            if content_sum(bytes) != message.content {
                self.slots.read_out(slot, Half::B, start, length, &mut copy);
                if content_sum(&copy) != message.content {
                    return Err(());
                }
                bytes.copy_from_slice(&copy);
                self.slots.write_out(slot, Half::A, start, &copy);
                self.mended.push(slot);
            }
            start = message.end;
        }
        Ok(())
    }

    /// Consumes the input that has been applied or taken into the slot.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub fn consume<S: Stream>(&mut self, slot: usize, stream: &mut S) -> Result<(), SessionError<S::Error>> {
        let staged = self.sessions[slot].saved.staged;
        let consumed = stream.consumed().map_err(SessionError::Stream)?;
        if staged.wrapping_sub(consumed) as usize > stream.window() {
            return Err(SessionError::Input { staged, consumed });
        }
        if consumed != staged {
            stream.consume_to(staged).map_err(SessionError::Stream)?;
        }
        Ok(())
    }

    /// Whether there is input that the session has not taken.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub fn has_input<S: Stream>(&self, slot: usize, stream: &mut S) -> Result<bool, SessionError<S::Error>> {
        let consumed = stream.consumed().map_err(SessionError::Stream)?;
        let skip = self.sessions[slot].saved.staged.wrapping_sub(consumed) as usize;
        Ok(!stream.peek(skip, 1).map_err(SessionError::Stream)?.is_empty())
    }

    /// The byte of the memory in which output at `position` stands, in copy A: for a stream that hands pages over
    /// instead of bytes.
    pub fn out_byte(&self, slot: usize, position: u32) -> usize {
        self.slots.out_byte(slot, Half::A, position)
    }
}
