//! What a disk does in a second, for three programs: one that has it for itself, our guest's, and a guest's of stock Xen. The machine,
//! its disk, Xen, the guest's kernel and its program are the same.

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

/// All runs, by pattern and depth.
type Runs = Vec<(String, Vec<Run>)>;

/// Measures each pattern so many times with each program.
pub fn measure(setup: Setup, runs: usize, report: &mut Report) -> Result<()> {
    let stock = stock(setup, runs).context("the stock guest")?;
    let alone = alone(Setup { system: ALONE, ..setup }).context("the disk alone")?;
    let system = guest_that(format!("task=measure runs={runs}"));
    let ours = ours(Setup { system, ..setup }).context("our guest")?;
    for (pattern, ours) in &ours {
        let of_pattern = |all: &Runs| {
            all.iter().find(|(other, _)| other == pattern).map_or_else(Vec::new, |(_, runs)| runs.clone())
        };
        for (peer, theirs, aim) in
            [("device", of_pattern(&alone), BESIDE_DEVICE), ("stock", of_pattern(&stock), BESIDE_STOCK)]
        {
            for (figure, of) in FIGURES {
                let of = |runs: &[Run]| runs.iter().filter_map(of).collect::<Vec<_>>();
                // Of the backend's processor there is nothing to hold against a disk that has no backend.
                if figure != "cpu" || peer == "stock" {
                    let id = format!("{pattern}/{figure}/beside-{peer}");
                    report.add_beside(id, "ns/operation", &of(ours), &[(peer, &of(&theirs))], Some(aim));
                }
            }
        }
    }
    Ok(())
}

/// Adds a line that tells of a run. Returns whether it is the last.
fn add(runs: &mut Runs, text: &str, cpu_us: Option<u64>) -> Result<bool> {
    if text.starts_with("measured all") {
        return Ok(true);
    }
    let pattern = text.split_ascii_whitespace().find_map(|word| word.strip_prefix("pattern="));
    let pattern = pattern.with_context(|| format!("expected a pattern, found {text:?}"))?;
    let id = format!("{pattern}/depth-{}", figure(text, "depth")?);
    let run = Run {
        operations: figure(text, "operations")?,
        took_us: figure(text, "took_us")?,
        p50_us: figure(text, "p50")?,
        p99_us: figure(text, "p99")?,
        p999_us: figure(text, "p999")?,
        cpu_us,
    };
    match runs.iter_mut().find(|(other, _)| *other == id) {
        Some((_, runs)) => runs.push(run),
        None => runs.push((id, vec![run])),
    }
    Ok(false)
}

/// What the disk's unikernel says when it measures the disk by itself.
fn alone(setup: Setup) -> Result<Runs> {
    let said = |line: &Line| match line {
        Line::Event(Event { what: What::Log { msg, .. }, .. }) => Some(msg.clone()),
        _ => None,
    };
    follow(setup, "bench-disk-alone", said, |_| Ok(None))
}

/// What our guest says.
fn ours(setup: Setup) -> Result<Runs> {
    let said = |line: &Line| match line {
        Line::Domain(GUEST, said) => said.strip_prefix("guest: ").map(str::to_owned),
        _ => None,
    };
    follow(setup, "bench-disk-guest", said, |host| Ok(Some(host.pulse(DISK)?.cpu_us)))
}

/// Boots a host whose disk is measured, and collects the runs as they are `said`, with the processor's time that was `used` by then.
fn follow(
    setup: Setup,
    name: &str,
    said: impl Fn(&Line) -> Option<String>,
    used: impl Fn(&mut Host) -> Result<Option<u64>>,
) -> Result<Runs> {
    let directory = log_directory(name);
    let prepared = setup.prepare(&directory)?;
    let mut host = Host::switch_on(&prepared.machine, &directory, LIFETIME)?;
    host.wait_for(&everything_is_up())?;
    let (mut runs, mut seen, mut before_us) = (Runs::new(), 0, used(&mut host)?);
    loop {
        let mut count = 0;
        let text = host.wait_line("the next run of a measurement", |line| {
            let text = said(line).filter(|text| text.starts_with("measured "))?;
            count += 1;
            (count > seen).then_some(text)
        });
        seen += 1;
        let text = text.with_context(|| format!("see {}", directory.display()))?;
        let now_us = used(&mut host)?;
        let cpu_us = now_us.zip(before_us).map(|(now, before)| now.saturating_sub(before));
        before_us = now_us;
        if add(&mut runs, &text, cpu_us)? {
            return Ok(runs);
        }
    }
}

/// What a guest of stock Xen says, which has the machine's disk as its own.
fn stock(setup: Setup, runs: usize) -> Result<Runs> {
    let directory = log_directory("bench-disk-stock");
    std::fs::create_dir_all(&directory)?;
    let disk = Disk::new(DiskModel::Virtio, new_disk(&directory, &[])?);
    let machine = MachineConfig::new(artifacts().vanilla_files())
        .memory_mib(MACHINE_MIB)
        .root_memory_mib(DOM0_MIB)
        .processors(setup.processors)
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
        &format!("while read -r line; do {count}; done </tmp/screen >/tmp/said & sleep 3600 >/tmp/keys &"),
        "xl create /root/guest.cfg",
        "xl console guest </tmp/keys >/tmp/screen &",
        // It is looked for seldom, because looking takes the time of those who are measured.
        "until grep -q 'guest: up' /tmp/said; do sleep 1; done",
    ] {
        let outcome = host.run(command)?;
        ensure!(outcome.status == 0, "{command} has failed in dom0: {}", outcome.lines.join("; "));
    }
    let mut collected = Runs::new();
    loop {
        let lines = host.run("sleep 20; cat /tmp/said")?.lines;
        collected.clear();
        let mut before = None;
        for line in &lines {
            let Some((counted, said)) = line.split_once(" guest: ") else { continue };
            let ticks = figure(counted, "ticks")?;
            let cpu_us = before.replace(ticks).map(|before| ticks.saturating_sub(before) * TICK_US);
            if said.starts_with("measured ") && add(&mut collected, said, cpu_us)? {
                return Ok(collected);
            }
        }
    }
}
