//! Root's own faults: it comes back, finds its unikernels again, and they have not noticed.

use emulator::artifacts::XenVersion;
use emulator::condition::{component, root};
use emulator::event::{FaultKind, Rung};
use emulator::fault::{Fault, RootFault};
use rvmm_tests::system::LADDER;
use rvmm_tests::{Host, Setup, setting};

/// How often root may restart within a while on a host whose description does not say it.
const RESTARTS: usize = 8;

/// How often root has each fault; `RVMM_ROOT_FAULTS` says otherwise.
const TIMES: usize = 3;

/// The unikernels that must not notice.
const PROBES: [&str; 3] = ["probe.0", "probe.1", "probe.2"];

/// How a fault of root shows.
fn shows_as(fault: RootFault) -> FaultKind {
    match fault {
        RootFault::TightLoop | RootFault::BlockForever => FaultKind::Hang,
        _ => FaultKind::Crash,
    }
}

/// After each of its faults root must be back, the probes must have gone on beating in the same life, and root must still be able to
/// repair one.
fn root_comes_back(setup: Setup) {
    let times = setting("RVMM_ROOT_FAULTS", TIMES);
    let mut host = Host::boot(&format!("root-faults-on-{setup}"), setup);
    for &fault in RootFault::ALL {
        for _ in 0..times {
            let before = PROBES.map(|probe| host.pulse(probe));
            host.begin_chapter();
            host.harm_root(fault);
            host.wait_for(root().fails_by(shows_as(fault)));
            host.wait_for(root().is_repaired());
            for (probe, before) in PROBES.into_iter().zip(before) {
                host.is_beating(probe);
                assert_eq!(host.pulse(probe).incarnation, before.incarnation, "{probe} was restarted");
            }
        }
        host.begin_chapter();
        host.inject("probe.0", Fault::Ud2);
        host.wait_for(component("probe.0").is_repaired_by(Rung::MicroReboot));
    }
}

#[test]
fn on_xen_4_17() {
    root_comes_back(Setup::default());
}

#[test]
fn on_xen_4_20() {
    root_comes_back(Setup { xen: XenVersion::V4_20, ..Setup::default() });
}

#[test]
fn on_two_processors() {
    root_comes_back(Setup { processors: 2, ..Setup::default() });
}

#[test]
fn a_root_that_dies_too_often_reboots_the_host_and_says_so() {
    let mut host = Host::boot("root-dies-too-often", Setup { system: LADDER, ..Setup::default() });
    for _ in 0..RESTARTS {
        host.begin_chapter();
        host.harm_root(RootFault::Ud2);
        host.wait_for(root().is_repaired());
    }
    host.begin_chapter();
    host.harm_root(RootFault::Ud2);
    host.wait_for(root().reboots_the_host());
    host.is_switched_off();
}
