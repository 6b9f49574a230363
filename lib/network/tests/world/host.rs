//! The host: what a unikernel does, and what outlives it.

use crate::card::SimCard;
use crate::frames::mac;
use crate::guest::{Guest, RingPages};
use crate::machine::{Grants, SimMachine};
use crate::numbers::Numbers;
use netback::{Abilities, Answers, Arrivals, Device, Keep, Lie, RingKind, RingName, Saved, Stopped};
use network::netback;
use network::switch::{Identity, PortConfig, PortId, Role};
use network::{CardConfig, DriverFault, Gone, Plane};
use recovery_box::RecoveryBox;
use std::sync::atomic::{AtomicU64, Ordering};
use uk_abi::testing::{Fuse, Memory};
use xen_abi::ring::Header;

/// The port of the card; guest `n` is at port `n`.
pub const CARD: usize = 0;

/// Slots of the recovery box, and bytes of the largest record: a device's.
const SLOTS: usize = 40;
const PAYLOAD: usize = 704;

const _: () = assert!(PAYLOAD >= Answers::MAX_BYTES);

const AGING_US: u64 = 300_000_000;

pub fn port(number: usize) -> PortId {
    PortId::new(number).expect("a small number")
}

type Records = RecoveryBox<Memory, SLOTS, PAYLOAD>;

/// Keeps records in the recovery box, and can die while the noted responses are written.
struct Keeper {
    records: Records,
    fuse: Fuse,
    pages: Vec<RingPages>,
    numbers: Numbers,
}

impl Keep for Keeper {
    fn keep(&mut self, ring: RingName, answers: &Answers) {
        self.records.put(ring.key(), answers).expect("there is room");
        if self.fuse.burns_out() {
            self.tear(ring, answers);
            self.fuse.die();
        }
    }

    fn save(&mut self, vif: u8, saved: &Saved) {
        self.records.put(vif.into(), saved).expect("there is room");
    }
}

impl Keeper {
    /// What death leaves of responses that were being written: anything, in their slots.
    fn tear(&mut self, ring: RingName, answers: &Answers) {
        let pages = self.pages[usize::from(ring.vif) - 1];
        let (page, slot_words, count) = match ring.kind {
            RingKind::Transmit => (pages.transmit, 3, answers.count::<netback::NetTransmit>()),
            RingKind::Receive => (pages.receive, 2, answers.count::<netback::NetReceive>()),
            RingKind::Control => return,
        };
        for at in 0..count {
            if self.numbers.once_in(2) {
                let slot = answers.first().wrapping_add(at) as usize % 256;
                let word = size_of::<Header>() / 4 + slot * slot_words;
                page[word].store(self.numbers.next() as u32, Ordering::Relaxed);
                if slot_words == 2 {
                    page[word + 1].store(self.numbers.next() as u32, Ordering::Relaxed);
                }
            }
        }
    }
}

pub struct Host {
    pub machine: SimMachine,
    pub fuse: Fuse,
    pub card: SimCard,
    pub guests: Vec<Guest>,
    pub plane: Plane<'static>,
    keeper: Keeper,
    kept: Memory,
    /// Where frames that came in are noted, by page: in memory that a micro-reboot keeps, as frames are.
    arrivals: &'static [AtomicU64],
    pub numbers: Numbers,
    pub now_us: u64,
    /// How often the whole unikernel died.
    pub deaths: usize,
    /// Whom the backend has disconnected, and why.
    pub gone: Vec<Gone>,
    keys: Vec<netback::FrontendKeys>,
}

/// Pages for frames.
const PAGES: usize = 1200;

