//! Boots a host, breaks everything in it, and shows how it is repaired.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};
use emulator::artifacts::XenVersion;
use emulator::condition::component;
use emulator::fault::Fault;
use emulator::host::{GUARD, Host};
use emulator::lan::Lan;
use rvmm_tests::Setup;
use rvmm_tests::setup::{DISK_SCRATCH, disk_is_written, log_directory};
use rvmm_tests::store::{self, CLIENTS, MASTER, REPLICAS};
use rvmm_tests::system::DEMO;
use rvmm_tests::traffic::NET_ADDRESS;
use rvmm_tests::trial::{LONG_ENOUGH, Outcome, Program, Trial, trials};

/// How long the demonstration may take, whatever happens.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Who is broken.
const VICTIMS: [(&str, Program); 5] = [
    (MASTER, Program::Store),
    ("probe.0", Program::Probe),
    ("probe.1", Program::Probe),
    ("net", Program::Net),
    ("disk", Program::Disk),
];

/// What is tried with replicas, which run the master's program: one of each kind.
const REPLICAS_FAULTS: [Fault; 4] = [Fault::Ud2, Fault::TightLoop, Fault::FlipNode, Fault::FlipVault];

/// Boots a host, breaks everything in it, and shows how it is repaired
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
}

fn main() -> Result<ExitCode> {
    let Options { xen, processors, kvm, no_iommu } = Options::parse();
    let setup = Setup { system: DEMO, xen, iommu: !no_iommu, processors, devices: true, ..Setup::default() };
    let setup = if kvm { setup.on_fastest_accelerator()? } else { setup };
    let directory = log_directory("demo");
    let prepared = setup.prepare(&directory)?;
    let mut lan = prepared.lan.context("this host has no network")?;

    println!(
        "Booting Xen {xen} by {}; the console goes to {}/console.log",
        setup.accelerator,
        directory.display()
    );
    let switched_on = Instant::now();
    let mut host = Host::switch_on(&prepared.machine, &directory, LIFETIME)?;
    store::is_served().try_for_each(|condition| host.wait_for(&condition).map(drop))?;
    println!(
        "Every component is up, and XenStore is served, {:.2} s after power-on.",
        switched_on.elapsed().as_secs_f64()
    );
    show_devices(&mut lan, &directory)?;
    show_store(&mut host)?;

    let every = VICTIMS.map(|(component, program)| (component, trials(program).collect::<Vec<_>>()));
    let some = |fault| Trial::of(Program::Store, fault);
    let some = REPLICAS.map(|replica| (replica, REPLICAS_FAULTS.into_iter().filter_map(some).collect()));
    let mut failures = Vec::new();
    for (component, trials) in every.into_iter().chain(some) {
        let which = if REPLICAS.contains(&component) { "Some faults" } else { "Every fault" };
        println!(
            "{which} that {component} can have, one after the other, while frames come for the network:"
        );
        let mut table = empty_table();
        // Without an IOMMU nothing keeps a device from writing where it must not, so it is not told to.
        for trial in trials.iter().filter(|trial| setup.iommu || trial.fault != Fault::RogueDma) {
            let mut run = || {
                trial
                    .run_under_traffic(&mut host, &mut lan, component, LONG_ENOUGH)
                    .map(|(outcome, _)| outcome)
            };
            // A busy machine can keep the host from running for longer than a heartbeat may take: then its root finds a component
            // silent that was to fail in another way. That does not happen twice.
            let result = run().or_else(|_| run());
            table.add_row(row(trial, result.as_ref().ok()));
            if let Err(error) = result {
                failures.push(format!("{} of {component}: {error}", trial.fault));
            }
            failures.extend(complaints(&host, component, trial.fault));
        }
        println!("{table}");
    }
    show_devices(&mut lan, &directory)?;
    show_store(&mut host)?;
    if failures.is_empty() {
        println!("Every fault ended as it must.");
        return Ok(ExitCode::SUCCESS);
    }
    println!("These faults did not end as they must:\n{}", failures.join("\n"));
    Ok(ExitCode::FAILURE)
}

/// Shows that the network answers and that the disk is written to.
fn show_devices(lan: &mut Lan, directory: &Path) -> Result<()> {
    let asked = Instant::now();
    lan.ping(NET_ADDRESS, GUARD)?;
    println!("The network answers ping at {NET_ADDRESS} ({:.1} ms).", asked.elapsed().as_secs_f64() * 1000.0);
    anyhow::ensure!(disk_is_written(directory, DISK_SCRATCH)?, "nothing has been written to the disk");
    println!("The disk is written to, and read back.");
    Ok(())
}

/// Shows that XenStore's clients are served.
fn show_store(host: &mut Host) -> Result<()> {
    host.begin_chapter();
    let longest_us = store::longest_request(host)?;
    println!(
        "XenStore's clients write, read, watch and count; the longest request took {}.",
        milliseconds(longest_us)
    );
    Ok(())
}

/// What clients of XenStore have found wrong since the last fault: they end themselves then.
fn complaints(host: &Host, victim: &str, fault: Fault) -> Vec<String> {
    let fails = CLIENTS.map(|client| component(client).fails());
    let events = host.events().into_iter().filter(|event| fails.iter().any(|fails| fails.is_met_by(event)));
    events.map(|event| format!("{fault} of {victim}, noticed by a client of XenStore: {event}")).collect()
}

fn empty_table() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["fault", "detected after", "repaired by", "recovered after"]);
    for column in [1, 3] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A line of the table. No result is a failure; a result without an outcome is a fault that was endured.
fn row(trial: &Trial, result: Option<&Option<Outcome>>) -> [String; 4] {
    let nothing = || "-".to_owned();
    let (detected, rung, recovered) = match result {
        Some(Some(outcome)) => (
            milliseconds(outcome.detected_after_us),
            outcome.rung.map_or_else(|| "itself".to_owned(), |rung| rung.to_string()),
            milliseconds(outcome.recovered_after_us),
        ),
        Some(None) => (nothing(), "nobody: endured".into(), nothing()),
        None => (nothing(), "FAILED".into(), nothing()),
    };
    [trial.fault.to_string(), detected, rung, recovered]
}

fn milliseconds(us: u64) -> String {
    format!("{}.{:03} ms", us / 1000, us % 1000)
}
