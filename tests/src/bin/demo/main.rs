//! Boots the host of `rvmm.toml` with its guests, puts load on them from outside, breaks everything beneath them, and shows what they
//! notice.

mod breakage;
mod guests;
mod load;
mod picture;

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use emulator::artifacts::XenVersion;
use emulator::condition::everything_is_up;
use emulator::device::{Disk, DiskModel, Forward, Nic, NicModel};
use emulator::fault::Fault;
use emulator::host::Host;
use emulator::kvm;
use emulator::machine::{Accelerator, MachineConfig};
use rvmm_tests::setup::{artifacts, log_directory};

use crate::breakage::{Breakage, Breaker, COMPONENTS, EVERYTHING, breakages};
use crate::guests::Guests;
use crate::load::{Load, Request};
use crate::picture::Mark;

/// How long the demonstration may take, and how long the host is kept afterwards, whatever happens.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// MiB of the machine, those of root and its archive among them, which rvmm.toml gives it.
const MACHINE_MIB: u32 = 768;
const ROOT_MIB: u32 = 160;

/// Bytes of the disk, whose file is sparse.
const DISK_BYTES: u64 = 64 << 20;

/// Where the web server is on QEMU's own network, as tests/guests/web.cfg has it, and what it serves.
const WEB: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 16), 80);
const PAGE: &str = "a guest of R-VMM\n";

/// How often everything is broken at the same time.
const TOTALS: [Fault; 3] = [Fault::Panic, Fault::Ud2, Fault::NullStore];

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
    let directory = log_directory("demo");
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let port = free_port()?;
    let machine = machine(&options, &directory, port)?;

    println!("Booting Xen {}; the console goes to {}/console.log", options.xen, directory.display());
    let switched_on = Instant::now();
    let lifetime = if options.keep { KEPT } else { LIFETIME };
    let mut host = Host::switch_on(&machine, &directory, lifetime)?;
    let shown = show(&mut host, &options, port, switched_on);
    let sound = shown.with_context(|| format!("the logs are in {}", directory.display()))?;
    if options.keep {
        println!("The host goes on: its web server is at http://127.0.0.1:{port}/, and Ctrl-C ends it.");
        while host.is_on() {
            std::thread::sleep(Duration::from_secs(1));
        }
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The machine: a card on QEMU's own network, on which `port` of the loopback address leads to the web server, and an empty disk.
fn machine(options: &Options, directory: &Path, port: u16) -> Result<MachineConfig> {
    let disk = directory.join("disk.img");
    File::create(&disk)
        .and_then(|file| file.set_len(DISK_BYTES))
        .with_context(|| format!("cannot make {}", disk.display()))?;
    let machine = MachineConfig::new(artifacts().boot_files(options.xen))
        .processors(options.processors)
        .memory_mib(MACHINE_MIB)
        .root_memory_mib(ROOT_MIB)
        .iommu(!options.no_iommu)
        .nic(Nic::user(NicModel::Virtio).forward(Forward { here: port, there: WEB }))
        .disk(Disk::new(DiskModel::Virtio, disk).persistent());
    let accelerator = if options.kvm { kvm::fastest(&machine, directory) } else { Accelerator::Tcg };
    Ok(machine.accelerator(accelerator))
}

/// A port that nobody listens at: the system's choice.
fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port of the loopback address is free")?;
    Ok(listener.local_addr()?.port())
}

/// Shows everything. Returns whether the guests have noticed no more than pauses.
fn show(host: &mut Host, options: &Options, port: u16, switched_on: Instant) -> Result<bool> {
    host.wait_for(&everything_is_up())?;
    println!("Every component is up {:.2} s after power-on.", switched_on.elapsed().as_secs_f64());
    let mut guests = Guests::wait_for(host)?;
    println!("Both guests are up {:.2} s after power-on:", switched_on.elapsed().as_secs_f64());
    println!(
        "one serves a web page, which this machine asks for all the while; one writes files to its disk and checks them.\n"
    );
    let load = Load::start(port, PAGE)?;

    let mut marks = Vec::new();
    let mut breaker = Breaker::default();
    println!(
        "{}",
        row(["component", "fault", "detected after", "repaired by", "recovered after", "failed", "longest"])
    );
    let one_by_one = breakages(!options.no_iommu);
    for (component, fault) in one_by_one.chain(TOTALS.map(|fault| (EVERYTHING, fault))) {
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
