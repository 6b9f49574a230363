//! What the device has finished, and its answers.

use crate::device::{Device, Outcome};
use crate::flight::{Answer, Place};
use crate::layout;
use crate::pages::{Direction, Pages};
use crate::service::{Blkback, End, Report};
use crate::start::{failed, parts};
use crate::vbd::{Service, VbdId, response};
use shadow::{Token, Verdict};
use uk_abi::Words;
use xen_abi::blkif::ResponseStatus;

impl<M: Words, const SLOTS: usize> Blkback<'_, M, SLOTS> {
    /// Takes in what the device has finished, and gives it what comes next for the same request.
    pub(crate) fn complete(&mut self, device: &mut impl Device, report: &mut impl FnMut(Report)) {
        while self.shadow.driver_is_up()
            && let Some(completion) = device.completion()
        {
            self.room_was_made = true;
            let (generation, first, token) = parts(completion.command);
            let known = self.shadow.is_running(token)
                && self.flights[usize::from(token.0)].finish(generation, first, completion.outcome);
            if !known {
                self.shadow.driver_failed();
                report(Report::DriverAtFault);
                return;
            }
            let flight = &mut self.flights[usize::from(token.0)];
            let stalls = flight.worst == Outcome::Done && !flight.is_submitted();
            if !flight.under_way.is_empty() || stalls {
                continue;
            }
            if flight.worst == Outcome::Done {
                flight.next_stage();
            }
            self.advance(token, device);
        }
    }

    /// Answers what has come to its end.
    pub(crate) fn settle(&mut self, pages: &mut impl Pages, report: &mut impl FnMut(Report)) {
        self.copies.clear();
        self.copying.clear();
        let mut ended = core::mem::take(&mut self.ended);
        ended.retain_mut(|(token, end)| self.judge(*token, end, pages, report));
        pages.copy(&mut self.copies);
        for place in 0..self.copying.len() {
            let (token, first, end) = self.copying[place];
            if let Some(reason) = failed(&self.copies[first..end])
                && let Some(id) = self.owner(token)
            {
                self.broken(id, reason, report);
            }
        }
        self.answered.clear();
        for &(token, end) in &ended {
            self.release(token, pages);
            if !self.answer(token, end, report) {
                self.drop_flight(token);
            }
        }
        ended.clear();
        self.ended = ended;
        self.show(report);
    }

    /// Hears what the shadow says to an end. Returns whether the request is to be answered now; what was read is copied before.
    fn judge(
        &mut self,
        token: Token,
        end: &mut End,
        pages: &mut impl Pages,
        report: &mut impl FnMut(Report),
    ) -> bool {
        let End::Device(outcome) = *end else {
            self.shadow.dismiss(token);
            return true;
        };
        if !self.shadow.is_running(token) {
            // The driver has been found at fault meanwhile: this will be done again.
            return false;
        }
        match self.shadow.finished(token, outcome) {
            Verdict::Answer(outcome) => *end = End::Device(outcome),
            Verdict::Again => {
                self.release(token, pages);
                self.stalled.retain(|&other| other != token);
                self.flights[usize::from(token.0)].reset();
                return false;
            }
            Verdict::DriverAtFault => {
                report(Report::DriverAtFault);
                return false;
            }
        }
        let flight = &self.flights[usize::from(token.0)];
        if let Some(taken) = &flight.taken
            && let Some(vbd) = self.vbds.get(usize::from(taken.vbd)).and_then(Option::as_ref)
            && vbd.service == Service::On
            && (flight.place, outcome) == (Place::Own, Outcome::Done)
            && !taken.request.writes()
        {
            let first = self.copies.len();
            let (guest, segments) = (vbd.disk.guest, &flight.segments);
            layout::copies(guest, segments, &flight.pieces, Direction::Out, &mut self.copies);
            self.copying.push((token, first, self.copies.len()));
        }
        true
    }

    /// Notes and writes an answer. Returns whether there was somebody to answer.
    fn answer(&mut self, token: Token, end: End, report: &mut impl FnMut(Report)) -> bool {
        let status = match end {
            End::Device(Outcome::Done) => ResponseStatus::Okay,
            End::Device(Outcome::Unsupported) => ResponseStatus::NotSupported,
            End::Device(Outcome::Failed | Outcome::Aborted) | End::GivenUp => ResponseStatus::Error,
            End::Refused(status) => status,
        };
        let Some(taken) = &self.flights[usize::from(token.0)].taken else { return false };
        let id = VbdId(taken.vbd);
        let Some(vbd) = self.vbds.get_mut(usize::from(id.0)).and_then(Option::as_mut) else { return false };
        if vbd.service != Service::On {
            return false;
        }
        let (code, sector) = (taken.request.code, taken.request.sector);
        match end {
            End::Device(Outcome::Failed) => report(Report::Failed { vbd: id, code, sector }),
            End::GivenUp => report(Report::GivenUp { vbd: id, code, sector }),
            End::Device(_) | End::Refused(_) => {}
        }
        let queue = &mut vbd.queues[usize::from(taken.queue)];
        let answer = Answer {
            vbd: taken.vbd,
            queue: taken.queue,
            position: queue.ring.position().answered,
            id: taken.request.id,
            code: taken.request.code,
            status: status.raw(),
        };
        if let Err(error) = self.journal.answering(token, &answer) {
            self.broken(id, error.into(), report);
            return false;
        }
        // It was taken from this ring, and is answered once.
        let _ = queue.ring.respond(&response(&answer));
        queue.dirty = true;
        self.answered.push(token);
        true
    }

    /// Shows the answers to the frontends, and then forgets that they were asked for.
    fn show(&mut self, report: &mut impl FnMut(Report)) {
        for (place, vbd) in self.vbds.iter_mut().enumerate() {
            let Some(vbd) = vbd.as_mut().filter(|vbd| vbd.service == Service::On) else { continue };
            for (queue, state) in vbd.queues.iter_mut().enumerate() {
                let mut notify = core::mem::take(&mut state.poke);
                if core::mem::take(&mut state.dirty) {
                    notify |= state.ring.publish();
                }
                if notify {
                    report(Report::Notify { vbd: VbdId(place as u16), queue });
                }
            }
        }
        for place in 0..self.answered.len() {
            self.drop_flight(self.answered[place]);
        }
        self.answered.clear();
    }
}
