//! Two cards of different kinds, each with a network of its own: what happens to the driver of one is nothing to the other.

use std::net::Ipv4Addr;
use std::thread;

use emulator::condition::component;
use emulator::device::NicModel;
use emulator::fault::Fault;
use emulator::lan::OUR_ADDRESS;
use rvmm_tests::Setup;
use rvmm_tests::network::{GUESTS, NET, Network};
use rvmm_tests::part::part_is_repaired;

use crate::network::{PAUSE, boot, interface_has_not_changed, kills};

/// The guests' addresses, each on the bridge of one card.
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 3, 6), Ipv4Addr::new(10, 0, 3, 7)];

/// How parts and the whole are killed, in turn, with the number of the card whose driver it is.
const WAYS: [(Fault, Option<usize>); 7] = [
    (Fault::DriverCrash, Some(0)),
    (Fault::DriverCrash, Some(1)),
    (Fault::Ud2, None),
    (Fault::DriverHang, Some(1)),
    (Fault::DriverHang, Some(0)),
    (Fault::BackendCrash, None),
    (Fault::TightLoop, None),
];

/// The far ends of both cables count what the guests send, and ask them, while one driver or the whole dies. Nothing that a guest sends is
/// lost; nor is what is for it, but for what comes while Intel's card is being reset.
#[test]
fn each_card_fails_for_itself() {
    let endless = i32::MAX;
    let job =
        |address| format!("address={address}/24 job=ping peer={OUR_ADDRESS} count={endless} interval=0.01");
    let [first, second] = ADDRESSES.map(job);
    let setup = Setup {
        system: Network::PATIENT.system_of_two_cards([&first, &second]),
        second_nic: Some(NicModel::E1000e),
        ..Setup::default()
    };
    let mut host = boot("network-cards", 2, setup);
    let ((), passed) = host.listen_to_both(ADDRESSES.map(Some), |host| {
        for guest in GUESTS {
            host.wait_for_guest_to_say(guest, "guest: ping starts");
        }
    });
    let mut heard = passed.map(|passed| passed.heard);
    for round in 0..kills() {
        let (fault, card) = WAYS[round % WAYS.len()];
        let is_reset = |number| card.is_none_or(|card| card == number) && fault != Fault::BackendCrash;
        let whom = [Some(ADDRESSES[0]), (!is_reset(1)).then_some(ADDRESSES[1])];
        let ((), passed) = host.listen_to_both(whom, |host| {
            thread::sleep(PAUSE);
            host.begin_chapter();
            host.inject_with(NET, fault, card.unwrap_or(0) as u64);
            host.wait_for(part_is_repaired(NET, fault).unwrap_or_else(|| component(NET).is_repaired()));
        });
        for number in 0..ADDRESSES.len() {
            if card != Some(number) {
                host.has_not_seen(component(NET).logs(&format!("card {number}: its driver has failed")));
            }
        }
        for (number, passed) in passed.into_iter().enumerate() {
            heard[number].extend(passed.heard);
            let unanswered = passed.unanswered;
            assert!(
                unanswered.is_empty(),
                "kill {round}, {fault} of {card:?}: requests through card {number} without an answer: {unanswered:?}"
            );
        }
    }
    // One whose driver fails again and again is given up for a while, which is nothing to the other either.
    host.begin_chapter();
    let given_up = component(NET).logs("card 1 is given up for a while");
    let ((), [passed, _]) = host.listen_to_both([Some(ADDRESSES[0]), None], |host| {
        while !host.has_seen(&given_up) {
            host.inject_with(NET, Fault::DriverCrash, 1);
        }
    });
    host.has_not_seen(component(NET).logs("card 0"));
    assert!(
        passed.unanswered.is_empty(),
        "requests through card 0 without an answer: {:?}",
        passed.unanswered
    );
    let [first, second] = &mut heard;
    first.extend(passed.heard);
    for (number, heard) in [first, second].into_iter().enumerate() {
        interface_has_not_changed(&mut host, GUESTS[number]);
        let count = heard.last().map_or(0, |last| last + 1);
        let missing: Vec<u64> = (0..count).filter(|number| !heard.contains(number)).collect();
        assert!(missing.is_empty(), "of {count} frames through card {number} these were lost: {missing:?}");
    }
    host.power_off();
}
