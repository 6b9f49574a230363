//! Drivers, backends and unikernels die at any point, and guests notice nothing.

use crate::frames::{Name, mac, name_of, named};
use crate::guest::{Guest, Special};
use crate::host::{CARD, Host, port};
use crate::numbers::{Numbers, for_each_seed};
use network::netback::{Abilities, Offload};
use network::switch::EthernetAddress;
use std::collections::{BTreeMap, BTreeSet};

const GUESTS: usize = 3;

/// The flow to the wire; that to guest `n` is flow `n`, that to all is [`TO_ALL`].
const TO_WIRE: u8 = 0;
const TO_ALL: u8 = 9;

/// Somebody far away, behind the card.
const FAR: u8 = 100;

/// What may go wrong, and how often: once in so many steps.
#[derive(Clone, Copy)]
struct Mishaps {
    driver: usize,
    netback: usize,
    unikernel: usize,
}

#[derive(Default)]
struct Traffic {
    next: BTreeMap<(u8, u8), u32>,
    sent: BTreeSet<Name>,
}

impl Traffic {
    fn send(&mut self, guest: &mut Guest, number: u8, numbers: &mut Numbers) {
        let flow = numbers.pick(&[TO_WIRE, TO_WIRE, TO_ALL, 1, 2, 3]);
        if flow == number {
            return;
        }
        let to = match flow {
            TO_WIRE => mac(FAR),
            TO_ALL => EthernetAddress::BROADCAST,
            guest => mac(guest),
        };
        let sizes = [60 + numbers.below(400), 1 + numbers.below(600)];
        let length = numbers.pick(&[40, 60, 300, 1200, 1514]);
        if !guest.has_room(4) {
            return;
        }
        let next = self.next.entry((number, flow)).or_default();
        let name = Name { sender: number, flow, number: *next };
        *next += 1;
        self.sent.insert(name);
        guest.send(&named(name, to, length), &sizes[..numbers.below(3)], Special::default());
    }

    /// Whoever is at the far end of a flow has all of it, and the first time in order.
    fn check(&self, what: &str, got: impl Iterator<Item = Name>, expected: impl Fn(&Name) -> bool) -> usize {
        let (mut seen, mut repeated) = (BTreeSet::new(), 0);
        let mut last: BTreeMap<(u8, u8), u32> = BTreeMap::new();
        for name in got.filter(|name| expected(name)) {
            if !seen.insert(name) {
                repeated += 1;
                continue;
            }
            let flow = (name.sender, name.flow);
            let before = last.insert(flow, name.number);
            assert!(
                before.is_none_or(|before| before < name.number),
                "{what}: {name:?} came behind {before:?}"
            );
        }
        let lost: Vec<_> = self.sent.iter().filter(|name| expected(name) && !seen.contains(name)).collect();
        assert!(lost.is_empty(), "{what}: lost {} frames, the first is {:?}", lost.len(), lost[0]);
        repeated
    }
}

/// A run: what happened, for whoever wants to know whether anything did.
#[derive(Debug, Default)]
struct Happened {
    deaths: usize,
    sent: usize,
    repeated: usize,
}

fn run(seed: u64, steps: usize, mishaps: Mishaps) -> Happened {
    let mut host = Host::new(seed, GUESTS, Abilities::ALL, &[]);
    let mut numbers = Numbers::new(seed ^ 0x5eed);
    let mut traffic = Traffic::default();
    let mut driver_is_dead = false;
    for _ in 0..steps {
        host.now_us += 50;
        let number = 1 + numbers.below(GUESTS);
        let guest = &mut host.guests[number - 1];
        match numbers.below(11) {
            0..3 => traffic.send(guest, number as u8, &mut numbers),
            3 => guest.post(256),
            4 => {
                guest.take_frames();
                guest.take_answers();
            }
            5 => _ = host.serve(number),
            6 => host.deliver(number),
            7 => host.answer(number),
            8 => host.drive().expect("an honest card"),
            9 => host.card_works(),
            _ => {
                let next = traffic.next.entry((FAR, number as u8)).or_default();
                let name = Name { sender: FAR, flow: number as u8, number: *next };
                let Host { card, machine, .. } = &mut host;
                if card.receive(machine, &named(name, mac(number as u8), 200), Offload::NONE) {
                    *next += 1;
                    traffic.sent.insert(name);
                }
            }
        }
        if driver_is_dead && numbers.once_in(8) {
            host.driver_starts();
            driver_is_dead = false;
        }
        if numbers.once_in(mishaps.driver) {
            host.driver_dies();
            driver_is_dead = true;
        }
        if numbers.once_in(mishaps.netback) {
            host.netback_restarts();
        }
        if numbers.once_in(mishaps.unikernel) {
            host.fuse.light(numbers.below(200) as u64);
        }
        driver_is_dead &= !host.plane.uplink(port(CARD)).expect("it is there").is_up();
    }
    host.fuse.put_out();
    if driver_is_dead {
        host.driver_starts();
    }
    host.check_nothing_leaks();
    assert!(host.gone.is_empty(), "an honest guest was disconnected: {:?}", host.gone);
    let on_wire = host.card.wire.iter().map(|frame| name_of(&frame.bytes));
    let mut repeated = traffic.check("the wire", on_wire, |name| matches!(name.flow, TO_WIRE | TO_ALL));
    for (number, guest) in (1..).zip(&host.guests) {
        assert_eq!(guest.statuses.keys().filter(|status| **status != 0).count(), 0, "nothing failed");
        let got = guest.got.iter().map(|got| name_of(&got.bytes));
        let mine = |name: &Name| {
            name.sender != number && matches!(name.flow, flow if flow == number || flow == TO_ALL)
        };
        repeated += traffic.check("a guest", got, mine);
    }
    Happened { deaths: host.deaths, sent: traffic.sent.len(), repeated }
}

const NEVER: usize = usize::MAX;

#[test]
fn without_mishaps_each_frame_arrives_once() {
    for_each_seed(20, |seed| {
        let happened = run(seed, 2000, Mishaps { driver: NEVER, netback: NEVER, unikernel: NEVER });
        assert!(happened.sent > 200, "{happened:?}");
        assert_eq!(happened.repeated, 0);
    });
}

#[test]
fn no_frame_is_lost_when_drivers_die() {
    for_each_seed(60, |seed| {
        let happened = run(seed, 1500, Mishaps { driver: 60, netback: NEVER, unikernel: NEVER });
        assert!(happened.sent > 100, "{happened:?}");
    });
}

#[test]
fn no_frame_is_lost_when_backends_die() {
    for_each_seed(60, |seed| {
        let happened = run(seed, 1500, Mishaps { driver: NEVER, netback: 50, unikernel: NEVER });
        assert!(happened.sent > 100, "{happened:?}");
    });
}

#[test]
fn no_frame_is_lost_when_unikernels_die_anywhere() {
    for_each_seed(120, |seed| {
        let happened = run(seed, 1500, Mishaps { driver: NEVER, netback: NEVER, unikernel: 40 });
        assert!(happened.sent > 100 && happened.deaths > 1, "{happened:?}");
    });
}

#[test]
fn no_frame_is_lost_whatever_dies() {
    for_each_seed(150, |seed| {
        let happened = run(seed, 1500, Mishaps { driver: 80, netback: 90, unikernel: 100 });
        assert!(happened.sent > 100, "{happened:?}");
    });
}
