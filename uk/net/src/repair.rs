//! Parts that fail, and what is done about it. Detection, decision and repair are apart: the first and the last stand
//! here, the second in `network`.

use crate::card::{Doom, Failure};
use crate::service::{FIRST_GUEST, Guest, Service, part, port};
use alloc::vec::Vec;
use core::fmt;
use libos::clock;
use libos::contain::Crashed;
use libos::uk_abi::fault::Fault;
use network::netback::{Device, MAX_LENGTH, PAGE};
use network::{Book, Decision, Level, Look, Policy, Repair, Stuck, open_requests};
use ring::Page;
use shadow::{Part, Repaired};

/// Slots of a receive ring in which every frame fits, with what is said of it besides: so many must be free for a frame to wait in vain.
const ROOM: u32 = (MAX_LENGTH.div_ceil(PAGE) + 2) as u32;

/// Whoever watches one part, and what is decided about it.
pub struct Probe {
    book: Book,
    decision: Decision,
    /// A repair after which the part has not done anything yet.
    pending: Option<Report>,
}

/// What the log tells of a repair.
struct Report {
    repaired: Repaired,
    /// How far the part was.
    done: u64,
}

impl Probe {
    /// Nothing has been seen yet of a part of this kind.
    pub const fn new(policy: Policy, level: Level) -> Self {
        Self { book: Book::new(), decision: Decision::new(policy, level), pending: None }
    }

    /// Takes in a look; whether the part is stuck.
    pub fn see(&mut self, now_us: u64, look: Look) -> Option<Stuck> {
        self.book.see(now_us, look, self.decision.deadline_us())
    }

    /// When to look again at the latest, so that a part that hangs is seen to as soon as its time is over.
    pub fn due_us(&self) -> Option<u64> {
        self.book.due_us(self.decision.deadline_us())
    }

    /// The part is new, as `repaired` says, and was so far before.
    fn repaired(&mut self, repaired: Repaired, done: u64) {
        self.book.repaired();
        self.pending = Some(Report { repaired, done });
    }

    /// The repair after which the part has now done something for the first time: it is so far.
    fn told(&mut self, done: u64) -> Option<Repaired> {
        self.pending.take_if(|report| report.done != done).map(|report| report.repaired)
    }
}

/// The probe of the backend, and what all probes have in common.
pub struct Watch {
    policy: Policy,
    pub backend: Probe,
    /// The backend has crashed.
    crashed: Option<Crashed>,
    /// When the last look was: one that comes late says nothing, because this program itself had no time.
    looked_us: u64,
}

impl Watch {
    /// Nothing has been seen yet.
    pub const fn new(policy: Policy) -> Self {
        Self { policy, backend: Probe::new(policy, Level::Netback), crashed: None, looked_us: 0 }
    }

    /// The backend has crashed: nothing more is asked of it.
    pub fn backend_crashed(&mut self, crashed: Crashed) {
        self.crashed.get_or_insert(crashed);
    }
}

impl Service {
    /// Has a part fail: of drivers, that of the card `number`.
    pub fn doom(&mut self, fault: Fault, number: u64) {
        let card = self.cards.get_mut(number as usize);
        match (fault, card) {
            (Fault::DriverCrash, Some(card)) => card.driver.doom(Doom::Crash),
            (Fault::DriverHang, Some(card)) => card.driver.doom(Doom::Hang),
            (Fault::BackendCrash, _) => self.backend_crashes = true,
            (Fault::BackendHang, _) => self.backend_hangs = true,
            _ => return log::error!("this program cannot have the fault {fault} {number}"),
        }
        // So that there is work, and somebody sees that it is not done.
        self.hurry();
        self.guests.iter_mut().flatten().for_each(Guest::rouse);
    }

    /// Looks whether all parts do their work, and repairs those that do not.
    ///
    /// # Panics
    /// If the whole program is to be made anew.
    pub fn look_after(&mut self, now_us: u64) {
        if now_us.saturating_sub(self.watch.looked_us) > self.watch.policy.driver_deadline_us {
            self.cards.iter_mut().for_each(|card| card.probe.book.repaired());
            self.watch.backend.book.repaired();
        }
        self.watch.looked_us = now_us;
        self.obey(now_us);
        for number in 0..self.cards.len() {
            self.look_at_driver(number, now_us);
        }
        self.look_at_backend(now_us);
        self.tell();
    }

    /// Makes the part anew that root wants restarted, because it counts work of it and sees none done.
    fn obey(&mut self, now_us: u64) {
        let Some(ticket) = self.health.part_request() else { return };
        let part = ticket.what() as usize;
        let card = (0..self.cards.len()).find(|number| part::driver(*number) == part);
        match card {
            Some(number) => self.repair_driver(number, now_us, Failure::Stuck(0)),
            None if part == part::BACKEND => self.repair_backend(now_us, true),
            None => log::error!("there is no part {part}"),
        }
        self.health.part_restarted(ticket);
    }

    fn look_at_driver(&mut self, number: usize, now_us: u64) {
        let others_work = self.others_work(number);
        let card = &mut self.cards[number];
        match card.rests_until_us() {
            Some(until_us) if now_us < until_us => return,
            Some(_) => return self.repair_driver(number, now_us, Failure::Absent),
            None => {}
        }
        let Some(failure) = card.examine(&self.plane, now_us) else { return };
        match card.probe.decision.decide(now_us, others_work) {
            Repair::Driver => self.repair_driver(number, now_us, failure),
            Repair::Later => self.give_up(number, now_us, &failure),
            Repair::Netback | Repair::Unikernel => panic!("{card}: its driver has failed: {failure}"),
        }
    }

