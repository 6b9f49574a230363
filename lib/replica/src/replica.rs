//! A replica: follows the master with a copy of the state of its own, in memory and in a vault.
//!
//! ```text
//!          start, new channel                 master's term fits            step follows the last, same digest
//!   Whole --------------------> Whole --------------------------> Following ----------------------------------> Following
//!     |  term does not fit,        |                                  |  a gap, damage, another digest
//!     v  nothing in the vault      v                                  v
//!   Lost <-----------------------------------------------------------+
//!     |  Join                    chunks and steps                  end, with the right digest
//!     +--------------> Joining ------------------> Joining ----------------------------------> Following
//! ```
//!
//! A frame is let go from the inbox when it stands in the vault, so a replica that restarts finds whatever it has missed.
//! After each step it compares its digest with the master's. A digest that differs is either its own fault, which its
//! vault shows, or the master's.

use crate::channel::{Next, Reader, Writer};
use crate::frame::{Frame, Kind, Stamp};
use crate::keeper::{Keeper, Soundness, Unsaved};
use crate::master::{Channels, Config, Master, OpenError};
use crate::message::Standing;
use crate::record::{Builder, Record};
use crate::report::Report;
use crate::state::{State, Walk};
use crate::vault::CHUNK_WORDS;
use alloc::boxed::Box;
use alloc::vec::Vec;
use uk_abi::Words;

/// Nodes that are checked in one turn of [`Replica::work`], and words of the vault.
const SCRUB_NODES: usize = 32;
const SCRUB_WORDS: usize = 1024;
/// Words of steps that one turn of [`Replica::work`] counts as.
const IDLE_WORDS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Whole,
    Following,
    Joining,
    Lost,
}

/// A copy of the service's state that follows the master's.
#[derive(Debug)]
pub struct Replica<W> {
    pub(crate) keeper: Keeper<W>,
    pub(crate) inbox: Reader<W>,
    pub(crate) outbox: Writer<W>,
    phase: Phase,
    /// Where the copy for a master that starts goes on.
    seed: Option<Walk>,
    payload: Vec<u64>,
    /// Words of steps for which the vault was not cleaned yet.
    appended: usize,
    /// What is still to be said to the master.
    unsaid: Option<Standing>,
    news: bool,
}

impl<W: Words> Replica<W> {
    /// Starts from what has survived in the vault and the channels, and tells the master.
    ///
    /// # Errors
    /// The vault is too small.
    pub fn open(config: Config, vault: W, channels: Channels<W>) -> Result<Self, OpenError> {
        let (keeper, _, soundness) =
            Keeper::open(config.store, vault, config.seed).map_err(OpenError::Vault)?;
        let (outbox, _) = Writer::open(channels.outbox);
        let phase = if soundness == Soundness::Whole { Phase::Whole } else { Phase::Lost };
        let mut replica = Replica {
            keeper,
            inbox: Reader::open(channels.inbox),
            outbox,
            phase,
            seed: None,
            payload: Vec::new(),
            appended: 0,
            unsaid: None,
            news: false,
        };
        replica.say_where();
        Ok(replica)
    }

    /// The last step that it has.
    pub fn stamp(&self) -> Stamp {
        self.keeper.stamp()
    }

    /// Whether it has everything that the master has sent, as far as it has read.
    pub fn is_following(&self) -> bool {
        self.phase == Phase::Following
    }

    /// The store, to look at.
    pub fn engine(&self) -> &xenstore::Engine {
        &self.keeper.state.engine
    }

    /// Has reports say how long things took, by a clock that tells microseconds.
    pub fn set_clock(&mut self, clock: fn() -> u64) {
        self.keeper.set_clock(clock);
    }

    /// The store, for tests that damage it.
    #[cfg(feature = "harm")]
    pub fn engine_mut(&mut self) -> &mut xenstore::Engine {
        &mut self.keeper.state.engine
    }

    /// Takes what there is to report.
    pub fn take_reports(&mut self, into: &mut Vec<Report>) {
        self.keeper.take_reports(into);
    }

    /// Whether there is something new for the master, since this was asked last.
    pub fn take_wake(&mut self) -> bool {
        core::mem::take(&mut self.news)
    }