impl Host {
    /// A host with a card and so many guests, whose keys are Linux's but for some.
    pub fn new(seed: u64, guests: usize, abilities: Abilities, otherwise: &[(&str, &str)]) -> Self {
        let mut numbers = Numbers::new(seed);
        let (grants, fuse) = (Grants::default(), Fuse::default());
        let start = numbers.next() as u32;
        let guests: Vec<Guest> =
            (1..=guests).map(|number| Guest::new(number as u16, grants.clone(), start)).collect();
        let kept = Memory::zeroed(Records::WORDS, &fuse);
        let (records, _) = Records::open(kept.clone()).expect("as large as it has to be");
        let pages = guests.iter().map(|guest| guest.pages).collect();
        let mut host = Self {
            machine: SimMachine::new(PAGES, grants, fuse.clone()),
            card: SimCard::new(abilities),
            plane: Plane::new(PAGES, seed, AGING_US),
            keeper: Keeper { records, fuse: fuse.clone(), pages, numbers: Numbers::new(!seed) },
            keys: guests.iter().map(|_| Guest::keys(otherwise)).collect(),
            guests,
            fuse,
            kept,
            arrivals: Box::leak((0..PAGES).map(|_| AtomicU64::new(0)).collect()),
            numbers,
            now_us: 0,
            deaths: 0,
            gone: Vec::new(),
        };
        host.plane.connect_card(port(CARD), Self::on_bridge(Role::Uplink), CardConfig::default());
        for number in 1..=host.guests.len() {
            host.connect(number);
        }
        host.start_card();
        host
    }

    fn on_bridge(role: Role) -> PortConfig {
        PortConfig { bridge: "xenbr0".try_into().expect("short"), role, isolated: false }
    }

    fn role(number: usize) -> Role {
        Role::Guest(Identity::new(mac(number as u8)))
    }

    pub fn connect(&mut self, number: usize) {
        let guest = &self.guests[number - 1];
        let (keys, rings) = (self.keys[number - 1].clone(), [guest.pages.rings()]);
        let device = Device::connect(number as u8, guest.domid, keys, &rings, None, &mut self.keeper);
        let device = device.expect("an honest frontend");
        self.plane.connect_guest(port(number), Self::on_bridge(Self::role(number)), device);
    }

