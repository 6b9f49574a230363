//! How long a guest takes to be there and to be gone, beside Xen's own toolstack in a Linux dom0: the same hypervisor, the same kernel
//! and ramdisk, the same emulated machine, both hosts up and measured in turns.
//!
//! Times are taken from outside: from the operator's command to what the host says of it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use emulator::command::Command;
use emulator::condition::component;
use emulator::host::Host;
use emulator::line::Line;
use emulator::machine::MachineConfig;
use emulator::vanilla::Vanilla;
use rvmm_bench::report::Report;
use rvmm_tests::Setup;
use rvmm_tests::guest::{Guest, host_with};
use rvmm_tests::setup::{artifacts, log_directory};
use rvmm_tests::system::System;

/// The guest of the description, and of dom0's configuration.
const GUEST: &str = "guest";

/// MiB of each guest: the least that Debian's kernel starts in.
const GUEST_MIB: u32 = 80;

/// MiB of the machines, in which all guests fit at once.
const MACHINE_MIB: u32 = 3072;
/// MiB of the Linux dom0: more makes nothing faster.
const DOM0_MIB: u32 = 768;

/// How long a host may run, whatever happens.
const LIFETIME: Duration = Duration::from_secs(3600);

/// What our figures may be at most, over those of Xen's toolstack.
const CREATE: Option<f64> = Some(0.1);
const USERLAND: Option<f64> = Some(0.5);
const DESTROY: Option<f64> = Some(0.1);

/// Measures how long guests take to be there and to be gone
#[derive(Parser)]
struct Options {
    /// Where the figures go, for machines
    #[arg(long)]
    json: Option<PathBuf>,
    /// How often a guest is made and taken away
    #[arg(long, default_value_t = 10)]
    count: usize,
    /// How many guests are made in a row
    #[arg(long, default_value_t = 20)]
    row: usize,
}

/// What is measured of one toolstack, in microseconds.
#[derive(Default)]
struct Samples {
    create: Vec<u64>,
    userland: Vec<u64>,
    destroy: Vec<u64>,
    row: Vec<u64>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let setup = Setup { system: small_guests(), ..Setup::default() };
    let (mut ours, mut theirs) = (Ours::boot(setup)?, Theirs::boot()?);
    let (mut our_samples, mut their_samples) = (Samples::default(), Samples::default());
    for _ in 0..options.count {
        ours.measure_one(&mut our_samples)?;
        theirs.measure_one(&mut their_samples)?;
    }
    our_samples.row.push(ours.measure_row(options.row)?);
    their_samples.row.push(theirs.measure_row(options.row)?);

    let mut report = Report::new("vm");
    report.version("xen", setup.xen);
    let mut add = |id: &str, unit, ours: &[u64], theirs: &[u64], aim| {
        report.add_beside(id, unit, ours, &[("xl", theirs)], aim);
    };
    add("create/return", "us", &our_samples.create, &their_samples.create, CREATE);
    add("create/userland", "us", &our_samples.userland, &their_samples.userland, USERLAND);
    add("destroy", "us", &our_samples.destroy, &their_samples.destroy, DESTROY);
    let row = format!("create/{}-in-a-row", options.row);
    add(&row, "us", &our_samples.row, &their_samples.row, CREATE);
    add("memory/all-services", "KiB", &[ours.memory_kib(setup)?], &[theirs.memory_kib()?], None);
    for component in &setup.system.description(1)?.components {
        let kib = u64::from(component.memory_pages) * 4;
        add(&format!("memory/{}", component.name), "KiB", &[kib], &[], None);
    }
    report.publish(options.json.as_deref())
}

