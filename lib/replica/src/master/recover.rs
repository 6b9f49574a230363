//! Beginning: from the vault, or from the best copy that a replica has.

use super::link::{Channels, Link, Standing};
use super::{Config, Master, OpenError, Phase, XenStoreFraming};
use crate::frame::{Frame, Kind, Stamp};
use crate::keeper::{Keeper, Soundness};
use crate::record::{Builder, Record};
use crate::report::Report;
use crate::session::{Recovered, Sessions};
use crate::state::State;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use uk_abi::Words;
use xenstore::{ConnectionId, Effects};

/// What a replica has answered to the question how it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Awaited,
    /// It is gone, or has nothing.
    Nothing,
    /// It has a whole state.
    Whole(Stamp),
}

impl<W: Words> Master<W> {
    /// Starts the service from what has survived. `replicas` are all that may exist.
    ///
    /// If the vault holds everything that clients have been told, the service goes on at once; otherwise the replicas are
    /// asked, and [`is_serving`](Self::is_serving) says when one of them has delivered the state.
    ///
    /// # Errors
    /// The vault is too small.
    pub fn open(
        config: Config,
        vault: W,
        sessions: W,
        replicas: Vec<Channels<W>>,
    ) -> Result<Self, OpenError> {
        let (keeper, _, soundness) =
            Keeper::open(config.store, vault, config.seed).map_err(OpenError::Vault)?;
        Ok(Self::start(keeper, soundness, sessions, replicas))
    }

    /// Starts the service from a copy of the state.
    pub(crate) fn start(
        keeper: Keeper<W>,
        soundness: Soundness,
        sessions: W,
        replicas: Vec<Channels<W>>,
    ) -> Self {
        let (sessions, recovered) = Sessions::<W, XenStoreFraming>::open(sessions);
        let slots: BTreeMap<u32, usize> = sessions.open_slots().map(|(slot, owner)| (owner, slot)).collect();
        let noteworthy = |found: &Recovered| !matches!(found, Recovered::Open { mended: false, .. });
        let mut master = Master {
            keeper,
            sessions,
            slots,
            links: replicas.into_iter().map(Link::open).collect(),
            phase: Phase::Serving,
            term: 0,
            effects: Effects::new(),
            record: Builder::default(),
            message: Vec::new(),
            payload: Vec::new(),
            changed: Vec::new(),
            taken: Vec::new(),
            appended: 0,
            scrubbed: 0,
            is_full: false,
            touched: Vec::new(),
            domain_actions: Vec::new(),
            reports: recovered.into_iter().filter(noteworthy).map(Report::Session).collect(),
        };
        let answered = master.sessions.stamp();
        let has_all = soundness == Soundness::Whole && master.stamp() >= answered;
        if has_all && (answered != Stamp::default() || master.links.is_empty()) {
            master.reports.push(Report::Recovered { stamp: master.stamp() });
            master.begin_service();
        } else {
            master.ask_replicas();
            master.choose(soundness);
        }
        master
    }

    /// Asks every replica that is there how it stands.
    pub(super) fn ask_replicas(&mut self) {
        let ask = |link: &mut Link<W>| {
            if !link.is_there() {
                return Answer::Nothing;
            }
            link.standing = Standing::Asked;
            link.send_surely(&Frame::new(Kind::Status, Stamp::default(), &[]));
            Answer::Awaited
        };
        self.phase = Phase::Asking(self.links.iter_mut().map(ask).collect());
    }

    /// A replica has answered, or is gone.
    pub(super) fn answered(&mut self, replica: usize, answer: Answer) {
        match &mut self.phase {
            Phase::Asking(answers) => answers[replica] = answer,
            Phase::Seeding(from, answers) if *from == replica && answer == Answer::Nothing => {
                answers[replica] = answer;
                self.phase = Phase::Asking(core::mem::take(answers));
            }
            _ => return,
        }
        // What is in the vault is asked again, because a copy that failed has left the memory with half a state.
        let soundness = match self.keeper.reopen() {
            true => Soundness::Whole,
            false if self.keeper.is_blank() => Soundness::Empty,
            false => Soundness::Damaged,
        };
        self.choose(soundness);
    }

    /// Once all answers are there: begins with the best copy.
    fn choose(&mut self, own: Soundness) {
        let Phase::Asking(answers) = &mut self.phase else { return };
        if answers.contains(&Answer::Awaited) {
            return;
        }
        let theirs = answers.iter().enumerate().filter_map(|(replica, answer)| match answer {
            Answer::Whole(stamp) => Some((*stamp, replica)),
            _ => None,
        });
        let best = theirs.max_by_key(|(stamp, _)| *stamp);
        let mine = (own == Soundness::Whole).then(|| self.keeper.stamp());
        if let Some((stamp, replica)) = best
            && mine.is_none_or(|mine| stamp > mine)
        {
            let answers = core::mem::take(answers);
            self.phase = Phase::Seeding(replica, answers);
            self.links[replica].send_surely(&Frame::new(Kind::SeedWanted, Stamp::default(), &[]));
            return;
        }
        let answered = self.sessions.stamp();
        if own == Soundness::Empty && answered == Stamp::default() {
            let state = State::initial(self.keeper.config());
            self.keeper.begin_copy(state, Stamp::default());
            self.reports.push(Report::Begun);
        } else {
            self.report_recovered(answered, own == Soundness::Whole);
        }
        self.begin_service();
    }

