//! Every fault of a probe, on every kind of host: how it must show, and the rung that must repair it.

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

rvmm_tests::on_every_host!(faults_are_repaired);
