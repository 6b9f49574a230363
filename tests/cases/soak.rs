//! Many faults in a row, of kinds and at places that a seed decides: all are repaired, and nothing is used up.
//!
//! `RVMM_SOAK_FAULTS` says how many (500 if it is not set), `RVMM_SOAK_SEED` which ones.

use rvmm_tests::system::SOAK;
use rvmm_tests::trial::{Must, Program, Trial, trials};
use rvmm_tests::{Host, Setup, setting};

/// How many faults unless told otherwise: what a check of every change has time for.
const DEFAULT_FAULTS: usize = 500;

/// The seed unless told otherwise, so that two runs of the same program do the same.
const DEFAULT_SEED: u64 = 0x5d5d;

/// Who fails.
const PROBES: [&str; 8] =
    ["probe.0", "probe.1", "probe.2", "probe.3", "probe.4", "probe.5", "probe.6", "probe.7"];

#[test]
fn random_faults_are_repaired_and_use_nothing_up() {
    let (count, seed) =
        (setting("RVMM_SOAK_FAULTS", DEFAULT_FAULTS), setting("RVMM_SOAK_SEED", DEFAULT_SEED));
    let mut random = fastrand::Rng::with_seed(seed);
    let trials: Vec<Trial> =
        trials(Program::Probe).filter(|trial| matches!(trial.must, Must::BeRepaired { .. })).collect();
    let mut host = Host::boot("soak", Setup { system: SOAK, ..Setup::default() });

    // The first rebuilds make pools of Xen grow once, which is not used up: so each is rebuilt once before anything is counted.
    for probe in PROBES {
        host.rebuild(probe);
    }
    let free = host.free();
    for number in 1..=count {
        let trial = trials[random.usize(..trials.len())];
        let probe = PROBES[random.usize(..PROBES.len())];
        if let Err(error) = host.try_fault(&trial, probe) {
            host.fail(format_args!(
                "fault {number} of {count}, seed {seed}: {} of {probe}: {error}",
                trial.fault
            ));
        }
    }
    for probe in PROBES {
        host.rebuild(probe);
    }
    host.has_used_nothing_up_since(&free);
}
