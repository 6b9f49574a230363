//! Frontends that lie: each harms only itself, and it is said what it did.

use crate::world::Random;
use crate::world::disk::Disk;
use crate::world::frontend::{Guest, SECTORS};
use crate::world::machine::{BAD_GRANT, Shared};
use crate::world::uk::{Uk, length};
use blkback::{Limits, Reason};
use ring::request::Overrun;
use std::sync::atomic::Ordering::Relaxed;
use uk_abi::testing::Fuse;
use xen_abi::GrantRef;
use xen_abi::blkif::{self, IndirectRequest, Segment};
use zerocopy::IntoBytes;

struct World {
    random: Random,
    machine: Shared,
    disk: Disk,
    uk: Uk,
    honest: Guest,
    liar: Guest,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let (machine, fuse) = (Shared::default(), Fuse::default());
        let mut disk = Disk::new(&machine, &fuse, &mut random);
        let honest = Guest::new(0, &machine, &mut random);
        let liar = Guest::new(1, &machine, &mut random);
        let mut uk = Uk::new(&machine, &fuse, Limits::default());
        uk.revive(&mut disk, &[&honest, &liar]);
        Self { random, machine, disk, uk, honest, liar }
    }

    fn run(&mut self) {
        for _ in 0..self.random.below(6) {
            self.disk.work();
        }
        self.uk.woken = true;
        self.uk.run(&mut self.disk, &mut [&mut self.honest, &mut self.liar]);
    }

    fn step(&mut self) {
        for _ in 0..self.random.below(4) {
            self.honest.ask(&mut self.random);
        }
        self.honest.publish();
        self.run();
        self.honest.collect();
    }

    /// The liar writes a word of its first ring.
    fn poke(&self, word: usize, value: u32) {
        self.liar.pages[0][word / 1024][word % 1024].store(value, Relaxed);
    }

    fn peek(&self, word: usize) -> u32 {
        self.liar.pages[0][word / 1024][word % 1024].load(Relaxed)
    }

    /// The liar puts one request into its first ring.
    fn ask(&self, request: &blkif::Request) {
        let produced = self.peek(0);
        let slot = produced as usize & (self.liar.rings[0].slots() as usize - 1);
        for (index, bytes) in request.as_bytes().chunks_exact(4).enumerate() {
            let word = 16 + slot * size_of::<blkif::Request>() / 4 + index;
            self.poke(word, u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        }
        self.poke(0, produced.wrapping_add(1));
    }

    /// The honest guest is well, and nothing of the liar's is left.
    fn close(mut self) {
        self.uk.fuse.put_out();
        for _ in 0..10_000 {
            if self.honest.open.is_empty() {
                break;
            }
            self.run();
            self.honest.collect();
        }
        assert!(self.honest.open.is_empty(), "never answered: {:?}", self.honest.open);
        for sector in 0..SECTORS {
            let found = self.disk.content(self.honest.disk.volume, sector);
            assert!(self.honest.holds(sector, &found), "sector {sector}");
        }
        for guest in [self.honest.id, self.liar.id] {
            self.uk.backend().disconnect(guest);
        }
        for _ in 0..1000 {
            self.run();
        }
        assert!(self.uk.drained.contains(&self.honest.id) && self.uk.drained.contains(&self.liar.id));
        self.uk.check_idle();
        assert_eq!(self.machine.borrow().in_use(), (0, 0), "pages in use, pages mapped");
        assert!(!self.uk.broken.iter().any(|&(id, _)| id == self.honest.id), "{:?}", self.uk.broken);
    }
}

/// Plays a lie in several worlds; it must be found out, and for this reason.
fn found_out(lie: impl Fn(&mut World), expected: impl Fn(&World) -> Reason) {
    for seed in 0..16 {
        let mut world = World::new(seed);
        for _ in 0..10 {
            world.step();
        }
        lie(&mut world);
        let expected = expected(&world);
        for _ in 0..200 {
            world.step();
        }
        assert_eq!(world.uk.broken, [(world.liar.id, expected)]);
        world.close();
    }
}

#[test]
fn an_index_that_jumps() {
    let limit = |world: &World| world.peek(2).wrapping_add(world.liar.rings[0].slots());
    let overrun = |world: &World, found: u32| {
        Reason::Ring(Overrun { found, consumed: world.peek(2), limit: limit(world) })
    };
    found_out(
        |world| world.poke(0, limit(world).wrapping_add(1)),
        |world| overrun(world, limit(world).wrapping_add(1)),
    );
    found_out(
        |world| world.poke(0, world.peek(2).wrapping_sub(1)),
        |world| overrun(world, world.peek(2).wrapping_sub(1)),
    );
}

fn write(gref: GrantRef, first_sect: u8, last_sect: u8) -> blkif::Request {
    let mut request =
        blkif::Request { operation: 1, nr_segments: 1, sector_number: 3, ..blkif::Request::default() };
    request.seg[0] = Segment { gref, first_sect, last_sect, pad: [0; 2] };
    request
}

#[test]
fn a_segment_that_leaves_its_page() {
    found_out(|world| world.ask(&write(GrantRef(9), 4, 8)), |_| Reason::Segment { first: 4, last: 8 });
}

