//! A keeper: one copy of the state, in ordinary memory and in a vault, each of which can mend the other.

use crate::frame::{Frame, Kind, Stamp};
use crate::record::{Builder, Record};
use crate::report::{Remedy, Report};
use crate::state::{State, Walk};
use crate::vault::{Base, CHUNK_WORDS, Entry, Flaw, Full, Opened, TooSmall, Vault};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::ControlFlow;
use uk_abi::Words;
use xenstore::item::{Item, ItemList, Items};
use xenstore::{Config, Damage, Subject};

/// How much damage that is not mended yet is kept in mind, not to be told of again.
const NOTED: usize = 64;

/// What a keeper knows of its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Soundness {
    /// All of it, and it has the digest that it should have.
    Whole,
    /// Something is missing, or the digest is another one.
    Damaged,
    /// There is none.
    Empty,
}

/// A copy of the state.
#[derive(Debug)]
pub struct Keeper<W> {
    config: Config,
    /// The copy in ordinary memory.
    pub state: State,
    vault: Vault<W>,
    stamp: Stamp,
    /// The last step's record: whoever takes over has to make sure that the sessions know of it.
    last: Vec<u64>,
    walk: Option<Walk>,
    scrub: xenstore::Cursor,
    chunk: Builder,
    payload: Vec<u64>,
    reports: Vec<Report>,
    /// Where the vault is damaged, until a pass has healed it: so far as it was found, and up to [`NOTED`].
    flaws: Vec<Flaw>,
    /// What the vault has no good copy of; the last [`NOTED`].
    unmended: VecDeque<Damage>,
    /// Tells microseconds.
    clock: fn() -> u64,
}

impl<W: Words> Keeper<W> {
    /// Opens the vault, and reads the state from it.
    ///
    /// `seed` is a random number, another one each time; see [`Vault::open`].
    ///
    /// # Errors
    /// The memory is too small.
    pub fn open(config: Config, words: W, seed: u64) -> Result<(Self, Opened, Soundness), TooSmall> {
        let (vault, opened) = Vault::open(words, seed)?;
        let mut keeper = Keeper {
            state: State::blank(&config),
            config,
            vault,
            stamp: Stamp::default(),
            last: Vec::new(),
            walk: None,
            scrub: xenstore::Cursor::default(),
            chunk: Builder::default(),
            payload: Vec::new(),
            reports: Vec::new(),
            flaws: Vec::new(),
            unmended: VecDeque::new(),
            clock: || 0,
        };
        if opened.mended {
            keeper.reports.push(Report::HeadMended);
        }
        if opened.damaged > 0 {
            keeper.found_flaw(Flaw::Log { position: 0, words: opened.damaged });
        }
        let soundness = match (opened.complete, opened.damaged) {
            (false, 0) => Soundness::Empty,
            (true, 0) if keeper.replay() => Soundness::Whole,
            (_, 0) => Soundness::Damaged,
            _ => {
                keeper.replay();
                Soundness::Damaged
            }
        };
        Ok((keeper, opened, soundness))
    }

    /// Reads the state from the vault. Returns whether it is all there, and has the digests that it should have.
    fn replay(&mut self) -> bool {
        let (mut state, mut stamp, mut last) = (State::blank(&self.config), Stamp::default(), Vec::new());
        let (mut cursor, mut complete, mut sound) = (self.vault.beginning(), false, true);
        while let Some(entry) = self.vault.next(&mut cursor, &mut self.payload) {
            let Entry::Frame { kind, stamp: at } = entry else {
                sound = false;
                continue;
            };
            match (kind, Record::read(&self.payload)) {
                (Kind::Step | Kind::Chunk, Some(record)) => {
                    sound &= state.apply(&record).is_ok();
                    if kind == Kind::Step {
                        // Within the pass only a part of the state is there yet.
                        sound &= !complete || state.engine.digest() == record.digest();
                        stamp = at;
                        last.clone_from(&self.payload);
                    }
                }
                (Kind::PassEnd, _) => {
                    complete = true;
                    stamp = at;
                    sound &= self.payload[..] == [state.engine.digest()];
                }
                _ => sound = false,
            }
        }
        (self.state, self.stamp, self.last) = (state, stamp, last);
        self.unmended.clear();
        sound && complete
    }

