//! Guests at work, while the driver, the backends and the uk die at every point where they can.
//!
//! `BLKBACK_SEED` plays one world again; `BLKBACK_WORLDS` sets how many are played.

use crate::world::Random;
use crate::world::disk::Disk;
use crate::world::frontend::{Guest, SECTORS};
use crate::world::machine::Shared;
use crate::world::uk::{Uk, length};
use blkback::Limits;
use uk_abi::testing::Fuse;
use xen_abi::blkif::ResponseStatus;

/// Nothing is given up in these worlds: what a guest is told to have failed has failed in the device.
const PATIENT: Limits = Limits { alone_after: 2, give_up_after: u8::MAX, failures_in_a_row: u8::MAX };

/// What may go wrong in a world.
#[derive(Clone, Copy, Debug)]
struct Faults {
    /// How often in a hundred steps a fuse is lit that the uk will die of.
    uk: u64,
    /// How often the driver is restarted.
    driver: u64,
    /// How often a backend is restarted.
    backend: u64,
    /// How often in a hundred commands one is called off.
    aborts: u64,
    /// How many sectors are bad.
    bad_sectors: u64,
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Plays worlds: the one that is asked for, or many.
fn worlds(default: u64, play: impl Fn(u64)) {
    if let Some(seed) = number("BLKBACK_SEED") {
        println!("BLKBACK_SEED={seed}");
        play(seed);
        return;
    }
    for seed in 0..number("BLKBACK_WORLDS").unwrap_or(default) {
        println!("BLKBACK_SEED={seed}");
        play(seed);
    }
}

struct World {
    random: Random,
    machine: Shared,
    disk: Disk,
    uk: Uk,
    guests: Vec<Guest>,
}

impl World {
    fn new(seed: u64, faults: Faults) -> Self {
        let mut random = Random(seed);
        let machine = Shared::default();
        let fuse = Fuse::default();
        let mut disk = Disk::new(&machine, &fuse, &mut random);
        disk.abort_percent = faults.aborts;
        let guests: Vec<Guest> =
            (0..1 + random.below(3) as u16).map(|number| Guest::new(number, &machine, &mut random)).collect();
        for _ in 0..faults.bad_sectors {
            let guest = &guests[random.below(guests.len() as u64) as usize];
            disk.bad.insert((guest.disk.volume, random.below(SECTORS)));
        }
        let mut uk = Uk::new(&machine, &fuse, PATIENT);
        uk.revive(&mut disk, &guests.iter().collect::<Vec<_>>());
        Self { random, machine, disk, uk, guests }
    }

    /// A step of everybody's.
    fn step(&mut self, asks: bool) {
        let random = &mut self.random;
        if asks {
            for guest in &mut self.guests {
                for _ in 0..random.below(6) {
                    guest.ask(random);
                }
                self.uk.woken |= guest.publish();
            }
        }
        for _ in 0..random.below(8) {
            self.disk.work();
        }
        if self.uk.lives() && self.uk.driver_at_fault {
            self.uk.restart_driver(&mut self.disk);
        }
        if !self.uk.lives() {
            let guests: Vec<&Guest> = self.guests.iter().collect();
            self.uk.revive(&mut self.disk, &guests);
        }
        self.uk.run(&mut self.disk, &mut self.guests.iter_mut().collect::<Vec<_>>());
        for guest in &mut self.guests {
            guest.collect();
        }
    }

    fn fail(&mut self, faults: &Faults) {
        if self.random.chance(faults.uk) {
            self.uk.fuse.light(length(&mut self.random));
        }
        if self.uk.lives() && self.random.chance(faults.driver) {
            self.disk.hangs = self.random.chance(50);
            self.uk.restart_driver(&mut self.disk);
        }
        if self.uk.lives() && self.random.chance(faults.backend) {
            let guest = self.random.below(self.guests.len() as u64) as usize;
            let (fuse, id) = (self.uk.fuse.clone(), self.guests[guest].id);
            fuse.put_out();
            self.uk.woken = true;
            self.uk.backend().restart(id).expect("the journal agrees with the ring");
        }
    }

    /// Lets all that is open come to its end.
    fn finish(&mut self) {
        self.uk.fuse.put_out();
        for _ in 0..20_000 {
            if self.guests.iter().all(|guest| guest.open.is_empty()) {
                return;
            }
            self.step(false);
        }
        let open: Vec<_> = self.guests.iter().map(|guest| guest.open.values().next().cloned()).collect();
        panic!("never answered: {open:?}; {:?}", self.uk.backend().shadow());
    }

