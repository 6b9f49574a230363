//! Guests' networks: stock kernels reach each other and the world, and notice nothing, while drivers, backend and unikernel die under
//! them.
//!
//! `RVMM_NETWORK_KILLS=1000` makes as many kills as that in each of the tests that kill; with `RVMM_NETWORK_GUESTS=8` so many guests are
//! on one bridge; with `RVMM_NETWORK_MIB=1024` so much goes through a connection that outlives kills.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use emulator::condition::{component, everything_is_up};
use emulator::fault::Fault;
use emulator::lan::{OUR_ADDRESS, Passed};
use rvmm_tests::network::{GUESTS, MOST_GUESTS, NET, Network};
use rvmm_tests::part::{DEATHS, harm_and_wait, part_is_repaired};
use rvmm_tests::{Host, Setup, setting};

/// The address of the first guest.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 6);

/// Kills in a test unless told otherwise: each way to die comes once.
const KILLS: usize = DEATHS.len() + 1;

/// What a guest says while it boots. Eight of them on one processor take half a minute, and on a busy machine minutes.
const BOOT: [&str; 6] = [
    "[    0.000000]",
    "TCP established",
    "Freeing initrd memory",
    "Run /init",
    "guest: up ",
    "guest: net up ",
];

/// From one kill to the next.
pub(crate) const PAUSE: Duration = Duration::from_millis(300);

/// The same while a long stream goes on: root would hold a unikernel that is killed so often for minutes.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// A host whose first guests, so many, have their interfaces.
pub(crate) fn boot(test: &str, guests: usize, setup: Setup) -> Host {
    let host = Host::switch_on(test, Setup { devices: true, ..setup });
    host.wait_for(everything_is_up());
    // In small steps: a busy machine takes long over each.
    for step in BOOT {
        for guest in domains(guests) {
            host.wait_for_guest_to_say(guest, step);
        }
    }
    host
}

/// The domains of so many guests.
fn domains(guests: usize) -> Range<u16> {
    GUESTS[0]..GUESTS[0] + guests as u16
}

/// How often the tests that kill do so.
pub(crate) fn kills() -> usize {
    setting("RVMM_NETWORK_KILLS", KILLS)
}

/// How the network's unikernel, or a part of it, is killed in this round: each time in another way; none if the unikernel is built anew.
fn way(round: usize) -> Option<Fault> {
    DEATHS.get(round % KILLS).copied()
}

/// The guest's interface is as it was when it came up.
pub(crate) fn interface_has_not_changed(host: &mut Host, guest: u16) {
    host.begin_chapter();
    let state = host.wait_for_guest_to_say(guest, "guest: net state=");
    assert_eq!(state, "guest: net state=up changes=1");
}

/// Each guest pings the next, all at the same time, every other one with frames six times as long as those of a card.
#[test]
fn guests_reach_each_other() {
    let guests = setting("RVMM_NETWORK_GUESTS", GUESTS.len()).clamp(2, MOST_GUESTS);
    let address = |guest: usize| format!("10.0.3.{}", 6 + guest % guests);
    let size = |guest| if guest % 2 == 0 { 8900 } else { 56 };
    let job = |guest| {
        let (own, peer, size) = (address(guest), address(guest + 1), size(guest));
        format!("address={own}/24 mtu=9000 job=ping peer={peer} count=200 size={size}")
    };
    let jobs: Vec<String> = (0..guests).map(job).collect();
    let jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
    let system = Network::PATIENT.system(&jobs);
    // QEMU's own network takes what eight guests say to everybody; a cable whose far end nobody reads does not for long.
    let setup = Setup { system, on_this_machine: true, ..Setup::default() };
    let mut host = boot("network-guests", guests, setup);
    for guest in domains(guests) {
        let done = host.wait_for_guest_to_say(guest, "guest: ping done");
        assert_eq!(done, "guest: ping done answers=200");
    }
    for guest in domains(guests) {
        interface_has_not_changed(&mut host, guest);
    }
    host.has_seen_no_fault();
    host.power_off();
}

/// A guest gets its address from outside; so does an interface that is attached while it runs, is served across a death, and goes again.
#[test]
fn interfaces_come_and_go() {
    let network = Network { address: "10.0.2.100/24", ..Network::PATIENT };
    let system = network.system(&["job=dhcp"]);
    let mut host = boot("network-plug", 1, Setup { system, on_this_machine: true, ..Setup::default() });
    let [guest, _] = GUESTS;
    host.wait_for_guest_to_say(guest, "guest: lease eth0 10.0.2.");
    for fault in [Fault::Ud2, Fault::BackendCrash] {
        host.begin_chapter();
        host.tell("tool", "attach guest.0 vif bridge=xenbr0");
        host.wait_for(component(NET).logs("interface 1 of d6: connected"));
        host.inject(NET, fault);
        host.wait_for(part_is_repaired(NET, fault).unwrap_or_else(|| component(NET).is_repaired()));
        host.wait_for_guest_to_say(guest, "guest: lease eth1 10.0.2.");
        host.tell("tool", "detach guest.0 vif 1");
        host.wait_for_guest_to_say(guest, "guest: eth1 is gone");
    }
    host.power_off();
}

