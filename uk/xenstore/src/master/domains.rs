//! Which domains there are: the register says it, and the store learns it.

use super::Service;
use crate::memory::Kept;
use core::sync::atomic::Ordering::Relaxed;
use libos::uk_abi::register::{self, Changing, DOMAINS, Entry, State};
use libos::xen_abi::Domid;
use xenstore::ConnectionId;
use xxhash_rust::xxh3::xxh3_64;

/// The generation of each domain that the store knows, in memory that outlives this life: a higher one in the register
/// says that the known domain is gone. Of a domain that is gone and was forgotten, that of its successor, whether there is
/// one already or not.
pub(super) struct Known {
    words: Kept,
    /// The count of changes of the register when it was read last.
    changes: Option<u64>,
}

impl Known {
    /// Takes its words from the front of what is for sessions, and answers the rest.
    pub(super) fn split(sessions: Kept) -> (Self, Kept) {
        let (words, rest) = sessions.split_at(usize::from(DOMAINS).min(sessions.len()));
        (Self { words, changes: None }, rest)
    }

    /// The generation of `domid` that the store knows; none if it knows none, or the word is damaged.
    fn get(&self, domid: u16) -> Option<u64> {
        let word = self.words.get(usize::from(domid))?.load(Relaxed);
        let generation = word & u64::from(u32::MAX);
        (sealed(generation) == word).then_some(generation)
    }

    fn set(&self, domid: u16, generation: u64) {
        if let Some(word) = self.words.get(usize::from(domid)) {
            word.store(sealed(generation), Relaxed);
        }
    }
}

/// A generation and its checksum in one word. Only the lower half of a generation counts: a number is not in use 2^32 times.
fn sealed(generation: u64) -> u64 {
    let generation = generation & u64::from(u32::MAX);
    xxh3_64(&generation.to_le_bytes()) << 32 | generation
}

impl Service {
    /// Tells the store what is new in the register.
    pub(super) fn follow_register(&mut self) {
        let changes = self.register.changes();
        if self.known.changes == Some(changes) {
            return;
        }
        let first = self.known.changes.is_none();
        let mut is_settled = true;
        for domid in 1..DOMAINS {
            match self.register.get(domid) {
                Ok(Some(entry)) => self.settle(Domid(domid), &entry, first),
                Ok(None) => {}
                Err(Changing) => is_settled = false,
            }
        }
        // What root is changing comes with another ring of the doorbell.
        if is_settled {
            self.known.changes = Some(changes);
        }
        if first {
            self.carry_out();
            self.rings.drop_leftovers(&self.clients);
        }
    }

    fn settle(&mut self, domid: Domid, entry: &Entry, first: bool) {
        if let Some(index) = self.followers.iter().position(|follower| follower.domid == domid) {
            return self.settle_replica(index, entry.state);
        }
        // A domain that is gone has made way for the next one, which may have nodes before the register speaks of it.
        let is_gone = entry.state == State::Gone;
        let generation = (entry.generation + u64::from(is_gone)) & u64::from(u32::MAX);
        let known = self.known.get(domid.0);
        if known.map_or(is_gone, |known| known != generation) {
            self.master.with_engine(|engine, effects| engine.domain_died(domid, effects));
            self.carry_out();
        }
        if matches!(entry.state, State::Running | State::ShutDown { .. })
            && (entry.ring.is_some() || self.rings.has(domid))
        {
            let is_served = self.clients.iter().any(|client| client.domid == domid);
            if !self.master.engine().is_connected(ConnectionId::of_domain(domid)) {
                self.introduce(domid);
                self.carry_out();
            } else if first && !is_served {
                // Known from an earlier life: its session goes on.
                self.connect(domid);
            }
        }
        if matches!(entry.state, State::ShutDown { .. }) {
            self.master.with_engine(|engine, effects| engine.domain_shutdown(domid, effects));
        }
        self.known.set(domid.0, generation);
    }

    /// A replica that root has given up gets nothing any more, until it is back.
    fn settle_replica(&mut self, index: usize, state: State) {
        let is_gone = state != State::Running;
        let follower = &mut self.followers[index];
        match (follower.is_gone, is_gone) {
            (false, true) => self.master.replica_gone(index),
            (true, false) => self.master.replica_joined(index),
            _ => {}
        }
        follower.is_gone = is_gone;
    }

    /// Has the store serve a domain from now on, or anew.
    pub(super) fn introduce(&mut self, domid: Domid) {
        let (frame, port) = self.ring_of(domid).map_or((0, 0), |ring| (ring.frame, ring.port));
        let done = self.master.with_engine(|engine, effects| engine.introduce(domid, frame, port, effects));
        if !done {
            log::warn!("{domid} cannot be introduced now");
        }
    }

    /// The ring of a domain that the register speaks of.
    pub(super) fn ring_of(&self, domid: Domid) -> Option<register::Ring> {
        self.register.get(domid.0).ok().flatten().and_then(|entry| entry.ring)
    }
}
