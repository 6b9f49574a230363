//! Stock Linux kernels run as guests: they boot, crash, shrink and grow, read what is typed, and have a network and a disk.

use emulator::artifacts::XenVersion::{V4_17, V4_20};
use emulator::condition::{component, everything_is_up};
use emulator::fault::{Fault, RootFault};
use rvmm_tests::disk::guest_with;
use rvmm_tests::guest::{FIRST, Guest, host_with};
use rvmm_tests::system::{System, WHOLE};
use rvmm_tests::toolstack::TOOLSTACK;
use rvmm_tests::{Host, Setup};
use std::net::Ipv4Addr;

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

/// A guest that crashes ends as its configuration says, and one that crashes again and again does not for ever.
#[test]
fn guests_crash() {
    let crashes = |name, action: &str| {
        let guest = Guest::new(name).memory_mib(80).does("quiet task=crash");
        guest.with(format_args!("on_crash = {action:?}"))
    };
    let guests = [
        crashes("gone", "destroy"),
        crashes("kept", "preserve"),
        crashes("renamed", "rename-restart"),
        crashes("restarted", "restart"),
    ];
    let setup = Setup { system: host_with(&guests), memory_mib: Some(1024), ..Setup::default() };
    let mut host = Host::boot("guests-crash", setup);
    let says = |text: &str| component(TOOLSTACK).logs(text);
    for text in
        ["gone has stopped: crash", "gone: forgotten", "kept: preserved crash", "renamed-1: preserved crash"]
    {
        host.wait_for(says(text));
    }
    host.tell_toolstack("destroy renamed", "renamed: forgotten");
    host.wait_for(says("restarted crashes again and again"));
    host.toolstack_comes_to_list("3 VMs");
    let kept = ["kept", "renamed-1", "restarted"];
    for name in kept {
        let state = format!("{name}: preserved crash");
        assert!(host.has_seen(&says(&state)), "{state}");
    }
    for name in kept {
        host.tell_toolstack(&format!("destroy {name}"), &format!("{name}: forgotten"));
    }
    host.power_off();
}

/// How often a line is typed.
const TYPED: u64 = 6;

/// What is typed arrives once, though the toolstack dies each time; what the guest has said can be read again; and it gives memory back
/// and takes it, up to what it may have.
#[test]
fn an_operator_types_and_balloons() {
    let guest = Guest::new("guest").memory_mib(128).does("quiet task=shell").with("maxmem = 160");
    let mut host = Host::boot("guest-operated", Setup { system: host_with(&[guest]), ..Setup::default() });
    host.wait_for_guest_to_say(FIRST, "guest: up ");
    for number in 1..=TYPED {
        host.begin_chapter();
        if number % 2 == 0 {
            host.inject(TOOLSTACK, Fault::Ud2);
        }
        host.tell(TOOLSTACK, "console guest n=$((n+1)); echo guest: typed $n");
        if number % 2 == 1 {
            host.inject(TOOLSTACK, Fault::Ud2);
        }
        assert_eq!(host.wait_for_guest_to_say(FIRST, "guest: typed"), format!("guest: typed {number}"));
        host.wait_for(component(TOOLSTACK).is_repaired());
    }
    host.begin_chapter();
    host.tell(TOOLSTACK, "log guest");
    host.wait_for_line_with(&format!("(d{FIRST} again) guest: typed {TYPED}"));
    host.tell_toolstack("balloon guest 161", "refused: 161 MiB are asked for, 160 is the most");
    for mib in [112, 160] {
        host.begin_chapter();
        host.tell(TOOLSTACK, &format!("balloon guest {mib}"));
        let wanted = format!("guest: has {}", mib << 10);
        loop {
            host.let_logs_flow();
            host.begin_chapter();
            host.tell(
                TOOLSTACK,
                "console guest echo guest: has $(cat /sys/devices/system/xen_memory/*/info/current_kb)",
            );
            if host.wait_for_guest_to_say(FIRST, "guest: has ") == wanted {
                break;
            }
        }
    }
    host.power_off();
}

/// A guest has an interface and a disk, whose unikernels die, and notices nothing; when it is gone, nothing of it is left.
#[test]
fn a_guest_has_network_and_disk() {
    const GUEST: u16 = 7;
    let address = Ipv4Addr::new(10, 0, 3, 6);
    let guest = guest_with("guest", &["disk0,,xvda,rw"]).with("vif = ['bridge=xenbr0']");
    let guest = guest.does(format_args!("quiet task=net job=verify address={address}/24"));
    let setup = Setup { system: WHOLE.starting(&[guest]), devices: true, ..Setup::default() };
    let mut host = Host::switch_on("guest-with-all", setup);
    host.wait_for(everything_is_up());
    for text in ["guest: up ", "guest: net up ", "guest: disk xvda ", "guest: verified"] {
        host.wait_for_guest_to_say(GUEST, text);
    }
    host.expect_answer_from(address);
    for service in ["net", "disk"] {
        host.begin_chapter();
        host.inject(service, Fault::Ud2);
        host.wait_for(component(service).is_repaired());
        host.wait_for_guest_to_say(GUEST, "guest: verified");
        host.expect_answer_from(address);
    }
    host.tell_toolstack("destroy guest", "guest: forgotten");
    let (before, nodes) = (host.free(), host.count_nodes());
    host.tell_toolstack("create guest", "guest: running");
    for text in ["guest: up ", "guest: net up ", "guest: verified"] {
        host.wait_for_guest_to_say(GUEST, text);
    }
    host.tell_toolstack("destroy guest", "guest: forgotten");
    host.has_used_nothing_up_since(&before);
    assert_eq!(host.count_nodes(), nodes);
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
    debian_12_cloud_in_80_mib: "bookworm-guest", 80 MiB, 1 vCPUs, V4_20;
    debian_12: "bookworm-kernel", 128 MiB, 1 vCPUs, V4_17;
    debian_12_with_two_vcpus: "bookworm-kernel", 128 MiB, 2 vCPUs, V4_20;
    debian_13_cloud: "trixie-guest", 128 MiB, 1 vCPUs, V4_20;
    debian_13_cloud_with_two_vcpus: "trixie-guest", 128 MiB, 2 vCPUs, V4_17;
}
