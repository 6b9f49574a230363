//! Clients: connecting them, serving their requests, handing them what is theirs.

use super::step::{NotMade, Origin};
use super::{ConnectError, Connected, Master};
use crate::report::Report;
use crate::session::{Next, SessionError, Stream};
use uk_abi::Words;
use xenstore::wire::{self, Decoded, Errno, Header, Kind, MESSAGE_MAX};
use xenstore::{ConnectionId, Peer};

/// What [`Master::serve`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// Requests that were answered.
    pub requests: usize,
    /// Whether there may be more to do at once.
    pub more: bool,
    /// Whether the client has to take output before it can be served any further.
    pub waits_for_room: bool,
}

/// What has become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    /// Its answer is queued, and the session says so.
    Committed,
    /// Its answer is queued; the session is to be committed before anybody hears of it.
    Uncommitted,
    /// Nothing: it is to be tried again.
    Not,
}

impl<W: Words> Master<W> {
    /// Somebody is there, with a stream. If it was there before the service started anew, its session goes on.
    ///
    /// A domain's ring is introduced by a request, or by [`with_engine`](Self::with_engine); this comes when the host
    /// carries the action out, and begins the session.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect<S: Stream>(
        &mut self,
        id: ConnectionId,
        peer: Peer,
        stream: &S,
    ) -> Result<Connected, ConnectError<S::Error>> {
        if !self.is_serving() {
            return Err(ConnectError::NotServing);
        }
        let known = self.engine().is_connected(id);
        if known && self.slots.contains_key(&id.0) {
            return Ok(Connected::Resumed);
        }
        let sessions = self.sessions.capacity();
        let slot = self.sessions.free_slot().ok_or(ConnectError::NoSession { sessions })?;
        let forget = (!self.keeper.state.deferred.is_empty(id.0)).then_some(id);
        if !known || forget.is_some() {
            let step = self.internal_step(
                |engine, effects| {
                    if !known {
                        engine.connect(id, peer, effects);
                    }
                    Ok(())
                },
                forget,
            );
            step.map_err(|_| ConnectError::Refused)?;
        }
        self.sessions.begin(slot, id.0, self.keeper.stamp(), stream).map_err(ConnectError::Stream)?;
        self.slots.insert(id.0, slot);
        Ok(Connected::New)
    }

    /// Somebody is gone. Returns whether that was recorded; if not (the vault is full), ask again later.
    pub fn disconnect(&mut self, id: ConnectionId) -> bool {
        let step = self.internal_step(
            |engine, effects| {
                engine.disconnect(id, effects);
                Ok(())
            },
            Some(id),
        );
        step.is_ok()
    }

    /// Answers up to `budget` requests of one client, then hands over the answers and consumes the requests.
    ///
    /// Requests that only read are made known to the session together: after a crash in between they are executed
    /// again, and nobody has seen their answers yet.
    ///
    /// # Errors
    /// The client cannot be served any further. The host closes its stream and [disconnects](Self::disconnect) it.
    pub fn serve<S: Stream>(
        &mut self,
        id: ConnectionId,
        stream: &mut S,
        budget: usize,
    ) -> Result<Served, SessionError<S::Error>> {
        let mut served = Served { requests: 0, more: false, waits_for_room: false };
        let Some(slot) = self.slots.get(&id.0).copied().filter(|_| self.is_serving()) else {
            return Ok(served);
        };
        let (mut uncommitted, mut all_read) = (false, false);
        while served.requests < budget {
            if !self.has_room(id, slot) {
                if uncommitted {
                    self.sessions.commit(slot);
                    uncommitted = false;
                }
                self.deliver(id, stream)?;
                if !self.has_room(id, slot) {
                    served.waits_for_room = true;
                    break;
                }
            }
            let mut message = core::mem::take(&mut self.message);
            let found = self.sessions.next_message(slot, stream, &mut message);
            if let Ok(Next::Message) = found {
                let origin = Origin { connection: id, slot, bytes: message.len() };
                match self.answer(&message, origin, uncommitted) {
                    Answered::Committed => uncommitted = false,
                    Answered::Uncommitted => uncommitted = true,
                    Answered::Not => {
                        self.message = message;
                        break;
                    }
                }
                served.requests += 1;
            }
            self.message = message;
            match found {
                Ok(Next::Message) => {}
                Ok(Next::Nothing) => {
                    all_read = true;
                    break;
                }
                Err(error) => {
                    if uncommitted {
                        self.sessions.commit(slot);
                    }
                    return Err(error);
                }
            }
            if !self.slots.contains_key(&id.0) {
                // The request has ended the session.
                self.clean();
                return Ok(served);
            }
        }
        if uncommitted {
            self.sessions.commit(slot);
        }
        self.deliver(id, stream)?;
        self.sessions.consume(slot, stream)?;
        // What the client has written since the last look it need not have told of: it had not seen that everything is consumed.
        let is_unheard = all_read && self.sessions.has_input(slot, stream)?;
        served.more = is_unheard || served.requests == budget && !served.waits_for_room;
        self.clean();
        Ok(served)
    }

    /// Whether the largest answer can be queued.
    fn has_room(&self, id: ConnectionId, slot: usize) -> bool {
        self.keeper.state.deferred.is_empty(id.0) && self.sessions.room(slot) >= MESSAGE_MAX
    }

    /// Answers one request.
    fn answer(&mut self, message: &[u8], origin: Origin, uncommitted: bool) -> Answered {
        let Decoded::Message(request) = wire::decode(message) else { return Answered::Not };
        if !only_reads(&request) {
            // A record is to speak of one request alone.
            if uncommitted {
                self.sessions.commit(origin.slot);
            }
            let is_full = self.keeper.is_full();
            if is_full && grows(&request) {
                if !core::mem::replace(&mut self.is_full, true) {
                    self.reports.push(Report::VaultFull { room: self.keeper.room() });
                }
                self.refuse(&request.header, Errno::Space, origin);
                return Answered::Uncommitted;
            }
            self.is_full &= is_full;
        }
        let stamp = self.keeper.stamp();
        let connection = origin.connection;
        let done = self.execute(&mut |engine, effects| engine.handle(connection, &request, effects));
        let done = done.and_then(|()| self.finish(Some(origin), None));
        match done {
            Ok(()) => {}
            Err(NotMade::Full) => self.refuse(&request.header, Errno::Space, origin),
            Err(NotMade::Damaged) => self.refuse(&request.header, Errno::Io, origin),
            Err(NotMade::Waiting) => {
                self.sessions.commit(origin.slot);
                return Answered::Not;
            }
        }
        if stamp == self.keeper.stamp() { Answered::Uncommitted } else { Answered::Committed }
    }

    /// Answers with an error of the service, not of the store.
    fn refuse(&mut self, header: &Header, errno: Errno, origin: Origin) {
        let name = errno.name().as_bytes();
        let header = Header { kind: Kind::Error.number(), length: name.len() as u32 + 1, ..*header };
        let message = [&header.encode()[..], name, b"\0"].concat();
        self.sessions.queue(origin.slot, &message);
        self.sessions.applied(origin.slot, origin.bytes);
    }

    /// Hands over what waits for a client, as much as its stream takes. Returns whether all is gone.
    ///
    /// # Errors
    /// The client cannot be served any further.
    pub fn deliver<S: Stream>(
        &mut self,
        id: ConnectionId,
        stream: &mut S,
    ) -> Result<bool, SessionError<S::Error>> {
        let Some(slot) = self.slots.get(&id.0).copied() else { return Ok(true) };
        loop {
            let drained = self.sessions.deliver(slot, stream)?;
            if !self.take_deferred(id, slot) {
                return Ok(drained);
            }
        }
    }

    /// Moves deferred messages into the session, as many as there is room for. Returns whether there were any.
    fn take_deferred(&mut self, id: ConnectionId, slot: usize) -> bool {
        let mut moved = false;
        while let Some(message) = self.keeper.state.deferred.front(id.0) {
            if self.sessions.room(slot) < message.len() {
                break;
            }
            self.sessions.queue(slot, message);
            self.sessions.took_deferred(slot);
            self.keeper.state.deferred.drop_taken(id.0, self.sessions.taken(slot));
            moved = true;
        }
        if moved {
            self.sessions.commit(slot);
            self.taken.push(id.0);
        }
        moved
    }
}

/// Whether a request can have no effect that has to be recorded.
fn only_reads(request: &wire::Message<'_>) -> bool {
    match request.kind() {
        Some(Kind::TransactionStart | Kind::TransactionEnd) => false,
        Some(Kind::Read | Kind::Directory | Kind::DirectoryPart | Kind::GetPerms) => true,
        Some(Kind::GetDomainPath | Kind::IsDomainIntroduced) => true,
        _ => false,
    }
}

/// Whether a request can make the state larger.
fn grows(request: &wire::Message<'_>) -> bool {
    !matches!(
        request.kind(),
        Some(Kind::Rm | Kind::Unwatch | Kind::ResetWatches | Kind::Release) | Some(Kind::Control)
    )
}
