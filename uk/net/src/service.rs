//! All that this program has, and one turn of what it does.

use crate::attachment::Attachment;
use crate::cable::Cable;
use crate::keeper::{Interface, Keeper};
use crate::machine::Machine;
use crate::repair::Watch;
use crate::shown::Shown;
use crate::wiring::{Wiring, WiringError};
use crate::xenstore;
use alloc::vec::Vec;
use core::fmt;
use core::task::Context;
use libos::contain::contain;
use libos::fault;
use libos::grant::MappedPage;
use libos::uk_abi::health::HealthPage;
use libos::xen_abi::Domid;
use network::netback::{Device, FrontendKeys, Keep, Lie, Notify, Saved, Stopped};
use network::switch::{Drop, Identity, PortConfig, PortId, Role};
use network::{Gone, MAX_CARDS, Plane};

/// Root watches these parts for progress, and may have one of them restarted.
pub mod part {
    /// The backend, with the frames that guests have handed over.
    pub const BACKEND: usize = 1;

    /// The driver of the card `number`, with the frames that it is to send: those of the first card and of the others lie around the
    /// backend.
    pub const fn driver(number: usize) -> usize {
        if number < BACKEND { number } else { number + 1 }
    }
}

/// The port of the card `number`.
pub const fn card_port(number: usize) -> PortId {
    port(number)
}

/// That of this program itself at the bridge of the card `number`.
pub const fn own_port(number: usize) -> PortId {
    port(MAX_CARDS + number)
}

/// The port of the first guest.
pub const FIRST_GUEST: usize = 2 * MAX_CARDS;

/// The port of the unikernel at the other end of the cable, behind those of guests.
pub const CABLE: PortId = port(LAST_PORT);

/// Its number.
pub const LAST_PORT: usize = network::switch::MAX_PORTS - 1;

/// Batches of one queue in one turn.
const ROUNDS: usize = 4;

/// How long nothing is looked at where nobody says anything: a card that was stopped does not say so.
const IDLE_US: u64 = 20_000;

/// The same with guests, whose requests nobody tells of while their backend hangs: no longer than a heartbeat's period.
const WATCHING_US: u64 = 4_000;

/// The same while something waits for somebody else.
const WAITING_US: u64 = 3_000;

/// How often frames that were dropped are noted.
const NOTE_EVERY_US: u64 = 1_000_000;

/// What no honest guest sends.
const FORBIDDEN: [Drop; 3] = [Drop::Malformed, Drop::ForgedMac, Drop::ForgedIp];

/// Port `number`.
///
/// # Panics
/// If there are not so many.
pub const fn port(number: usize) -> PortId {
    match PortId::new(number) {
        Some(port) => port,
        None => panic!("the switch has fewer ports"),
    }
}

/// A guest's interface.
pub struct Guest {
    pub interface: Interface,
    pub wiring: Wiring,
    /// There may be something in its rings.
    is_ready: bool,
    /// It has no credit before this time.
    until_us: Option<u64>,
    /// When it was last kept waiting by something other than its backend.
    pub excused_us: u64,
    /// How many frames of its were dropped and are in the log.
    dropped: u64,
}

/// Why an interface is not connected.
#[derive(Debug)]
pub enum ConnectError {
    /// Its pages or ports.
    Wiring(WiringError),
    /// Its rings.
    Lie(Lie),
    /// The recovery box has no room for it.
    NoRoom,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wiring(error) => error.fmt(f),
            Self::Lie(lie) => lie.fmt(f),
            Self::NoRoom => f.write_str("the recovery box has no room for one more interface"),
        }
    }
}

/// Everything.
pub struct Service {
    pub plane: Plane<'static>,
    pub machine: Machine,
    /// The cards, by number.
    pub cards: Vec<Attachment>,
    /// The cable to another unikernel, if there is one.
    pub cable: Option<Cable>,
    /// Where guests' interfaces outlive this life, if there are to be any.
    pub keeper: Option<Keeper>,
    /// By port.
    pub guests: Vec<Option<Guest>>,
    pub watch: Watch,
    /// The backend has been told to take nothing any more, or to crash.
    pub backend_hangs: bool,
    pub backend_crashes: bool,
    /// Interfaces that were disconnected because of what their guests did, until somebody tells XenStore.
    pub gone: Vec<(Domid, u32)>,
    pub health: HealthPage<'static>,
    /// When to look next whose frames were dropped.
    note_at_us: u64,
    /// What was last shown of the backend.
    shown: Shown,
}

