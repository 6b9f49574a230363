//! How long a guest's disk is away when its driver, its backend or its unikernel fails; and what it does in a second, beside the same
//! disk with nobody between it and its driver.
//!
//! Of each fault: from the injection to the detection (`detect`), from there until the part works again (`repair`), and the longest
//! time that a guest waited for an answer meanwhile (`longest-io`), which that guest has measured.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use emulator::artifacts::XenVersion;
use emulator::command::Command;
use emulator::condition::{component, everything_is_up};
use emulator::event::{Event, Rung, What};
use emulator::fault::Fault;
use emulator::host::Host;
use emulator::line::Line;
use rvmm_bench::report::Report;
use rvmm_tests::Setup;
use rvmm_tests::disk::{GUESTS, guest_that};
use rvmm_tests::setup::log_directory;
use rvmm_tests::system::System;

const DISK: &str = "disk";

/// The domain of the guest.
const GUEST: u16 = GUESTS[0];

/// How long one host may run, whatever happens.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// What is aimed at: a crash of anything is over within 5 ms of its detection.
const REPAIR_US: u64 = 5_000;

/// And an operation takes at most a quarter longer than without a backend between.
const SLOWER: f64 = 1.25;

const ALONE: System =
    System::new("tests/systems/disk_alone.toml", include_str!("../../../tests/systems/disk_alone.toml"));

/// A way to fail.
struct Way {
    name: &'static str,
    how: How,
    aim: Option<u64>,
}

