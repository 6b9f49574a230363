//! Three levels: each is detected by its own book, and repaired without the others.

use crate::frames::{Name, mac, name_of, named};
use crate::guest::Special;
use crate::host::{CARD, Host, port};
use network::netback::Abilities;
use network::{Book, CardConfig, Decision, Granularity, Level, Look, Policy, Repair, open_requests};

fn send(host: &mut Host, number: u32) {
    let frame = named(Name { sender: 1, flow: 0, number }, mac(9), 200);
    host.guests[0].send(&frame, &[], Special::default());
}

/// One look at the driver, by what its shadow has seen.
fn look_at_driver(host: &Host) -> Look {
    let uplink = host.plane.uplink(port(CARD)).expect("it is there");
    Look { has_work: uplink.sending() > 0, done: uplink.progress() }
}

/// One look at the backend: what the guest has asked against what the backend has answered or hands on.
fn look_at_netback(host: &Host) -> Look {
    let device = host.plane.device(port(1)).expect("it is there");
    let (in_flight, answered) = device.progress();
    let open = open_requests(host.guests[0].pages.transmit, device.answered(0));
    Look { has_work: open > in_flight, done: answered + u64::from(in_flight) }
}

#[test]
fn a_driver_that_hangs_is_noticed_within_its_deadline_and_replaced() {
    let mut host = Host::new(5, 1, Abilities::ALL, &[]);
    let policy = Policy::default();
    let (mut book, mut decision) = (Book::new(), Decision::new(policy, Level::Driver));
    for number in 0..20 {
        send(&mut host, number);
    }
    host.serve(1);
    host.drive().expect("it says nothing");
    host.card.hangs = true;
    let hung_us = host.now_us;
    let stuck = loop {
        host.now_us += 1000;
        host.serve(1);
        host.drive().expect("it says nothing");
        if let Some(stuck) = book.see(host.now_us, look_at_driver(&host), policy.driver_deadline_us) {
            break stuck;
        }
        assert!(host.now_us < hung_us + 2 * policy.driver_deadline_us, "not noticed");
    };
    assert!(stuck.for_us >= policy.driver_deadline_us);
    assert_eq!(decision.decide(host.now_us, false), Repair::Driver);
    assert_eq!(host.guests[0].open(), 20, "nobody was told anything");
    let configured = host.card.configured;
    host.driver_dies();
    host.driver_starts();
    book.repaired();
    assert_eq!(host.card.config, Some(CardConfig::default()), "set up as before");
    assert_eq!(host.card.configured, configured + 1);
    host.check_nothing_leaks();
    let names: Vec<u32> = host.card.wire.iter().map(|frame| name_of(&frame.bytes).number).collect();
    assert_eq!(names, (0..20).collect::<Vec<_>>(), "all of them, in order, and none had been sent before");
}

#[test]
fn an_idle_driver_and_a_busy_one_are_left_alone() {
    let mut host = Host::new(5, 1, Abilities::ALL, &[]);
    let mut book = Book::new();
    for number in 0..200 {
        if number > 100 && host.guests[0].has_room(1) {
            send(&mut host, number);
        }
        host.round();
        host.now_us += 5_000;
        assert_eq!(book.see(host.now_us, look_at_driver(&host), 10_000), None);
    }
}

#[test]
fn a_backend_that_takes_nothing_is_noticed_and_the_driver_goes_on() {
    let mut host = Host::new(5, 1, Abilities::ALL, &[]);
    let (mut netback, mut driver) = (Book::new(), Book::new());
    for number in 0..10 {
        send(&mut host, number);
    }
    host.serve(1);
    host.drive().expect("an honest card");
    for number in 10..20 {
        send(&mut host, number);
    }
    // It is not called any more: it hangs. The card goes on.
    let mut stuck = None;
    for _ in 0..12 {
        host.now_us += 1000;
        host.card_works();
        host.drive().expect("an honest card");
        assert_eq!(driver.see(host.now_us, look_at_driver(&host), 10_000), None);
        stuck = stuck.or(netback.see(host.now_us, look_at_netback(&host), 10_000));
    }
    assert!(stuck.is_some());
    let configured = host.card.configured;
    host.netback_restarts();
    assert_eq!(host.card.configured, configured, "the driver was not touched");
    host.check_nothing_leaks();
    let names: Vec<u32> = host.card.wire.iter().map(|frame| name_of(&frame.bytes).number).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted, (0..20).collect::<Vec<_>>());
}

#[test]
fn frames_that_the_card_has_are_not_sent_twice_when_the_backend_is_new() {
    let mut host = Host::new(5, 1, Abilities::ALL, &[]);
    for number in 0..30 {
        send(&mut host, number);
    }
    host.serve(1);
    host.drive().expect("an honest card");
    // Some are with the card, some with its shadow, all of them adopted; one is told of before the ring is read again.
    host.netback_restarts();
    host.card_works();
    host.drive().expect("an honest card");
    host.check_nothing_leaks();
    let names: Vec<u32> = host.card.wire.iter().map(|frame| name_of(&frame.bytes).number).collect();
    assert_eq!(names, (0..30).collect::<Vec<_>>(), "each once, in order");
}

#[test]
fn nobody_waits_for_a_card_that_is_given_up() {
    let mut host = Host::new(5, 1, Abilities::ALL, &[]);
    for number in 0..30 {
        send(&mut host, number);
    }
    host.serve(1);
    host.drive().expect("an honest card");
    // Some are with the card, some with its shadow, and some have not been looked at.
    for number in 30..40 {
        send(&mut host, number);
    }
    host.serve(1);
    host.card_is_given_up();
    host.answer(1);
    host.guests[0].take_answers();
    assert_eq!(host.guests[0].open(), 0, "all of them are answered");
    for number in 40..50 {
        send(&mut host, number);
    }
    host.serve(1);
    host.answer(1);
    host.guests[0].take_answers();
    assert_eq!(host.guests[0].open(), 0, "so are those that come later");
    assert_eq!(host.plane.strays(), 0);
    host.driver_starts();
    for number in 50..60 {
        send(&mut host, number);
    }
    host.check_nothing_leaks();
    let names: Vec<u32> = host.card.wire.iter().map(|frame| name_of(&frame.bytes).number).collect();
    assert_eq!(names, (50..60).collect::<Vec<_>>(), "what was lost is not sent");
}

#[test]
fn what_fails_too_often_is_repaired_by_more() {
    let policy = Policy::default();
    let [mut decision, mut other] = [Level::Driver, Level::Netback].map(|level| Decision::new(policy, level));
    for _ in 0..policy.attempts {
        assert_eq!(decision.decide(1_000, false), Repair::Driver);
    }
    assert_eq!(decision.decide(1_000, false), Repair::Unikernel);
    assert_eq!(decision.decide(1_000, true), Repair::Later, "the others go on");
    assert_eq!(other.decide(1_000, false), Repair::Netback, "that is another part");
    let later_us = 1_000 + policy.window_us;
    assert_eq!(decision.decide(later_us, false), Repair::Driver);
    let coarse = Policy { granularity: Granularity::Coarse, ..policy };
    assert_eq!(Decision::new(coarse, Level::Driver).decide(0, true), Repair::Unikernel);
}
