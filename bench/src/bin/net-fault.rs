//! The network under faults, as in the paper's table IV: how soon a fault of the driver, of the backend or of the whole unikernel is
//! noticed, how long until frames flow again, and how many frames are lost of a guest that sends one after the other.
//!
//! Both policies are measured in one run: `fine` makes the part anew that failed, `coarse` the whole unikernel. Times are counted from the
//! injection, by the clock of the host that is measured; `recover` ends when there is a new part, where the unikernel itself repairs, and with
//! the first heartbeat of the new life where root does; `first-frame` ends when the new part has handled a frame, of which one comes every 4 ms
//! from the guest. Frames that are lost are missed at the far end of the card's cable: those of the guest, which numbers them, and those for
//! the guest, which has to answer each.
//!
//! And how long requests to a web server in a guest take, of eight clients at a time, with one fault in their midst: beside the same without
//! one, and the paper's own ratio of the two as the aim.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use emulator::command::Command;
use emulator::condition::{all_is_settled, component};
use emulator::event::{Event, What};
use emulator::fault::Fault;
use emulator::host::{GUARD, Host};
use emulator::lan::{Lan, OUR_ADDRESS, Passed};
use emulator::line::Line;
use guest_net::load::Load;
use guest_net::order::{Figures, Order};
use rvmm_bench::network::{NETWORK, SERVED, Site};
use rvmm_bench::options::HostOptions;
use rvmm_bench::report::Report;
use rvmm_tests::Setup;
use rvmm_tests::network::{GUESTS, NET, Network};
use rvmm_tests::part::{PartRepair, part_is_repaired};
use rvmm_tests::setup::log_directory;

/// How long one host may run, whatever happens.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// Before each fault: frames flow again.
const PACE: Duration = Duration::from_millis(250);

/// The address of the guest, and from one frame of it to its next, in seconds.
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 6);
const GUEST_SENDS: &str = "interval=0.004 count=2147483647";

/// The faults, by level.
const FAULTS: [(&str, Fault); 6] = [
    ("driver", Fault::DriverCrash),
    ("driver", Fault::DriverHang),
    ("backend", Fault::BackendCrash),
    ("backend", Fault::BackendHang),
    ("unikernel", Fault::Ud2),
    ("unikernel", Fault::TightLoop),
];

/// The policies, and how many times as long a request may take with a fault among so many: what the paper has found, where 123
/// requests a second became 42, and 29.
const POLICIES: [(&str, f64); 2] = [("fine", 123.0 / 42.0), ("coarse", 123.0 / 29.0)];

/// Clients of the web server.
const CLIENTS: usize = 8;

/// What is aimed at, in microseconds.
const DETECT_CRASH_US: u64 = 500;
const DETECT_HANG_US: u64 = 10_000;
const RECOVER_FINE_US: u64 = 2_000;
const RECOVER_COARSE_US: u64 = 5_000;

/// How the network survives faults
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    host: HostOptions,
    /// How often each fault is injected
    #[arg(long, default_value_t = 20)]
    count: usize,
    /// How often requests are made around each
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many requests are made around a fault
    #[arg(long, default_value_t = 120)]
    requests: usize,
    /// Measure only requests to the web server
    #[arg(long)]
    only_web: bool,
}

fn main() -> Result<()> {
    let Options { host, count, rounds, requests, only_web } = Options::parse();
    let (setup, mut report) = host.prepare("net-fault", Setup::default())?;
    for (policy, slower) in POLICIES {
        if !only_web {
            measure(policy, setup, count, &mut report)?;
        }
        measure_web(policy, slower, setup, (rounds, requests), &mut report)?;
    }
    report.publish(host.json.as_deref())
}