    /// Does a bounded piece of work: reads up to `budget` frames, or checks a part of what it has if there are none.
    /// Returns whether there is more to do at once.
    pub fn work(&mut self, budget: usize) -> bool {
        self.say_unsaid();
        for _ in 0..budget {
            match self.read() {
                Next::Frame(_) | Next::Reset => {}
                Next::Damaged => self.lose(Standing::Lost),
                Next::Empty => {
                    let more = self.send_seed();
                    // A pass goes on as if a step of this size had been made.
                    self.appended += IDLE_WORDS;
                    self.clean();
                    if self.phase != Phase::Joining
                        && self.keeper.scrub(SCRUB_NODES, SCRUB_WORDS) == Soundness::Damaged
                    {
                        self.lose(Standing::Lost);
                    }
                    if self.inbox.refresh() | self.outbox.refresh() {
                        self.keeper.report(Report::ChannelMended { replica: None });
                    }
                    return more;
                }
            }
        }
        true
    }

    /// Reads a frame, and acts on it.
    fn read(&mut self) -> Next {
        let mut payload = core::mem::take(&mut self.payload);
        let next = self.inbox.next(&mut payload);
        match next {
            Next::Frame(frame) => {
                self.heard(frame.kind, frame.stamp, &payload);
                self.inbox.release();
                // Who sends a copy waits for room.
                self.news |= self.phase == Phase::Joining;
            }
            Next::Reset => self.heard_reset(),
            Next::Empty | Next::Damaged => {}
        }
        self.payload = payload;
        next
    }

    /// The master has begun the inbox anew: frames may be missing, and it may not have got what was in the outbox.
    fn heard_reset(&mut self) {
        self.outbox.reset();
        if matches!(self.phase, Phase::Following | Phase::Whole) {
            self.phase = Phase::Whole;
        } else {
            self.phase = Phase::Lost;
        }
    }

    fn heard(&mut self, kind: Kind, stamp: Stamp, payload: &[u64]) {
        match kind {
            Kind::Step => self.heard_step(stamp, payload),
            Kind::Term => self.heard_term(stamp, payload),
            Kind::Join => {
                self.phase = Phase::Joining;
                self.seed = None;
                let state = State::blank(self.keeper.config());
                self.keeper.begin_copy(state, stamp);
            }
            Kind::Chunk if self.phase != Phase::Joining || self.keeper.add_chunk(stamp, payload) => {}
            Kind::Chunk => self.lose(Standing::Lost),
            Kind::PassEnd if self.phase == Phase::Joining => {
                if matches!(payload, [digest] if self.keeper.finish_copy(*digest)) {
                    self.phase = Phase::Following;
                    self.say(Standing::Following);
                } else {
                    self.lose(Standing::Disagrees);
                }
            }
            Kind::Status => self.say_where(),
            Kind::SeedWanted if self.phase != Phase::Lost && self.phase != Phase::Joining => {
                self.begin_seed();
            }
            Kind::SeedWanted => self.say_where(),
            _ => {}
        }
    }

    fn heard_step(&mut self, stamp: Stamp, payload: &[u64]) {
        let own = self.keeper.stamp();
        if self.phase == Phase::Lost || stamp < own {
            return;
        }
        if stamp == own {
            // Sent again, by a master that has just started, or has made a copy.
            self.keeper.set_last(payload);
            return;
        }
        let record = Record::read(payload).filter(|_| stamp.sequence == own.sequence + 1);
        let applied =
            record.and_then(|record| self.keeper.state.apply(&record).ok().map(|()| record.digest()));
        let Some(digest) = applied else { return self.lose(Standing::Lost) };
        let frame = Frame::new(Kind::Step, stamp, payload);
        if self.keeper.append(&frame, payload).is_err() {
            return self.lose(Standing::Lost);
        }
        self.appended += frame.words();
        if self.phase == Phase::Joining {
            return;
        }
        if self.keeper.state.engine.digest() != digest && !self.settle(digest) {
            return;
        }
        if self.phase == Phase::Whole {
            self.phase = Phase::Following;
            self.say(Standing::Following);
        }
        if self.appended >= CHUNK_WORDS {
            self.clean();
        }
    }

    /// The digest differs from the master's after a step. Returns whether it was this side's fault, and is mended.
    fn settle(&mut self, digest: u64) -> bool {
        if self.keeper.restore() && self.keeper.state.engine.digest() == digest {
            return true;
        }
        self.lose(Standing::Disagrees);
        false
    }