impl Service {
    /// A service without guests.
    pub fn new(
        plane: Plane<'static>,
        machine: Machine,
        cards: Vec<Attachment>,
        keeper: Option<Keeper>,
        watch: Watch,
        health: HealthPage<'static>,
    ) -> Self {
        let guests = (0..network::switch::MAX_PORTS).map(|_| None).collect();
        Self {
            plane,
            machine,
            cards,
            cable: None,
            keeper,
            guests,
            watch,
            backend_hangs: false,
            backend_crashes: false,
            gone: Vec::new(),
            health,
            note_at_us: 0,
            shown: Shown::NOTHING,
        }
    }

    /// The guests of an earlier life are there again: they get what that life had received, and what the cards have received since then; and
    /// the drivers begin their work.
    pub fn start_cards(&mut self, now_us: u64) {
        let Self { plane, machine, cards, .. } = self;
        plane.note_arrivals(machine.arrivals(), now_us, machine);
        for card in cards {
            if card.works() {
                plane.driver_ready(card.port, now_us, &mut card.driver, machine);
            } else {
                card.give_up(plane, now_us);
            }
        }
    }

    /// Says soon that it is there.
    pub fn hurry(&mut self) {
        self.cards.iter_mut().for_each(Attachment::hurry);
    }

    /// Connects an interface whose frontend says how: just now, or to an earlier life, of whose records there are none.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(
        &mut self,
        vif: usize,
        interface: Interface,
        keys: FrontendKeys,
        is_old: bool,
        now_us: u64,
    ) -> Result<(), ConnectError> {
        let Self { keeper: Some(keeper), .. } = self else { return Err(ConnectError::NoRoom) };
        if !keeper.has_room(keys.queues.len()) {
            return Err(ConnectError::NoRoom);
        }
        let domid = interface.domid();
        keeper.note(vif as u8, &interface);
        if is_old {
            let saved = Saved::new(domid, keys);
            keeper.save(vif as u8, &saved);
            return self.resume(vif, interface, saved, &mut Vec::new(), now_us);
        }
        let wiring = Wiring::connect(domid, &keys, &mut Vec::new()).map_err(ConnectError::Wiring)?;
        match Device::connect(vif as u8, domid, keys, &wiring.queues, wiring.control, keeper) {
            Ok(device) => {
                self.add(vif, interface, wiring, device, now_us);
                Ok(())
            }
            Err(lie) => {
                keeper.forget(vif as u8);
                wiring.close();
                Err(ConnectError::Lie(lie))
            }
        }
    }

    /// Goes on with an interface that an earlier life has served.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn resume(
        &mut self,
        vif: usize,
        interface: Interface,
        saved: Saved,
        leftovers: &mut Vec<MappedPage>,
        now_us: u64,
    ) -> Result<(), ConnectError> {
        let Self { keeper: Some(keeper), .. } = self else { return Err(ConnectError::NoRoom) };
        let wiring =
            Wiring::connect(interface.domid(), saved.keys(), leftovers).map_err(ConnectError::Wiring)?;
        let kept = |ring| keeper.answers(ring);
        match Device::resume(vif as u8, saved, &wiring.queues, wiring.control, kept) {
            Ok(device) => {
                wiring.notify_all();
                self.add(vif, interface, wiring, device, now_us);
                Ok(())
            }
            Err(lie) => {
                wiring.close();
                Err(ConnectError::Lie(lie))
            }
        }
    }

    fn add(
        &mut self,
        vif: usize,
        interface: Interface,
        wiring: Wiring,
        device: Device<'static>,
        now_us: u64,
    ) {
        let role = Role::Guest(Identity::new(interface.mac()));
        let config = PortConfig { bridge: interface.bridge.clone(), role, isolated: false };
        self.plane.connect_guest(port(vif), config, device);
        self.plane.set_rate(port(vif), interface.rate(), now_us);
        let guest =
            Guest { interface, wiring, is_ready: true, until_us: None, excused_us: now_us, dropped: 0 };
        self.guests[vif] = Some(guest);
    }

    /// Lets an interface go.
    pub fn disconnect(&mut self, vif: usize) {
        self.plane.disconnect(port(vif));
        if let Some(guest) = self.guests[vif].take() {
            guest.wiring.close();
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.forget(vif as u8);
        }
    }

    /// The number of the interface `handle` of `domid`, if it is connected.
    pub fn find(&self, domid: Domid, handle: u32) -> Option<usize> {
        let is_it = |guest: &Guest| (guest.interface.domid(), guest.interface.handle) == (domid, handle);
        self.guests.iter().position(|guest| guest.as_ref().is_some_and(is_it))
    }

    /// The interfaces that are connected.
    pub fn served(&self) -> Vec<(Domid, u32)> {
        let guests = self.guests.iter().flatten();
        guests.map(|guest| (guest.interface.domid(), guest.interface.handle)).collect()
    }

    /// Which guests have sent events; `context` is woken by the next. Whether any has.
    pub fn poll_guests(&mut self, context: &mut Context<'_>) -> bool {
        let mut any = false;
        for guest in self.guests.iter_mut().flatten() {
            let fired = guest.wiring.poll(context);
            guest.is_ready |= fired;
            any |= fired;
        }
        any
    }

    /// Does what there is to do; answers when to look again at the latest.
    ///
    /// # Panics
    /// If the whole program is to be made anew.
    pub fn turn(&mut self, now_us: u64) -> u64 {
        if fault::work_is_stuck() {
            // There is work, and it is left.
            self.health.accept(part::driver(0), 1);
            return now_us + IDLE_US;
        }
        let mut is_busy = self.drive(now_us);
        self.turn_own(now_us);
        is_busy |= self.take_from_cable(now_us);
        if !self.backend_hangs {
            is_busy |= self.serve(now_us);
        }
        is_busy |= self.drive(now_us);
        if !self.backend_hangs {
            self.deliver(now_us);
        }
        if let Self { plane, machine, cable: Some(cable), .. } = self {
            cable.give(plane, machine);
        }
        self.look_after(now_us);
        self.note_drops(now_us);
        self.show_progress();
        // The cards interrupt for what they do from here on: all of them.
        if is_busy || self.cards.iter_mut().fold(false, |any, card| any | card.driver.arm()) {
            return now_us;
        }
        self.next_look_us(now_us)
    }

    fn turn_own(&mut self, now_us: u64) {
        let Self { plane, machine, cards, .. } = self;
        cards.iter_mut().for_each(|card| card.turn_own(plane, machine, now_us));
    }

    /// Takes what another unikernel sends. Whether there is more.
    fn take_from_cable(&mut self, now_us: u64) -> bool {
        let Self { plane, machine, cable: Some(cable), .. } = self else { return false };
        cable.take(plane, now_us, machine)
    }

    /// Does what there is to do with the cards. Whether there is more.
    fn drive(&mut self, now_us: u64) -> bool {
        let Self { plane, machine, cards, .. } = self;
        cards.iter_mut().fold(false, |is_busy, card| {
            libos::beat();
            is_busy | card.drive(plane, machine, now_us)
        })
    }

    /// Takes what guests send. Whether there is more.
    fn serve(&mut self, now_us: u64) -> bool {
        let mut is_busy = false;
        for vif in FIRST_GUEST..self.guests.len() {
            let Some(guest) = &mut self.guests[vif] else { continue };
            if guest.until_us.is_some_and(|until_us| until_us <= now_us) {
                (guest.until_us, guest.is_ready) = (None, true);
            }
            if core::mem::take(&mut guest.is_ready) {
                is_busy |= self.serve_guest(vif, now_us);
            }
        }
        is_busy
    }

    fn serve_guest(&mut self, vif: usize, now_us: u64) -> bool {
        let Self { plane, machine, keeper: Some(keeper), guests, .. } = self else { return false };
        let Some(guest) = &mut guests[vif] else { return false };
        let mut notify = Notify::default();
        let mut is_busy = false;
        for queue in 0..guest.wiring.queues.len() {
            for round in 0..ROUNDS {
                libos::beat();
                let crashes = self.backend_crashes;
                let served = contain(|| {
                    if crashes {
                        fault::crash();
                    }
                    plane.serve(port(vif), queue, now_us, machine, keeper)
                });
                let stopped = match served {
                    Ok(Ok((stopped, now))) => {
                        notify = notify.or(now);
                        stopped
                    }
                    Ok(Err(gone)) => {
                        self.gone(&gone);
                        return false;
                    }
                    Err(crashed) => {
                        guest.is_ready = true;
                        self.watch.backend_crashed(crashed);
                        return false;
                    }
                };
                match stopped {
                    Stopped::Idle => break,
                    Stopped::Turn => {
                        let is_last = round + 1 == ROUNDS;
                        guest.is_ready |= is_last;
                        is_busy |= is_last;
                    }
                    Stopped::NoRoom => {
                        (guest.is_ready, guest.excused_us) = (true, now_us);
                        break;
                    }
                    Stopped::Until { at_us } => {
                        guest.until_us = Some(guest.until_us.map_or(at_us, |until_us| until_us.min(at_us)));
                        guest.excused_us = at_us;
                        break;
                    }
                }
            }
        }
        guest.wiring.notify(notify);
        is_busy
    }

    /// Delivers what waits for guests, and then answers what they have sent: a frame is answered to its sender when the last guest that it
    /// is for has it, whichever of them comes first here.
    fn deliver(&mut self, now_us: u64) {
        let mut notify = [Notify::default(); network::switch::MAX_PORTS];
        for (vif, notify) in notify.iter_mut().enumerate().skip(FIRST_GUEST) {
            let Self { plane, machine, keeper: Some(keeper), .. } = self else { return };
            if plane.device(port(vif)).is_none_or(|device| device.waiting(None) == 0) {
                continue;
            }
            libos::beat();
            match contain(|| plane.deliver(port(vif), now_us, machine, keeper)) {
                Ok(Ok(delivered)) => *notify = delivered,
                Ok(Err(gone)) => self.gone(&gone),
                Err(crashed) => self.watch.backend_crashed(crashed),
            }
        }
        for (vif, delivered) in notify.into_iter().enumerate().skip(FIRST_GUEST) {
            let Self { plane, keeper: Some(keeper), guests, .. } = self else { return };
            let Some(guest) = &guests[vif] else { continue };
            match contain(|| plane.answer(port(vif), keeper)) {
                Ok(answered) => guest.wiring.notify(delivered.or(answered)),
                Err(crashed) => self.watch.backend_crashed(crashed),
            }
        }
    }

    /// A guest has been disconnected for what it did.
    fn gone(&mut self, gone: &Gone) {
        self.banish(gone.port.index(), gone.lie);
    }

    /// Disconnects a guest for what it did.
    pub fn banish(&mut self, vif: usize, lie: Lie) {
        if let Some(guest) = &self.guests[vif] {
            let (domid, handle) = (guest.interface.domid(), guest.interface.handle);
            log::warn!("interface {handle} of {domid} disconnected: {lie}");
            self.gone.push((domid, handle));
            xenstore::GONE.signal(());
        }
        self.disconnect(vif);
    }

    /// Notes whose frames were dropped since the last time, and why.
    fn note_drops(&mut self, now_us: u64) {
        if now_us < self.note_at_us {
            return;
        }
        self.note_at_us = now_us + NOTE_EVERY_US;
        self.plane.age(now_us);
        for (vif, guest) in self.guests.iter_mut().enumerate() {
            let (Some(guest), Ok(counters)) = (guest, self.plane.switch().counters(port(vif))) else {
                continue;
            };
            let dropped: u64 = FORBIDDEN.into_iter().map(|why| counters.dropped(why)).sum();
            if dropped != core::mem::replace(&mut guest.dropped, dropped) {
                let (domid, handle) = (guest.interface.domid(), guest.interface.handle);
                for why in FORBIDDEN.into_iter().filter(|why| counters.dropped(*why) > 0) {
                    let (count, why) = (counters.dropped(why), why.as_str());
                    log::warn!("interface {handle} of {domid}: {count} frames dropped: {why}");
                }
            }
        }
    }

    /// Counts for root what was taken on and what was done.
    fn show_progress(&mut self) {
        for (number, card) in self.cards.iter_mut().enumerate() {
            card.show(&self.plane, &self.health, part::driver(number));
        }
        // A guest without credit keeps itself waiting.
        let served = |vif: &usize| self.guests[*vif].as_ref().is_some_and(|guest| guest.until_us.is_none());
        let vifs = (FIRST_GUEST..self.guests.len()).filter(served);
        let devices = vifs.filter_map(|vif| self.plane.device(port(vif)));
        let (open, done) = devices.map(Device::progress).fold((0, 0), |(open, done), (more_open, more)| {
            (open + u64::from(more_open), u64::wrapping_add(done, more))
        });
        self.shown.show(&self.health, part::BACKEND, open, done);
    }

    fn next_look_us(&self, now_us: u64) -> u64 {
        let waits = |vif| self.plane.device(port(vif)).is_some_and(|device| device.waiting(None) > 0);
        let is_waiting = self.cards.iter().any(|card| card.is_sending(&self.plane))
            || self.guests.iter().flatten().any(|guest| guest.is_ready)
            || (FIRST_GUEST..self.guests.len()).any(waits);
        let has_guests = self.guests.iter().any(Option::is_some);
        let look_us = now_us
            + match (is_waiting, has_guests) {
                (true, _) => WAITING_US,
                (false, true) => WATCHING_US,
                (false, false) => IDLE_US,
            };
        let of_cards = self.cards.iter().map(Attachment::next_us);
        let of_guests = self.guests.iter().flatten().map(|guest| guest.until_us);
        let others_us = of_cards.chain(of_guests).chain([self.watch.backend.due_us()]).flatten();
        others_us.fold(look_us, u64::min).max(now_us + 1)
    }
}

impl Guest {
    /// It is to be served from where its rings are, and told to look at them.
    pub fn rouse(&mut self) {
        (self.is_ready, self.until_us) = (true, None);
        self.wiring.notify_all();
    }
}

impl Service {
    /// When the fault was injected that has now been repaired, if it was; root does not take the next one for it then.
    pub fn take_injected_us(&self) -> Option<u64> {
        let injected_us = self.health.injected_at_us();
        self.health.set_injected_at_us(0);
        injected_us
    }
}
