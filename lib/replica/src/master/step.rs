//! A step: something the store does, recorded, sent to replicas, and made known to sessions.

use super::Master;
use crate::frame::{Frame, Kind, Stamp};
use crate::keeper::{Soundness, Unsaved};
use crate::report::{Remedy, Report};
use alloc::vec::Vec;
use uk_abi::Words;
use xenstore::wire::{self, Header};
use xenstore::{ConnectionId, Damage, DomainAction, Effects, Engine};

/// Bytes of events that wait for a client that does not read. The quotas bound what it can watch; this bounds what
/// others can make it hear.
const DEFERRED_MAX: usize = 1 << 20;

/// Why a step was not made. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotMade {
    /// The vault cannot take it.
    Full,
    /// What it needs is damaged, and there is no good copy.
    Damaged,
    /// What it needs is damaged, and a replica has been asked for a good copy: try again when it is there.
    Waiting,
}

/// The request that a step answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) connection: ConnectionId,
    pub(super) slot: usize,
    /// Bytes of the request.
    pub(super) bytes: usize,
}

impl<W: Words> Master<W> {
    /// Lets the host do something with the store, such as telling it that a domain has died, as one step that is
    /// recorded. Returns whether it was done; if not, it has no effect, and may be tried again later: the vault is full, or
    /// what was needed is damaged, or there is no state yet.
    pub fn with_engine(
        &mut self,
        action: impl FnMut(&mut Engine, &mut Effects) -> Result<(), Damage>,
    ) -> bool {
        self.is_serving() && self.internal_step(action, None).is_ok()
    }

    /// A step that no request asked for; `ended` is a connection whose session ends with it.
    pub(super) fn internal_step(
        &mut self,
        mut action: impl FnMut(&mut Engine, &mut Effects) -> Result<(), Damage>,
        ended: Option<ConnectionId>,
    ) -> Result<(), NotMade> {
        self.execute(&mut action)?;
        self.finish(None, ended)?;
        self.clean();
        Ok(())
    }

    /// Executes something; what is damaged is mended, and it is tried again.
    pub(super) fn execute(
        &mut self,
        action: &mut impl FnMut(&mut Engine, &mut Effects) -> Result<(), Damage>,
    ) -> Result<(), NotMade> {
        self.effects.clear();
        // The second attempt comes after an item was put right, or what it led to as well; the last after everything was.
        for remedy in [Remedy::Item, Remedy::Item, Remedy::State, Remedy::State] {
            match action(&mut self.keeper.state.engine, &mut self.effects) {
                Ok(()) => return Ok(()),
                Err(damage) => {
                    self.effects.clear();
                    if self.keeper.mend(&damage, remedy) != Soundness::Whole {
                        break;
                    }
                }
            }
        }
        Err(if self.ask_for_copy() { NotMade::Waiting } else { NotMade::Damaged })
    }

    /// Has damage been found that the vault cannot mend, a replica may have a good copy: asks for it, and serves nobody
    /// until it is there. Returns whether there is such a replica.
    pub(super) fn ask_for_copy(&mut self) -> bool {
        let has_one = self.links.iter().any(|link| matches!(link.standing, super::link::Standing::Following));
        if has_one {
            self.ask_replicas();
        }
        has_one
    }

    /// Records what was executed and lets it take effect.
    pub(super) fn finish(
        &mut self,
        origin: Option<Origin>,
        ended: Option<ConnectionId>,
    ) -> Result<(), NotMade> {
        let mut effects = core::mem::take(&mut self.effects);
        let result = self.finish_effects(&mut effects, origin, ended);
        self.effects = effects;
        result
    }

    fn finish_effects(
        &mut self,
        effects: &mut Effects,
        origin: Option<Origin>,
        ended: Option<ConnectionId>,
    ) -> Result<(), NotMade> {
        self.record.begin();
        self.record.items(effects.items.as_bytes());
        self.changed.clear();
        for (connection, message) in effects.outputs.iter() {
            self.route(connection.0, message);
        }
        let ends: Vec<u32> =
            ended.into_iter().chain(effects.domains.iter().filter_map(ended_by)).map(|id| id.0).collect();
        for connection in &ends {
            self.record.ended(*connection);
        }
        let others = self.changed.iter().any(|slot| origin.is_none_or(|origin| origin.slot != *slot));
        if self.record.must_be_kept() || others {
            self.keep(origin)?;
        }
        if let Some(origin) = origin {
            self.sessions.applied(origin.slot, origin.bytes);
            if self.record.must_be_kept() || others {
                self.sessions.stamped(origin.slot, self.keeper.stamp());
                self.sessions.commit(origin.slot);
            }
        }
        for slot in &self.changed {
            if origin.is_none_or(|origin| origin.slot != *slot) {
                self.sessions.stamped(*slot, self.keeper.stamp());
                self.sessions.commit(*slot);
            }
        }
        for connection in ends {
            self.end_session(connection);
        }
        self.domain_actions.append(&mut effects.domains);
        Ok(())
    }