enum How {
    /// A part that is repaired alone, and says so in these words.
    Part(Fault, &'static str),
    /// All of it.
    Whole(Fault),
    /// It is built anew because somebody wants it.
    Rebuild,
}

const WAYS: [Way; 7] = [
    Way {
        name: "driver/crash",
        how: How::Part(Fault::DriverCrash, "driver restarted"),
        aim: Some(REPAIR_US),
    },
    Way { name: "driver/hang", how: How::Part(Fault::DriverHang, "driver restarted"), aim: Some(REPAIR_US) },
    Way {
        name: "backend/crash",
        how: How::Part(Fault::BackendCrash, "backend restarted"),
        aim: Some(REPAIR_US),
    },
    Way {
        name: "backend/hang",
        how: How::Part(Fault::BackendHang, "backend restarted"),
        aim: Some(REPAIR_US),
    },
    Way { name: "uk/crash", how: How::Whole(Fault::Ud2), aim: Some(REPAIR_US) },
    Way { name: "uk/hang", how: How::Whole(Fault::TightLoop), aim: Some(REPAIR_US) },
    Way { name: "uk/rebuild", how: How::Rebuild, aim: None },
];

/// How long a guest's disk is away, and how much it does
#[derive(Parser)]
struct Options {
    /// Where the figures go, for machines
    #[arg(long)]
    json: Option<PathBuf>,
    /// Version of Xen: 4.17 or 4.20
    #[arg(long, default_value_t = XenVersion::V4_17)]
    xen: XenVersion,
    /// How often each fault is injected
    #[arg(long, default_value_t = 10)]
    count: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mut report = Report::new("disk");
    report.version("xen", options.xen);
    let setup = |system| Setup { system, xen: options.xen, devices: true, ..Setup::default() };
    measure_faults(setup(guest_that("task=verify depth=1")), options.count, &mut report)?;
    let alone = throughput(setup(ALONE), "alone", alone_line)?;
    let guest = throughput(setup(guest_that("task=measure")), "guest", guest_line)?;
    for (pattern, ours) in guest {
        let device = alone.iter().find(|(other, _)| *other == pattern).map_or(&[][..], |(_, runs)| runs);
        for (figure, of) in [("mean", Run::mean_ns as fn(&Run) -> u64), ("p99", |run| run.p99_us * 1000)] {
            let of = |runs: &[Run]| runs.iter().map(of).collect::<Vec<_>>();
            let id = format!("{pattern}/{figure}");
            report.add_beside(id, "ns/operation", &of(&ours), &[("device", &of(device))], Some(SLOWER));
        }
    }
    report.publish(options.json.as_deref())
}

/// What one way to fail came to, once.
struct Outcome {
    detect_us: u64,
    repair_us: u64,
    longest_io_us: u64,
}

fn measure_faults(setup: Setup, count: usize, report: &mut Report) -> Result<()> {
    let directory = log_directory("bench-disk-faults");
    let prepared = setup.prepare(&directory)?;
    let mut host = Host::switch_on(&prepared.machine, &directory, LIFETIME)?;
    host.wait_for(&everything_is_up())?;
    wait_for_guest(&host, "guest: up ")?;
    wait_for_guest(&host, "guest: verified ")?;
    for Way { name, how, aim } in &WAYS {
        let mut outcomes = Vec::new();
        for _ in 0..count {
            outcomes
                .push(fail(&mut host, how).with_context(|| format!("{name}: see {}", directory.display()))?);
        }
        let of = |figure: fn(&Outcome) -> u64| outcomes.iter().map(figure).collect::<Vec<_>>();
        if !matches!(how, How::Rebuild) {
            report.add(format!("{name}/detect"), &of(|outcome| outcome.detect_us), None);
        }
        report.add(format!("{name}/repair"), &of(|outcome| outcome.repair_us), *aim);
        report.add(format!("{name}/longest-io"), &of(|outcome| outcome.longest_io_us), None);
    }
    Ok(())
}

/// Fails once, and waits until the guest goes on.
fn fail(host: &mut Host, how: &How) -> Result<Outcome> {
    host.begin_chapter();
    let inject = |fault| Command::Inject { component: DISK.into(), fault, argument: None };
    let (detect_us, repair_us) = match how {
        How::Part(fault, says) => {
            host.command(&inject(*fault))?;
            let event = host.wait_for(&component(DISK).logs(says))?;
            let What::Log { msg, .. } = &event.what else { bail!("{event} is no line of a log") };
            (figure(msg, "detect_us")?, figure(msg, "repair_us")?)
        }
        How::Whole(fault) => {
            host.command(&inject(*fault))?;
            let repaired = host.wait_for(&component(DISK).is_repaired())?;
            times(&host.events(), &repaired)?
        }
        How::Rebuild => {
            host.command(&Command::Restart { component: DISK.into(), rung: Rung::Rebuild })?;
            let repaired = host.wait_for(&component(DISK).is_repaired_by(Rung::Rebuild))?;
            times(&host.events(), &repaired)?
        }
    };
    // The report that comes next may be of the time before; the one after it is of the time until now, at least.
    let mut longest_io_us = 0;
    for line in [next_report(host)?, next_report(host)?] {
        longest_io_us = longest_io_us.max(figure(&line, "longest_us")?);
    }
    Ok(Outcome { detect_us, repair_us, longest_io_us })
}

/// From the injection to the detection, and from there to the first heartbeat; of a repair that was asked for, the latter alone.
fn times(events: &[Event], repaired: &Event) -> Result<(u64, u64)> {
    let What::Repaired { recovery_us, .. } = repaired.what else { bail!("{repaired} is no repair") };
    let repair_us = recovery_us.with_context(|| format!("{repaired} does not say how long it took"))?;
    let detect_us = events.iter().find_map(|event| match event.what {
        What::Fault { injected_us, detected_us, .. } if event.component == DISK => {
            Some(detected_us?.saturating_sub(injected_us?))
        }
        _ => None,
    });
    Ok((detect_us.unwrap_or(0), repair_us))
}

/// Waits for the next report of the guest's that has not been seen.
fn next_report(host: &mut Host) -> Result<String> {
    host.begin_chapter();
    wait_for_guest(host, "guest: verified ")
}

fn wait_for_guest(host: &Host, text: &str) -> Result<String> {
    Ok(host.wait_line(format!("the guest says {text:?}"), |line| match line {
        Line::Domain(GUEST, said) if said.starts_with(text) => Some(said.clone()),
        _ => None,
    })?)
}

/// The number behind `key=` in a line.
fn figure(line: &str, key: &str) -> Result<u64> {
    let words = line.split_ascii_whitespace();
    let value = words.filter_map(|word| word.split_once('=')).find(|(name, _)| *name == key);
    let number = value.and_then(|(_, value)| value.parse().ok());
    number.with_context(|| format!("expected {key}=NUMBER, found {line:?}"))
}

/// One run of a pattern.
#[derive(Clone, Copy, Debug)]
struct Run {
    operations: u64,
    took_us: u64,
    p99_us: u64,
}

impl Run {
    /// The time that an operation took on the average, many at a time, in nanoseconds.
    fn mean_ns(&self) -> u64 {
        self.took_us * 1000 / self.operations.max(1)
    }
}

/// What a line says that tells of a run: which pattern, and how it went. `None` behind the last.
type Told = Option<(String, Run)>;

fn told(text: &str) -> Result<Told> {
    if text.starts_with("measured all") {
        return Ok(None);
    }
    let pattern = text.split_ascii_whitespace().find_map(|word| word.strip_prefix("pattern="));
    let pattern = pattern.with_context(|| format!("expected a pattern, found {text:?}"))?;
    let run = Run {
        operations: figure(text, "operations")?,
        took_us: figure(text, "took_us")?,
        p99_us: figure(text, "p99")?,
    };
    Ok(Some((format!("{pattern}/depth-{}", figure(text, "depth")?), run)))
}

/// The line of a guest, and of a unikernel that measures by itself, if it tells of a run.
fn guest_line(line: &Line) -> Option<&str> {
    match line {
        Line::Domain(GUEST, said) => {
            said.strip_prefix("guest: ").filter(|said| said.starts_with("measured "))
        }
        _ => None,
    }
}

fn alone_line(line: &Line) -> Option<&str> {
    match line {
        Line::Event(Event { what: What::Log { msg, .. }, .. }) if msg.starts_with("measured ") => Some(msg),
        _ => None,
    }
}

/// Boots a host whose disk is measured, and collects the runs of each pattern.
fn throughput(setup: Setup, name: &str, tells: fn(&Line) -> Option<&str>) -> Result<Vec<(String, Vec<Run>)>> {
    let directory = log_directory(&format!("bench-disk-{name}"));
    let prepared = setup.prepare(&directory)?;
    let host = Host::switch_on(&prepared.machine, &directory, LIFETIME)?;
    let mut patterns: Vec<(String, Vec<Run>)> = Vec::new();
    let mut seen = 0;
    loop {
        let mut count = 0;
        let text = host.wait_line("the next run of a measurement", |line| {
            let text = tells(line)?;
            count += 1;
            (count > seen).then(|| text.to_owned())
        });
        seen += 1;
        let text = text.with_context(|| format!("see {}", directory.display()))?;
        let Some((pattern, run)) = told(&text)? else { return Ok(patterns) };
        match patterns.iter_mut().find(|(other, _)| *other == pattern) {
            Some((_, runs)) => runs.push(run),
            None => patterns.push((pattern, vec![run])),
        }
    }
}
