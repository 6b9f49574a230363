//! Requests out of the rings, into the journal and to the shadow.

use crate::flight::Taken;
use crate::reason::Reason;
use crate::request::Request;
use crate::service::{Blkback, Report};
use crate::vbd::{Service, VbdId};
use uk_abi::Words;

impl<M: Words, const SLOTS: usize> Blkback<'_, M, SLOTS> {
    /// Takes what there is room for, from each disk in turn. Returns whether something was left that there was no room for.
    pub(crate) fn take(&mut self, report: &mut impl FnMut(Report)) -> bool {
        let disks = self.vbds.len();
        let mut more = false;
        for place in 0..disks {
            let id = VbdId(((self.turn + place) % disks) as u16);
            let queues = match self.vbd(id) {
                Some(vbd) if vbd.service == Service::On => vbd.queues.len(),
                _ => continue,
            };
            for queue in 0..queues {
                match self.take_from(id, queue) {
                    Ok(left) => more |= left,
                    Err(reason) => {
                        self.broken(id, reason, report);
                        break;
                    }
                }
            }
        }
        self.turn = (self.turn + 1) % disks.max(1);
        more
    }

    /// Takes what there is room for from one ring.
    fn take_from(&mut self, id: VbdId, queue: usize) -> Result<bool, Reason> {
        let Some(vbd) = self.vbds.get_mut(usize::from(id.0)).and_then(Option::as_mut) else {
            return Ok(false);
        };
        let max_indirect = vbd.disk.offer.max_indirect_segments;
        let ring = &mut vbd.queues[queue].ring;
        self.starting.clear();
        while self.journal.has_room() {
            let Some(raw) = ring.take()? else { break };
            let index = ring.position().consumed.wrapping_sub(1);
            let request = Request::decode(&raw, max_indirect)?;
            let taken = Taken { vbd: id.0, queue: queue as u16, index, request };
            let Some(token) = self.journal.begin(&taken)? else { break };
            self.flights[usize::from(token.0)].begin(taken);
            vbd.open += 1;
            self.starting.push(token);
        }
        if !self.starting.is_empty() {
            self.journal.set_cursor(id.ring(queue), ring.position().consumed)?;
        }
        // Without room there is no hurry: room is made by a completion, and that is an occasion to look again.
        let more = self.journal.has_room() && ring.final_check()?;
        for token in self.starting.drain(..) {
            if let Some(taken) = &self.flights[usize::from(token.0)].taken {
                self.shadow.admit(token, id.group(), taken.order());
            }
        }
        Ok(more)
    }
}
