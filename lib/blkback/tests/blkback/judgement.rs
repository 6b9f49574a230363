//! Who is to blame: the medium, the driver, a request that kills drivers, or a journal that was damaged.

use crate::world::Random;
use crate::world::disk::Disk;
use crate::world::frontend::{Guest, SECTORS};
use crate::world::machine::{Hands, Shared, WINDOW};
use crate::world::uk::Uk;
use blkback::geometry::Geometry;
use blkback::pages::{MapError, Pages};
use blkback::{Limits, Persistent, Reason};
use uk_abi::testing::Fuse;
use xen_abi::blkif::ResponseStatus;
use xen_abi::{Domid, GrantRef};

/// What a hang takes down.
#[derive(Clone, Copy, Debug)]
enum Killed {
    Driver,
    Uk,
}

struct World {
    killed: Killed,
    random: Random,
    machine: Shared,
    disk: Disk,
    uk: Uk,
    guest: Guest,
    restarts: u64,
}

impl World {
    fn new(seed: u64, limits: Limits) -> Self {
        let mut random = Random(seed);
        let (machine, fuse) = (Shared::default(), Fuse::default());
        let mut disk = Disk::new(&machine, &fuse, &mut random);
        let guest = Guest::new(0, &machine, &mut random);
        let mut uk = Uk::new(&machine, &fuse, limits);
        uk.revive(&mut disk, &[&guest]);
        Self { killed: Killed::Driver, random, machine, disk, uk, guest, restarts: 0 }
    }

    /// A step of everybody's; a driver that hangs or is at fault is restarted.
    fn step(&mut self, asks: bool) {
        if asks {
            for _ in 0..self.random.below(6) {
                self.guest.ask(&mut self.random);
            }
        }
        self.uk.woken |= self.guest.publish();
        for _ in 0..self.random.below(8) {
            self.disk.work();
        }
        if self.disk.hangs || self.uk.driver_at_fault {
            match self.killed {
                Killed::Driver => self.uk.restart_driver(&mut self.disk),
                Killed::Uk => self.uk.revive(&mut self.disk, &[&self.guest]),
            }
            self.restarts += 1;
        }
        self.uk.run(&mut self.disk, &mut [&mut self.guest]);
        self.guest.collect();
    }

    fn finish(&mut self) {
        for _ in 0..5000 {
            if self.guest.open.is_empty() {
                return;
            }
            self.step(false);
        }
        panic!("never answered: {:?}", self.guest.open);
    }

    fn answers(&self, status: ResponseStatus) -> u64 {
        self.guest.answers.get(&status.raw()).copied().unwrap_or(0)
    }

    fn close(mut self) {
        for sector in 0..SECTORS {
            let found = self.disk.content(self.guest.disk.volume, sector);
            assert!(self.guest.holds(sector, &found), "sector {sector}");
        }
        self.uk.backend().disconnect(self.guest.id);
        self.uk.woken = true;
        self.uk.run(&mut self.disk, &mut [&mut self.guest]);
        assert_eq!(self.uk.drained, [self.guest.id]);
        self.uk.check_idle();
        assert_eq!(self.machine.borrow().in_use(), (0, 0), "pages in use, pages mapped");
    }
}

/// Plays worlds in which one sector kills whoever asks for it: what asks for it is given up, and nothing else.
fn poisoned(killed: Killed) {
    let (mut given_up, mut answered) = (0, 0);
    for seed in 0..40 {
        let mut world = World::new(seed, Limits::default());
        world.killed = killed;
        world.disk.poison = Some((world.guest.disk.volume, 40));
        for _ in 0..60 {
            world.step(true);
        }
        world.finish();
        let failed = &world.guest.failed;
        assert!(failed.iter().all(|sectors| sectors.contains(&40)), "{failed:?}");
        let told: Vec<u64> = failed.iter().map(|sectors| sectors.start).collect();
        assert_eq!((&world.uk.given_up, world.uk.failed), (&told, 0));
        // Each of them has killed as many as it takes, and nothing else has killed any.
        let patience = u64::from(Limits::default().give_up_after);
        assert!(world.restarts <= told.len() as u64 * patience, "{} restarts for {told:?}", world.restarts);
        given_up += told.len() as u64;
        answered += world.answers(ResponseStatus::Okay);
        world.close();
    }
    assert!(given_up > 0 && answered > given_up, "{given_up} given up, {answered} answered");
}

#[test]
fn a_request_that_kills_the_driver_is_given_up_and_no_other() {
    poisoned(Killed::Driver);
}

#[test]
fn a_request_that_kills_the_uk_is_given_up_and_no_other() {
    poisoned(Killed::Uk);
}

