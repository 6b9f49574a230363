//! How long a guest's disk is away when its driver, its backend or its unikernel fails.
//!
//! Of each fault: from the injection to the detection (`detect`), from there until the part works again (`repair`), and the longest
//! time that a guest waited for an answer meanwhile (`longest-io`), which that guest has measured. It waits long at times without any fault,
//! too: `no-fault` says how long.

use anyhow::{Context, Result, bail};
use emulator::command::Command;
use emulator::condition::{component, everything_is_up};
use emulator::event::{Event, Rung, What};
use emulator::fault::Fault;
use emulator::host::Host;
use emulator::line::Line;
use rvmm_bench::report::Report;
use rvmm_tests::Setup;
use rvmm_tests::part::{PartRepair, part_is_repaired};
use rvmm_tests::setup::log_directory;

use crate::{DISK, GUEST, LIFETIME, figure};

/// What is aimed at: a crash of anything is over within 5 ms of its detection.
const REPAIR_US: u64 = 5_000;

/// A way to fail.
struct Way {
    name: &'static str,
    how: How,
    aim: Option<u64>,
}

enum How {
    /// By a fault, of a part that is repaired alone or of all of it.
    Fault(Fault),
    /// It is built anew because somebody wants it.
    Rebuild,
}

const WAYS: [Way; 7] = [
    way("driver/crash", How::Fault(Fault::DriverCrash), Some(REPAIR_US)),
    way("driver/hang", How::Fault(Fault::DriverHang), Some(REPAIR_US)),
    way("backend/crash", How::Fault(Fault::BackendCrash), Some(REPAIR_US)),
    way("backend/hang", How::Fault(Fault::BackendHang), Some(REPAIR_US)),
    way("uk/crash", How::Fault(Fault::Ud2), Some(REPAIR_US)),
    way("uk/hang", How::Fault(Fault::TightLoop), Some(REPAIR_US)),
    way("uk/rebuild", How::Rebuild, None),
];

const fn way(name: &'static str, how: How, aim: Option<u64>) -> Way {
    Way { name, how, aim }
}

/// What one way to fail came to, once.
struct Outcome {
    detect_us: u64,
    repair_us: u64,
    longest_io_us: u64,
}

/// Injects each fault so many times, and reports what came of it.
pub fn measure(setup: Setup, count: usize, report: &mut Report) -> Result<()> {
    let directory = log_directory("bench-disk-faults");
    let prepared = setup.prepare(&directory)?;
    let mut host = Host::switch_on(&prepared.machine, &directory, LIFETIME)?;
    host.wait_for(&everything_is_up())?;
    wait_for_guest(&host, "guest: up ")?;
    wait_for_guest(&host, "guest: verified ")?;
    let undisturbed = (0..count).map(|_| longest_io_us(&mut host)).collect::<Result<Vec<_>>>()?;
    report.add("no-fault/longest-io", &undisturbed, None);
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
        How::Fault(fault) => {
            host.command(&inject(*fault))?;
            match part_is_repaired(DISK, *fault) {
                Some(repaired) => {
                    let event = host.wait_for(&repaired)?;
                    let repair = PartRepair::of(&event).with_context(|| format!("{event} has no times"))?;
                    (repair.detect_us(), repair.recover_us())
                }
                None => {
                    let repaired = host.wait_for(&component(DISK).is_repaired())?;
                    times(&host.events(), &repaired)?
                }
            }
        }
        How::Rebuild => {
            host.command(&Command::Restart { component: DISK.into(), rung: Rung::Rebuild })?;
            let repaired = host.wait_for(&component(DISK).is_repaired_by(Rung::Rebuild))?;
            times(&host.events(), &repaired)?
        }
    };
    Ok(Outcome { detect_us, repair_us, longest_io_us: longest_io_us(host)? })
}

/// The longest time that the guest has waited in the half second until now, and the one that follows.
fn longest_io_us(host: &mut Host) -> Result<u64> {
    // The report that comes next may be of the time before; the one after it is of the time until now, at least.
    let [before, after] = [next_report(host)?, next_report(host)?];
    Ok(figure(&before, "longest_us")?.max(figure(&after, "longest_us")?))
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
