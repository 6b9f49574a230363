//! Root's own faults: it comes back, finds its unikernels again, and they have not noticed.

use emulator::artifacts::XenVersion;
use emulator::condition::{component, root};
use emulator::event::Rung;
use emulator::fault::{Fault, RootFault};
use rvmm_tests::{Host, Setup};

/// How often root has each fault.
const TIMES: usize = 10;

/// After each of its faults root must be back, the probes must not have failed, and root must still be able to repair one.
fn root_comes_back(setup: Setup) {
    let mut host = Host::boot(&format!("root-faults-on-{setup}"), setup);
    for fault in RootFault::ALL {
        for _ in 0..TIMES {
            host.begin_chapter();
            host.harm_root(*fault);
            host.wait_for(root().is_up());
            host.has_not_seen(component("probe.a").fails());
            host.has_not_seen(component("probe.b").fails());
            host.ping("probe.a");
            host.ping("probe.b");
        }
        host.begin_chapter();
        host.inject("probe.a", Fault::Ud2);
        host.wait_for(component("probe.a").is_repaired_by(Rung::MicroReboot));
    }
}

#[test]
fn root_comes_back_on_xen_4_17() {
    root_comes_back(Setup::default());
}

#[test]
fn root_comes_back_on_xen_4_20() {
    root_comes_back(Setup { xen: XenVersion::V4_20, ..Setup::default() });
}

#[test]
fn root_comes_back_on_two_processors() {
    root_comes_back(Setup { processors: 2, ..Setup::default() });
}