    fn resume(&self, number: usize) -> Result<Device<'static>, Lie> {
        let records = &self.keeper.records;
        let saved: Saved = records.get(number as u32).expect("sound").expect("kept");
        let rings = [self.guests[number - 1].pages.rings()];
        let kept = |name: RingName| records.get::<Answers>(name.key()).expect("sound");
        Device::resume(number as u8, saved, &rings, None, kept)
    }

    /// Does something with the unikernel, which may die of it; then it is born again.
    fn live<R>(&mut self, what: impl FnOnce(&mut Self) -> R) -> Option<R> {
        let fuse = self.fuse.clone();
        let result = fuse.guard(|| what(self));
        if result.is_none() {
            self.rebirth();
        }
        result
    }

    /// The unikernel is dead. Root resets the card, and starts it anew with nothing but its recovery box.
    pub fn rebirth(&mut self) {
        self.deaths += 1;
        self.fuse.put_out();
        self.card.reset();
        let (records, report) = Records::open(self.kept.clone()).expect("as large as it has to be");
        assert_eq!(report.lost, 0, "the box lost nothing");
        self.keeper.records = records;
        self.plane = Plane::new(PAGES, 0, AGING_US);
        self.plane.connect_card(port(CARD), Self::on_bridge(Role::Uplink), CardConfig::default());
        for number in 1..=self.guests.len() {
            let is_gone = self.gone.iter().any(|gone| gone.port == port(number));
            if !is_gone {
                let device = self.resume(number).expect("an honest frontend");
                self.plane.connect_guest(port(number), Self::on_bridge(Self::role(number)), device);
            }
        }
        self.start_card();
    }

    /// Goes on with what an earlier life has received, and starts the card's driver.
    fn start_card(&mut self) {
        let Self { plane, card, machine, now_us, .. } = self;
        plane.note_arrivals(Arrivals::new(self.arrivals), *now_us, machine);
        plane.driver_ready(port(CARD), *now_us, card, machine);
    }

    /// The backend alone is made anew: switch, shadow and driver go on.
    pub fn netback_restarts(&mut self) {
        let alive: Vec<usize> =
            (1..=self.guests.len()).filter(|number| self.plane.device(port(*number)).is_some()).collect();
        let devices: Vec<_> = alive
            .iter()
            .map(|number| (port(*number), self.resume(*number).expect("an honest frontend")))
            .collect();
        self.plane.reborn(devices, self.now_us, &self.machine);
        assert_eq!(self.plane.strays(), 0, "frames that nobody has");
    }

    /// The driver alone has died.
    pub fn driver_dies(&mut self) {
        self.plane.driver_failed(port(CARD));
        self.card.reset();
    }

    /// The card is given up for a while.
    pub fn card_is_given_up(&mut self) {
        self.card.reset();
        self.plane.give_card_up(port(CARD));
    }

    /// The driver is started again.
    pub fn driver_starts(&mut self) {
        let Self { plane, card, machine, now_us, .. } = self;
        plane.driver_ready(port(CARD), *now_us, card, machine);
    }

    /// Takes what a guest sends.
    pub fn serve(&mut self, number: usize) -> Option<Stopped> {
        let served = self.live(|host| {
            let Self { plane, machine, keeper, now_us, .. } = host;
            plane.serve(port(number), 0, *now_us, machine, keeper)
        })?;
        match served {
            Ok((stopped, _)) => Some(stopped),
            Err(gone) => {
                self.gone.push(gone);
                None
            }
        }
    }

    /// Delivers what a guest has posted room for.
    pub fn deliver(&mut self, number: usize) {
        let delivered = self.live(|host| {
            let Self { plane, machine, keeper, now_us, .. } = host;
            plane.deliver(port(number), *now_us, machine, keeper)
        });
        if let Some(Err(gone)) = delivered {
            self.gone.push(gone);
        }
    }

    /// Answers what a guest has sent.
    pub fn answer(&mut self, number: usize) {
        self.live(|host| host.plane.answer(port(number), &mut host.keeper));
    }

    /// Does what there is to do with the card.
    pub fn drive(&mut self) -> Result<(), DriverFault> {
        let driven = self.live(|host| {
            let Self { plane, machine, card, now_us, .. } = host;
            plane.drive(port(CARD), *now_us, card, machine)
        });
        driven.unwrap_or(Ok(()))
    }

    /// The card does something.
    pub fn card_works(&mut self) {
        let Self { card, machine, numbers, .. } = self;
        card.work(machine, numbers);
    }

    /// Everybody does what there is to do, without mishaps.
    pub fn round(&mut self) {
        self.now_us += 100;
        for number in 1..=self.guests.len() {
            self.guests[number - 1].post(256);
            self.serve(number);
        }
        self.drive().expect("an honest card");
        self.card_works();
        self.drive().expect("an honest card");
        for number in 1..=self.guests.len() {
            self.deliver(number);
            self.answer(number);
            self.guests[number - 1].take_frames();
            self.guests[number - 1].take_answers();
        }
    }

    /// Rounds until all that guests have sent is answered.
    pub fn settle(&mut self) {
        for _ in 0..2000 {
            let gone = |number: usize| self.gone.iter().any(|gone| gone.port == port(number));
            let open: usize = (1..)
                .zip(&self.guests)
                .filter(|(number, _)| !gone(*number))
                .map(|(_, guest)| guest.open())
                .sum();
            if open == 0 {
                return;
            }
            self.round();
        }
        panic!("guests' slots are never answered");
    }

    /// Checks that nothing is in use that nobody uses.
    pub fn check_nothing_leaks(&mut self) {
        self.settle();
        self.round();
        self.round();
        let posted = self.card.posted();
        assert_eq!(posted, usize::from(CardConfig::default().receive_frames));
        assert_eq!(self.plane.pool().frames(), posted, "the pool has frames that nobody uses");
        assert_eq!(self.plane.pool().free_pages(), PAGES - posted, "the pool has pages that nobody uses");
    }
}