#[test]
fn a_device_at_which_everything_fails_is_restarted_once() {
    for seed in 0..20 {
        let mut world = World::new(seed, Limits { failures_in_a_row: 3, ..Limits::default() });
        world.disk.fails = true;
        while world.answers(ResponseStatus::Error) < 20 {
            world.step(true);
        }
        world.finish();
        assert_eq!((world.uk.faults_found, world.restarts), (1, 1));
        assert_eq!(world.uk.failed, world.answers(ResponseStatus::Error));
        world.disk.fails = false;
        let failed = world.answers(ResponseStatus::Error);
        for _ in 0..40 {
            world.step(true);
        }
        world.finish();
        assert_eq!(world.answers(ResponseStatus::Error), failed);
        world.close();
    }
}

#[test]
fn a_device_that_reports_what_it_was_not_given_is_restarted() {
    for seed in 0..20 {
        let mut world = World::new(seed, Limits::default());
        for round in 0..60 {
            world.step(true);
            if round % 10 == 5 {
                world.disk.lie();
            }
        }
        world.finish();
        assert_eq!((world.uk.faults_found, world.restarts), (6, 6));
        assert_eq!(world.answers(ResponseStatus::Error), 0);
        world.close();
    }
}

#[test]
fn how_long_the_driver_takes_can_be_seen() {
    let mut world = World::new(1, Limits::default());
    world.disk.hangs = true;
    while world.uk.backend().shadow().running() == 0 {
        world.guest.ask(&mut world.random);
        world.uk.woken |= world.guest.publish();
        world.uk.run(&mut world.disk, &mut [&mut world.guest]);
    }
    let (since, progress) = (world.uk.backend().shadow().oldest_us(), world.uk.backend().shadow().progress());
    for _ in 0..10 {
        world.uk.woken = true;
        world.uk.run(&mut world.disk, &mut [&mut world.guest]);
    }
    let shadow = world.uk.backend().shadow();
    assert_eq!((shadow.oldest_us(), shadow.progress()), (since, progress));
    world.finish();
    let shadow = world.uk.backend().shadow();
    assert!(shadow.oldest_us().is_none() && shadow.progress() > progress);
    assert_eq!(world.restarts, 1);
    world.close();
}

#[test]
fn requests_that_never_reach_the_device_are_all_answered_for_one_event() {
    for seed in 0..10 {
        let mut world = World::new(seed, Limits::default());
        world.guest.ask_beyond_end();
        let asked = world.guest.open.len() as u64;
        world.finish();
        assert_eq!(world.answers(ResponseStatus::Error), asked);
        world.close();
    }
}

#[test]
fn a_disk_that_becomes_smaller_refuses_what_lies_behind_its_end() {
    let mut world = World::new(5, Limits::default());
    let geometry = world.guest.disk.geometry;
    let (id, smaller) = (world.guest.id, Geometry { sectors: SECTORS / 2, ..geometry });
    world.uk.backend().resize(id, smaller);
    for _ in 0..40 {
        world.step(true);
    }
    world.finish();
    let refused = world.answers(ResponseStatus::Error);
    assert!(refused > 0 && world.answers(ResponseStatus::Okay) > 0);
    world.uk.backend().resize(id, geometry);
    for _ in 0..40 {
        world.step(true);
    }
    world.finish();
    assert_eq!(world.answers(ResponseStatus::Error), refused);
    world.close();
}

/// A damaged journal is healed, or the disk is not served: it is never served wrongly.
#[test]
fn a_damaged_journal_is_healed_or_refused() {
    let (mut healed, mut refused) = (0, 0);
    for seed in 0..120 {
        let mut world = World::new(seed, Limits::default());
        for _ in 0..30 {
            world.step(true);
        }
        let (count, both) = (1 + world.random.below(20), world.random.chance(50));
        for _ in 0..count {
            let (word, mask) = (world.random.next() as usize, 1 << world.random.below(64));
            world.uk.kept.flip(word, mask);
            if both {
                // A slot's two copies, of a payload of 128 bytes and three words before it, lie one behind the other.
                world.uk.kept.flip(word + 19, mask);
            }
        }
        world.uk.revive(&mut world.disk, &[&world.guest]);
        match world.uk.broken.pop() {
            Some((_, Reason::Contradiction { .. })) => refused += 1,
            Some((_, other)) => panic!("{other}"),
            None => {
                world.finish();
                world.close();
                healed += 1;
            }
        }
    }
    assert!(healed > 10 && refused > 3, "{healed} healed, {refused} refused");
}

#[test]
fn a_frontend_that_is_another_begins_anew() {
    let mut world = World::new(3, Limits::default());
    for _ in 0..20 {
        world.step(true);
    }
    let id = world.guest.id;
    assert!(world.uk.backend().remembers(id));
    // The guest boots again while the uk is dead: the rings and everything in them are new.
    let mut random = Random(77);
    world.guest = Guest::new(0, &world.machine, &mut random);
    world.uk.revive(&mut world.disk, &[]);
    world.uk.backend().forget(id);
    assert!(!world.uk.backend().remembers(id));
    let (disk, rings) = (world.guest.disk, world.guest.rings.clone());
    world.uk.backend().connect(id, disk, &rings).expect("the ring is new");
    // What it had written before it may find again.
    let geometry = Geometry { sectors: 0, ..disk.geometry };
    world.uk.backend().resize(id, geometry);
    for _ in 0..20 {
        world.step(true);
    }
    world.finish();
    assert!(world.answers(ResponseStatus::Error) > 0);
    assert_eq!(world.uk.broken, []);
}