    fn heard_term(&mut self, stamp: Stamp, payload: &[u64]) {
        let [base, digest] = *payload else { return self.lose(Standing::Lost) };
        let base = Stamp { term: base as u32, ..stamp };
        let fits = matches!(self.phase, Phase::Whole | Phase::Following) && self.keeper.stamp() == base;
        if !fits {
            self.lose(Standing::Lost);
        } else if self.keeper.state.engine.digest() == digest || self.settle(digest) {
            self.phase = Phase::Following;
            self.say(Standing::Following);
        }
    }

    /// What it has cannot be gone on with: the master has to send a copy.
    fn lose(&mut self, standing: Standing) {
        self.phase = Phase::Lost;
        self.seed = None;
        self.say(standing);
    }

    fn say_where(&mut self) {
        self.say(match self.phase {
            Phase::Following => Standing::Following,
            Phase::Whole => Standing::Whole,
            Phase::Joining | Phase::Lost => Standing::Lost,
        });
    }

    fn say(&mut self, standing: Standing) {
        self.unsaid = Some(standing);
        self.say_unsaid();
    }

    fn say_unsaid(&mut self) {
        let Some(standing) = self.unsaid else { return };
        let payload = standing.encode(self.keeper.state.engine.digest());
        if self.outbox.write(&Frame::new(Kind::Status, self.keeper.stamp(), &payload)).is_ok() {
            self.unsaid = None;
            self.news = true;
        }
    }

    fn clean(&mut self) {
        match self.keeper.clean(core::mem::take(&mut self.appended)) {
            Ok(()) => {}
            Err(Unsaved::Full(_)) => self.lose(Standing::Lost),
            Err(Unsaved::Damaged(_)) => {
                if self.keeper.check_all() != Soundness::Whole {
                    self.lose(Standing::Lost);
                }
            }
        }
    }

    /// Begins to send a copy to a master that starts.
    fn begin_seed(&mut self) {
        self.seed = Some(Walk::default());
        self.outbox.reset();
        // There is room in a channel that has just begun.
        let _ = self.outbox.write(&Frame::new(Kind::Join, self.keeper.stamp(), &[]));
        self.news = true;
    }

    /// Sends the next part of a copy to a master that starts. Returns whether there is more to send.
    fn send_seed(&mut self) -> bool {
        let stamp = self.keeper.stamp();
        let Some(walk) = &mut self.seed else { return false };
        let mut next = walk.clone();
        let mut chunk = Builder::default();
        let Ok(over) = self.keeper.state.walk(&mut next, CHUNK_WORDS * 8, &mut chunk) else {
            if self.keeper.check_all() == Soundness::Whole {
                self.begin_seed();
            } else {
                self.lose(Standing::Lost);
            }
            return true;
        };
        if self.outbox.free() < self.outbox.capacity() / 2 {
            return false;
        }
        let payload = chunk.finish(0, None);
        if self.outbox.write(&Frame::new(Kind::Chunk, stamp, payload)).is_err() {
            return false;
        }
        *walk = next;
        self.news = true;
        if over {
            self.seed = None;
            if self.keeper.last().is_some() {
                let _ = self.outbox.write(&Frame::new(Kind::Step, stamp, self.keeper.last_words()));
            }
            let digest = self.keeper.state.engine.digest();
            let _ = self.outbox.write(&Frame::new(Kind::PassEnd, stamp, &[digest]));
        }
        !over
    }

    /// Becomes master, after everything in the inbox has been read: over the sessions that the last master has left, with
    /// the other replicas. If clients have been told of steps that it does not have, the others are asked first.
    ///
    /// # Errors
    /// It does not have the whole state. It is given back.
    pub fn promote(mut self, sessions: W, replicas: Vec<Channels<W>>) -> Result<Master<W>, Box<Self>> {
        while matches!(self.read(), Next::Frame(_) | Next::Reset) {}
        if !matches!(self.phase, Phase::Following | Phase::Whole) || self.inbox.is_damaged() {
            return Err(Box::new(self));
        }
        Ok(Master::start(self.keeper, Soundness::Whole, sessions, replicas))
    }
}
