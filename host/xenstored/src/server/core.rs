//! One engine and the connections that it answers, without replicas.

use std::collections::HashMap;
use std::fmt;

use replica::session::Stream;
use xen_abi::Domid;
use xenstore::wire::{self, Decoded};
use xenstore::{Config, ConnectionId, DomainAction, Effects, Engine, Peer};

use crate::stream::{ClientStream, StreamError};

/// Answers that may wait for a client before no more of its requests are begun.
const OUT_ENOUGH: usize = 64 << 10;
/// Answers and events that may wait for a client before it is given up: it does not read.
const OUT_MOST: usize = 8 << 20;
/// Bytes of requests that are taken out of a stream at once.
const IN_ENOUGH: usize = 16 << 10;

/// Why a connection is given up.
#[derive(Debug)]
pub enum Lost {
    /// Its stream is broken.
    Stream(StreamError),
    /// It has sent what is no message.
    NoMessage(wire::Broken),
    /// It does not read what it is sent.
    DoesNotRead,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => error.fmt(f),
            Self::NoMessage(broken) => broken.fmt(f),
            Self::DoesNotRead => write!(f, "{OUT_MOST} bytes wait that it does not read"),
        }
    }
}

impl From<StreamError> for Lost {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

/// What became of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// There are more requests, which wait for the next turn.
    pub more: bool,
    /// The client has to take some answers first.
    pub waits_for_room: bool,
}

#[derive(Debug, Default)]
struct Connection {
    input: Vec<u8>,
    output: Vec<u8>,
    touched: bool,
}

/// The engine, and what waits for its clients.
#[derive(Debug)]
pub struct Core {
    engine: Engine,
    effects: Effects,
    connections: HashMap<ConnectionId, Connection>,
    touched: Vec<ConnectionId>,
}

impl Core {
    /// A new store.
    pub fn new(config: Config) -> Self {
        Self {
            engine: Engine::new(config),
            effects: Effects::new(),
            connections: HashMap::new(),
            touched: Vec::new(),
        }
    }

    /// Somebody has connected.
    pub fn connect(&mut self, id: ConnectionId, peer: Peer) {
        self.engine.connect(id, peer, &mut self.effects);
        self.connections.insert(id, Connection::default());
        self.settle(None);
    }

    /// A connection is gone.
    pub fn disconnect(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
        self.engine.disconnect(id, &mut self.effects);
        self.settle(None);
    }

    /// A domain has shut down.
    pub fn domain_shutdown(&mut self, domid: Domid) {
        if let Err(damage) = self.engine.domain_shutdown(domid, &mut self.effects) {
            tracing::error!("domain {} has shut down, which cannot be told: {damage}", domid.0);
        }
        self.settle(None);
    }

    /// A domain is gone.
    pub fn domain_died(&mut self, domid: Domid) {
        if let Err(damage) = self.engine.domain_died(domid, &mut self.effects) {
            tracing::error!("domain {} is gone, which cannot be told: {damage}", domid.0);
        }
        self.settle(None);
    }

    /// Answers at most `budget` requests of one connection, then sends what there is, in one write.
    ///
    /// # Errors
    /// The connection is to be given up.
    pub fn serve(
        &mut self,
        id: ConnectionId,
        stream: &mut ClientStream,
        budget: usize,
    ) -> Result<Served, Lost> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Ok(Served { more: false, waits_for_room: false });
        };
        let mut input = std::mem::take(&mut connection.input);
        take_input(stream, &mut input)?;
        let (mut done, mut at, mut broken) = (0, 0, None);
        let mut more = false;
        while self.connections.get(&id).is_some_and(|connection| connection.output.len() < OUT_ENOUGH) {
            match wire::decode(&input[at..]) {
                Decoded::NeedMore(_) => break,
                Decoded::Broken(error) => {
                    broken = Some(error);
                    break;
                }
                Decoded::Message(_) if done == budget => {
                    more = true;
                    break;
                }
                Decoded::Message(message) => {
                    if let Some(damage) = self.engine.handle_damaged(id, &message, &mut self.effects) {
                        tracing::error!(
                            "{damage}; no good copy exists, so that it is answered with an error"
                        );
                    }
                    at += message.size();
                    done += 1;
                    self.settle(Some(id));
                }
            }
        }
        input.drain(..at);
        let all_gone = self.deliver(id, stream)?;
        if let Some(broken) = broken {
            return Err(Lost::NoMessage(broken));
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.input = input;
        }
        let more = more || stream.available()? > 0;
        Ok(Served { more, waits_for_room: !all_gone })
    }

    /// Sends what waits for a client, as far as there is room. Answers whether all is gone.
    ///
    /// # Errors
    /// The connection is to be given up.
    pub fn deliver(&mut self, id: ConnectionId, stream: &mut ClientStream) -> Result<bool, Lost> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(true) };
        connection.touched = false;
        let mut sent = 0;
        while sent < connection.output.len() {
            match stream.produce(&connection.output[sent..])? {
                0 => break,
                length => sent += length,
            }
        }
        connection.output.drain(..sent);
        if connection.output.len() > OUT_MOST {
            Err(Lost::DoesNotRead)
        } else {
            Ok(connection.output.is_empty())
        }
    }

    /// Other connections that have got something since the last call.
    pub fn take_touched(&mut self, into: &mut Vec<ConnectionId>) {
        into.append(&mut self.touched);
    }

    /// What is to be done for domains, in order.
    pub fn take_domain_actions(&mut self, into: &mut Vec<DomainAction>) {
        into.append(&mut self.effects.domains);
    }

    /// Puts what the engine has said where it belongs; `serving` will be delivered to in any case.
    fn settle(&mut self, serving: Option<ConnectionId>) {
        for (to, message) in self.effects.outputs.iter() {
            let Some(connection) = self.connections.get_mut(&to) else { continue };
            connection.output.extend_from_slice(message);
            if Some(to) != serving && !connection.touched {
                connection.touched = true;
                self.touched.push(to);
            }
        }
        self.effects.outputs.clear();
        self.effects.items.clear();
    }
}

/// Takes what has arrived.
fn take_input(stream: &mut ClientStream, input: &mut Vec<u8>) -> Result<(), StreamError> {
    let wanted = stream.available()?.min(IN_ENOUGH.saturating_sub(input.len()));
    if wanted > 0 {
        let seen = stream.peek(0, wanted)?;
        input.extend_from_slice(seen);
        let position = stream.consumed()?.wrapping_add(wanted as u32);
        stream.consume_to(position)?;
    }
    Ok(())
}
