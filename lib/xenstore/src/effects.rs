//! What a request did: to the replicated state, to clients, and what the host has to do.

use alloc::vec::Vec;

use xen_abi::Domid;

use crate::ConnectionId;
use crate::item::Items;
use crate::wire::{Errno, Header, Kind, PAYLOAD_MAX};

/// What requests did. The engine adds to it; the host empties it, and its memory is used again.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// What changed in the replicated state; nothing after a request that only reads.
    pub items: Items,
    /// What to send, in this order.
    pub outputs: Outputs,
    /// What the host has to do for domains, in this order.
    pub domains: Vec<DomainAction>,
    /// Changes that may force other clients' transactions to start again: what a rate limit counts.
    pub disturbances: u32,
}

/// Something that the host has to do for a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainAction {
    /// Serve this domain's ring from now on, from an empty ring: [`ConnectionId::of_domain`] is its connection.
    Connect {
        /// The domain.
        domid: Domid,
        /// The frame of its ring, as the request said; grant entry 1 leads to it as well.
        gfn: u64,
        /// The port to bind to.
        port: u32,
    },
    /// The domain is served already: bind to this port instead, forget what is under way, reset the ring's counters.
    Reconnect {
        /// The domain.
        domid: Domid,
        /// The port to bind to.
        port: u32,
    },
    /// Stop serving this domain: unmap its ring, unbind its port, drop what is under way.
    Disconnect {
        /// The domain.
        domid: Domid,
    },
    /// Turn the log of requests on or off (CONTROL's `log`).
    Log {
        /// Whether it is to be on.
        on: bool,
    },
}

/// Where effects stood before a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    items: usize,
    bytes: usize,
    messages: usize,
    domains: usize,
    disturbances: u32,
}

impl Effects {
    /// No effects.
    pub const fn new() -> Self {
        Self { items: Items::new(), outputs: Outputs::new(), domains: Vec::new(), disturbances: 0 }
    }

    /// Forgets everything, not the memory.
    pub fn clear(&mut self) {
        self.items.clear();
        self.outputs.clear();
        self.domains.clear();
        self.disturbances = 0;
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            items: self.items.as_bytes().len(),
            bytes: self.outputs.bytes.len(),
            messages: self.outputs.ends.len(),
            domains: self.domains.len(),
            disturbances: self.disturbances,
        }
    }

    /// Drops the messages to a connection that were added since.
    pub(crate) fn forget_outputs_to(&mut self, connection: ConnectionId, mark: Mark) {
        let added: Vec<(ConnectionId, Vec<u8>)> = (self.outputs.iter().skip(mark.messages))
            .filter(|(to, _)| *to != connection)
            .map(|(to, message)| (to, message.to_vec()))
            .collect();
        self.outputs.bytes.truncate(mark.bytes);
        self.outputs.ends.truncate(mark.messages);
        for (to, message) in added {
            self.outputs.bytes.extend_from_slice(&message);
            self.outputs.ends.push((to, self.outputs.bytes.len()));
        }
    }

    pub(crate) fn back_to(&mut self, mark: Mark) {
        self.items.truncate(mark.items);
        self.outputs.bytes.truncate(mark.bytes);
        self.outputs.ends.truncate(mark.messages);
        self.domains.truncate(mark.domains);
        self.disturbances = mark.disturbances;
    }
}

/// Whole messages to clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    bytes: Vec<u8>,
    ends: Vec<(ConnectionId, usize)>,
}

impl Outputs {
    /// No messages.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), ends: Vec::new() }
    }

    /// Forgets all messages, not the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Each message, and to whom it goes.
    pub fn iter(&self) -> impl Iterator<Item = (ConnectionId, &[u8])> {
        let starts = core::iter::once(0).chain(self.ends.iter().map(|&(_, end)| end));
        self.ends.iter().zip(starts).map(|(&(connection, end), start)| (connection, &self.bytes[start..end]))
    }

    /// Begins a message whose payload is then written by `write`. One that grows too large becomes E2BIG, as in C.
    pub(crate) fn message(
        &mut self,
        connection: ConnectionId,
        answered: Header,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; Header::SIZE]);
        write(&mut self.bytes);
        let length = self.bytes.len() - start - Header::SIZE;
        if length > PAYLOAD_MAX {
            self.bytes.truncate(start);
            return self.error(connection, answered, Errno::TooBig);
        }
        let header = Header { length: length as u32, ..answered };
        self.bytes[start..start + Header::SIZE].copy_from_slice(&header.encode());
        self.ends.push((connection, self.bytes.len()));
    }

    pub(crate) fn error(&mut self, connection: ConnectionId, answered: Header, errno: Errno) {
        self.message(connection, Header { kind: Kind::Error.number(), ..answered }, |payload| {
            payload.extend_from_slice(errno.name().as_bytes());
            payload.push(0);
        });
    }

    /// Adds a watch event; one that is longer than a message may be is dropped, as in C.
    pub(crate) fn event(&mut self, connection: ConnectionId, path: &[u8], token: &[u8]) {
        if path.len() + token.len() + 2 > PAYLOAD_MAX {
            return;
        }
        let header = Header { kind: Kind::WatchEvent.number(), ..Header::default() };
        self.message(connection, header, |payload| {
            payload.extend_from_slice(path);
            payload.push(0);
            payload.extend_from_slice(token);
            payload.push(0);
        });
    }
}