#[test]
fn a_grant_that_is_none() {
    let reason = Reason::Grant { gref: GrantRef(4000), error: BAD_GRANT };
    for operation in [0, 1, 2] {
        let request = blkif::Request { operation, ..write(GrantRef(4000), 0, 7) };
        found_out(|world| world.ask(&request), |_| reason);
    }
}

#[test]
fn a_grant_that_is_another_guests() {
    found_out(
        |world| {
            let gref = GrantRef(7777);
            world.machine.borrow_mut().grant(world.honest.disk.guest, gref, vec![7; 4096]);
            world.ask(&write(gref, 0, 7));
        },
        |_| Reason::Grant { gref: GrantRef(7777), error: BAD_GRANT },
    );
}

fn indirect(nr_segments: u16) -> blkif::Request {
    let mut request = IndirectRequest {
        operation: blkif::Operation::Indirect.raw(),
        indirect_op: 1,
        nr_segments,
        ..IndirectRequest::default()
    };
    request.indirect_grefs[0] = GrantRef(5000);
    let mut raw = blkif::Request::default();
    raw.as_mut_bytes()[..64].copy_from_slice(request.as_bytes());
    raw
}

#[test]
fn segments_that_are_not_there() {
    let reason = Reason::Grant { gref: GrantRef(5000), error: BAD_GRANT };
    found_out(|world| world.ask(&indirect(12)), |_| reason);
}

#[test]
fn segments_in_a_page_of_rubbish() {
    found_out(
        |world| {
            world.machine.borrow_mut().grant(world.liar.disk.guest, GrantRef(5000), vec![0x33; 4096]);
            world.ask(&indirect(12));
        },
        |_| Reason::Segment { first: 0x33, last: 0x33 },
    );
}

#[test]
fn what_a_liar_had_running_when_the_driver_died_is_forgotten() {
    let mut running = 0;
    for seed in 0..40 {
        let mut world = World::new(seed);
        world.step();
        for _ in 0..10 {
            world.liar.ask(&mut world.random);
        }
        world.liar.publish();
        world.uk.woken = true;
        world.uk.run(&mut world.disk, &mut [&mut world.honest, &mut world.liar]);
        world.ask(&write(GrantRef(9), 7, 0));
        world.poke(0, world.peek(2).wrapping_add(u32::MAX / 2));
        world.uk.woken = true;
        world.uk.run(&mut world.disk, &mut [&mut world.honest, &mut world.liar]);
        assert_eq!(world.uk.broken.len(), 1);
        running += world.uk.backend().open_requests(world.liar.id);
        world.uk.restart_driver(&mut world.disk);
        assert_eq!(world.uk.backend().open_requests(world.liar.id), 0);
        world.close();
    }
    assert!(running > 0, "nothing was running");
}

#[test]
fn a_ring_of_rubbish_harms_nobody_else() {
    let mut found_out = 0;
    for seed in 0..80 {
        let mut world = World::new(seed);
        for _ in 0..60 {
            world.step();
            if world.random.chance(40) {
                // Anywhere in the ring, small numbers more often than large ones.
                let words = world.liar.pages[0].len() * 1024;
                for _ in 0..world.random.below(200) {
                    let word = 16 + world.random.below(words as u64 - 16) as usize;
                    let value = world.random.next() as u32 >> world.random.below(32);
                    world.poke(word, value);
                }
                let (ahead, event) = (world.random.below(5) as u32, world.random.next() as u32);
                world.poke(0, world.peek(2).wrapping_add(ahead));
                world.poke(1, event);
            }
            if world.random.chance(5) {
                let (index, value) = (world.random.below(4) as usize, world.random.next() as u32);
                world.poke(index, value);
            }
            if world.random.chance(10) {
                world.uk.restart_driver(&mut world.disk);
            }
        }
        found_out += usize::from(!world.uk.broken.is_empty());
        world.close();
    }
    assert!(found_out > 30, "only {found_out} were found out");
}

#[test]
fn a_uk_that_dies_beside_a_liar_comes_back_for_the_others() {
    for seed in 0..80 {
        let mut world = World::new(seed);
        for _ in 0..60 {
            world.step();
            if world.random.chance(20) {
                world.uk.fuse.light(length(&mut world.random));
            }
            for _ in 0..world.random.below(3) {
                world.liar.ask(&mut world.random);
            }
            world.liar.publish();
            if world.random.chance(10) {
                // The number of answers shown is the backend's to write, but the page is the liar's.
                let shift = world.random.below(7) as u32;
                world.poke(2, world.peek(2).wrapping_add(shift).wrapping_sub(3));
            }
            if !world.uk.lives() {
                let is_broken = world.uk.broken.iter().any(|&(id, _)| id == world.liar.id);
                let all = [&world.honest, &world.liar];
                world.uk.revive(&mut world.disk, if is_broken { &all[..1] } else { &all });
                if is_broken {
                    world.uk.backend().forget(world.liar.id);
                }
            }
        }
        world.uk.fuse.put_out();
        if !world.uk.lives() {
            world.uk.revive(&mut world.disk, &[&world.honest]);
            world.uk.backend().forget(world.liar.id);
        }
        world.uk.drained.push(world.liar.id);
        world.close();
    }
}