    fn report_recovered(&mut self, answered: Stamp, whole: bool) {
        let found = self.keeper.stamp();
        if !whole || found < answered {
            self.reports.push(Report::Lost { answered, found });
            if self.keeper.is_blank() {
                let state = State::initial(self.keeper.config());
                self.keeper.begin_copy(state, Stamp::default());
            } else {
                self.keeper.renew();
            }
        } else {
            self.reports.push(Report::Recovered { stamp: found });
        }
    }

    /// A part of the copy that a replica is sending.
    pub(super) fn seed(&mut self, replica: usize, kind: Kind, stamp: Stamp, payload: &[u64]) {
        if !matches!(&self.phase, Phase::Seeding(from, _) if *from == replica) {
            return;
        }
        let good = match kind {
            Kind::Join => {
                let state = State::blank(self.keeper.config());
                self.keeper.begin_copy(state, stamp);
                true
            }
            Kind::Chunk => self.keeper.add_chunk(stamp, payload),
            Kind::Step => {
                self.keeper.set_last(payload);
                true
            }
            _ => {
                let whole = matches!(payload, [digest] if self.keeper.finish_copy(*digest));
                if whole {
                    let answered = self.sessions.stamp();
                    if stamp < answered {
                        self.reports.push(Report::Lost { answered, found: stamp });
                    }
                    self.reports.push(Report::Seeded { replica, stamp });
                    self.begin_service();
                }
                whole
            }
        };
        if !good {
            self.answered(replica, Answer::Nothing);
        }
    }

    /// Everything is here: brings the sessions up to the last step, begins a term, and tells the replicas.
    fn begin_service(&mut self) {
        self.phase = Phase::Serving;
        self.term = self.stamp().term.max(self.sessions.stamp().term) + 1;
        self.finish_last_step();
        let engine = &self.keeper.state.engine;
        let orphans: Vec<u32> =
            self.slots.keys().copied().filter(|id| !engine.is_connected(ConnectionId(*id))).collect();
        orphans.into_iter().for_each(|connection| self.end_session(connection));
        self.drop_taken();
        if self.keeper.save_if_new().is_err() {
            self.reports.push(Report::VaultFull { room: self.keeper.room() });
        }
        self.tell_term_to_all();
    }

    /// Tells every replica where the service stands, after the last step, which it may have missed.
    pub(super) fn tell_term_to_all(&mut self) {
        let (stamp, digest) = (self.stamp(), self.engine().digest());
        for link in self.links.iter_mut().filter(|link| link.is_there()) {
            if self.keeper.last().is_some() {
                link.send_surely(&Frame::new(Kind::Step, stamp, self.keeper.last_words()));
            }
            link.tell_term(self.term, stamp, digest);
        }
    }

    /// Lets the last step take effect on the sessions that do not know of it.
    fn finish_last_step(&mut self) {
        let stamp = self.keeper.stamp();
        let words = self.keeper.last_words().to_vec();
        let Some(record) = Record::read(&words) else { return };
        let behind = |sessions: &Sessions<W, _>, slot: usize| sessions.stamp_of(slot) < stamp;
        let mut changed: Vec<usize> = Vec::new();
        for message in record.messages().filter(|message| message.deferred.is_none()) {
            let Some(slot) = self.slots.get(&message.connection).copied() else { continue };
            if behind(&self.sessions, slot) && self.sessions.room(slot) >= message.bytes.len() {
                self.sessions.queue(slot, message.bytes);
                changed.push(slot);
            }
        }
        if let Some((connection, bytes)) = record.request()
            && let Some(slot) = self.slots.get(&connection).copied()
            && behind(&self.sessions, slot)
        {
            self.sessions.applied(slot, bytes);
            changed.push(slot);
        }
        changed.sort_unstable();
        changed.dedup();
        for slot in changed {
            self.sessions.stamped(slot, stamp);
            self.sessions.commit(slot);
        }
        for connection in record.ended() {
            if self.slots.get(&connection).is_some_and(|slot| behind(&self.sessions, *slot)) {
                self.end_session(connection);
            }
        }
    }

    /// Drops the deferred messages that sessions have taken already.
    pub(super) fn drop_taken(&mut self) {
        let deferred = &mut self.keeper.state.deferred;
        let waiting: Vec<u32> = deferred.connections().collect();
        for connection in waiting {
            match self.slots.get(&connection) {
                Some(slot) => deferred.drop_taken(connection, self.sessions.taken(*slot)),
                None => deferred.forget(connection),
            }
        }
    }

    /// A replica has come, or has come back: it is told where the master stands.
    pub fn replica_joined(&mut self, replica: usize) {
        let Some(link) = self.links.get_mut(replica) else { return };
        link.to.reset();
        match &mut self.phase {
            Phase::Serving => {
                let (stamp, digest) = (self.keeper.stamp(), self.keeper.state.engine.digest());
                link.tell_term(self.term, stamp, digest);
            }
            Phase::Asking(answers) | Phase::Seeding(_, answers) => {
                link.standing = Standing::Asked;
                answers[replica] = Answer::Awaited;
                link.send_surely(&Frame::new(Kind::Status, Stamp::default(), &[]));
            }
        }
    }

    /// A replica is gone, as who can tell (and can kill it) says. Nothing is sent to it until it joins again.
    pub fn replica_gone(&mut self, replica: usize) {
        if let Some(link) = self.links.get_mut(replica) {
            link.standing = Standing::Gone;
            self.answered(replica, Answer::Nothing);
        }
    }
}
