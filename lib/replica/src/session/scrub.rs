//! Looking for damage in slots that nobody is using just now, and mending it.

use super::slot::{Half, Header};
use super::{Framing, Session, SessionError, Sessions};
use alloc::vec::Vec;
use uk_abi::Words;

impl<W: Words, F: Framing> Sessions<W, F> {
    /// Takes the slots of which a commit or a delivery has found one copy damaged, and mended it.
    pub fn take_mended(&mut self, into: &mut Vec<usize>) {
        into.append(&mut self.mended);
    }

    /// Flips a bit of a header of a slot.
    #[cfg(feature = "harm")]
    pub(crate) fn flip(&self, slot: usize, bit: usize) {
        self.slots.flip(slot, bit);
    }

    /// Compares a slot with what it should hold, and mends it. Returns whether there was something to mend.
    ///
    /// # Errors
    /// Output is damaged in both copies.
    pub fn scrub(&mut self, slot: usize) -> Result<bool, SessionError<core::convert::Infallible>> {
        let Session { saved, next, .. } = &self.sessions[slot];
        if *saved == Header::default() || (next.queued, next.applied) != (saved.queued, saved.applied) {
            return Ok(false);
        }
        let sound = Half::BOTH.map(|half| self.same_in(slot, half));
        match sound {
            [true, true] => Ok(false),
            [true, false] => {
                self.copy_to(slot, Half::B);
                Ok(true)
            }
            [false, true] => {
                self.copy_to(slot, Half::A);
                Ok(true)
            }
            [false, false] => {
                // Both differ: all but the output can be had from ordinary memory.
                self.read_checked(slot).map_err(|()| SessionError::Damaged)?;
                let from = self.sessions[slot].next.from;
                for half in Half::BOTH {
                    self.slots.write_out(slot, half, from, &self.scratch);
                    self.slots.write_staged(slot, half, 0, &self.sessions[slot].staged);
                }
                self.commit(slot);
                Ok(true)
            }
        }
    }
}