#[test]
fn a_queue_that_is_no_longer_there_is_missed() {
    let mut refused = 0;
    for seed in 0..20 {
        let mut world = World::new(seed, Limits::default());
        world.disk.hangs = true;
        for _ in 0..10 {
            world.guest.ask(&mut world.random);
        }
        world.guest.publish();
        world.uk.woken = true;
        world.uk.run(&mut world.disk, &mut [&mut world.guest]);
        let id = world.guest.id;
        world.uk.revive(&mut world.disk, &[]);
        // All but the first queue.
        let rings = &world.guest.rings[..1];
        match world.uk.backend().connect(id, world.guest.disk, rings) {
            Ok(()) => {}
            Err(Reason::Contradiction { queue: 1, by_ring: 0, by_journal }) => {
                assert!(by_journal > 0 && !world.uk.backend().remembers(id));
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 0, "none had anything open in another queue");
}

/// A guest that uses up the room for pages that stay mapped leaves another one its share.
#[test]
fn room_for_mapped_pages_is_shared() {
    let mut random = Random(11);
    let (machine, fuse) = (Shared::default(), Fuse::default());
    let mut disk = Disk::new(&machine, &fuse, &mut random);
    let mut guests = [0, 1].map(|number| {
        let mut guest = Guest::new(number, &machine, &mut random);
        guest.disk.offer.persistent_grants = WINDOW as u32;
        guest.disk.persistent = true;
        guest
    });
    let mut uk = Uk::new(&machine, &fuse, Limits::default());
    uk.revive(&mut disk, &guests.each_ref());
    let mapped = |guest: &Guest| machine.borrow().mapped_of(guest.disk.guest);
    // The first so many guests ask for something, and get it.
    let mut round = |guests: &mut [Guest; 2], asking: usize| {
        for guest in &mut guests[..asking] {
            (0..40).for_each(|_| guest.ask(&mut random));
            guest.publish();
        }
        while !guests.iter().all(|guest| guest.open.is_empty()) {
            disk.work();
            uk.woken = true;
            uk.run(&mut disk, &mut guests.each_mut());
            guests.iter_mut().for_each(Guest::collect);
        }
    };
    (0..300).for_each(|_| round(&mut guests, 1));
    let alone = mapped(&guests[0]);
    assert!(alone > WINDOW / 2, "{alone} pages of one guest");
    (0..300).for_each(|_| round(&mut guests, 2));
    let shares = guests.each_ref().map(mapped);
    assert!(shares.iter().all(|&share| share >= WINDOW / 5), "{shares:?} pages of two guests");
}

#[test]
fn mappings_that_were_not_used_for_long_make_room() {
    let machine = Shared::default();
    let mut hands = Hands { machine: machine.clone(), fuse: Fuse::default() };
    let guest = Domid(5);
    for gref in 0..6 {
        machine.borrow_mut().grant(guest, GrantRef(gref), vec![0; 4096]);
    }
    let mut table = Persistent::new(3);
    let pages: Vec<_> =
        (0..3).map(|gref| table.acquire(guest, GrantRef(gref), &mut hands).unwrap()).collect();
    assert_eq!(table.acquire(guest, GrantRef(3), &mut hands), Err(MapError::NoRoom), "all are in use");
    assert_eq!(table.acquire(guest, GrantRef(1), &mut hands), Ok(pages[1]));
    for gref in [0, 1, 2] {
        table.release(GrantRef(gref));
    }
    assert_eq!(table.acquire(guest, GrantRef(3), &mut hands), Err(MapError::NoRoom), "each was just used");
    for _ in 0..30 {
        assert_eq!(table.acquire(guest, GrantRef(2), &mut hands), Ok(pages[2]));
        table.release(GrantRef(2));
    }
    let third = table.acquire(guest, GrantRef(3), &mut hands).unwrap();
    assert!(!pages.contains(&third));
    assert_eq!(table.len(), 3);
    assert_eq!(table.acquire(guest, GrantRef(1), &mut hands), Ok(pages[1]), "still mapped, and still in use");
    assert_eq!(table.acquire(guest, GrantRef(2), &mut hands), Ok(pages[2]), "used later than the first");
    assert!(matches!(table.acquire(guest, GrantRef(99), &mut hands), Err(MapError::NoRoom)));
    for gref in [1, 1, 2, 3] {
        table.release(GrantRef(gref));
    }
    for _ in 0..30 {
        assert_eq!(table.acquire(guest, GrantRef(1), &mut hands), Ok(pages[1]));
        table.release(GrantRef(1));
    }
    assert!(matches!(table.acquire(guest, GrantRef(99), &mut hands), Err(MapError::Grant(_))));
    table.clear(&mut hands);
    assert!(table.is_empty());
    assert_eq!(machine.borrow().in_use(), (0, 0));
    assert!(hands.allocate().is_some());
}
