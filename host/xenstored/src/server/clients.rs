//! Clients: how they come, have their turns and go.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use replica::master::Master;
use replica::session::SessionError;
use tracing::{debug, warn};
use xen_abi::Domid;
use xen_abi::xs_wire::ConnectionError;
use xenstore::{ConnectionId, Peer};

use super::events::{Happening, Source};
use super::{BUDGET, Client, Home, Server};
use crate::socket;
use crate::state::Memory;
use crate::stream::{ClientStream, StreamError};
use crate::supervisor::News;

impl Server {
    /// Begins to serve a socket.
    pub(super) fn admit(&mut self, number: u32, client: OwnedFd) {
        let id = ConnectionId(number);
        if self.forgotten == Some(number) {
            return;
        }
        if matches!(self.home, Home::Alone { .. })
            && let Err(error) = socket::prepare(client.as_fd())
        {
            return warn!("a client is turned away: {error}");
        }
        let stream = match self.sockets.serve(number, client) {
            Ok(stream) => stream,
            Err(error) => {
                self.tell(&News::Closed(number));
                return warn!("a client is turned away: {error}");
            }
        };
        if let Err(error) = self.events.add(Source::Client(id), stream.as_fd()) {
            warn!("a client is turned away: {error}");
            stream.close();
            return self.tell(&News::Closed(number));
        }
        self.clients.insert(id, Client::new(ClientStream::socket(stream)));
        if self.settled {
            self.begin(id);
        }
    }

    /// Begins or goes on with the session of a socket's client.
    pub(super) fn begin(&mut self, id: ConnectionId) {
        let Some(client) = self.clients.get(&id) else { return };
        match self.master.connect(id, Peer::Socket { read_only: false }, &client.stream) {
            // What was there before it was waited for shows no edge.
            Ok(_) => self.queue(id, true),
            Err(error) => {
                warn!("client {} is turned away: {error:?}", id.0);
                self.close(id);
            }
        }
    }

