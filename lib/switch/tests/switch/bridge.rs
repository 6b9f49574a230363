//! Where frames go.

use crate::{AGING_US, config, guest, mac, port, ports, send};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::HashMap;
use switch::{Arrival, Drop, EthernetAddress, LEARNED_MAX, PortConfig, Role, Switch, TABLE_ENTRIES, Verdict};

const CARD: usize = 0;
const BROADCAST: EthernetAddress = EthernetAddress::BROADCAST;

/// A card, guests 1 to 3 bound to addresses 1 to 3, and guest 4 that is free.
fn host() -> Switch {
    let mut switch = Switch::new(7, AGING_US);
    switch.connect(port(CARD), config("xenbr0", Role::Uplink));
    for number in 1..=3 {
        switch.connect(port(number as usize), config("xenbr0", guest(number)));
    }
    switch.connect(port(4), config("xenbr0", Role::Free));
    switch
}

#[test]
fn guests_reach_each_other_and_nobody_listens() {
    let mut switch = host();
    assert_eq!(send(&mut switch, 0, 1, mac(1), mac(2)), Verdict::Forward(ports(&[2])));
    assert_eq!(send(&mut switch, 0, 1, mac(1), BROADCAST), Verdict::Forward(ports(&[0, 2, 3, 4])));
}

#[test]
fn what_is_for_nobody_known_goes_to_those_who_may_know() {
    let mut switch = host();
    assert_eq!(send(&mut switch, 0, 1, mac(1), mac(99)), Verdict::Forward(ports(&[CARD, 4])));
    send(&mut switch, 0, CARD, mac(99), BROADCAST);
    assert_eq!(send(&mut switch, 1, 1, mac(1), mac(99)), Verdict::Forward(ports(&[CARD])));
    assert_eq!(
        send(&mut switch, AGING_US, 1, mac(1), mac(99)),
        Verdict::Forward(ports(&[CARD, 4])),
        "it has been forgotten"
    );
}

#[test]
fn an_address_moves_but_never_a_bound_one() {
    let mut switch = host();
    send(&mut switch, 0, CARD, mac(50), BROADCAST);
    send(&mut switch, 1, 4, mac(50), BROADCAST);
    assert_eq!(send(&mut switch, 2, 1, mac(1), mac(50)), Verdict::Forward(ports(&[4])));
    for by in [CARD, 4] {
        assert_eq!(send(&mut switch, 3, by, mac(2), mac(1)), Verdict::Drop(Drop::ForgedMac));
    }
    assert_eq!(send(&mut switch, 4, 1, mac(1), mac(2)), Verdict::Forward(ports(&[2])));
}

#[test]
fn isolated_guests_hear_the_card_and_not_each_other() {
    let mut switch = host();
    for number in 1..=2 {
        let config = PortConfig { isolated: true, ..config("xenbr0", guest(number)) };
        switch.connect(port(number as usize), config);
    }
    assert_eq!(send(&mut switch, 0, 1, mac(1), mac(2)), Verdict::Drop(Drop::NoWay));
    assert_eq!(send(&mut switch, 0, 1, mac(1), BROADCAST), Verdict::Forward(ports(&[CARD, 3, 4])));
    assert_eq!(send(&mut switch, 0, CARD, mac(9), BROADCAST), Verdict::Forward(ports(&[1, 2, 3, 4])));
}

#[test]
fn bridges_do_not_hear_each_other() {
    let mut switch = host();
    switch.connect(port(5), config("other", guest(5)));
    switch.connect(port(6), config("other", guest(6)));
    assert_eq!(switch.ports_on("other"), ports(&[5, 6]));
    assert_eq!(send(&mut switch, 0, 5, mac(5), BROADCAST), Verdict::Forward(ports(&[6])));
    assert_eq!(send(&mut switch, 0, 5, mac(5), mac(1)), Verdict::Drop(Drop::NoWay));
    switch.disconnect(port(6));
    assert_eq!(send(&mut switch, 0, 5, mac(5), BROADCAST), Verdict::Drop(Drop::NoWay));
    switch.connect(port(6), config("xenbr0", guest(6)));
    assert_eq!(send(&mut switch, 0, 6, mac(6), mac(1)), Verdict::Forward(ports(&[1])));
    assert!(switch.ports_on("nowhere").is_empty());
}

