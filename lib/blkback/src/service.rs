//! All disks of one driver: requests out of the rings, through the journal and the shadow, to the device and back.
//!
//! ```text
//!   ring --take--> journal --> shadow --start--> pages --> device
//!                                                             |
//!   ring <--show-- journal <------------settle-- pages <------'
//! ```
//!
//! One call, [`Blkback::run`], does whatever can be done now. It is to be made when an event has come, from a frontend or from
//! the device; it neither waits nor loops for ever.

use crate::device::Device;
use crate::flight::{Flight, Place, Taken};
use crate::geometry::Geometry;
use crate::keys::MAX_QUEUES;
use crate::pages::{Copy, Pages};
use crate::persistent::Persistent;
use crate::reason::Reason;
use crate::vbd::{Disk, Service, Vbd, VbdId, entries_of, queues};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use recovery_box::{OpenReport, RecoveryBox, TooSmall};
use ring::request::{Block, Ring};
use shadow::{Journal, Limits, Open, Outcome, Shadow, Token};
use uk_abi::Words;
use xen_abi::blkif::ResponseStatus;

/// The most bytes that a request takes in the journal.
pub const PAYLOAD: usize = 128;

/// How many mapped pages one frontend gives up for another at a time.
const SHARED: usize = 16;

/// Something that the backend has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The frontend of this queue wants an event.
    Notify {
        /// Which disk.
        vbd: VbdId,
        /// Which of its queues.
        queue: usize,
    },
    /// The frontend is not served any more: say why, and [disconnect](Blkback::disconnect) it.
    Broken {
        /// Which disk.
        vbd: VbdId,
        /// Why.
        reason: Reason,
    },
    /// Nothing of this frontend's is in use any more: its rings can be unmapped.
    Drained {
        /// Which disk.
        vbd: VbdId,
    },
    /// The device could not do what a frontend has asked for: the frontend is told.
    Failed {
        /// Which disk.
        vbd: VbdId,
        /// What was asked, by the protocol's number.
        code: u8,
        /// The first sector of what was asked.
        sector: u64,
    },
    /// A request has killed the driver whenever it was alone with it, and is not tried again: the frontend is told.
    GivenUp {
        /// Which disk.
        vbd: VbdId,
        /// What was asked, by the protocol's number.
        code: u8,
        /// The first sector of what was asked.
        sector: u64,
    },
    /// The driver has to be restarted. Until it is [ready](Blkback::driver_ready) nothing is submitted.
    DriverAtFault,
}

/// How a request came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The device says so.
    Device(Outcome),
    /// The device had no part in it.
    Refused(ResponseStatus),
    /// Nobody knows how it would have ended: it has killed the driver each time.
    GivenUp,
}

/// All disks of one driver. `SLOTS` bounds the requests under way and the queues that are connected, together.
#[derive(Debug)]
pub struct Blkback<'a, M, const SLOTS: usize> {
    pub(crate) journal: Journal<M, Taken, SLOTS, PAYLOAD>,
    /// What the life before has left open, of disks that have not been connected yet.
    recovered: Vec<(Token, Open<Taken>)>,
    pub(crate) shadow: Shadow,
    pub(crate) flights: Vec<Flight>,
    pub(crate) vbds: Vec<Option<Vbd<'a>>>,
    /// The disk whose turn it is to be the first to take requests.
    pub(crate) turn: usize,
    /// What was started and waits for pages or for room in the device's queue.
    pub(crate) stalled: VecDeque<Token>,
    /// Whether there may be more room for it than when it was tried last: a command has ended, or pages were released.
    pub(crate) room_was_made: bool,
    /// What has come to its end and has not been answered.
    pub(crate) ended: Vec<(Token, End)>,
    // For the length of a run, kept for their memory.
    pub(crate) starting: Vec<Token>,
    pub(crate) copies: Vec<Copy>,
    pub(crate) copying: Vec<(Token, usize, usize)>,
    pub(crate) answered: Vec<Token>,
}

impl<'a, M: Words, const SLOTS: usize> Blkback<'a, M, SLOTS> {
    /// Words of recovery box that it takes.
    pub const WORDS: usize = RecoveryBox::<M, SLOTS, PAYLOAD>::WORDS;

    /// Opens the journal in `words`, for at most `max_queues` queues of all disks together. The driver is not up yet, and no
    /// disk is connected.
    ///
    /// # Errors
    /// [`TooSmall`].
    pub fn open(words: M, max_queues: usize, limits: Limits) -> Result<(Self, OpenReport), TooSmall> {
        let (journal, found) = Journal::open(words, max_queues)?;
        let mut flights = Vec::new();
        flights.resize_with(SLOTS, || Flight::EMPTY);
        let blkback = Self {
            journal,
            recovered: found.open,
            shadow: Shadow::new(SLOTS, limits),
            flights,
            vbds: Vec::new(),
            turn: 0,
            stalled: VecDeque::new(),
            room_was_made: false,
            ended: Vec::new(),
            starting: Vec::new(),
            copies: Vec::new(),
            copying: Vec::new(),
            answered: Vec::new(),
        };
        Ok((blkback, found.report))
    }

