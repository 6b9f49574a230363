//! Requests: what each of them asks, checks, does and answers.

mod control;
mod directory;
mod domain;
mod permissions;
mod read;
mod remove;
mod replace;
mod transaction;
mod watch;
mod write;

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::connection::{ConnectionId, Identity};
use crate::damage::Damage;
use crate::effects::Effects;
use crate::engine::Engine;
use crate::transaction::Transaction;
use crate::wire::{Errno, Header, Kind};

/// Why a request did not succeed.
pub(crate) enum Failure {
    /// The client is told.
    Errno(Errno),
    /// The host is told; the request can be tried again.
    Damage(Box<Damage>),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Damage> for Failure {
    fn from(damage: Damage) -> Self {
        Self::Damage(Box::new(damage))
    }
}

/// A request on its way.
pub(crate) struct Request<'a> {
    pub connection: ConnectionId,
    pub identity: Identity,
    pub header: Header,
    pub payload: &'a [u8],
    /// The transaction that it belongs to.
    pub transaction: Option<Transaction>,
    pub effects: &'a mut Effects,
}

impl Request<'_> {
    /// What is asked, if this connection may ask for it at all.
    pub(crate) fn admit(&self) -> Result<Kind, Errno> {
        let kind = Kind::from_number(self.header.kind).ok_or(Errno::NotImplemented)?;
        if matches!(kind, Kind::WatchEvent | Kind::Error) {
            return Err(Errno::NotImplemented);
        }
        let permitted = self.identity.privileged && !self.identity.read_only;
        if kind.is_privileged() && !permitted { Err(Errno::Access) } else { Ok(kind) }
    }

    /// Answers with a payload that `write` writes.
    pub(crate) fn reply(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.effects.outputs.message(self.connection, self.header, write);
    }

    /// Answers that it is done.
    pub(crate) fn acknowledge(&mut self) {
        self.reply(|payload| payload.extend_from_slice(b"OK\0"));
    }

    /// Counts changes that may disturb other transactions; `open` is how many there are.
    pub(crate) fn disturb(&mut self, changes: u32, open: usize) {
        if open > 0 {
            self.effects.disturbances += changes;
        }
    }
}

impl Engine {
    pub(crate) fn dispatch(&mut self, kind: Kind, request: &mut Request<'_>) -> Result<(), Failure> {
        match kind {
            Kind::Control => self.control(request),
            Kind::Directory => self.directory(request),
            Kind::DirectoryPart => self.directory_part(request),
            Kind::Read => self.read(request),
            Kind::GetPerms => self.get_permissions(request),
            Kind::SetPerms => self.set_permissions(request),
            Kind::Watch => self.watch(request),
            Kind::Unwatch => self.unwatch(request),
            Kind::ResetWatches => self.reset_watches(request),
            Kind::TransactionStart => self.transaction_start(request),
            Kind::TransactionEnd => self.transaction_end(request),
            Kind::Write => self.write(request),
            Kind::Mkdir => self.mkdir(request),
            Kind::Rm => self.remove(request),
            Kind::Introduce => self.introduce_request(request),
            Kind::Release => self.release_request(request),
            Kind::Resume => self.resume(request),
            Kind::SetTarget => self.set_target(request),
            Kind::GetDomainPath => self.get_domain_path(request),
            Kind::IsDomainIntroduced => self.is_domain_introduced(request),
            Kind::WatchEvent | Kind::Error => Err(Errno::NotImplemented.into()),
        }
    }
}