    /// Whether any card but this one works.
    fn others_work(&self, number: usize) -> bool {
        self.cards.iter().enumerate().any(|(other, card)| other != number && card.works())
    }

    fn repair_driver(&mut self, number: usize, detected_us: u64, failure: Failure) {
        let others_work = self.others_work(number);
        let Self { plane, machine, cards, .. } = self;
        let card = &mut cards[number];
        let read = match card.restart(plane, machine, detected_us) {
            Ok(read) => read,
            Err(error) if others_work => return self.give_up(number, detected_us, &error),
            Err(error) => panic!("{card}: its driver has failed: {failure}; there is no new one: {error}"),
        };
        log::warn!("{card}: its driver has failed: {failure}; it had received {read} frames more");
        let done = card.look(plane).done;
        let repaired = self.repaired(Part::Driver, failure.is_hang(), detected_us);
        self.cards[number].probe.repaired(repaired, done);
    }

    /// Gives a card up for a while, so that the others go on.
    fn give_up(&mut self, number: usize, now_us: u64, why: &dyn fmt::Display) {
        let card = &mut self.cards[number];
        card.give_up(&mut self.plane, now_us);
        card.probe.book.repaired();
        log::error!("{card} is given up for a while: {why}");
    }

    fn look_at_backend(&mut self, now_us: u64) {
        let deadline_us = self.watch.backend.decision.deadline_us();
        let look = self.backend_look(now_us, deadline_us);
        let stuck = self.watch.backend.see(now_us, look);
        let crashed = self.watch.crashed.take();
        if stuck.is_none() && crashed.is_none() {
            return;
        }
        let is_hang = crashed.is_none();
        match self.watch.backend.decision.decide(now_us, false) {
            Repair::Netback => self.repair_backend(now_us, is_hang),
            Repair::Driver | Repair::Later | Repair::Unikernel => match crashed {
                Some(crashed) => panic!("the backend has crashed: {crashed}"),
                None => panic!("the backend has taken no request for {deadline_us} us"),
            },
        }
    }

    /// What guests have asked against what the backend has taken and answered; and what waits for guests that have room for it.
    fn backend_look(&self, now_us: u64, deadline_us: u64) -> Look {
        let mut look = Look::default();
        for vif in FIRST_GUEST..self.guests.len() {
            let (Some(guest), Some(device)) = (&self.guests[vif], self.plane.device(port(vif))) else {
                continue;
            };
            let (taken, answered) = device.progress();
            let pages = guest.wiring.transmit.iter().enumerate();
            let open: u32 = pages
                .map(|(queue, page)| open_requests(page, device.answered(queue)))
                .fold(0, u32::wrapping_add);
            let is_excused = guest.excused_us + deadline_us > now_us;
            let has_room = |(queue, page): (usize, &&Page)| {
                device.waiting(Some(queue)) > 0 && open_requests(page, device.delivered(queue)) >= ROOM
            };
            let is_to_deliver = guest.wiring.receive.iter().enumerate().any(has_room);
            look.has_work |= (open > taken || is_to_deliver) && !is_excused;
            look.done = look.done.wrapping_add(answered).wrapping_add(taken.into());
        }
        look
    }

    /// Makes all devices anew from their records; switch, shadow and driver go on.
    fn repair_backend(&mut self, detected_us: u64, is_hang: bool) {
        (self.backend_crashes, self.backend_hangs) = (false, false);
        let Some(keeper) = &self.keeper else { return };
        let (mut devices, mut liars) = (Vec::new(), Vec::new());
        for vif in FIRST_GUEST..self.guests.len() {
            let (Some(guest), Some(saved)) = (&self.guests[vif], keeper.saved(vif as u8)) else { continue };
            let kept = |ring| keeper.answers(ring);
            match Device::resume(vif as u8, saved, &guest.wiring.queues, guest.wiring.control, kept) {
                Ok(device) => devices.push((port(vif), device)),
                Err(lie) => liars.push((vif, lie)),
            }
        }
        self.plane.reborn(devices, detected_us, &self.machine);
        let strays = self.plane.strays();
        assert!(strays == 0, "the backend has died in the middle of something: {strays} frames are nobody's");
        liars.into_iter().for_each(|(vif, lie)| self.banish(vif, lie));
        for (vif, guest) in self.guests.iter_mut().enumerate() {
            if let Some(guest) = guest {
                self.plane.set_rate(port(vif), guest.interface.rate(), detected_us);
                guest.rouse();
            }
        }
        let repaired = self.repaired(Part::Backend, is_hang, detected_us);
        let done = self.backend_look(0, 0).done;
        self.watch.backend.repaired(repaired, done);
    }

    fn repaired(&self, part: Part, is_hang: bool, detected_us: u64) -> Repaired {
        let injected_us = self.take_injected_us();
        Repaired { part, is_hang, injected_us, detected_us, repaired_us: clock::now_us() }
    }

    /// Tells of repairs whose parts have done something since.
    fn tell(&mut self) {
        let now_us = clock::now_us();
        for (number, card) in self.cards.iter_mut().enumerate() {
            let done = card.look(&self.plane).done;
            if let Some(repaired) = card.probe.told(done) {
                log::warn!("{repaired} first_us={now_us} card={number}");
            }
        }
        if self.watch.backend.pending.is_some() {
            let done = self.backend_look(0, 0).done;
            if let Some(repaired) = self.watch.backend.told(done) {
                log::warn!("{repaired} first_us={now_us}");
            }
        }
    }
}