    /// Whether the journal holds something of this disk, left by an earlier life.
    pub fn remembers(&self, id: VbdId) -> bool {
        (0..MAX_QUEUES).any(|queue| self.journal.cursor(id.ring(queue)).is_some())
    }

    /// Forgets what an earlier life has left of this disk: its frontend is not the one that it was.
    pub fn forget(&mut self, id: VbdId) {
        for (token, _) in entries_of(id, &mut self.recovered) {
            self.journal.end(token);
        }
        for queue in 0..MAX_QUEUES {
            self.journal.forget_cursor(id.ring(queue));
        }
    }

    /// Connects a frontend by its rings. What an earlier life has left open of this disk is taken up: answered if it was done,
    /// done again if not. A disk that was connected before has been drained.
    ///
    /// # Errors
    /// A [`Reason`] not to serve this frontend. What was left open of the disk is forgotten then.
    pub fn connect(&mut self, id: VbdId, disk: Disk, rings: &[Ring<'a, Block>]) -> Result<(), Reason> {
        let open = entries_of(id, &mut self.recovered);
        let queues = match queues(rings, id, &open, &mut self.journal) {
            Ok(queues) => queues,
            Err(reason) => {
                self.recovered.extend(open);
                self.forget(id);
                return Err(reason);
            }
        };
        let mut count = 0;
        for (token, entry) in open {
            if let Open::Begun { work, retries } = entry {
                self.shadow.admit_again(token, id.group(), work.order(), retries);
                self.flights[usize::from(token.0)].begin(work);
                count += 1;
            }
        }
        let capacity = if disk.persistent { disk.offer.persistent_grants as usize } else { 0 };
        let persistent = Persistent::new(capacity);
        let place = usize::from(id.0);
        if self.vbds.len() <= place {
            self.vbds.resize_with(place + 1, || None);
        }
        self.vbds[place] =
            Some(Vbd { disk, queues, persistent, lacks_room: false, service: Service::On, open: count });
        Ok(())
    }

    /// Takes nothing more from a frontend. When nothing of its is in use, [`Report::Drained`] says so.
    pub fn disconnect(&mut self, id: VbdId) {
        self.stop_serving(id, Service::Leaving);
    }

    /// Lets go of what has not reached the device.
    pub(crate) fn stop_serving(&mut self, id: VbdId, service: Service) {
        let Some(vbd) = self.vbd(id) else { return };
        vbd.service = service;
        for token in (0..SLOTS as u16).map(Token) {
            let flight = &self.flights[usize::from(token.0)];
            if flight.taken.as_ref().is_none_or(|taken| taken.vbd != id.0) || self.shadow.is_running(token) {
                continue;
            }
            self.shadow.withdraw(token);
            // A device that a dead driver has left running may still use its pages.
            if self.flights[usize::from(token.0)].place == Place::Nowhere {
                self.drop_flight(token);
            }
        }
    }

    /// The size of a disk, or something else about it, has changed.
    pub fn resize(&mut self, id: VbdId, geometry: Geometry) {
        if let Some(vbd) = self.vbd(id) {
            vbd.disk.geometry = geometry;
        }
    }

    /// Restarts the backend of one disk: what it knows of its rings and of what is open is made anew from the journal, while the
    /// device goes on with what it has.
    ///
    /// # Errors
    /// A [`Reason`] not to serve this frontend any more.
    pub fn restart(&mut self, id: VbdId) -> Result<(), Reason> {
        let mut open = self.journal.open_work();
        let open = entries_of(id, &mut open);
        let Some(vbd) = self.vbds.get_mut(usize::from(id.0)).and_then(Option::as_mut) else {
            return Ok(());
        };
        let rings: Vec<_> = vbd.queues.iter().map(|queue| queue.memory).collect();
        match queues(&rings, id, &open, &mut self.journal) {
            Ok(queues) => vbd.queues = queues,
            Err(reason) => {
                self.stop_serving(id, Service::Broken);
                return Err(reason);
            }
        }
        for (token, entry) in open {
            let flight = &mut self.flights[usize::from(token.0)];
            if let Open::Begun { work, .. } = entry
                && flight.place == Place::Nowhere
                && !self.shadow.is_running(token)
            {
                flight.begin(work);
            }
        }
        Ok(())
    }

    /// The driver is dead, or as good as: nothing more is submitted, and nothing that it says is believed.
    pub fn driver_failed(&mut self) {
        self.shadow.driver_failed();
    }

    /// There is a driver, and the device has been reset: it does nothing any more that an earlier driver has asked for. What
    /// that one had not finished is done again.
    pub fn driver_ready(&mut self, pages: &mut impl Pages) {
        self.shadow.driver_failed();
        self.stalled.clear();
        self.ended.clear();
        for token in (0..SLOTS as u16).map(Token) {
            let flight = &self.flights[usize::from(token.0)];
            let Some(id) = flight.taken.as_ref().map(|taken| VbdId(taken.vbd)) else { continue };
            self.release(token, pages);
            self.flights[usize::from(token.0)].reset();
            if self.vbd(id).is_none_or(|vbd| vbd.service != Service::On) {
                self.shadow.withdraw(token);
                self.drop_flight(token);
            }
        }
        self.shadow.driver_ready();
    }

    /// The shadow of the driver: how much it has, since when, and how much was finished.
    pub const fn shadow(&self) -> &Shadow {
        &self.shadow
    }

    /// How many requests of a disk have been taken and not been answered.
    pub fn open_requests(&self, id: VbdId) -> usize {
        self.vbds.get(usize::from(id.0)).and_then(Option::as_ref).map_or(0, |vbd| vbd.open)
    }

    /// Checks one record of the journal, the next in turn. To be called when there is nothing better to do.
    pub fn scrub_step(&mut self) -> recovery_box::Scrubbed {
        self.journal.scrub_step()
    }

    /// Does whatever can be done now. Returns whether it should be called again soon even if no event comes.
    pub fn run(
        &mut self,
        now_us: u64,
        device: &mut impl Device,
        pages: &mut impl Pages,
        report: &mut impl FnMut(Report),
    ) -> bool {
        self.complete(device, report);
        self.settle(pages, report);
        let more = self.take(report);
        self.start(now_us, device, pages, report);
        self.share(pages);
        // What was refused, or needs nothing of the device, has its answer already.
        let again = !self.ended.is_empty();
        self.settle(pages, report);
        self.drain(pages, report);
        more || again
    }

    /// Sees to it that nobody keeps all the room for pages that stay mapped: who has found none gets some of whoever has the most, until
    /// both have about as many.
    fn share(&mut self, pages: &mut impl Pages) {
        for place in 0..self.vbds.len() {
            let Some(vbd) = &mut self.vbds[place] else { continue };
            let own = vbd.persistent.len();
            if !core::mem::take(&mut vbd.lacks_room) {
                continue;
            }
            if self.most_mapped().is_some_and(|most| most.len() >= own + 2 * SHARED) {
                self.spare(SHARED, pages);
            }
        }
    }

    fn most_mapped(&mut self) -> Option<&mut Persistent> {
        self.vbds
            .iter_mut()
            .flatten()
            .map(|vbd| &mut vbd.persistent)
            .max_by_key(|persistent| persistent.len())
    }

    /// Unmaps up to `count` pages that are not in use now, of the frontend that has the most mapped. Returns how many.
    pub fn spare(&mut self, count: usize, pages: &mut impl Pages) -> usize {
        self.most_mapped().map_or(0, |most| most.spare(count, pages))
    }

    /// Reports the frontends of which nothing is in use any more, and forgets them.
    fn drain(&mut self, pages: &mut impl Pages, report: &mut impl FnMut(Report)) {
        for place in 0..self.vbds.len() {
            let left = |vbd: &&mut Vbd<'a>| vbd.service == Service::Leaving && vbd.open == 0;
            if let Some(vbd) = self.vbds[place].as_mut().filter(left) {
                let id = VbdId(place as u16);
                vbd.persistent.clear(pages);
                self.vbds[place] = None;
                self.forget(id);
                report(Report::Drained { vbd: id });
            }
        }
    }

    pub(crate) fn vbd(&mut self, id: VbdId) -> Option<&mut Vbd<'a>> {
        self.vbds.get_mut(usize::from(id.0)).and_then(Option::as_mut)
    }