    /// Puts the record into the vault and into every inbox.
    fn keep(&mut self, origin: Option<Origin>) -> Result<(), NotMade> {
        for connection in self.taken.drain(..) {
            if let Some(slot) = self.slots.get(&connection) {
                self.record.taken(connection, self.sessions.taken(*slot));
            }
        }
        let stamp = Stamp { term: self.term, sequence: self.keeper.stamp().sequence + 1 };
        let request = origin.map(|origin| (origin.connection.0, origin.bytes));
        let payload = self.record.finish(self.keeper.state.engine.digest(), request);
        let frame = Frame::new(Kind::Step, stamp, payload);
        if self.keeper.append(&frame, payload).is_err() {
            return self.take_back();
        }
        self.appended += frame.words();
        for (replica, link) in self.links.iter_mut().enumerate() {
            if link.is_there() && link.send(&frame).is_err() {
                self.reports.push(Report::Lagging { replica });
                link.begin_join(stamp);
            }
        }
        Ok(())
    }

    /// The vault did not take the record: the state becomes again what the vault says.
    fn take_back(&mut self) -> Result<(), NotMade> {
        for slot in self.changed.drain(..) {
            self.sessions.revert(slot);
        }
        if !self.keeper.restore() {
            // The vault is damaged besides. What is in memory is what counts now, for replicas too.
            self.reports.push(Report::VaultFull { room: 0 });
            self.tell_term_to_all();
        }
        self.drop_taken();
        Err(NotMade::Full)
    }

    /// Decides how a message goes to a client: queued in its session, deferred, or not at all because an equal event
    /// waits already.
    fn route(&mut self, connection: u32, message: &[u8]) {
        let Some(slot) = self.slots.get(&connection).copied() else { return };
        let deferred = &mut self.keeper.state.deferred;
        let is_event = is_event(message);
        if is_event && (self.sessions.holds(slot, message) || deferred.holds(connection, message)) {
            return;
        }
        if deferred.is_empty(connection) && self.sessions.room(slot) >= message.len() {
            self.sessions.queue(slot, message);
            self.record.message(connection, None, message);
            if !self.changed.contains(&slot) {
                self.changed.push(slot);
            }
        } else if is_event && deferred.bytes(connection) + message.len() > DEFERRED_MAX {
            let connection = ConnectionId(connection);
            self.reports.push(Report::EventsDropped { connection });
        } else {
            let number = deferred.next_number(connection, self.sessions.taken(slot));
            deferred.push(connection, number, message);
            self.record.message(connection, Some(number), message);
        }
        self.touched.push(ConnectionId(connection));
    }

    /// Ends the session of a connection, if it has one.
    pub(super) fn end_session(&mut self, connection: u32) {
        self.keeper.state.deferred.forget(connection);
        if let Some(slot) = self.slots.remove(&connection) {
            self.sessions.end(slot, self.keeper.stamp());
        }
    }

    /// Makes room in the vault, in proportion to what steps have taken.
    pub(super) fn clean(&mut self) {
        match self.keeper.clean(core::mem::take(&mut self.appended)) {
            Ok(()) => {}
            Err(Unsaved::Full(full)) => self.reports.push(Report::VaultFull { room: full.free }),
            Err(Unsaved::Damaged(_)) => {
                if self.keeper.check_all() != Soundness::Whole {
                    self.ask_for_copy();
                }
            }
        }
    }
}

/// Whether a message is a watch event.
fn is_event(message: &[u8]) -> bool {
    let header = message.first_chunk().map(Header::decode);
    header.is_some_and(|header| header.kind == wire::Kind::WatchEvent.number())
}

/// The connection whose session such an action ends.
fn ended_by(action: &DomainAction) -> Option<ConnectionId> {
    match action {
        DomainAction::Disconnect { domid } | DomainAction::Reconnect { domid, .. } => {
            Some(ConnectionId::of_domain(*domid))
        }
        DomainAction::Connect { .. } | DomainAction::Log { .. } => None,
    }
}
