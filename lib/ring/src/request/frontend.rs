//! The end that asks: for tests and simulations, and for a uk that is itself a guest of another's devices.

use super::{Overrun, Protocol, Ring, produced, publish};
use core::fmt;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{Ordering::SeqCst, fence};

/// All slots hold requests that have not been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// How many slots there are.
    pub slots: u32,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all {} slots of the ring are in use", self.slots)
    }
}

impl core::error::Error for Full {}

/// A frontend's end of a ring.
#[derive(Debug)]
pub struct Frontend<'a, P> {
    ring: Ring<'a, P>,
    asked: u32,
    published: u32,
    consumed: u32,
    /// How far the backend is known to be.
    seen: u32,
}

impl<'a, P: Protocol> Frontend<'a, P> {
    /// Makes the ring: empty, with both sides wanting an event for the first thing that comes.
    pub fn new(ring: Ring<'a, P>) -> Self {
        Self::starting_at(ring, 0)
    }

    /// Makes the ring, with indexes that begin at `start`.
    pub fn starting_at(ring: Ring<'a, P>, start: u32) -> Self {
        ring.req_prod().store(start, Relaxed);
        ring.rsp_prod().store(start, Relaxed);
        ring.req_event().store(start.wrapping_add(1), Relaxed);
        ring.rsp_event().store(start.wrapping_add(1), Relaxed);
        Self { ring, asked: start, published: start, consumed: start, seen: start }
    }

    /// How many more requests there is room for.
    pub const fn free(&self) -> u32 {
        self.ring.slots - self.asked.wrapping_sub(self.consumed)
    }

    /// Writes a request, which the backend does not see before it is published.
    ///
    /// # Errors
    /// [`Full`].
    pub fn ask(&mut self, request: &P::Request) -> Result<(), Full> {
        if self.free() == 0 {
            return Err(Full { slots: self.ring.slots });
        }
        self.ring.store(self.asked, request);
        self.asked = self.asked.wrapping_add(1);
        Ok(())
    }

    /// Shows the backend all requests, and says whether it wants an event for them.
    pub fn publish(&mut self) -> bool {
        let old = core::mem::replace(&mut self.published, self.asked);
        publish(self.ring.req_prod(), self.ring.req_event(), old, self.published)
    }

    /// How many responses wait to be taken.
    ///
    /// # Errors
    /// [`Overrun`].
    pub fn waiting(&mut self) -> Result<u32, Overrun> {
        self.seen = produced(self.ring.rsp_prod(), self.consumed, self.published)?;
        Ok(self.seen.wrapping_sub(self.consumed))
    }

    /// Takes the next response, if there is one.
    ///
    /// # Errors
    /// [`Overrun`].
    pub fn take(&mut self) -> Result<Option<P::Response>, Overrun> {
        if self.seen == self.consumed && self.waiting()? == 0 {
            return Ok(None);
        }
        let response = self.ring.load(self.consumed);
        self.consumed = self.consumed.wrapping_add(1);
        Ok(Some(response))
    }

    /// Says whether responses wait. If none does, the backend will send an event for the next one.
    ///
    /// # Errors
    /// [`Overrun`].
    pub fn final_check(&mut self) -> Result<bool, Overrun> {
        if self.waiting()? > 0 {
            return Ok(true);
        }
        self.ring.rsp_event().store(self.consumed.wrapping_add(1), Relaxed);
        fence(SeqCst);
        Ok(self.waiting()? > 0)
    }
}