/// Measures every fault under one policy.
fn measure(policy: &str, setup: Setup, count: usize, report: &mut Report) -> Result<()> {
    let job = format!("address={GUEST}/24 job=ping peer={OUR_ADDRESS} {GUEST_SENDS}");
    let network = Network { policy, ..Network::PATIENT };
    let setup = Setup { system: network.in_service(&[&job]), devices: true, ..setup };
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
        let (outcomes, passed) =
            listening(lan, || (0..count).map(|_| inject(host, policy, fault)).collect::<Result<Vec<_>>>())?;
        let id = format!("{policy}/{level}/{fault}");
        let times = |time: fn(&Outcome) -> u64| outcomes.iter().map(time).collect::<Vec<_>>();
        let is_hang = matches!(fault, Fault::DriverHang | Fault::BackendHang | Fault::TightLoop);
        let detect_aim_us = if is_hang { DETECT_HANG_US } else { DETECT_CRASH_US };
        let is_fine = policy == "fine" && part_is_repaired(NET, fault).is_some();
        let recover_aim_us = if is_fine { RECOVER_FINE_US } else { RECOVER_COARSE_US };
        report.add(format!("{id}/detect"), &times(|outcome| outcome.detect_us), Some(detect_aim_us));
        report.add(format!("{id}/recover"), &times(|outcome| outcome.recover_us), Some(recover_aim_us));
        let first_us: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.first_us).collect();
        report.add(format!("{id}/first-frame"), &first_us, None);
        report.add_count(format!("{id}/outgoing-lost"), missing(&passed.heard));
        report.add_count(format!("{id}/incoming-lost"), passed.unanswered.len() as u64);
    }
    Ok(())
}

/// Measures what requests to a guest's web server take, without a fault and with one, in turns.
fn measure_web(
    policy: &str,
    slower: f64,
    setup: Setup,
    (rounds, requests): (usize, usize),
    report: &mut Report,
) -> Result<()> {
    let mut site = Site::ours(setup, Network { policy, ..NETWORK }.in_service(&[]))?;
    site.order(0, &Order::Serve { port: SERVED })?;
    let load = Load { at: site.served, clients: CLIENTS, requests, keep_alive: false };
    let per_request = |figures: Figures| figures.took_us / figures.count.max(1);
    for (level, fault) in FAULTS {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            without.push(per_request(load.run()?));
            // In the middle, if it takes as long again.
            let half = Duration::from_micros(without[without.len() - 1] * requests as u64 / 2);
            let host = site.host().context("this host is not ours")?;
            let is_over = AtomicBool::new(false);
            with.push(thread::scope(|scope| {
                let figures = scope.spawn(|| {
                    let figures = load.run();
                    // A part that has no work hangs unseen.
                    while figures.is_ok() && !is_over.load(Ordering::Relaxed) {
                        load.run()?;
                    }
                    figures
                });
                thread::sleep(half);
                let injected = inject(host, policy, fault);
                is_over.store(true, Ordering::Relaxed);
                injected?;
                figures.join().map_err(|_| anyhow!("nobody asks any more"))?.map(per_request)
            })?);
        }
        let id = format!("{policy}/{level}/{fault}/web/per-request");
        report.add_beside(id, "us", &with, &[("fault-free", &without)], Some(slower));
    }
    Ok(())
}

/// How a fault went, in microseconds.
struct Outcome {
    /// From the injection until it was noticed.
    detect_us: u64,
    /// From then until the repair was done.
    recover_us: u64,
    /// And until the new part has handled a frame, if that is known.
    first_us: Option<u64>,
}

/// Injects a fault, and waits until it is repaired.
fn inject(host: &mut Host, policy: &str, fault: Fault) -> Result<Outcome> {
    thread::sleep(PACE);
    host.begin_chapter();
    host.command(&Command::Inject { component: NET.into(), fault, argument: None })?;
    match part_is_repaired(NET, fault).filter(|_| policy == "fine") {
        Some(repaired) => {
            let event = host.wait_for(&repaired)?;
            let repair = PartRepair::of(&event).with_context(|| format!("{event} has no times"))?;
            let (detect_us, recover_us) = (repair.detect_us(), repair.recover_us());
            Ok(Outcome { detect_us, recover_us, first_us: repair.first_us() })
        }
        None => {
            let repaired = host.wait_for(&component(NET).is_repaired())?;
            host.wait_for(&all_is_settled())?;
            whole_outcome(&host.events(), &repaired)
        }
    }
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
        first_us: None,
    })
}

/// Is on the network while `work` is done, and asks the guest all the while; returns what that returns, and what has passed.
fn listening<T>(lan: &mut Lan, work: impl FnOnce() -> Result<T>) -> Result<(T, Passed)> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let listening = scope.spawn(|| lan.listen(GUARD, Some(GUEST), || done.load(Ordering::Relaxed)));
        let worked = work();
        done.store(true, Ordering::Relaxed);
        let passed = listening.join().map_err(|_| anyhow!("nobody listens any more"))??;
        Ok((worked?, passed))
    })
}

/// How many numbers are missing between the first and the last.
fn missing(heard: &BTreeSet<u64>) -> u64 {
    let span = |(first, last): (&u64, &u64)| last - first + 1;
    heard.first().zip(heard.last()).map_or(0, span) - heard.len() as u64
}
