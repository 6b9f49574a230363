//! How long a guest's disk is away when its driver, its backend or its unikernel fails; and what it does in a second, beside the same
//! disk with nobody between it and its driver, and beside a guest of stock Xen, whose backend is that of a Linux dom0.

mod faults;
mod throughput;

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use rvmm_bench::options::HostOptions;
use rvmm_tests::Setup;
use rvmm_tests::disk::{GUESTS, guest_that};
use rvmm_tests::system::System;

const DISK: &str = "disk";

/// The domain of the guest.
const GUEST: u16 = GUESTS[0];

/// How long one host may run, whatever happens.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

const ALONE: System =
    System::new("tests/systems/disk_alone.toml", include_str!("../../../../tests/systems/disk_alone.toml"));

/// How long a guest's disk is away, and how much it does
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    host: HostOptions,
    /// How often each fault is injected
    #[arg(long, default_value_t = 10)]
    count: usize,
    /// How often each pattern is measured, a second each
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let (setup, mut report) = options.host.prepare("disk", Setup { devices: true, ..Setup::default() })?;
    if options.count > 0 {
        faults::measure(
            Setup { system: guest_that("task=verify depth=1"), ..setup },
            options.count,
            &mut report,
        )?;
    }
    if options.runs > 0 {
        throughput::measure(setup, options.runs, &mut report)?;
    }
    report.publish(options.host.json.as_deref())
}

/// The number behind `key=` in a line.
fn figure(line: &str, key: &str) -> Result<u64> {
    let words = line.split_ascii_whitespace();
    let value = words.filter_map(|word| word.split_once('=')).find(|(name, _)| *name == key);
    let number = value.and_then(|(_, value)| value.parse().ok());
    number.with_context(|| format!("expected {key}=NUMBER, found {line:?}"))
}