/// No frame is lost that the guest has handed over, and none for it: the far end of the card's cable counts both, while the guest asks it without
/// end, and it the guest. While the unikernel is built anew it does not ask: what a card has received goes with the old memory, and a card
/// that is reset as a whole may drop what waits for it, which it is in no other case.
#[test]
fn every_frame_of_a_guest_arrives_and_every_one_for_it() {
    let endless = i32::MAX;
    let job =
        format!("address={FIRST_ADDRESS}/24 job=ping peer={OUR_ADDRESS} count={endless} interval=0.005");
    let system = Network::PATIENT.system(&[&job]);
    let mut host = boot("network-frames", 1, Setup { system, ..Setup::default() });
    let [guest, _] = GUESTS;
    let ((), first) =
        host.listen(Some(FIRST_ADDRESS), |host| _ = host.wait_for_guest_to_say(guest, "guest: ping starts"));
    let mut heard = first.heard;
    let before = host.free();
    for round in 0..kills() {
        let way = way(round);
        let ((), passed) = host.listen(way.map(|_| FIRST_ADDRESS), |host| {
            thread::sleep(PAUSE);
            harm_and_wait(host, NET, way);
        });
        heard.extend(passed.heard);
        let Passed { asked, unanswered, .. } = passed;
        assert!(
            unanswered.is_empty(),
            "kill {round}, {way:?}: of {asked} requests to the guest these have no answer: {unanswered:?}"
        );
        if way.is_some() {
            host.has_not_seen(component(NET).logs("the card was reset as a whole"));
        }
    }
    host.has_used_nothing_up_since(&before);
    interface_has_not_changed(&mut host, guest);
    let count = heard.last().map_or(0, |last| last + 1);
    let missing: Vec<u64> = (0..count).filter(|number| !heard.contains(number)).collect();
    assert!(missing.is_empty(), "of {count} frames these were lost: {missing:?}");
    host.power_off();
}

/// A stream that goes to the guest and comes back is what it was.
#[test]
fn a_connection_outlives_whatever_dies() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let job = format!("address=10.0.2.16/24 job=echo peer=10.0.2.2 port={port}");
    let setup = Setup {
        system: Network { address: "10.0.2.15/24", ..Network::PATIENT }.system(&[&job]),
        on_this_machine: true,
        ..Setup::default()
    };
    let mut host = boot("network-connection", 1, setup);
    let [guest, _] = GUESTS;
    host.wait_for_guest_to_say(guest, "guest: echo starts");
    let (stream, _) = listener.accept().unwrap();
    let (done, echoed) = (AtomicBool::new(false), AtomicUsize::new(0));
    let enough = setting("RVMM_NETWORK_MIB", 1) << 20;
    thread::scope(|scope| {
        let talk = scope.spawn(|| talk(stream, &done, &echoed));
        let mut round = 0;
        while round < kills() || echoed.load(Ordering::Relaxed) < enough {
            thread::sleep(if round < kills() { PAUSE } else { LONG_PAUSE });
            harm_and_wait(&mut host, NET, way(round));
            round += 1;
        }
        interface_has_not_changed(&mut host, guest);
        done.store(true, Ordering::Relaxed);
        talk.join().unwrap();
    });
    host.wait_for_guest_to_say(guest, "guest: echo done");
    host.power_off();
}

/// Sends numbers until `done`, and checks that they come back; counts the bytes that have.
fn talk(stream: TcpStream, done: &AtomicBool, echoed: &AtomicUsize) {
    const NUMBERS: usize = 4096;
    let piece = |first: usize| (first..first + NUMBERS).flat_map(usize::to_le_bytes).collect::<Vec<u8>>();
    let mut sink = stream.try_clone().unwrap();
    let mut source = stream;
    source.set_read_timeout(Some(emulator::host::GUARD)).unwrap();
    thread::scope(|scope| {
        let sent = scope.spawn(move || {
            let mut first = 0;
            while !done.load(Ordering::Relaxed) {
                sink.write_all(&piece(first)).unwrap();
                first += NUMBERS;
            }
            sink.shutdown(std::net::Shutdown::Write).unwrap();
            first
        });
        let (mut first, mut found) = (0, vec![0; piece(0).len()]);
        while source.read_exact(&mut found).is_ok() {
            assert!(found == piece(first), "the numbers from {first} on are others");
            first += NUMBERS;
            echoed.store(first * size_of::<usize>(), Ordering::Relaxed);
        }
        assert_eq!(sent.join().unwrap(), first, "numbers that came back");
    });
}

/// A guest that uses an address which is not its own is heard by nobody, and that is noted.
#[test]
fn a_guest_cannot_be_somebody_else() {
    let jobs = ["address=10.0.3.6/24 job=forge peer=10.0.3.7", "address=10.0.3.7/24"];
    let host =
        boot("network-forged", 2, Setup { system: Network::PATIENT.system(&jobs), ..Setup::default() });
    host.wait_for_guest_to_say(GUESTS[0], "guest: forge unheard");
    host.wait_for(component(NET).logs("dropped: forged Ethernet address"));
    host.power_off();
}