    /// Checks what is on the disk, and that nothing is left in use when all guests have gone.
    fn close(mut self) {
        for guest in &mut self.guests {
            let mut check = |sector| {
                let found = self.disk.content(guest.disk.volume, sector);
                assert!(guest.holds(sector, &found), "sector {sector} of {:?}", guest.id);
            };
            (0..SECTORS).for_each(&mut check);
            self.uk.backend().disconnect(guest.id);
        }
        self.uk.woken = true;
        self.uk.run(&mut self.disk, &mut self.guests.iter_mut().collect::<Vec<_>>());
        assert_eq!(self.uk.broken, []);
        self.uk.check_idle();
        assert_eq!(self.uk.faults_found, 0, "the driver is blamed for what it has not done");
        assert_eq!(self.uk.drained.len(), self.guests.len());
        assert_eq!(self.machine.borrow().in_use(), (0, 0), "pages in use, pages mapped");
        self.guests.iter_mut().for_each(Guest::leave);
    }

    fn failures(&self) -> u64 {
        let failures = |guest: &Guest| guest.answers.get(&ResponseStatus::Error.raw()).copied().unwrap_or(0);
        self.guests.iter().map(failures).sum()
    }

    fn answers(&self) -> u64 {
        self.guests.iter().flat_map(|guest| guest.answers.values()).sum()
    }
}

/// Plays a world with these faults to its end, and returns how many requests were answered, how many of them with an error, and
/// how often the uk died.
fn play(seed: u64, faults: Faults, steps: u64) -> (u64, u64, u64) {
    let mut world = World::new(seed, faults);
    for _ in 0..steps {
        world.step(true);
        world.fail(&faults);
    }
    world.finish();
    let counts = (world.answers(), world.failures(), world.uk.deaths);
    world.close();
    counts
}

const NONE: Faults = Faults { uk: 0, driver: 0, backend: 0, aborts: 0, bad_sectors: 0 };

#[test]
fn without_faults_every_request_is_answered() {
    worlds(30, |seed| {
        let (answers, failures, _) = play(seed, NONE, 60);
        assert!(answers > 20, "{answers} answers");
        assert_eq!(failures, 0);
    });
}

#[test]
fn a_driver_that_dies_is_not_noticed() {
    worlds(60, |seed| {
        let (_, failures, _) = play(seed, Faults { driver: 20, aborts: 5, ..NONE }, 80);
        assert_eq!(failures, 0);
    });
}

#[test]
fn a_backend_that_dies_is_not_noticed() {
    worlds(60, |seed| {
        let (_, failures, _) = play(seed, Faults { backend: 20, ..NONE }, 80);
        assert_eq!(failures, 0);
    });
}

#[test]
fn a_uk_that_dies_anywhere_is_not_noticed() {
    let deaths = std::cell::Cell::new(0);
    worlds(120, |seed| {
        let (_, failures, died) = play(seed, Faults { uk: 15, ..NONE }, 100);
        assert_eq!(failures, 0);
        deaths.set(deaths.get() + died);
    });
    assert!(deaths.get() > 0, "nobody died");
}

#[test]
fn all_of_them_die_in_turn() {
    worlds(120, |seed| {
        let faults = Faults { uk: 10, driver: 10, backend: 10, aborts: 3, ..NONE };
        let (_, failures, _) = play(seed, faults, 100);
        assert_eq!(failures, 0);
    });
}

#[test]
fn bad_sectors_are_told_and_nothing_else() {
    let failures = std::cell::Cell::new(0);
    worlds(60, |seed| {
        let faults = Faults { uk: 5, driver: 5, backend: 5, aborts: 3, bad_sectors: 4 };
        let (answers, failed, _) = play(seed, faults, 80);
        assert!(failed < answers, "all of {answers} requests have failed");
        failures.set(failures.get() + failed);
    });
    assert!(failures.get() > 0, "nothing has failed");
}

#[test]
fn what_was_flushed_survives_the_power() {
    worlds(120, |seed| {
        let faults = Faults { uk: 8, driver: 8, backend: 8, aborts: 3, ..NONE };
        let mut world = World::new(seed, faults);
        for _ in 0..20 + world.random.below(80) {
            world.step(true);
            world.fail(&faults);
        }
        world.disk.lose_power();
        for guest in &world.guests {
            for sector in 0..SECTORS {
                let found = world.disk.content(guest.disk.volume, sector);
                assert!(guest.survives(sector, &found), "sector {sector} of {:?}", guest.id);
            }
        }
    });
}
