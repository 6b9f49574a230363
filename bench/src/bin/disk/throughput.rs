//! What a disk does in a second, for three programs: one that has it for itself, our guest's, and a guest's of stock Xen. The machine,
//! its disk, Xen, the guest's kernel and its program are the same.
//!
//! All three hosts are up, and take turns: while one is measured the others stand still, with their clocks.

use anyhow::{Context, Result, ensure};
use emulator::condition::everything_is_up;
use emulator::device::{Disk, DiskModel};
use emulator::event::{Event, What};
use emulator::host::Host;
use emulator::line::Line;
use emulator::machine::MachineConfig;
use emulator::vanilla::Vanilla;
use rvmm_bench::report::Report;
use rvmm_tests::Setup;
use rvmm_tests::disk::guest_that;
use rvmm_tests::setup::{artifacts, log_directory, new_disk};

use crate::{ALONE, DISK, GUEST, LIFETIME, figure};

/// What is aimed at: an operation takes at most a quarter longer than without a backend between; and two thirds of what it takes with
/// the stock backend.
const BESIDE_DEVICE: f64 = 1.25;
const BESIDE_STOCK: f64 = 1.0 / 1.5;

/// MiB of the machine with a Linux dom0, of that, and of the guest, which is as large as ours.
const MACHINE_MIB: u32 = 1536;
const DOM0_MIB: u32 = 768;
const GUEST_MIB: u32 = 128;

/// Microseconds of a tick in Linux's accounts.
const TICK_US: u64 = 10_000;

/// One run of a pattern.
#[derive(Clone, Copy, Debug)]
struct Run {
    operations: u64,
    took_us: u64,
    p50_us: u64,
    p99_us: u64,
    p999_us: u64,
    /// The processor's time that the backend's domain has used meanwhile, if it is known.
    cpu_us: Option<u64>,
}

/// A figure of a run.
type Figure = fn(&Run) -> Option<u64>;

/// Names of the figures, and how they are read from a run, in nanoseconds.
const FIGURES: [(&str, Figure); 5] = [
    ("mean", |run| Some(run.took_us * 1000 / run.operations.max(1))),
    ("p50", |run| Some(run.p50_us * 1000)),
    ("p99", |run| Some(run.p99_us * 1000)),
    ("p999", |run| Some(run.p999_us * 1000)),
    ("cpu", |run| Some(run.cpu_us? * 1000 / run.operations.max(1))),
];

/// Measures each pattern so many times with each program.
pub fn measure(setup: Setup, runs: usize, report: &mut Report) -> Result<()> {
    let alone = ALONE.replacing("runs=5", &format!("runs={runs}"));
    let system = guest_that(format!("task=measure runs={runs}"));
    let mut sites = [
        Site::ours("bench-disk-guest", Setup { system, ..setup }).context("our guest")?,
        Site::ours("bench-disk-alone", Setup { system: alone, ..setup }).context("the disk alone")?,
        Site::stock(setup, runs).context("the stock guest")?,
    ];
    let mut of_pattern: [Vec<Run>; 3] = Default::default();
    while let Some(id) = next_of_all(&mut sites, &mut of_pattern)? {
        if of_pattern[0].len() < runs {
            continue;
        }
        eprintln!("disk: {id}");
        let [ours, alone, stock] = of_pattern.each_mut().map(core::mem::take);
        for (peer, theirs, aim) in [("device", alone, BESIDE_DEVICE), ("stock", stock, BESIDE_STOCK)] {
            for (figure, of) in FIGURES {
                let of = |runs: &[Run]| runs.iter().filter_map(of).collect::<Vec<_>>();
                // Of the backend's processor there is nothing to hold against a disk that has no backend.
                if figure != "cpu" || peer == "stock" {
                    let id = format!("{id}/{figure}/beside-{peer}");
                    report.add_beside(id, "ns/operation", &of(&ours), &[(peer, &of(&theirs))], Some(aim));
                }
            }
        }
    }
    Ok(())
}

/// Has each host in turn do its next run, which is added to its others. Answers of what pattern it was, unless it was the last of all.
fn next_of_all(sites: &mut [Site; 3], runs: &mut [Vec<Run>; 3]) -> Result<Option<String>> {
    let mut id = None;
    for (site, runs) in sites.iter_mut().zip(runs) {
        let next = site.next().with_context(|| format!("see {}", log_directory(site.name).display()))?;
        let (pattern, run) = next.unzip();
        ensure!(
            id.is_none() || id == Some(pattern.clone()),
            "{} measures {pattern:?} after {id:?}",
            site.name
        );
        id = Some(pattern);
        runs.extend(run);
    }
    Ok(id.flatten())
}

/// A host on which one run follows another. It stands still while nobody waits for one.
struct Site {
    name: &'static str,
    host: Kind,
    /// How many lines of its runs were seen.
    seen: usize,
    /// What its backend's domain had used of the processor at the last of them.
    used_us: Option<u64>,
}

enum Kind {
    Ours(Host),
    Stock(Vanilla),
}

impl Site {
    /// Our host; either the disk's unikernel measures, or a guest does.
    fn ours(name: &'static str, setup: Setup) -> Result<Self> {
        let directory = log_directory(name);
        let prepared = setup.prepare(&directory)?;
        let host = Host::switch_on(&prepared.machine, &directory, LIFETIME)?;
        host.wait_for(&everything_is_up())?;
        host.set_running(false)?;
        Ok(Self { name, host: Kind::Ours(host), seen: 0, used_us: None })
    }

