//! What clients of XenStore notice when its master dies, and when bits of what it keeps are flipped: in an emulated host, with two
//! clients that write, read, watch and count all the while, and end themselves as soon as anything is lost, done twice or read wrong.
//!
//! Times are in microseconds: of crashes those of root's event log, from the injection to the detection (`detect`) and to the
//! first heartbeat (`recover`), and the longest that a client has waited for an answer meanwhile (`longest-request`); of flipped bits
//! those of the master itself, from the flip until it was found and until it was mended. Beside them stand the figures of the paper
//! about R-VMM, from a machine and not from an emulator.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use emulator::command::Command;
use emulator::condition::{component, everything_is_up};
use emulator::event::{Event, Rung, What};
use emulator::fault::Fault;
use emulator::host::Host;
use rvmm_bench::options::HostOptions;
use rvmm_bench::report::Report;
use rvmm_tests::Setup;
use rvmm_tests::flip::{Flipped, flip};
use rvmm_tests::setup::log_directory;
use rvmm_tests::store::{self, CLIENTS, MASTER};
use rvmm_tests::system::{STORE, STORE_OF_10_000, STORE_OF_100_000, System};
use rvmm_tests::trial::{LONG_ENOUGH, Program, Trial};

/// How long one host may run, whatever happens.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Before each restart: root prints no more than twenty lines of one component in a second.
const PACE: Duration = Duration::from_millis(800);

/// The kinds of crashes, in turns.
const CRASHES: [Fault; 5] =
    [Fault::Ud2, Fault::Panic, Fault::NullStore, Fault::StackOverflow, Fault::WildData];

/// The kinds of flipped bits, in turns.
const FLIPS: [Fault; 6] = [
    Fault::FlipNode,
    Fault::FlipTree,
    Fault::FlipDigest,
    Fault::FlipClient,
    Fault::FlipVault,
    Fault::FlipSession,
];

/// The paper's figures, in microseconds.
const PAPER: &str = "R-VMM, paper";
const PAPER_DETECT_CRASH: u64 = 1_540;
const PAPER_DETECT_CORRUPTION: u64 = 5_040;
const PAPER_RECOVER: u64 = 25_540;

/// What clients of XenStore notice of its faults
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    host: HostOptions,
    /// How many crashes, and how many flipped bits
    #[arg(long, default_value_t = 100)]
    count: usize,
    /// How many restarts with each large store
    #[arg(long, default_value_t = 10)]
    restarts: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let (setup, mut report) =
        options.host.prepare("xenstore-fault", Setup { system: STORE, ..Setup::default() })?;

    let mut host = boot(setup, "faults")?;
    let logs = format!("the logs are in {}", host.directory().display());
    let mut tally = Tally::default();
    crashes(&mut host, options.count, &mut tally, &mut report).with_context(|| logs.clone())?;
    flips(&mut host, options.count, &mut tally, &mut report).with_context(|| logs.clone())?;
    tally.add_to(&mut report);
    drop(host);
    for (nodes, system) in [("10000-nodes", STORE_OF_10_000), ("100000-nodes", STORE_OF_100_000)] {
        large_store(setup, system, nodes, options.restarts, &mut report)?;
    }
    report.publish(options.host.json.as_deref())
}

/// Switches a host on, and waits until its clients are served by a master whom the replicas follow.
fn boot(setup: Setup, name: &str) -> Result<Host> {
    let directory = log_directory(&format!("bench-xenstore-{name}"));
    let host = Host::switch_on(&setup.prepare(&directory)?.machine, &directory, LIFETIME)?;
    store::is_served().try_for_each(|condition| host.wait_for(&condition).map(drop))?;
    Ok(host)
}

/// Crashes of the master.
fn crashes(host: &mut Host, count: usize, tally: &mut Tally, report: &mut Report) -> Result<()> {
    let mut all = Samples::default();
    for number in 0..count {
        thread::sleep(PACE);
        let fault = CRASHES[number % CRASHES.len()];
        let trial = Trial::of(Program::Store, fault).context("XenStore does not have that fault")?;
        // A busy machine can keep the host from running for longer than a heartbeat may take; not twice.
        let outcome = trial.run(host, MASTER, LONG_ENOUGH).or_else(|error| {
            eprintln!("once more: {fault}, number {number}: {error}");
            trial.run(host, MASTER, LONG_ENOUGH)
        });
        let outcome = outcome.with_context(|| format!("{fault}, number {number}"))?;
        let outcome = outcome.context("expected a crash to be repaired, found that it was endured")?;
        all.detect.push(outcome.detected_after_us);
        all.recover.push(outcome.recovered_after_us);
        all.longest.push(store::longest_request(host)?);
        tally.count(&host.events());
    }
    report.add_beside("crash/detect", "us", &all.detect, &[(PAPER, &[PAPER_DETECT_CRASH])], Some(1.0));
    report.add_beside("crash/recover", "us", &all.recover, &[(PAPER, &[PAPER_RECOVER])], Some(1.0));
    report.add("crash/longest-request", &all.longest, None);
    Ok(())
}

