//! The network under faults, as in the paper's table IV: how soon a fault of the driver, of the backend or of the whole unikernel is
//! noticed, how long until frames flow again, and how many frames are lost of a guest that sends one after the other.
//!
//! Both policies are measured in one run: `fine` makes the part anew that failed, `coarse` the whole unikernel. Times are counted from the
//! injection, by the clock of the host that is measured; `recover` ends with the first frame that the new part has handled, where the
//! unikernel itself repairs, and with the first heartbeat of the new life where root does. Frames that are lost are missed at the far
//! end of the card's cable.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use emulator::artifacts::XenVersion;
use emulator::command::Command;
use emulator::condition::{all_is_settled, component};
use emulator::event::{Event, What};
use emulator::fault::Fault;
use emulator::host::{GUARD, Host};
use emulator::lan::{Lan, OUR_ADDRESS};
use emulator::line::Line;
use rvmm_bench::report::Report;
use rvmm_tests::Setup;
use rvmm_tests::network::{GUESTS, NET, Network, part_repair};
use rvmm_tests::setup::log_directory;

/// How long one host may run, whatever happens.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// Before each fault: frames flow again.
const PACE: Duration = Duration::from_millis(300);

/// From one frame of the guest to its next, in seconds, and how many there are: more than a run takes.
const GUEST_SENDS: &str = "interval=0.004 count=60000";

/// The faults, by level.
const FAULTS: [(&str, Fault); 6] = [
    ("driver", Fault::DriverCrash),
    ("driver", Fault::DriverHang),
    ("backend", Fault::BackendCrash),
    ("backend", Fault::BackendHang),
    ("unikernel", Fault::Ud2),
    ("unikernel", Fault::TightLoop),
];

/// What is aimed at, in microseconds.
const DETECT_CRASH_US: u64 = 500;
const DETECT_HANG_US: u64 = 10_000;
const RECOVER_FINE_US: u64 = 2_000;
const RECOVER_COARSE_US: u64 = 5_000;

/// How the network survives faults
#[derive(Parser)]
struct Options {
    /// Where the figures go, for machines
    #[arg(long)]
    json: Option<PathBuf>,
    /// Version of Xen: 4.17 or 4.20
    #[arg(long, default_value_t = XenVersion::V4_17)]
    xen: XenVersion,
    /// How often each fault is injected
    #[arg(long, default_value_t = 20)]
    count: usize,
}

fn main() -> Result<()> {
    let Options { json, xen, count } = Options::parse();
    let mut report = Report::new("net-fault");
    report.version("xen", xen);
    for policy in ["fine", "coarse"] {
        measure(policy, xen, count, &mut report)?;
    }
    report.publish(json.as_deref())
}

/// Measures every fault under one policy.
fn measure(policy: &str, xen: XenVersion, count: usize, report: &mut Report) -> Result<()> {
    let job = format!("address=10.0.3.6/24 job=ping peer={OUR_ADDRESS} {GUEST_SENDS}");
    // Deadlines of a host in service.
    let network = Network { policy, deadline: Duration::from_millis(10), ..Network::PATIENT };
    let setup = Setup { system: network.system(&[&job]), xen, devices: true, ..Setup::default() };
    let directory = log_directory(&format!("bench-net-fault-{policy}"));
    let prepared = setup.prepare(&directory)?;
    let mut host = Host::boot(&prepared.machine, &directory, LIFETIME)?;
    let mut lan = prepared.lan.context("this host has no network")?;
    let measured = measure_all(policy, &mut host, &mut lan, count, report);
    measured.with_context(|| format!("the logs are in {}", directory.display()))
}

