//! Parts that fail, and what is done about it. Detection, decision and repair are apart: the first and the last stand
//! here, the second in `network`.

use crate::card::{Doom, Failure};
use crate::service::{CARD, FIRST_GUEST, Service, part, port};
use alloc::vec::Vec;
use libos::clock;
use libos::contain::Crashed;
use libos::uk_abi::fault::Fault;
use network::netback::{Device, MAX_LENGTH, PAGE};
use network::{Book, Decision, Level, Look, Policy, Repair, open_requests};
use ring::Page;
use shadow::{Part, Repaired};

/// Slots of a receive ring in which every frame fits, with what is said of it besides: so many must be free for a frame to wait in vain.
const ROOM: u32 = (MAX_LENGTH.div_ceil(PAGE) + 2) as u32;

/// How often a card is asked whether it works.
const ASK_EVERY_US: u64 = 20_000;

/// The probes of all parts, and what is decided about them.
pub struct Watch {
    decision: Decision,
    driver: Book,
    backend: Book,
    /// The backend has crashed.
    crashed: Option<Crashed>,
    /// When the last look was: one that comes late says nothing, because this program itself had no time.
    looked_us: u64,
    ask_at_us: u64,
    /// A repair whose part has not done anything yet.
    pending: Option<Report>,
}

/// What the log tells of a repair.
struct Report {
    level: Level,
    repaired: Repaired,
    /// How far the part was.
    done: u64,
}

impl Watch {
    /// Nothing has been seen yet.
    pub const fn new(policy: Policy) -> Self {
        Self {
            decision: Decision::new(policy),
            driver: Book::new(),
            backend: Book::new(),
            crashed: None,
            looked_us: 0,
            ask_at_us: 0,
            pending: None,
        }
    }

    /// When to look again at the latest, so that a part that hangs is seen to as soon as its time is over.
    pub fn due_us(&self) -> Option<u64> {
        let &Policy { driver_deadline_us, netback_deadline_us, .. } = self.decision.policy();
        let due_us = [self.driver.due_us(driver_deadline_us), self.backend.due_us(netback_deadline_us)];
        due_us.into_iter().flatten().min()
    }

    /// The backend has crashed: nothing more is asked of it.
    pub fn backend_crashed(&mut self, crashed: Crashed) {
        self.crashed.get_or_insert(crashed);
    }
}

impl Service {
    /// Has a part fail, or all of them.
    pub fn doom(&mut self, fault: Fault) {
        match (fault, &mut self.driver) {
            (Fault::DriverCrash, Some(driver)) => driver.doom(Doom::Crash),
            (Fault::DriverHang, Some(driver)) => driver.doom(Doom::Hang),
            (Fault::BackendCrash, _) => self.backend_crashes = true,
            (Fault::BackendHang, _) => self.backend_hangs = true,
            _ => return log::error!("this program cannot have the fault {fault}"),
        }
        // So that there is work, and somebody sees that it is not done.
        self.hurry();
    }

    /// Looks whether all parts do their work, and repairs those that do not.
    ///
    /// # Panics
    /// If the whole program is to be made anew.
    pub fn look_after(&mut self, now_us: u64) {
        let deadline_us = self.watch.decision.policy().driver_deadline_us;
        if now_us.saturating_sub(self.watch.looked_us) > deadline_us {
            self.watch.driver.repaired();
            self.watch.backend.repaired();
        }
        self.watch.looked_us = now_us;
        self.obey(now_us);
        self.look_at_driver(now_us);
        self.look_at_backend(now_us);
        self.tell();
    }

    /// Makes the part anew that root wants restarted, because it counts work of it and sees none done.
    fn obey(&mut self, now_us: u64) {
        let Some(ticket) = self.health.part_request() else { return };
        match (ticket.what() as usize, &mut self.driver) {
            (part::DRIVER, Some(driver)) => {
                driver.fail(Failure::Stuck(0));
                self.repair_driver(now_us, Failure::Stuck(0));
            }
            (part::BACKEND, _) => self.repair_backend(now_us, true),
            (part, _) => log::error!("there is no part {part}"),
        }
        self.health.part_restarted(ticket);
    }

    fn look_at_driver(&mut self, now_us: u64) {
        let deadline_us = self.watch.decision.policy().driver_deadline_us;
        let look = self.driver_look();
        let Some(driver) = &mut self.driver else { return };
        if now_us >= self.watch.ask_at_us {
            self.watch.ask_at_us = now_us + ASK_EVERY_US;
            driver.ask();
        }
        if let Some(stuck) = self.watch.driver.see(now_us, look, deadline_us) {
            driver.fail(Failure::Stuck(stuck.for_us));
        }
        let Some(failure) = driver.failure() else { return };
        match self.watch.decision.decide(now_us, Level::Driver) {
            Repair::Driver => self.repair_driver(now_us, failure),
            Repair::Netback | Repair::Unikernel => panic!("the driver has failed: {failure}"),
        }
    }

    fn driver_look(&self) -> Look {
        let uplink = self.plane.uplink(CARD);
        uplink.map_or_else(Look::default, |uplink| Look {
            has_work: uplink.sending() > 0,
            // What comes in says nothing of what goes out.
            done: uplink.counters().sent,
        })
    }

    fn repair_driver(&mut self, detected_us: u64, failure: Failure) {
        let Self { plane, machine, driver: Some(driver), .. } = self else { return };
        plane.driver_failed(CARD);
        if let Err(error) = driver.restart() {
            panic!("the driver has failed: {failure}; there is no new one: {error}");
        }
        let before = plane.uplink(CARD).map_or(0, |uplink| uplink.counters().arrived);
        plane.driver_ready(CARD, detected_us, driver, machine);
        let read = plane.uplink(CARD).map_or(0, |uplink| uplink.counters().arrived) - before;
        self.watch.driver.repaired();
        log::warn!("the driver has failed: {failure}; its card had received {read} frames more");
        let done = self.driver_look().done;
        self.repaired(Level::Driver, failure.is_hang(), detected_us, done);
    }

    fn look_at_backend(&mut self, now_us: u64) {
        let deadline_us = self.watch.decision.policy().netback_deadline_us;
        let look = self.backend_look(now_us, deadline_us);
        let stuck = self.watch.backend.see(now_us, look, deadline_us);
        let crashed = self.watch.crashed.take();
        if stuck.is_none() && crashed.is_none() {
            return;
        }
        let is_hang = crashed.is_none();
        match self.watch.decision.decide(now_us, Level::Netback) {
            Repair::Netback => self.repair_backend(now_us, is_hang),
            Repair::Driver | Repair::Unikernel => match crashed {
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
        self.watch.backend.repaired();
        let done = self.backend_look(0, 0).done;
        self.repaired(Level::Netback, is_hang, detected_us, done);
    }

    fn repaired(&mut self, level: Level, is_hang: bool, detected_us: u64, done: u64) {
        let part = match level {
            Level::Driver => Part::Driver,
            Level::Netback => Part::Backend,
        };
        let injected_us = self.take_injected_us();
        let repaired = Repaired { part, is_hang, injected_us, detected_us, repaired_us: clock::now_us() };
        self.watch.pending = Some(Report { level, repaired, done });
    }

    /// Tells of a repair, once its part has done something.
    fn tell(&mut self) {
        let Some(report) = &self.watch.pending else { return };
        let look = match report.level {
            Level::Driver => self.driver_look(),
            Level::Netback => self.backend_look(0, 0),
        };
        if look.done != report.done {
            log::warn!("{} first_us={}", report.repaired, clock::now_us());
            self.watch.pending = None;
        }
    }
}
