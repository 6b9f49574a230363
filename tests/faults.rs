//! Every fault of a probe, on every kind of host: how it must show, and the rung that must repair it.

use emulator::artifacts::XenVersion::{V4_17, V4_20};
use emulator::condition::component;
use rvmm_tests::trial::{Program, trials};
use rvmm_tests::{Host, Setup};

/// Injects every fault into one probe, one after the other. Afterwards it must be sound, and its neighbours must not have noticed.
fn faults_are_repaired(setup: Setup) {
    let mut host = Host::boot(&format!("faults-on-{setup}"), setup);
    let mut failures = Vec::new();
    for trial in trials(Program::Probe) {
        if let Err(error) = host.try_fault(&trial, "probe.0") {
            failures.push(format!("{}: {error}", trial.fault));
        }
        host.is_beating("probe.0");
        host.has_found_no_damage("probe.0");
        for neighbour in ["probe.1", "probe.2"] {
            host.has_not_seen(component(neighbour).fails());
            host.is_beating(neighbour);
        }
    }
    host.let_logs_flow();
    host.rebuild("probe.0");
    if !failures.is_empty() {
        host.fail(failures.join("\n"));
    }
}

macro_rules! faults_are_repaired_on {
    ($($test:ident: $xen:expr, iommu $iommu:expr, $processors:literal processors;)*) => {
        $(#[test]
        fn $test() {
            faults_are_repaired(Setup { xen: $xen, iommu: $iommu, processors: $processors, ..Setup::default() });
        })*
    };
}

faults_are_repaired_on! {
    xen_4_17: V4_17, iommu true, 1 processors;
    xen_4_17_on_two_processors: V4_17, iommu true, 2 processors;
    xen_4_17_without_iommu: V4_17, iommu false, 1 processors;
    xen_4_17_without_iommu_on_two_processors: V4_17, iommu false, 2 processors;
    xen_4_20: V4_20, iommu true, 1 processors;
    xen_4_20_on_two_processors: V4_20, iommu true, 2 processors;
    xen_4_20_without_iommu: V4_20, iommu false, 1 processors;
    xen_4_20_without_iommu_on_two_processors: V4_20, iommu false, 2 processors;
}
