//! The master: serves clients from its copy of the state, and tells every replica.
//!
//! A request goes through these stages, in this order:
//!
//! ```text
//! look at it   execute it   record in the vault   record in every inbox   sessions   hand over   consume
//!              (checked)    ^ it has happened     ^ it will not be lost   ^ it is answered
//! ```
//!
//! A crash before the record leaves the request where it is, and nothing has happened. After the record, whoever takes
//! over finds it as the last step, and brings the sessions up to it: each session knows the last step it has seen, so
//! that nothing is done twice. No step waits for a replica: its inbox outlives all who read and write it.

mod handover;
mod link;
mod recover;
mod replicas;
mod serve;
mod step;

pub use crate::keeper::Unsaved;
pub use handover::{Newcomer, SeedError, UnderWay, seed};
pub use link::Channels;
pub use serve::Served;

use crate::frame::Stamp;
use crate::keeper::Keeper;
use crate::record::Builder;
use crate::report::Report;
use crate::session::{Framing, Sessions};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use link::Link;
use recover::Answer;
use uk_abi::Words;
use xenstore::wire::{Header, MESSAGE_MAX, PAYLOAD_MAX};
use xenstore::{ConnectionId, DomainAction, Effects, Engine};

/// How XenStore's messages stand in a stream.
#[derive(Debug)]
pub struct XenStoreFraming;

impl Framing for XenStoreFraming {
    const HEADER: usize = Header::SIZE;
    const MESSAGE_MAX: usize = MESSAGE_MAX;

    fn length(header: &[u8]) -> Option<usize> {
        let header = Header::decode(header.first_chunk()?);
        let length = header.length as usize;
        (length <= PAYLOAD_MAX).then_some(Header::SIZE + length)
    }
}

/// What a service is told when it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// The store's settings, which all replicas share.
    pub store: xenstore::Config,
    /// A random number, another one at each start: see [`crate::vault::Vault::open`].
    pub seed: u64,
}

/// Why the service cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The vault's memory is too small.
    Vault(crate::vault::TooSmall),
}

/// Why a connection was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectError<E> {
    /// The service has no state yet: see [`Master::is_serving`].
    NotServing,
    /// All sessions are in use.
    NoSession {
        /// How many there are.
        sessions: usize,
    },
    /// The stream is broken.
    Stream(crate::session::SessionError<E>),
    /// The vault is full, or the state is damaged and there is no good copy.
    Refused,
}

/// What [`Master::connect`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connected {
    /// A session has begun.
    New,
    /// The session goes on where it was before the service started anew.
    Resumed,
}

#[derive(Debug)]
enum Phase {
    Serving,
    /// The replicas were asked how they stand.
    Asking(Vec<Answer>),
    /// This replica is sending a copy; the others' answers are kept, should it fail.
    Seeding(usize, Vec<Answer>),
}

/// A service with its clients and replicas. All memories are `W`.
#[derive(Debug)]
pub struct Master<W> {
    pub(crate) keeper: Keeper<W>,
    pub(crate) sessions: Sessions<W, XenStoreFraming>,
    /// Which slot a connection's session has.
    pub(crate) slots: BTreeMap<u32, usize>,
    pub(crate) links: Vec<Link<W>>,
    phase: Phase,
    term: u32,
    /// What the last step did; its memory is used again.
    effects: Effects,
    record: Builder,
    message: Vec<u8>,
    payload: Vec<u64>,
    /// Slots that the step under way has queued output in.
    changed: Vec<usize>,
    /// Connections that have taken deferred messages since the last step.
    taken: Vec<u32>,
    /// Words of steps for which the vault was not cleaned yet.
    appended: usize,
    /// The connection whose session was checked last.
    scrubbed: u32,
    /// Whether requests that make the state grow are refused, and that was reported.
    is_full: bool,
    touched: Vec<ConnectionId>,
    domain_actions: Vec<DomainAction>,
    reports: Vec<Report>,
}

impl<W: Words> Master<W> {
    /// Whether clients can be served. If not, replicas are being asked for the state: go on with
    /// [`from_replica`](Self::from_replica).
    pub fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::Serving)
    }

    /// The last step.
    pub fn stamp(&self) -> Stamp {
        self.keeper.stamp()
    }

    /// The store, to look at.
    pub fn engine(&self) -> &Engine {
        &self.keeper.state.engine
    }

    /// Has reports say how long things took, by a clock that tells microseconds.
    pub fn set_clock(&mut self, clock: fn() -> u64) {
        self.keeper.set_clock(clock);
    }

    /// The store, for tests that damage it.
    #[cfg(feature = "harm")]
    pub fn engine_mut(&mut self) -> &mut Engine {
        &mut self.keeper.state.engine
    }

    /// The connections that have a session: at a start, those that go on if their streams are still there. The host
    /// [connects](Self::connect) these again and [disconnects](Self::disconnect) the others.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.slots.keys().map(|id| ConnectionId(*id))
    }

    /// Takes the connections, other than the one that was served, for which there is new output.
    pub fn take_touched(&mut self, into: &mut Vec<ConnectionId>) {
        self.touched.sort_unstable();
        self.touched.dedup();
        into.append(&mut self.touched);
    }

    /// Takes what the host has to do for domains, in order.
    pub fn take_domain_actions(&mut self, into: &mut Vec<DomainAction>) {
        into.append(&mut self.domain_actions);
    }

    /// Takes what there is to report.
    pub fn take_reports(&mut self, into: &mut Vec<Report>) {
        self.keeper.take_reports(into);
        into.append(&mut self.reports);
        let mut mended = Vec::new();
        self.sessions.take_mended(&mut mended);
        let owner =
            |slot| self.slots.iter().find(|(_, owned)| **owned == slot).map(|(id, _)| ConnectionId(*id));
        into.extend(
            mended.into_iter().filter_map(owner).map(|connection| Report::SessionMended { connection }),
        );
    }

    /// Takes the replicas that have something to read. Waking them can wait: what they have to read stays.
    pub fn take_wakes(&mut self, mut wake: impl FnMut(usize)) {
        for (replica, link) in self.links.iter_mut().enumerate() {
            if core::mem::take(&mut link.news) {
                wake(replica);
            }
        }
    }
}