    /// Gives a client a turn in the next round, if it does not have one already.
    pub(super) fn queue(&mut self, id: ConnectionId, readable: bool) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.readable |= readable;
            if !client.queued {
                client.queued = true;
                self.turns.push_back(id);
            }
        }
    }

    /// A client's socket has something, or has room again.
    pub(super) fn client_has(&mut self, id: ConnectionId, happening: &Happening) {
        if happening.closed
            && let Some(client) = self.clients.get_mut(&id)
        {
            client.closing = true;
        }
        if happening.writable {
            self.deliver(id);
        }
        if happening.readable || happening.closed || happening.writable {
            self.queue(id, happening.readable || happening.closed);
        }
    }

    /// A client's turn.
    pub(super) fn turn(&mut self, id: ConnectionId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.queued = false;
        if client.ignored {
            return;
        }
        match client.take_turn(&mut self.master, id) {
            Ok(Turn::Again) => {
                self.queue(id, false);
                self.notify(id);
            }
            Ok(Turn::Done { waits_for_room }) => {
                self.set_waiting(id, waits_for_room);
                self.notify(id);
            }
            Ok(Turn::Closed) => self.close(id),
            Err(lost) => self.give_up(id, &lost),
        }
    }

    /// Sends what waits for a client.
    pub(super) fn deliver(&mut self, id: ConnectionId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        match self.master.deliver(id, &mut client.stream) {
            Ok(all_gone) => {
                let had_waited = client.waits_for_room;
                self.set_waiting(id, !all_gone);
                // Its requests may have been held back until now.
                if had_waited && all_gone {
                    self.queue(id, false);
                }
                self.notify(id);
            }
            Err(lost) => self.give_up(id, &lost),
        }
    }

    /// Waits for room in a client's socket, or no longer. A ring's event channel needs no asking.
    fn set_waiting(&mut self, id: ConnectionId, wait: bool) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let changes = client.waits_for_room != wait;
        client.waits_for_room = wait;
        client.stuck_since = wait.then(|| client.stuck_since.unwrap_or_else(Instant::now));
        if changes
            && let Some(socket) = client.stream.as_socket()
            && let Err(error) = self.events.wait_for_room(id, socket.as_fd(), wait)
        {
            self.give_up(id, &Lost::Stream(StreamError::Io(error)));
        }
    }

    /// Sends the answers that were held back until what they tell of was done.
    pub(super) fn let_go(&mut self, id: ConnectionId) {
        if self.clients.get_mut(&id).is_some_and(|client| client.stream.let_go()) {
            self.deliver(id);
        }
    }

    /// Gives up the domains that do not take what waits for them: their share of memory is needed for others. A program
    /// on a socket may take its time.
    pub(super) fn give_up_the_stuck(&mut self, now: Instant) {
        let Some(patience) = self.patience else { return };
        let is_stuck = |client: &Client| {
            let since = client.stuck_since.filter(|_| !client.ignored && client.stream.interface().is_some());
            since.is_some_and(|since| now.duration_since(since) > patience)
        };
        let stuck = self
            .clients
            .iter()
            .filter(|(id, client)| **id != ConnectionId::of_domain(Domid(0)) && is_stuck(client));
        let stuck: Vec<ConnectionId> = stuck.map(|(id, _)| *id).collect();
        for id in stuck {
            self.give_up(id, &Lost::Stream(StreamError::NotTaken(patience)));
        }
    }

    /// Ends a connection that cannot go on. A domain is told so in its page, and ignored from then on.
    pub(super) fn give_up(&mut self, id: ConnectionId, lost: &Lost) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if let Some(interface) = client.stream.interface() {
            warn!("domain {} is ignored from now on: {lost:?}", id.0 & 0xffff);
            let error = match lost {
                Lost::Stream(StreamError::Ring(_)) | Lost::Input { .. } | Lost::Output { .. } => {
                    ConnectionError::RingIndexes
                }
                Lost::NoMessage => ConnectionError::Protocol,
                Lost::Stream(_) | Lost::Damaged => ConnectionError::Communication,
            };
            interface.fail(error);
            client.ignored = true;
            return;
        }
        debug!("client {} is closed: {lost:?}", id.0);
        self.close(id);
    }

    /// Ends the service of a socket.
    pub(super) fn close(&mut self, id: ConnectionId) {
        let Some(client) = self.clients.remove(&id) else { return };
        if !self.master.disconnect(id) {
            self.leaving.push(id);
        }
        if let Some(socket) = client.stream.into_socket() {
            socket.close();
            self.tell(&News::Closed(id.0));
        }
    }
}

/// Why a client cannot be served any further.
pub(super) type Lost = SessionError<StreamError>;

/// What became of a client's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// There is more to do for it.
    Again,
    /// There is nothing to do until something happens.
    Done {
        /// Its room is part of that.
        waits_for_room: bool,
    },
    /// It has hung up, and everything is answered.
    Closed,
}

impl Client {
    fn take_turn(&mut self, master: &mut Master<Memory>, id: ConnectionId) -> Result<Turn, Lost> {
        if self.readable
            && let Some(socket) = self.stream.as_socket()
        {
            // When it has hung up there is no other edge to come: it is received from until there is nothing.
            self.readable = socket.receive().map_err(|error| Lost::Stream(error.into()))?
                || (self.closing && !socket.has_ended());
        }
        let served = master.serve(id, &mut self.stream, BUDGET)?;
        if served.waits_for_room {
            return Ok(Turn::Done { waits_for_room: true });
        }
        if served.more || self.readable || self.stream.is_held() {
            return Ok(Turn::Again);
        }
        let ended = self.stream.as_socket().is_some_and(|socket| socket.has_ended());
        Ok(if ended { Turn::Closed } else { Turn::Done { waits_for_room: false } })
    }

    pub(super) fn new(stream: ClientStream) -> Self {
        Self {
            stream,
            port: None,
            queued: false,
            readable: false,
            closing: false,
            waits_for_room: false,
            stuck_since: None,
            ignored: false,
        }
    }
}