/// Flipped bits of what the master keeps.
fn flips(host: &mut Host, count: usize, tally: &mut Tally, report: &mut Report) -> Result<()> {
    let (mut all, mut unnoticed) = (Samples::default(), 0);
    let mut kinds = FLIPS.map(|_| Samples::default());
    for number in 0..count {
        let kind = number % FLIPS.len();
        match flip(host, MASTER, FLIPS[kind], number as u64)? {
            Flipped::Mended { found_us, mended_us } => {
                for samples in [&mut all, &mut kinds[kind]] {
                    samples.detect.push(found_us);
                    samples.recover.push(mended_us);
                }
            }
            Flipped::Unnoticed => {
                is_gone(host).with_context(|| format!("{}, number {number}", FLIPS[kind]))?;
                unnoticed += 1;
            }
        }
        tally.count(&host.events());
    }
    all.longest.push(store::longest_request(host)?);
    tally.count(&host.events());
    let (detect, recover) = ("corruption/detect", "corruption/recover");
    report.add_beside(detect, "us", &all.detect, &[(PAPER, &[PAPER_DETECT_CORRUPTION])], Some(1.0));
    report.add_beside(recover, "us", &all.recover, &[(PAPER, &[PAPER_RECOVER])], Some(1.0));
    for (fault, samples) in FLIPS.iter().zip(kinds) {
        report.add(format!("corruption/{fault}/detect"), &samples.detect, None);
        report.add(format!("corruption/{fault}/recover"), &samples.recover, None);
    }
    report.add_beside("corruption/written-over", "bits", &[unnoticed], &[], None);
    Ok(())
}

/// Sees that a bit of the log that nobody has come upon is not in the log any more: whoever reads all of it finds nothing wrong.
fn is_gone(host: &mut Host) -> Result<()> {
    host.begin_chapter();
    restart(host, Rung::MicroReboot)?;
    host.wait_for(&component(MASTER).logs("state recovered from the vault"))?;
    let damaged = component(MASTER).logs("damaged words in the vault");
    let found = host.events().into_iter().find(|event| damaged.is_met_by(event));
    ensure!(found.is_none(), "expected a flipped bit to be found within seconds, it was found by a restart");
    Ok(())
}

/// How long clients wait when the master of a large store is restarted.
fn large_store(setup: Setup, system: System, nodes: &str, count: usize, report: &mut Report) -> Result<()> {
    let directory = log_directory(&format!("bench-xenstore-{nodes}"));
    let prepared = Setup { system, ..setup }.prepare(&directory)?;
    let host = &mut Host::switch_on(&prepared.machine, &directory, LIFETIME)?;
    host.wait_for(&everything_is_up())?;
    store::fill(host)?;
    let (mut repairs, mut longest) = (Vec::new(), Vec::new());
    for _ in 0..count {
        thread::sleep(PACE);
        host.begin_chapter();
        repairs.push(restart(host, Rung::MicroReboot)?);
        longest.push(store::longest_request_of(host, "client")?);
    }
    report.add(format!("{nodes}/micro-reboot/repair"), &repairs, None);
    report.add(format!("{nodes}/micro-reboot/longest-request"), &longest, None);
    Ok(())
}

/// Restarts the master as an operator would, and returns how long it took until its first heartbeat.
fn restart(host: &mut Host, rung: Rung) -> Result<u64> {
    host.command(&Command::Restart { component: MASTER.into(), rung })?;
    let repaired = host.wait_for(&component(MASTER).is_repaired_by(rung))?;
    match repaired.what {
        What::Repaired { recovery_us: Some(recovery_us), .. } => Ok(recovery_us),
        _ => bail!("expected recovery_us in the event log, found {repaired}"),
    }
}

/// Times, in microseconds.
#[derive(Default)]
struct Samples {
    detect: Vec<u64>,
    recover: Vec<u64>,
    longest: Vec<u64>,
}

/// What clients have complained of. A client ends itself with the first thing that is not as it must be.
#[derive(Default)]
struct Tally {
    failed: u64,
    twice: u64,
    corrupt: u64,
}

impl Tally {
    /// Counts the complaints in a chapter's events.
    fn count(&mut self, events: &[Event]) {
        let crashes = events.iter().filter(|event| event.what == What::Other("crash".into()));
        for crash in crashes.filter(|crash| CLIENTS.contains(&&*crash.component)) {
            let said = crash.fields.get("msg").unwrap_or_default();
            eprintln!("{crash}");
            match () {
                () if said.contains("a second event came") => self.twice += 1,
                () if said.contains(": expected ") => self.corrupt += 1,
                () => self.failed += 1,
            }
        }
    }

    fn add_to(&self, report: &mut Report) {
        for (id, count) in [
            ("requests/failed", self.failed),
            ("requests/applied-twice", self.twice),
            ("requests/read-wrong", self.corrupt),
        ] {
            report.add_count(id, count);
        }
    }
}