#[test]
fn what_is_no_frame_goes_nowhere() {
    let mut switch = host();
    let short = Arrival { port: port(1), head: &[0; 13], length: 13 };
    assert_eq!(switch.forward(0, &short), Verdict::Drop(Drop::Malformed));
    assert_eq!(send(&mut switch, 0, CARD, BROADCAST, mac(1)), Verdict::Drop(Drop::Malformed));
    assert_eq!(send(&mut switch, 0, 40, mac(1), mac(2)), Verdict::Drop(Drop::NoPort));
    let spanning_tree = EthernetAddress([0x01, 0x80, 0xc2, 0, 0, 0]);
    assert_eq!(send(&mut switch, 0, 1, mac(1), spanning_tree), Verdict::Drop(Drop::LinkLocal));
    let counters = switch.counters(port(1)).expect("it is there");
    assert_eq!(
        (counters.in_frames, counters.dropped(Drop::LinkLocal), counters.dropped(Drop::Malformed)),
        (2, 1, 1)
    );
    assert!(switch.counters(port(40)).is_err());
}

#[test]
fn a_flood_of_addresses_costs_only_who_makes_it() {
    let mut switch = host();
    for number in 1000..1000 + u32::from(LEARNED_MAX) {
        send(&mut switch, 0, CARD, mac(number), BROADCAST);
    }
    let known = switch.learned(port(CARD));
    assert!(known > LEARNED_MAX * 9 / 10, "nearly all of them fit: {known}");
    for number in 100_000..100_000 + 8 * TABLE_ENTRIES as u32 {
        send(&mut switch, 1, 4, mac(number), mac(1));
    }
    assert!(switch.learned(port(4)) <= LEARNED_MAX);
    assert_eq!(switch.learned(port(CARD)), known, "nobody else's were forgotten");
    assert_eq!(send(&mut switch, 3, 1, mac(1), mac(77)), Verdict::Forward(ports(&[CARD, 4])));
    for _ in 0..TABLE_ENTRIES {
        switch.age(AGING_US);
    }
    assert_eq!(switch.learned(port(CARD)), 0, "they are old");
    assert_ne!(switch.learned(port(4)), 0, "these came later");
}

/// A frame, from one of the roaming ports or to be sent by guest 1.
#[derive(Clone, Debug)]
enum Step {
    Show { by: usize, mac: u32 },
    Ask { mac: u32 },
    Wait { us: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (prop_oneof![Just(CARD), Just(4)], 10..60u32).prop_map(|(by, mac)| Step::Show { by, mac }),
        (10..60u32).prop_map(|mac| Step::Ask { mac }),
        (0..AGING_US).prop_map(|us| Step::Wait { us }),
    ]
}

proptest! {
    /// Few addresses, so that none is forgotten for want of room: the table must be exactly a map with ages.
    #[test]
    fn it_learns_like_a_map(seed in any::<u64>(), steps in vec(step(), 1..200)) {
        let mut switch = host_with(seed);
        let mut model: HashMap<u32, (usize, u64)> = HashMap::new();
        let mut now_us = 0;
        for step in steps {
            match step {
                Step::Wait { us } => {
                    now_us += us;
                    switch.age(now_us);
                }
                Step::Show { by, mac: number } => {
                    send(&mut switch, now_us, by, mac(number), mac(1));
                    model.insert(number, (by, now_us));
                }
                Step::Ask { mac: number } => {
                    let known = model.get(&number).filter(|(_, seen_us)| now_us - seen_us < AGING_US);
                    let expected = known.map_or(ports(&[CARD, 4]), |&(by, _)| ports(&[by]));
                    let found = send(&mut switch, now_us, 1, mac(1), mac(number));
                    // A bucket that is full by bad luck may forget, which costs a flood.
                    let flooded = Verdict::Forward(ports(&[CARD, 4]));
                    prop_assert!(found == Verdict::Forward(expected) || found == flooded);
                    if model.len() <= 4 {
                        prop_assert_eq!(found, Verdict::Forward(expected), "four always fit into a bucket");
                    }
                }
            }
        }
    }

    #[test]
    fn no_bytes_confuse_it(by in 0..64usize, bytes in vec(any::<u8>(), 0..200), now_us in any::<u64>()) {
        let mut switch = host();
        let arrival = Arrival { port: port(by), head: &bytes, length: bytes.len() };
        match switch.forward(now_us, &arrival) {
            Verdict::Forward(out) => prop_assert!(!out.is_empty() && !out.contains(port(by))),
            Verdict::Drop(why) => prop_assert_eq!(why == Drop::NoPort, by > 4),
        }
    }
}

fn host_with(seed: u64) -> Switch {
    let mut switch = Switch::new(seed, AGING_US);
    switch.connect(port(CARD), config("xenbr0", Role::Uplink));
    switch.connect(port(1), config("xenbr0", guest(1)));
    switch.connect(port(4), config("xenbr0", Role::Free));
    switch
}
