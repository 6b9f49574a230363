//! Comparing the two halves of a slot with what they should hold, and mending them.

use super::slot::{Half, Header, content_sum, message_sum};
use super::{Framing, Session, SessionError, Sessions};
use alloc::vec::Vec;
use uk_abi::Words;

impl<W: Words, F: Framing> Sessions<W, F> {
    /// Whether a half holds what it should.
    pub(super) fn same_in(&mut self, slot: usize, half: Half) -> bool {
        let session = &self.sessions[slot];
        let saved = &session.saved;
        if !self.slots.holds_header(slot, half, saved) {
            return false;
        }
        self.slots.read_staged(slot, half, saved.partial(), &mut self.scratch);
        self.scratch == session.staged && self.out_sum(slot, half) == self.sessions[slot].saved.out_sum
    }

    /// The checksum of the output that a half holds, cut into the messages that it should consist of.
    fn out_sum(&mut self, slot: usize, half: Half) -> u64 {
        let session = &self.sessions[slot];
        let saved = &session.saved;
        self.slots.read_out(slot, half, saved.from, saved.held(), &mut self.scratch);
        // What was handed over since the last commit is still in the slot's sum, but not among the messages.
        let mut start = session.next.from;
        let mut rest = &self.scratch[start.wrapping_sub(saved.from) as usize..];
        let mut sum = saved.out_sum.wrapping_sub(session.next.out_sum);
        for message in &session.pending {
            let (bytes, after) = rest.split_at(message.end.wrapping_sub(start) as usize);
            sum = sum.wrapping_add(message_sum(start, content_sum(bytes)));
            (start, rest) = (message.end, after);
        }
        sum
    }

    /// Writes a half from the other one, or from ordinary memory.
    pub(super) fn copy_to(&mut self, slot: usize, half: Half) {
        let session = &self.sessions[slot];
        let saved = &session.saved;
        self.slots.write_staged(slot, half, 0, &session.staged);
        self.slots.read_out(slot, half.other(), saved.from, saved.held(), &mut self.scratch);
        self.slots.write_out(slot, half, saved.from, &self.scratch);
        self.slots.write_header(slot, half, saved);
    }

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
