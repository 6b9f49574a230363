//! How fast faults are noticed and repaired: every fault of a probe, on an idle host and beside two probes that burn CPU time; a crash
//! and a hang of the unikernels with devices.
//!
//! Times are those of root's event log: from the injection to the detection (`detect`), from there to the first heartbeat
//! (`repair`), and from the injection to the first heartbeat (`recover`). The longest time between two answers of the network
//! (`out-of-service`) is measured from outside.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use emulator::command::Command;
use emulator::condition::component;
use emulator::event::{FaultKind, Rung, What};
use emulator::fault::Fault;
use emulator::host::Host;
use emulator::lan::Lan;
use rvmm_bench::options::HostOptions;
use rvmm_bench::report::Report;
use rvmm_tests::Setup;
use rvmm_tests::setup::log_directory;
use rvmm_tests::system::MEASURED;
use rvmm_tests::trial::{LONG_ENOUGH, Must, Outcome, Program, Trial, TrialError, trials};

/// The probe that is measured.
const PROBE: &str = "probe.0";

/// How long one host may run, whatever happens.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// How many boots are measured: each takes a second or two.
const BOOTS: usize = 10;

/// Before each trial. Repairs are so quick that, without a pause, a probe would use up within its window as many of them
/// as any limit allows: a crash loop takes three, and 250 in 10 s are the most.
const PACE: Duration = Duration::from_millis(150);

/// What is aimed at, in microseconds: a crash is noticed at once; a hang within its deadline (20 ms) and one period (5 ms) of the
/// heartbeat; a stall within its deadline (100 ms) and one period of root's look at things (2 ms).
const DETECT_CRASH_US: u64 = 200;
const DETECT_HANG_US: u64 = 25_000;
const DETECT_STALL_US: u64 = 102_000;
const MICRO_REBOOT_US: u64 = 1_000;
const REBUILD_US: u64 = 10_000;
const SERVICE_US: u64 = 3_000;
const BOOT_US: u64 = 1_500_000;

/// How fast faults are noticed and repaired
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    host: HostOptions,
    /// How often each fault is injected
    #[arg(long, default_value_t = 100)]
    count: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let setup = Setup { system: MEASURED, devices: true, ..Setup::default() };
    let (setup, mut report) = options.host.prepare("recovery", setup)?;

    measure_boots(setup, &mut report)?;
    let (mut host, mut lan) = boot(setup, "recovery")?;
    measure_all(&mut host, &mut lan, options.count, &mut report)
        .with_context(|| format!("the logs are in {}", host.directory().display()))?;
    report.publish(options.host.json.as_deref())
}

fn boot(setup: Setup, name: &str) -> Result<(Host, Lan)> {
    let directory = log_directory(&format!("bench-{name}"));
    let prepared = setup.prepare(&directory)?;
    let host = Host::boot(&prepared.machine, &directory, LIFETIME)?;
    Ok((host, prepared.lan.context("this host has no network")?))
}

/// Measures the time from power-on until every component is up.
fn measure_boots(setup: Setup, report: &mut Report) -> Result<()> {
    let mut samples = Vec::new();
    for _ in 0..BOOTS {
        let switched_on = Instant::now();
        boot(setup, "boot")?;
        samples.push(micros(switched_on.elapsed()));
    }
    report.add("power-on/all-up", &samples, Some(BOOT_US));
    Ok(())
}

fn measure_all(host: &mut Host, lan: &mut Lan, count: usize, report: &mut Report) -> Result<()> {
    measure_faults(host, "idle", count, report)?;
    measure_devices(host, lan, count, report)?;
    burn(host)?;
    measure_faults(host, "busy", count, report)
}

/// Makes the spinners burn CPU time.
fn burn(host: &mut Host) -> Result<()> {
    for spinner in ["spinner.0", "spinner.1"] {
        host.command(&Command::Inject {
            component: spinner.into(),
            fault: Fault::TightLoop,
            argument: None,
        })?;
    }
    Ok(())
}

