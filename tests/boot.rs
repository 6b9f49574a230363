//! A host boots, whatever it runs on.

use emulator::artifacts::XenVersion::{V4_17, V4_20};
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

macro_rules! boots_on {
    ($($test:ident: $xen:expr, iommu $iommu:expr, $processors:literal processors;)*) => {
        $(#[test]
        fn $test() {
            boots(Setup { xen: $xen, iommu: $iommu, processors: $processors, ..Setup::default() });
        })*
    };
}

boots_on! {
    xen_4_17: V4_17, iommu true, 1 processors;
    xen_4_17_on_two_processors: V4_17, iommu true, 2 processors;
    xen_4_17_without_iommu: V4_17, iommu false, 1 processors;
    xen_4_17_without_iommu_on_two_processors: V4_17, iommu false, 2 processors;
    xen_4_20: V4_20, iommu true, 1 processors;
    xen_4_20_on_two_processors: V4_20, iommu true, 2 processors;
    xen_4_20_without_iommu: V4_20, iommu false, 1 processors;
    xen_4_20_without_iommu_on_two_processors: V4_20, iommu false, 2 processors;
}
