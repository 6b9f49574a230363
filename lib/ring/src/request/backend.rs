//! The end that takes requests and answers them.

use super::{Overrun, Protocol, Ring, produced, publish};
use core::fmt;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::fence;

/// How far a backend is. It has taken and not answered `consumed - answered` requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// How many requests it has taken, modulo 2^32.
    pub consumed: u32,
    /// How many it has answered, modulo 2^32.
    pub answered: u32,
}

/// A response without a request that it could answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unasked {
    /// How far the backend is.
    pub position: Position,
}

impl fmt::Display for Unasked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { consumed, answered } = self.position;
        write!(f, "{consumed} requests taken and {answered} answered: there is none to answer")
    }
}

impl core::error::Error for Unasked {}

/// A backend's end of a ring.
#[derive(Debug)]
pub struct Backend<'a, P> {
    ring: Ring<'a, P>,
    position: Position,
    /// How far the frontend is known to be.
    seen: u32,
    /// How many responses the frontend has been shown.
    published: u32,
}

impl<'a, P: Protocol> Backend<'a, P> {
    /// The backend of a ring that the frontend has just made, or that no backend has left anything open in: it begins where the
    /// responses end.
    ///
    /// # Errors
    /// [`Overrun`]: the frontend's index is out of reach from there.
    pub fn attach(ring: Ring<'a, P>) -> Result<Self, Overrun> {
        let start = ring.shown();
        Self::resume(ring, Position { consumed: start, answered: start })
    }

    /// The backend that goes on where an earlier one was. What had been answered by then may or may not have been published:
    /// the next [`publish`](Self::publish) settles that.
    ///
    /// # Errors
    /// [`Overrun`]: the frontend's index is out of reach from there, or the position is none that a backend can have.
    pub fn resume(ring: Ring<'a, P>, position: Position) -> Result<Self, Overrun> {
        let Position { consumed, answered } = position;
        let limit = answered.wrapping_add(ring.slots);
        if consumed.wrapping_sub(answered) > ring.slots {
            return Err(Overrun { found: consumed, consumed: answered, limit });
        }
        produced(ring.req_prod(), consumed, limit)?;
        Ok(Self { ring, position, seen: consumed, published: answered })
    }

    /// How far this backend is.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// How many slots the ring has.
    pub const fn slots(&self) -> u32 {
        self.ring.slots
    }

    /// How many requests have been taken and not been answered.
    pub const fn in_flight(&self) -> u32 {
        self.position.consumed.wrapping_sub(self.position.answered)
    }

    /// How many requests wait to be taken.
    ///
    /// # Errors
    /// [`Overrun`].
    pub fn waiting(&mut self) -> Result<u32, Overrun> {
        let Position { consumed, answered } = self.position;
        self.seen = produced(self.ring.req_prod(), consumed, answered.wrapping_add(self.ring.slots))?;
        Ok(self.seen.wrapping_sub(consumed))
    }

    /// Takes the next request, if there is one: copies it out, once. The frontend may write the slot at any moment, but not the
    /// copy. It is the request number `position().consumed - 1` then.
    ///
    /// # Errors
    /// [`Overrun`].
    pub fn take(&mut self) -> Result<Option<P::Request>, Overrun> {
        if self.seen == self.position.consumed && self.waiting()? == 0 {
            return Ok(None);
        }
        let request = self.ring.load(self.position.consumed);
        self.position.consumed = self.position.consumed.wrapping_add(1);
        Ok(Some(request))
    }

    /// Writes a response, which the frontend does not see before it is published. It is number `position().answered - 1` then.
    ///
    /// # Errors
    /// [`Unasked`]: everything taken has been answered.
    pub fn respond(&mut self, response: &P::Response) -> Result<(), Unasked> {
        if self.in_flight() == 0 {
            return Err(Unasked { position: self.position });
        }
        self.ring.store(self.position.answered, response);
        self.position.answered = self.position.answered.wrapping_add(1);
        Ok(())
    }

    /// Shows the frontend all responses, and says whether it wants an event for them.
    pub fn publish(&mut self) -> bool {
        let old = core::mem::replace(&mut self.published, self.position.answered);
        publish(self.ring.rsp_prod(), self.ring.rsp_event(), old, self.published)
    }

    /// Says whether requests wait. If none does, the frontend will send an event for the next one: whoever has seen `false` may
    /// sleep.
    ///
    /// # Errors
    /// [`Overrun`].
    pub fn final_check(&mut self) -> Result<bool, Overrun> {
        self.final_check_for(1)
    }

    /// The same, for the event to come when `count` requests wait. A frontend that waits for answers before it asks more than
    /// that never sends it: there must be another occasion to look.
    ///
    /// # Errors
    /// [`Overrun`].
    pub fn final_check_for(&mut self, count: u32) -> Result<bool, Overrun> {
        if self.waiting()? >= count {
            return Ok(true);
        }
        self.ring.req_event().store(self.position.consumed.wrapping_add(count), Relaxed);
        fence(SeqCst);
        Ok(self.waiting()? >= count)
    }
}
