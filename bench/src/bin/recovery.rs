//! How fast faults are noticed and repaired: every fault of a probe, alone on the host and beside two that burn CPU time.
//!
//! Times are those of root's event log: from the injection to the detection (`detect`), from there to the first heartbeat
//! (`repair`), and from the injection to the first heartbeat (`recover`).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use emulator::artifacts::XenVersion;
use emulator::command::Command;
use emulator::condition::component;
use emulator::event::{FaultKind, Rung, What};
use emulator::fault::Fault;
use emulator::host::Host;
use rvmm_bench::report::Report;
use rvmm_tests::Setup;
use rvmm_tests::host::log_directory;
use rvmm_tests::system::MEASURED;
use rvmm_tests::trial::{LONG_ENOUGH, Must, Outcome, Program, Trial, trials};

/// The probe that is measured.
const PROBE: &str = "probe.0";

/// How long one host may run, whatever happens.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// How many boots are measured: each takes a second or two.
const BOOTS: usize = 10;

/// What is aimed at, in microseconds: a crash is noticed at once; a hang within its deadline (20 ms) and one period (5 ms) of the
/// heartbeat; a stall within its deadline (100 ms) and one period of root's look at things (2 ms).
const DETECT_CRASH_US: u64 = 200;
const DETECT_HANG_US: u64 = 25_000;
const DETECT_STALL_US: u64 = 102_000;
const MICRO_REBOOT_US: u64 = 1_000;
const REBUILD_US: u64 = 10_000;
const BOOT_US: u64 = 1_500_000;

/// How fast faults are noticed and repaired
#[derive(Parser)]
struct Options {
    /// Where the figures go, for machines
    #[arg(long)]
    json: Option<PathBuf>,
    /// Version of Xen: 4.17 or 4.20
    #[arg(long, default_value_t = XenVersion::V4_17)]
    xen: XenVersion,
    /// Number of processors
    #[arg(long, default_value_t = 1)]
    processors: u32,
    /// How often each fault is injected
    #[arg(long, default_value_t = 100)]
    count: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let setup =
        Setup { xen: options.xen, processors: options.processors, system: MEASURED, ..Setup::default() };
    let mut report = Report::new("recovery");
    report.version("xen", options.xen);

    measure_boots(setup, &mut report)?;
    let mut host = boot(setup, "recovery")?;
    measure_faults(&mut host, "idle", options.count, &mut report)
        .and_then(|()| burn(&mut host))
        .and_then(|()| measure_faults(&mut host, "busy", options.count, &mut report))
        .with_context(|| format!("the logs are in {}", host.directory().display()))?;
    println!("{report}");
    options.json.map_or(Ok(()), |path| report.write_json(&path))
}

fn boot(setup: Setup, name: &str) -> Result<Host> {
    let directory = log_directory(&format!("bench-{name}"));
    let prepared = setup.prepare(&directory)?;
    Ok(Host::boot(&prepared.machine, &directory, LIFETIME)?)
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

/// Measures each fault that is repaired, then the rungs that an operator can ask for.
fn measure_faults(host: &mut Host, load: &str, count: usize, report: &mut Report) -> Result<()> {
    for trial in trials(Program::Probe) {
        let Must::BeRepaired { kind, rung, .. } = trial.must else { continue };
        let outcomes = run(&trial, host, count)?;
        let samples = |time: fn(&Outcome) -> u64| outcomes.iter().map(time).collect::<Vec<_>>();
        let id = format!("{load}/{}", trial.fault);
        report.add(
            format!("{id}/detect"),
            &samples(|outcome| outcome.detected_after_us),
            detection_aim(kind),
        );
        report.add(format!("{id}/{rung}/repair"), &samples(|outcome| outcome.repair_us), repair_aim(rung));
        report.add(format!("{id}/recover"), &samples(|outcome| outcome.recovered_after_us), None);
    }
    for rung in [Rung::MicroReboot, Rung::Rebuild] {
        let samples = (0..count).map(|_| restart(host, rung)).collect::<Result<Vec<_>>>()?;
        report.add(format!("{load}/operator/{rung}/repair"), &samples, repair_aim(rung));
    }
    Ok(())
}

/// Runs a trial so often. One that failed is run again, once: a busy machine can keep a host from running for longer than a heartbeat
/// may take, and then its root finds a probe silent that was to fail in another way.
fn run(trial: &Trial, host: &mut Host, count: usize) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for number in 1..=count {
        let outcome = trial.run(host, PROBE, LONG_ENOUGH).or_else(|error| {
            eprintln!("once more: {} number {number}: {error}", trial.fault);
            trial.run(host, PROBE, LONG_ENOUGH)
        });
        outcomes.extend(outcome.with_context(|| format!("{} number {number}", trial.fault))?);
    }
    Ok(outcomes)
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