/// Measures each fault of a probe that is repaired, then the rungs that an operator can ask for.
fn measure_faults(host: &mut Host, load: &str, count: usize, report: &mut Report) -> Result<()> {
    for trial in trials(Program::Probe) {
        let Must::BeRepaired { kind, rung, .. } = trial.must else { continue };
        let outcomes = repeat(&trial, count, || trial.run(host, PROBE, LONG_ENOUGH))?;
        let id = format!("{load}/{}", trial.fault);
        add_outcomes(&id, &outcomes.into_iter().flatten().collect::<Vec<_>>(), kind, rung, report);
    }
    for rung in [Rung::MicroReboot, Rung::Rebuild] {
        let samples = (0..count).map(|_| restart(host, rung)).collect::<Result<Vec<_>>>()?;
        report.add(format!("{load}/operator/{rung}/repair"), &samples, repair_aim(rung));
    }
    Ok(())
}

/// Measures a crash and a hang of each unikernel with a device, under traffic, and for how long the network does not answer.
fn measure_devices(host: &mut Host, lan: &mut Lan, count: usize, report: &mut Report) -> Result<()> {
    for (name, program) in [("net", Program::Net), ("disk", Program::Disk)] {
        for trial in [Fault::Ud2, Fault::TightLoop].into_iter().filter_map(|fault| Trial::of(program, fault))
        {
            let Must::BeRepaired { kind, rung, .. } = trial.must else { continue };
            let results = repeat(&trial, count, || trial.run_under_traffic(host, lan, name, LONG_ENOUGH))?;
            let (outcomes, silences): (Vec<_>, Vec<_>) = results.into_iter().unzip();
            let id = format!("{name}/{}", trial.fault);
            add_outcomes(&id, &outcomes.into_iter().flatten().collect::<Vec<_>>(), kind, rung, report);
            if program == Program::Net {
                let silences: Vec<u64> = silences.into_iter().map(micros).collect();
                report.add(format!("{id}/out-of-service"), &silences, service_aim(kind));
            }
        }
    }
    Ok(())
}

fn add_outcomes(id: &str, outcomes: &[Outcome], kind: FaultKind, rung: Rung, report: &mut Report) {
    let samples = |time: fn(&Outcome) -> u64| outcomes.iter().map(time).collect::<Vec<_>>();
    report.add(format!("{id}/detect"), &samples(|outcome| outcome.detected_after_us), detection_aim(kind));
    report.add(format!("{id}/{rung}/repair"), &samples(|outcome| outcome.repair_us), repair_aim(rung));
    report.add(format!("{id}/recover"), &samples(|outcome| outcome.recovered_after_us), None);
}

/// Runs a trial so often. One that failed is run again, once: a busy machine can keep a host from running for longer than a heartbeat
/// may take, and then its root finds a component silent that was to fail in another way.
fn repeat<T>(trial: &Trial, count: usize, mut run: impl FnMut() -> Result<T, TrialError>) -> Result<Vec<T>> {
    let once = |number| {
        thread::sleep(PACE);
        let result = run().or_else(|error| {
            eprintln!("once more: {} number {number}: {error}", trial.fault);
            run()
        });
        result.with_context(|| format!("{} number {number}", trial.fault))
    };
    (1..=count).map(once).collect()
}

/// Restarts the probe as an operator would, and returns how long it took.
fn restart(host: &mut Host, rung: Rung) -> Result<u64> {
    host.begin_chapter();
    host.command(&Command::Restart { component: PROBE.into(), rung })?;
    let repaired = host.wait_for(&component(PROBE).is_repaired_by(rung))?;
    match repaired.what {
        What::Repaired { recovery_us: Some(recovery_us), .. } => Ok(recovery_us),
        _ => bail!("expected recovery_us in the event log, found {repaired}"),
    }
}

fn detection_aim(kind: FaultKind) -> Option<u64> {
    match kind {
        FaultKind::Crash => Some(DETECT_CRASH_US),
        FaultKind::Hang => Some(DETECT_HANG_US),
        FaultKind::Stall => Some(DETECT_STALL_US),
        FaultKind::Starved | FaultKind::Corrupt => None,
    }
}

fn service_aim(kind: FaultKind) -> Option<u64> {
    (kind == FaultKind::Crash).then_some(SERVICE_US)
}

fn repair_aim(rung: Rung) -> Option<u64> {
    match rung {
        Rung::MicroReboot => Some(MICRO_REBOOT_US),
        Rung::Rebuild => Some(REBUILD_US),
        Rung::PartRestart | Rung::Cascade | Rung::ControlPlane => None,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