/// The system of the toolstack's tests, with guests as small as they can be.
fn small_guests() -> System {
    host_with(&[Guest::new(GUEST).memory_mib(GUEST_MIB)])
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

/// Our host.
struct Ours {
    host: Host,
}

impl Ours {
    /// Boots it, and takes away the guest that starts with it.
    fn boot(setup: Setup) -> Result<Self> {
        let directory = log_directory("bench-vm");
        let prepared = setup.prepare(&directory)?;
        let host = Host::boot(&prepared.machine.memory_mib(MACHINE_MIB), &directory, LIFETIME)?;
        host.wait_for(&component("tool").logs("guest: running"))?;
        let mut ours = Self { host };
        ours.tell(&format!("destroy {GUEST}"), "guest: forgotten")?;
        Ok(ours)
    }

    /// Tells the toolstack to do something, and waits until it says that it is done.
    fn tell(&mut self, order: &str, done: &str) -> Result<Duration> {
        self.host.begin_chapter();
        let started = Instant::now();
        self.host.command(&Command::Tell { component: "tool".into(), line: order.into() })?;
        self.host.wait_for(&component("tool").logs(done)).context("see bench-vm/console.log")?;
        Ok(started.elapsed())
    }

    fn measure_one(&mut self, samples: &mut Samples) -> Result<()> {
        let started = Instant::now();
        let created = self.tell(&format!("create {GUEST}"), "guest: running")?;
        samples.create.push(micros(created));
        let is_up = |line: &Line| match line {
            Line::Domain(_, said) if said.contains("guest: up ") => Some(()),
            _ => None,
        };
        self.host.wait_line("the guest's userland", is_up)?;
        samples.userland.push(micros(started.elapsed()));
        samples.destroy.push(micros(self.tell(&format!("destroy {GUEST}"), "guest: forgotten")?));
        Ok(())
    }

    fn measure_row(&mut self, count: usize) -> Result<u64> {
        let started = Instant::now();
        for number in 0..count {
            self.tell(&format!("create {GUEST} g{number}"), &format!("g{number}: running"))?;
        }
        Ok(micros(started.elapsed()))
    }

    /// The memory of root and all its components.
    fn memory_kib(&self, setup: Setup) -> Result<u64> {
        let description = setup.system.description(1)?;
        let components = description.components.iter().map(|component| component.memory_pages);
        Ok(u64::from(components.sum::<u32>() + description.host.memory_pages) * 4)
    }
}

/// The host with a Linux dom0.
struct Theirs {
    host: Vanilla,
}

impl Theirs {
    fn boot() -> Result<Self> {
        let machine = MachineConfig::new(artifacts().vanilla_files())
            .memory_mib(MACHINE_MIB)
            .root_memory_mib(DOM0_MIB)
            .iommu(false);
        let host = Vanilla::boot(machine, &log_directory("bench-vm-vanilla"), LIFETIME)?;
        let config = format!(
            "name='{GUEST}'\\ntype='pv'\\nkernel='/guest/vmlinuz'\\nramdisk='/guest/initrd'\\n\
             cmdline='console=hvc0 panic=1 task=tick'\\nmemory={GUEST_MIB}\\n"
        );
        let mut theirs = Self { host };
        theirs.run(&format!("printf \"{config}\" >/root/guest.cfg; mkfifo /tmp/keys /tmp/screen"))?;
        Ok(theirs)
    }

    /// Runs a command that must succeed.
    fn run(&mut self, command: &str) -> Result<(Duration, Vec<String>)> {
        let outcome = self.host.run(command)?;
        ensure!(outcome.status == 0, "{command} has failed in dom0: {}", outcome.lines.join("; "));
        Ok((outcome.took, outcome.lines))
    }

    fn measure_one(&mut self, samples: &mut Samples) -> Result<()> {
        let started = Instant::now();
        samples.create.push(micros(self.run("xl create /root/guest.cfg")?.0));
        // A keyboard at which nobody types, and a screen on which one line is waited for.
        let console = format!("sleep 1000 >/tmp/keys & xl console {GUEST} </tmp/keys >/tmp/screen &");
        self.run(&format!("{console} grep -q -m 1 'guest: up ' </tmp/screen; killall sleep xenconsole"))?;
        samples.userland.push(micros(started.elapsed()));
        samples.destroy.push(micros(self.run(&format!("xl destroy {GUEST}"))?.0));
        Ok(())
    }

    fn measure_row(&mut self, count: usize) -> Result<u64> {
        let started = Instant::now();
        for number in 0..count {
            self.run(&format!("xl create /root/guest.cfg 'name=\"g{number}\"'"))?;
        }
        Ok(micros(started.elapsed()))
    }

    /// What dom0 uses of its memory.
    fn memory_kib(&mut self) -> Result<u64> {
        let (_, lines) = self.run("awk '/^MemTotal|^MemAvailable/ { print $2 }' /proc/meminfo")?;
        let kib: Vec<u64> = lines.iter().filter_map(|line| line.trim().parse().ok()).collect();
        ensure!(kib.len() == 2, "two figures of dom0's memory were expected, found {lines:?}");
        Ok(kib[0].saturating_sub(kib[1]))
    }
}
