//! Root's broker: who asks well is served, whoever dies meanwhile; who asks for what it may not have is refused, and nobody else
//! suffers.

use emulator::artifacts::XenVersion::{V4_17, V4_20};
use emulator::condition::{component, everything_is_up, root};
use emulator::event::Rung;
use emulator::fault::{Fault, RootFault};
use rvmm_tests::system::BROKER;
use rvmm_tests::{Host, Setup};

const SOUND: &str = "sound";
const ROGUE: &str = "rogue";
const APART: &str = "apart";

/// Faults of root in the midst of requests.
const ROOT_FAULTS: [RootFault; 4] =
    [RootFault::Ud2, RootFault::NullStore, RootFault::TightLoop, RootFault::Panic];

/// Waits until domains are made and unmade again.
fn goes_on(host: &mut Host) {
    host.begin_chapter();
    host.wait_for(component(SOUND).logs("domains made and unmade"));
}

fn boot(test: &str, setup: Setup) -> Host {
    // They may be at work before everything is up, so nothing of the boot is passed over.
    let host = Host::switch_on(test, Setup { system: BROKER, ..setup });
    host.wait_for(everything_is_up());
    host.wait_for(component(SOUND).logs("an earlier life has left 0 domains"));
    host
}

/// A rogue is refused, root says so, and it harms nobody.
fn a_rogue_harms_nobody(setup: Setup) {
    let mut host = boot(&format!("broker-rogue-on-{setup}"), setup);
    host.wait_for(component(ROGUE).is_refused());
    host.wait_for(component(ROGUE).floods());
    for round in 2..4 {
        host.wait_for(component(ROGUE).logs(&format!("round {round}, ")));
    }
    goes_on(&mut host);
    host.has_seen_no_fault();
    // Root still watches.
    host.inject(APART, Fault::Ud2);
    host.wait_for(component(APART).is_repaired_by(Rung::MicroReboot));
    [SOUND, ROGUE].iter().for_each(|name| host.has_not_seen(component(*name).fails()));
    host.power_off();
}

#[test]
fn a_rogue_harms_nobody_on_xen_4_17() {
    a_rogue_harms_nobody(Setup { xen: V4_17, ..Setup::default() });
}

#[test]
fn a_rogue_harms_nobody_on_xen_4_20() {
    a_rogue_harms_nobody(Setup { xen: V4_20, ..Setup::default() });
}

/// Root, and who asks it, die with requests under way: no domain is lost, and no page.
#[test]
fn whoever_dies_nothing_is_lost() {
    let mut host = boot("broker-deaths", Setup::default());
    goes_on(&mut host);
    let before = host.free();
    for fault in ROOT_FAULTS {
        host.begin_chapter();
        host.harm_root(fault);
        host.wait_for(root().is_repaired());
        goes_on(&mut host);
        [SOUND, ROGUE, APART].iter().for_each(|name| host.has_not_seen(component(*name).fails()));
    }
    for rung in [Rung::MicroReboot, Rung::Rebuild, Rung::MicroReboot, Rung::Rebuild] {
        host.begin_chapter();
        host.restart(SOUND, rung);
        host.wait_for(component(SOUND).is_repaired_by(rung));
        host.wait_for(component(SOUND).logs("an earlier life has left"));
        goes_on(&mut host);
        host.has_not_seen(component(SOUND).fails());
    }
    host.has_used_nothing_up_since(&before);
    host.power_off();
}