    /// Stops serving a frontend, for a reason that is reported.
    pub(crate) fn broken(&mut self, id: VbdId, reason: Reason, report: &mut impl FnMut(Report)) {
        if self.vbd(id).is_some_and(|vbd| vbd.service == Service::On) {
            self.stop_serving(id, Service::Broken);
            report(Report::Broken { vbd: id, reason });
        }
    }

    /// Lets go of the pages of a request. The device has nothing of it.
    pub(crate) fn release(&mut self, token: Token, pages: &mut impl Pages) {
        let flight = &mut self.flights[usize::from(token.0)];
        match core::mem::replace(&mut flight.place, Place::Nowhere) {
            Place::Nowhere => {}
            Place::Own => flight.pieces.iter().for_each(|piece| pages.release(piece.page)),
            Place::Mapped => {
                let vbd = flight.taken.as_ref().map(|taken| usize::from(taken.vbd));
                if let Some(vbd) = vbd.and_then(|vbd| self.vbds.get_mut(vbd)).and_then(Option::as_mut) {
                    flight.segments.iter().for_each(|segment| vbd.persistent.release(segment.gref()));
                }
            }
        }
        flight.pieces.clear();
        self.room_was_made = true;
    }

    /// Forgets a request: it was answered, or nobody waits for the answer.
    pub(crate) fn drop_flight(&mut self, token: Token) {
        self.journal.end(token);
        self.stalled.retain(|&other| other != token);
        let flight = &mut self.flights[usize::from(token.0)];
        let id = flight.taken.take().map(|taken| VbdId(taken.vbd));
        flight.reset();
        if let Some(vbd) = id.and_then(|id| self.vbd(id)) {
            vbd.open -= 1;
        }
    }
}
