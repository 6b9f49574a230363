//! A domain's own end of its connection to XenStore: requests into the ring, replies and watch events out of it.
//!
//! ```text
//!   request --> [ still to be written ] --> ring --> server
//!   reply, event <-- [ not whole yet ] <--- ring <-- server
//! ```
//!
//! Nothing here waits: whoever uses it waits for the ring's event channel, and calls [`Client::step`] again. A message
//! may be larger than the ring; it goes through in parts.
//!
//! A client that begins anew, over a ring that its last life has left in the middle of something, asks the server to
//! [reset](Client::reset) it first. Its watches and transactions are then gone.

#![no_std]

extern crate alloc;

#[cfg(feature = "testing")]
pub mod testing;

use alloc::vec::Vec;
use core::fmt;
use ring::byte::Broken;
use ring::xenstore::Interface;
use xenstore::wire::{self, Decoded, Header, Kind, Message};

/// Why the connection cannot go on, until it is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionLost {
    /// The indexes of the ring contradict each other.
    Ring(Broken),
    /// What the server sends is no message.
    Message(wire::Broken),
}

impl fmt::Display for ConnectionLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ring(broken) => broken.fmt(f),
            Self::Message(broken) => broken.fmt(f),
        }
    }
}

impl core::error::Error for ConnectionLost {}

/// The client's end of a ring.
#[derive(Debug)]
pub struct Client<'a> {
    interface: Interface<'a>,
    /// What is still to be written into the ring.
    unsent: Vec<u8>,
    /// What was read out of it: whole messages, and perhaps a part of one.
    received: Vec<u8>,
    /// How much of that was given to the caller.
    taken: usize,
    last_request: u32,
}

impl<'a> Client<'a> {
    /// The client of a ring that is in use by nobody else on this side.
    pub const fn new(interface: Interface<'a>) -> Self {
        Self { interface, unsent: Vec::new(), received: Vec::new(), taken: 0, last_request: 0 }
    }

    /// Asks the server for a new beginning, after which [`is_connected`](Self::is_connected) answers true. What was under
    /// way is forgotten.
    pub fn reset(&mut self) {
        self.unsent.clear();
        self.received.clear();
        self.taken = 0;
        self.interface.ask_for_reset();
    }

    /// Whether the server serves this connection: it has done what a [reset](Self::reset) asked for.
    pub fn is_connected(&self) -> bool {
        self.interface.connection() == Some(ring::Connection::Connected)
    }

    /// Takes on a request, whose payload is these parts one after the other. Answers its number, which the reply has
    /// too.
    pub fn request(&mut self, kind: Kind, transaction: u32, payload: &[&[u8]]) -> u32 {
        self.last_request = self.last_request.wrapping_add(1);
        let length = payload.iter().map(|part| part.len()).sum::<usize>() as u32;
        let header = Header { kind: kind.number(), request: self.last_request, transaction, length };
        self.unsent.extend_from_slice(&header.encode());
        payload.iter().for_each(|part| self.unsent.extend_from_slice(part));
        self.last_request
    }

    /// Moves what can be moved in either direction. Answers whether the server has to be told.
    ///
    /// # Errors
    /// [`ConnectionLost`].
    pub fn step(&mut self) -> Result<bool, ConnectionLost> {
        let requests = self.interface.requests().writer();
        let count = self.unsent.len().min(requests.free().map_err(ConnectionLost::Ring)? as usize);
        if count > 0 {
            let position = requests.position();
            requests.write(position, &self.unsent[..count]);
            requests.publish(position.wrapping_add(count as u32));
            self.unsent.drain(..count);
        }
        let responses = self.interface.responses().reader();
        let available = responses.available().map_err(ConnectionLost::Ring)? as usize;
        if available > 0 {
            self.received.drain(..self.taken);
            self.taken = 0;
            let start = self.received.len();
            self.received.resize(start + available, 0);
            responses.peek(responses.position(), &mut self.received[start..]);
            responses.consume_to(responses.position().wrapping_add(available as u32));
        }
        Ok(count + available > 0)
    }

    /// The next reply or watch event that has arrived whole.
    ///
    /// # Errors
    /// [`ConnectionLost`].
    pub fn receive(&mut self) -> Result<Option<Message<'_>>, ConnectionLost> {
        match wire::decode(&self.received[self.taken..]) {
            Decoded::Message(message) => {
                self.taken += message.size();
                Ok(Some(message))
            }
            Decoded::NeedMore(_) => Ok(None),
            Decoded::Broken(broken) => Err(ConnectionLost::Message(broken)),
        }
    }
}