    /// A host of stock Xen, whose guest has the machine's disk as its own.
    fn stock(setup: Setup, runs: usize) -> Result<Self> {
        let name = "bench-disk-stock";
        let directory = log_directory(name);
        std::fs::create_dir_all(&directory)?;
        let disk = Disk::new(DiskModel::Virtio, new_disk(&directory, &[])?);
        let machine = MachineConfig::new(artifacts().vanilla_files())
            .memory_mib(MACHINE_MIB)
            .root_memory_mib(DOM0_MIB)
            .processors(setup.processors)
            .slice_us(setup.slice_us)
            .accelerator(setup.accelerator)
            .iommu(setup.iommu)
            .disk(disk.persistent());
        let mut host = Vanilla::boot(machine, &directory, LIFETIME)?;
        let config = format!(
            "name='guest'\\ntype='pv'\\nkernel='/guest/vmlinuz'\\nramdisk='/guest/initrd-disks'\\n\
             cmdline='console=hvc0 quiet panic=1 task=measure runs={runs}'\\nmemory={GUEST_MIB}\\n\
             disk=['format=raw,vdev=xvda,access=rw,script=/root/block,target=/dev/vda']\\n"
        );
        // What Xen's own script does for a device, which looks for more programs than this dom0 has.
        let script = "#!/bin/sh\\n[ \"$1\" = add ] || exit 0\\n\
             xenstore-write $XENBUS_PATH/physical-device $(stat -c %%t:%%T /dev/vda) $XENBUS_PATH/hotplug-status connected\\n";
        // Before each line of the guest's: what dom0 has used of its processor, in ticks.
        let count = "read -r x u n s i w q t z </proc/stat; echo \"ticks=$((u + n + s + q + t)) $line\"";
        for command in [
            &format!("printf \"{config}\" >/root/guest.cfg"),
            &format!("printf '{script}' >/root/block; chmod +x /root/block; mkfifo /tmp/keys /tmp/screen"),
            &format!(
                "while read -r line; do {count}; done </tmp/screen >/dev/hvc0 & sleep 3600 >/tmp/keys &"
            ),
            "xl create /root/guest.cfg",
            "xl console guest </tmp/keys >/tmp/screen &",
        ] {
            let outcome = host.run(command)?;
            ensure!(outcome.status == 0, "{command} has failed in dom0: {}", outcome.lines.join("; "));
        }
        host.set_running(false)?;
        Ok(Self { name, host: Kind::Stock(host), seen: 0, used_us: None })
    }

    /// Waits for the end of the next run. Answers its pattern with its depth, and what came of it; none after the last.
    fn next(&mut self) -> Result<Option<(String, Run)>> {
        self.set_running(true)?;
        let (text, used_us) = match &mut self.host {
            Kind::Ours(host) => {
                let said = |line: &Line| match line {
                    Line::Domain(GUEST, said) => run_of(said).map(str::to_owned),
                    Line::Event(Event { what: What::Log { msg, .. }, .. }) => run_of(msg).map(str::to_owned),
                    _ => None,
                };
                let text = host.wait_line("the next run of a measurement", after(self.seen, said))?;
                (text, host.pulse(DISK)?.cpu_us)
            }
            Kind::Stock(host) => {
                let said = |line: &str| run_of(line).map(|_| line.to_owned());
                let text = host.wait_line("the next run of a measurement", after(self.seen, said))?;
                (text.clone(), figure(&text, "ticks")? * TICK_US)
            }
        };
        self.set_running(false)?;
        self.seen += 1;
        let before_us = self.used_us.replace(used_us);
        let text = run_of(&text).unwrap_or_default();
        if text.starts_with("measured all") {
            return Ok(None);
        }
        let pattern = text.split_ascii_whitespace().find_map(|word| word.strip_prefix("pattern="));
        let pattern = pattern.with_context(|| format!("expected a pattern, found {text:?}"))?;
        let run = Run {
            operations: figure(text, "operations")?,
            took_us: figure(text, "took_us")?,
            p50_us: figure(text, "p50")?,
            p99_us: figure(text, "p99")?,
            p999_us: figure(text, "p999")?,
            cpu_us: before_us.map(|before_us| used_us.saturating_sub(before_us)),
        };
        Ok(Some((format!("{pattern}/depth-{}", figure(text, "depth")?), run)))
    }

    fn set_running(&self, runs: bool) -> Result<()> {
        match &self.host {
            Kind::Ours(host) => host.set_running(runs)?,
            Kind::Stock(host) => host.set_running(runs)?,
        }
        Ok(())
    }
}

/// What a line says of a run, if it does.
fn run_of(line: &str) -> Option<&str> {
    line.find("measured ").map(|start| &line[start..])
}

/// Picks what `pick` picks of lines that are looked at from the first on, but for the first `seen`.
fn after<L: ?Sized, T>(seen: usize, mut pick: impl FnMut(&L) -> Option<T>) -> impl FnMut(&L) -> Option<T> {
    let mut left = seen;
    move |line| {
        let picked = pick(line)?;
        match left.checked_sub(1) {
            Some(fewer) => {
                left = fewer;
                None
            }
            None => Some(picked),
        }
    }
}
