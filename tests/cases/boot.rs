//! A host boots, whatever it runs on.

use emulator::condition::everything_is_up;
use rvmm_tests::{Host, Setup};

/// Switches a host on and off again. Xen must say that it is what was asked for, and nothing may have to be repaired.
fn boots(setup: Setup) {
    let host = Host::switch_on(&format!("boots-on-{setup}"), setup);
    host.wait_for_xen_to_say(&format!("Xen version {}.", setup.xen));
    host.wait_for_xen_to_say(match setup.iommu {
        true => "I/O virtualisation enabled",
        false => "I/O virtualisation disabled",
    });
    host.wait_for(everything_is_up());
    host.has_seen_no_fault();
    host.power_off();
}

rvmm_tests::on_every_host!(boots);