fn measure_all(
    policy: &str,
    host: &mut Host,
    lan: &mut Lan,
    count: usize,
    report: &mut Report,
) -> Result<()> {
    let [guest, _] = GUESTS;
    let starts = |line: &Line| {
        matches!(line, Line::Domain(domid, said) if *domid == guest && said.starts_with("guest: ping starts"))
            .then_some(())
    };
    listening(lan, || Ok(host.wait_line("the guest sends".to_owned(), starts)?))?;
    for (level, fault) in FAULTS {
        let (outcomes, heard) =
            listening(lan, || (0..count).map(|_| inject(host, policy, fault)).collect::<Result<Vec<_>>>())?;
        let id = format!("{policy}/{level}/{fault}");
        let times = |time: fn(&Outcome) -> u64| outcomes.iter().map(time).collect::<Vec<_>>();
        let is_hang = matches!(fault, Fault::DriverHang | Fault::BackendHang | Fault::TightLoop);
        let detect_aim_us = if is_hang { DETECT_HANG_US } else { DETECT_CRASH_US };
        let is_fine = policy == "fine" && part_repair(fault).is_some();
        let recover_aim_us = if is_fine { RECOVER_FINE_US } else { RECOVER_COARSE_US };
        report.add(format!("{id}/detect"), &times(|outcome| outcome.detect_us), Some(detect_aim_us));
        report.add(format!("{id}/recover"), &times(|outcome| outcome.recover_us), Some(recover_aim_us));
        report.add_count(format!("{id}/outgoing-lost"), missing(&heard));
    }
    Ok(())
}

/// How a fault went, in microseconds.
struct Outcome {
    /// From the injection until it was noticed.
    detect_us: u64,
    /// From then until the repair was done.
    recover_us: u64,
}

/// Injects a fault, and waits until it is repaired.
fn inject(host: &mut Host, policy: &str, fault: Fault) -> Result<Outcome> {
    thread::sleep(PACE);
    host.begin_chapter();
    host.command(&Command::Inject { component: NET.into(), fault, argument: None })?;
    match part_repair(fault).filter(|_| policy == "fine") {
        Some(repaired) => part_outcome(&host.wait_for(&repaired)?),
        None => {
            let repaired = host.wait_for(&component(NET).is_repaired())?;
            host.wait_for(&all_is_settled())?;
            whole_outcome(&host.events(), &repaired)
        }
    }
}

/// The times in what the unikernel says of a repair.
fn part_outcome(event: &Event) -> Result<Outcome> {
    let What::Log { msg, .. } = &event.what else { return Err(anyhow!("{event} is no log line")) };
    let time = |key: &str| -> Result<u64> {
        let word = msg.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        Ok(word.with_context(|| format!("{key} is not in {msg:?}"))?.parse()?)
    };
    let detected_us = time("detected_us")?;
    Ok(Outcome {
        detect_us: detected_us.saturating_sub(time("injected_us")?),
        recover_us: time("first_us")?.saturating_sub(detected_us),
    })
}

/// The times in what root says of a repair.
fn whole_outcome(events: &[Event], repaired: &Event) -> Result<Outcome> {
    let fault = events.iter().filter(|event| event.component == NET).find_map(|event| match event.what {
        What::Fault { injected_us, detected_us, .. } => Some((injected_us?, detected_us?)),
        _ => None,
    });
    let (injected_us, detected_us) = fault.context("root has noted no fault with its times")?;
    let What::Repaired { first_beat_us: Some(first_beat_us), .. } = repaired.what else {
        return Err(anyhow!("{repaired} has no first_beat_us"));
    };
    Ok(Outcome {
        detect_us: detected_us.saturating_sub(injected_us),
        recover_us: first_beat_us.saturating_sub(detected_us),
    })
}

/// Is on the network while `work` is done; returns what that returns, and which of the guest's frames came.
fn listening<T>(lan: &mut Lan, work: impl FnOnce() -> Result<T>) -> Result<(T, BTreeSet<u16>)> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let listening = scope.spawn(|| lan.listen(GUARD, || done.load(Ordering::Relaxed)));
        let worked = work();
        // The frame that is on its way comes yet.
        thread::sleep(PACE);
        done.store(true, Ordering::Relaxed);
        let heard = listening.join().map_err(|_| anyhow!("nobody listens any more"))??;
        Ok((worked?, heard))
    })
}

/// How many numbers are missing between the first and the last.
fn missing(heard: &BTreeSet<u16>) -> u64 {
    let span = |(first, last): (&u16, &u16)| u64::from(last - first) + 1;
    heard.first().zip(heard.last()).map_or(0, span) - heard.len() as u64
}
