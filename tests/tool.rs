//! The toolstack runs stock guests, and outlives whatever it dies of.

use emulator::condition::component;
use rvmm_tests::system::TOOL;
use rvmm_tests::{Host, Setup};

/// The first guest's domain, behind those of the components.
const GUEST: u16 = 5;

#[test]
fn a_guest_starts_with_the_host() {
    let mut host = Host::boot("tool-start", Setup { system: TOOL, ..Setup::default() });
    host.wait_for_guest_to_say(GUEST, "guest: up ");
    host.wait_for_guest_to_say(GUEST, "guest: tick 2");
    host.has_seen_no_fault();
    host.has_not_seen(component("tool").fails());
    host.power_off();
}
