//! Stock Linux kernels run as guests.

use emulator::artifacts::XenVersion::{V4_17, V4_20};
use emulator::fault::RootFault;
use rvmm_tests::guest::{FIRST, Guest, host_with};
use rvmm_tests::system::System;
use rvmm_tests::{Host, Setup};

/// A host with one guest: its kernel, its memory, its vCPUs.
fn guest(kernel: &'static str, memory_mib: u32, vcpus: u32) -> System {
    let guest = Guest::new("guest").of(kernel).memory_mib(memory_mib);
    host_with(&[guest.with(format_args!("vcpus = {vcpus}"))])
}

/// A guest starts, its kernel finds the processors that it was given, and it runs on.
fn boots(test: &str, setup: Setup, vcpus: u32) {
    let host = Host::boot(test, setup);
    let up = host.wait_for_guest_to_say(FIRST, "guest: up ");
    assert!(up.contains(&format!(" cpus={vcpus} ")), "{up}");
    host.wait_for_guest_to_say(FIRST, "guest: tick 3");
    host.has_seen_no_fault();
    host.power_off();
}

/// Root dies while a guest runs: the guest does not notice, and is heard again.
#[test]
fn a_guest_outlives_root() {
    let setup = Setup { system: guest("bookworm-guest", 128, 1), ..Setup::default() };
    let mut host = Host::boot("guest-outlives-root", setup);
    host.wait_for_guest_to_say(FIRST, "guest: tick 1");
    host.begin_chapter();
    host.harm_root(RootFault::Ud2);
    host.wait_for_guest_to_say(FIRST, "guest: tick 6");
    host.power_off();
}

macro_rules! boots {
    ($($test:ident: $kernel:literal, $memory:literal MiB, $vcpus:literal vCPUs, $xen:ident;)*) => {
        $(#[test]
        fn $test() {
            let system = guest($kernel, $memory, $vcpus);
            let setup = Setup { system, xen: $xen, ..Setup::default() };
            boots(concat!("guest-", stringify!($test)), setup, $vcpus);
        })*
    };
}

boots! {
    debian_12_cloud: "bookworm-guest", 128 MiB, 1 vCPUs, V4_17;
    debian_12_cloud_with_two_vcpus: "bookworm-guest", 128 MiB, 2 vCPUs, V4_17;
    debian_12_cloud_in_80_mib: "bookworm-guest", 80 MiB, 1 vCPUs, V4_17;
    debian_12: "bookworm-kernel", 128 MiB, 1 vCPUs, V4_17;
    debian_12_with_two_vcpus: "bookworm-kernel", 128 MiB, 2 vCPUs, V4_20;
    debian_13_cloud: "trixie-guest", 128 MiB, 1 vCPUs, V4_20;
    debian_13_cloud_with_two_vcpus: "trixie-guest", 128 MiB, 2 vCPUs, V4_17;
}
