//! Boots the host of `rvmm.toml` with its guests, puts load on them from outside, breaks everything beneath them, and shows what they
//! notice.

mod picture;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use api::Role;
use clap::Parser;
use emulator::artifacts::XenVersion;
use emulator::condition::everything_is_up;
use emulator::host::Host;
use rvmm::access::write_secret;
use rvmm_tests::Setup;
use rvmm_tests::service::breakage::{Breakage, Breaker, COMPONENTS, EVERYTHING, TOTAL, breakages};
use rvmm_tests::service::guests::Guests;
use rvmm_tests::service::load::Request;
use rvmm_tests::service::{self, start_load};
use rvmm_tests::setup::log_directory;

use crate::picture::Mark;

/// How long the demonstration may take, and how long the host is kept afterwards, whatever happens.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// Boots a host with guests, breaks everything beneath them, and shows what they notice
#[derive(Parser)]
struct Options {
    /// Version of Xen: 4.17 or 4.20
    #[arg(long, default_value_t = XenVersion::V4_17)]
    xen: XenVersion,
    /// Number of processors
    #[arg(long, default_value_t = 1)]
    processors: u32,
    /// Use KVM where it can run Xen, which is tried
    #[arg(long)]
    kvm: bool,
    /// No IOMMU: devices are not contained
    #[arg(long)]
    no_iommu: bool,
    /// Leave the host running at the end
    #[arg(long)]
    keep: bool,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let Options { xen, processors, kvm, no_iommu, keep } = options;
    let api = if keep { Some(rvmm_tests::api::forward()?) } else { None };
    let setup = Setup { xen, processors, iommu: !no_iommu, api, ..service::setup()? };
    let setup = if kvm { setup.on_fastest_accelerator()? } else { setup };
    let directory = log_directory("demo");
    let prepared = setup.prepare(&directory)?;

    println!(
        "Booting Xen {xen} by {}; the console goes to {}/console.log",
        setup.accelerator,
        directory.display()
    );
    let switched_on = Instant::now();
    let mut host = Host::switch_on(&prepared.machine, &directory, if keep { KEPT } else { LIFETIME })?;
    let shown = show(&mut host, setup, switched_on);
    let sound = shown.with_context(|| format!("the logs are in {}", directory.display()))?;
    if let (Some(web), Some(api)) = (setup.forward, setup.api) {
        let access = directory.join("access");
        write_secret(&access, &format!("{}\n", rvmm_tests::api::access(api, Role::Admin)))?;
        println!(
            "The host goes on: its web server is at http://127.0.0.1:{}/, and Ctrl-C ends it. To look at it: cargo run -p rvmm -- --access {} top",
            web.here,
            access.display()
        );
        while host.is_on() {
            std::thread::sleep(Duration::from_secs(1));
        }
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Shows everything. Returns whether the guests have noticed no more than pauses.
fn show(host: &mut Host, setup: Setup, switched_on: Instant) -> Result<bool> {
    host.wait_for(&everything_is_up())?;
    println!("Every component is up {:.2} s after power-on.", switched_on.elapsed().as_secs_f64());
    let mut guests = Guests::wait_for(host)?;
    println!("Both guests are up {:.2} s after power-on:", switched_on.elapsed().as_secs_f64());
    println!(
        "one serves a web page, which this machine asks for all the while; one writes files to its disk and checks them.\n"
    );
    let load = start_load(&setup)?;

    let mut marks = Vec::new();
    let mut breaker = Breaker::default();
    println!(
        "{}",
        row(["component", "fault", "detected after", "repaired by", "recovered after", "failed", "longest"])
    );
    let one_by_one = breakages(setup.iommu);
    for (component, fault) in one_by_one.chain(TOTAL.map(|fault| (EVERYTHING, fault))) {
        breaker.rest(component);
        let from = load.elapsed();
        marks.push(Mark { at: from, component });
        let broken = match component {
            EVERYTHING => breaker.break_all(host, fault)?,
            component => breaker.break_one(host, component, fault)?,
        };
        guests.look(host)?;
        load.wait_for_another();
        println!("{}", breakage_row(&broken, &load.ended_since(from)));
    }
    let rounds = guests.rounds_after(host)?;
    let requests = load.ended_since(Duration::ZERO);
    drop(load);

    let places: Vec<&str> = COMPONENTS.into_iter().chain([EVERYTHING]).collect();
    let picture: PathBuf = host.directory().join("latency.svg");
    picture::draw(&picture, &requests, &marks, &places)?;
    println!(
        "\nThe longest request of each tenth of a second, in ms, over seconds; faults are marked at the bottom:\n"
    );
    picture::print(&requests, &marks);
    println!("The same with each fault in the colour of its component: {}", picture.display());

    let failures: Vec<&String> = requests.iter().filter_map(|request| request.failure.as_ref()).collect();
    println!(
        "\n{} faults. {} web requests were served, {} failed. {rounds} times all files of the disk were what had been written; {} times they were not.",
        marks.len(),
        requests.len() - failures.len(),
        failures.len(),
        guests.complaints().len()
    );
    failures.iter().for_each(|failure| println!("failed: {failure}"));
    guests.complaints().iter().for_each(|complaint| println!("a guest says: {complaint}"));
    Ok(failures.is_empty() && guests.complaints().is_empty())
}

/// What has become of a fault, and of the requests meanwhile.
fn breakage_row(broken: &Breakage, requests: &[Request]) -> String {
    let failed = requests.iter().filter(|request| request.failure.is_some()).count();
    let longest = requests.iter().map(|request| request.took).max().unwrap_or_default();
    let time = |us: Option<u64>| us.map_or_else(|| "-".to_owned(), milliseconds);
    row([
        broken.component,
        &broken.fault.to_string(),
        &time(broken.detected_us),
        &broken.by,
        &time(broken.recovered_us),
        &failed.to_string(),
        &milliseconds(longest.as_micros() as u64),
    ])
}

/// A line of the table, which grows while the demonstration goes on.
fn row([component, fault, detected, by, recovered, failed, longest]: [&str; 7]) -> String {
    format!("{component:<11} {fault:<16} {detected:>14}  {by:<16} {recovered:>15} {failed:>7} {longest:>11}")
}

fn milliseconds(us: u64) -> String {
    format!("{}.{:03} ms", us / 1000, us % 1000)
}