    /// The last step of which the state knows.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The last step's record, if there was any.
    pub fn last(&self) -> Option<Record<'_>> {
        Record::read(&self.last)
    }

    /// The words of the last step's record.
    pub fn last_words(&self) -> &[u64] {
        &self.last
    }

    /// Notes the last step's record, which is the one of the present stamp.
    pub fn set_last(&mut self, payload: &[u64]) {
        self.last.clear();
        self.last.extend_from_slice(payload);
    }

    /// Whether nothing has been read from the vault.
    pub fn is_blank(&self) -> bool {
        self.stamp == Stamp::default() && self.state.engine.node_count() <= 1
    }

    /// Reads the state from the vault again, in the place of a copy that has failed. Returns whether it is whole.
    pub fn reopen(&mut self) -> bool {
        self.walk = None;
        self.vault.abandon_pass();
        self.replay()
    }

    /// Writes a state that is in no vault yet, at once.
    ///
    /// # Errors
    /// Something does not match its digest, or does not fit.
    pub fn save_if_new(&mut self) -> Result<(), Unsaved> {
        if self.vault.in_pass() { self.save_all() } else { Ok(()) }
    }

    /// The settings of the store.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Words that steps may still take.
    pub fn room(&self) -> usize {
        self.vault.room()
    }

    /// Whether only steps that make the state smaller should be made.
    pub fn is_full(&self) -> bool {
        self.vault.room() < self.vault.reserve()
    }

    /// Has reports say how long things took, by a clock that tells microseconds.
    pub fn set_clock(&mut self, clock: fn() -> u64) {
        self.clock = clock;
    }

    /// Takes what there is to report.
    pub fn take_reports(&mut self, into: &mut Vec<Report>) {
        into.append(&mut self.reports);
    }

    /// Begins with an empty state, or one from elsewhere: until [`finish_copy`](Self::finish_copy) the vault keeps
    /// what it has.
    pub fn begin_copy(&mut self, state: State, stamp: Stamp) {
        self.state = state;
        self.stamp = stamp;
        self.last.clear();
        self.walk = None;
        self.unmended.clear();
        self.vault.begin_pass(Base::Replaced);
    }

    /// Adds a part of the state from elsewhere. `payload` is a record; returns whether it made sense and fitted.
    pub fn add_chunk(&mut self, stamp: Stamp, payload: &[u64]) -> bool {
        let applied = Record::read(payload).is_some_and(|record| self.state.apply(&record).is_ok());
        applied && self.vault.append_chunk(&Frame::new(Kind::Chunk, stamp, payload)).is_ok()
    }

    /// The state from elsewhere is whole if it has this digest; then it counts from now on.
    pub fn finish_copy(&mut self, digest: u64) -> bool {
        self.state.engine.digest() == digest && self.vault.in_pass() && self.end_pass().is_ok()
    }

    /// Writes the state as it is into the vault, at once. For a state that is small, or has to be safe now.
    ///
    /// # Errors
    /// Something does not match its digest, or does not fit.
    pub fn save_all(&mut self) -> Result<(), Unsaved> {
        if !self.vault.in_pass() || self.walk.is_some() {
            self.vault.begin_pass(Base::Kept);
        }
        self.walk = Some(Walk::default());
        self.pass_on(usize::MAX)
    }

    /// Adds a step that the state has made already. When this returns, it survives.
    ///
    /// # Errors
    /// The vault is full; nothing has been written.
    pub fn append(&mut self, step: &Frame<'_>, payload: &[u64]) -> Result<(), Full> {
        self.vault.append(step)?;
        self.stamp = step.stamp;
        self.last.clear();
        self.last.extend_from_slice(payload);
        Ok(())
    }

    /// Makes room, in proportion to the `words` of the steps since the last call.
    ///
    /// # Errors
    /// Something in the state does not match its digest; it has to be mended, and nothing is lost.
    pub fn clean(&mut self, words: usize) -> Result<(), Unsaved> {
        if self.walk.is_none() {
            if !self.vault.needs_pass() || self.vault.in_pass() {
                return Ok(());
            }
            self.begin_pass();
        }
        self.pass_on(self.vault.pass_share(words))
    }

    fn begin_pass(&mut self) {
        self.vault.begin_pass(Base::Kept);
        self.walk = Some(Walk::default());
    }

    /// Writes chunks of the pass, `share` words of them and at most one chunk more.
    fn pass_on(&mut self, share: usize) -> Result<(), Unsaved> {
        let mut written = 0;
        while let Some(walk) = &mut self.walk {
            if written >= share {
                break;
            }
            let budget = CHUNK_WORDS.min(share - written) * 8;
            let over = match self.state.walk(walk, budget, &mut self.chunk) {
                Ok(over) => over,
                Err(subject) => {
                    self.walk = None;
                    self.vault.abandon_pass();
                    return Err(Unsaved::Damaged(subject));
                }
            };
            let payload = self.chunk.finish(0, None);
            let chunk = Frame::new(Kind::Chunk, self.stamp, payload);
            written += chunk.words();
            let result = self.vault.append_chunk(&chunk);
            let result = if over { result.and_then(|()| self.end_pass()) } else { result };
            if let Err(full) = result {
                self.walk = None;
                self.vault.abandon_pass();
                return Err(Unsaved::Full(full));
            }
        }
        Ok(())
    }

    /// Ends the pass. The last step goes along, for whoever takes over.
    fn end_pass(&mut self) -> Result<(), Full> {
        self.walk = None;
        if !self.last.is_empty() {
            self.vault.append_chunk(&Frame::new(Kind::Step, self.stamp, &self.last))?;
        }
        self.vault.end_pass(self.stamp, &[self.state.engine.digest()])?;
        if !self.flaws.is_empty() {
            self.flaws.clear();
            self.reports.push(Report::VaultMended);
        }
        Ok(())
    }

    /// The vault, to damage it.
    #[cfg(feature = "harm")]
    pub(crate) fn vault(&self) -> &Vault<W> {
        &self.vault
    }

    /// The vault, without the pass that may be under way.
    #[cfg(feature = "harm")]
    pub(crate) fn abandon_pass(&mut self) -> &mut Vault<W> {
        self.walk = None;
        self.vault.abandon_pass();
        &mut self.vault
    }

    /// Adds a report.
    pub fn report(&mut self, report: Report) {
        self.reports.push(report);
    }

    /// Reports damage of the vault, once.
    fn found_flaw(&mut self, flaw: Flaw) {
        match flaw {
            Flaw::Head => self.reports.push(Report::HeadMended),
            Flaw::Log { words, .. } if self.flaws.len() < NOTED && !self.flaws.contains(&flaw) => {
                self.flaws.push(flaw);
                self.reports.push(Report::VaultDamaged { words });
            }
            Flaw::Log { .. } => {}
        }
    }

    /// Checks a part of the state in ordinary memory, and a part of the vault; mends what is damaged. Returns whether
    /// all is well now.
    pub fn scrub(&mut self, nodes: usize, words: usize) -> Soundness {
        if let ControlFlow::Break(flaw) = self.vault.scrub(words, &mut self.payload) {
            self.found_flaw(flaw);
            if flaw != Flaw::Head && self.unmended.is_empty() && self.walk.is_none() && !self.vault.in_pass()
            {
                self.begin_pass();
            }
        }
        match self.state.engine.scrub(&mut self.scrub, nodes) {
            Ok(_) => Soundness::Whole,
            Err(damage) => self.mend(&damage, Remedy::Item),
        }
    }

    /// Checks the whole state in ordinary memory, and mends it.
    pub fn check_all(&mut self) -> Soundness {
        let mut first = Remedy::Item;
        let mut mended = None;
        self.scrub = xenstore::Cursor::default();
        loop {
            match self.state.engine.scrub(&mut self.scrub, 1024) {
                Ok(progress) if progress.finished => return Soundness::Whole,
                Ok(_) => {}
                // Everything was replaced already: the vault is no better.
                Err(_) if first == Remedy::State => return Soundness::Damaged,
                Err(damage) => {
                    if mended.as_ref() == Some(&damage.subject) {
                        first = Remedy::State;
                    }
                    if self.mend(&damage, first) != Soundness::Whole {
                        return Soundness::Damaged;
                    }
                    mended = Some(damage.subject);
                    self.scrub = xenstore::Cursor::default();
                }
            }
        }
    }

    /// Puts good copies in the place of what is damaged in ordinary memory: one item from the vault, or else everything.
    /// `first` says where to begin: with the item, unless that has been tried.
    pub fn mend(&mut self, damage: &Damage, first: Remedy) -> Soundness {
        if self.unmended.contains(damage) {
            return Soundness::Damaged;
        }
        let (before, began) = (self.state.engine.digest(), (self.clock)());
        let remedy = if first != Remedy::State && self.mend_item(&damage.subject) {
            Remedy::Item
        } else if self.restore() {
            Remedy::State
        } else if self.renew() {
            // Without a sound vault: if only sums are wrong, what they are sums of still tells what they should be.
            Remedy::Sums
        } else {
            self.reports.push(Report::Unmended { damage: damage.clone() });
            if self.unmended.len() == NOTED {
                self.unmended.pop_front();
            }
            self.unmended.push_back(damage.clone());
            return Soundness::Damaged;
        };
        let (after, took_us) = (self.state.engine.digest(), (self.clock)().saturating_sub(began));
        self.reports.push(Report::Mended { damage: damage.clone(), remedy, before, after, took_us });
        Soundness::Whole
    }

    /// Reads the state from the vault again. Returns whether all of it is there; if not, nothing has changed.
    pub fn restore(&mut self) -> bool {
        if self.vault.in_pass() && self.walk.is_none() {
            // A copy from elsewhere is on its way, and what is in the vault is something else.
            return false;
        }
        if self.walk.take().is_some() {
            // The items of the state that comes are in other places: the pass has to begin again.
            self.vault.abandon_pass();
        }
        let state = core::mem::replace(&mut self.state, State::blank(&self.config));
        let (stamp, last) = (self.stamp, core::mem::take(&mut self.last));
        if self.replay() && self.stamp == stamp {
            return true;
        }
        (self.state, self.stamp, self.last) = (state, stamp, last);
        false
    }

    /// Makes the state anew from what is in memory and checked, with new sums, and writes it to the vault: for what no
    /// log can mend. Returns whether that was possible.
    pub fn renew(&mut self) -> bool {
        let (mut fresh, mut walk) = (State::blank(&self.config), Walk::default());
        loop {
            let Ok(over) = self.state.walk(&mut walk, CHUNK_WORDS * 8, &mut self.chunk) else { return false };
            let record = Record::read(self.chunk.finish(0, None));
            if record.is_none_or(|record| fresh.apply(&record).is_err()) {
                return false;
            }
            if over {
                break;
            }
        }
        self.state = fresh;
        self.save_all().is_ok()
    }

    /// Mends one node from the vault. Returns whether the state now has the digest that the last step left.
    fn mend_item(&mut self, subject: &Subject) -> bool {
        let Subject::Node(path) = subject else { return false };
        let Some(expected) = self.last().map(|record| record.digest()) else { return false };
        let mut copy = Items::new();
        let mut newest = 0;
        let mut cursor = self.vault.beginning();
        while let Some(entry) = self.vault.next(&mut cursor, &mut self.payload) {
            if !matches!(entry, Entry::Frame { kind: Kind::Step | Kind::Chunk, .. }) {
                continue;
            }
            let Some(record) = Record::read(&self.payload) else { continue };
            for item in ItemList::new(record.items()).flatten() {
                if let Item::Node { path: at, generation, .. } = item
                    && *at == **path
                    && generation >= newest
                {
                    newest = generation;
                    copy.clear();
                    copy.push(&item);
                }
            }
        }
        let engine = &mut self.state.engine;
        !copy.is_empty()
            && engine.repair(subject, copy.list()).is_ok()
            && engine.copy(subject, &mut copy)
            && engine.digest() == expected
    }
}

/// Why the state was not written to the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsaved {
    /// This does not match its digest.
    Damaged(Subject),
    /// It does not fit. What was in the vault is still there.
    Full(Full),
}
