//! What a benchmark that boots a host is told on its command line.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use emulator::artifacts::XenVersion;
use rvmm_tests::Setup;

use crate::report::Report;

/// Which host is measured, and where the figures go. A benchmark flattens them into its own options.
#[derive(Args, Clone, Debug)]
pub struct HostOptions {
    /// Where the figures go, for machines
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Version of Xen: 4.17 or 4.20
    #[arg(long, default_value_t = XenVersion::V4_17)]
    pub xen: XenVersion,
    /// Number of processors
    #[arg(long, default_value_t = 1)]
    pub processors: u32,
    /// Use KVM where it can run Xen, which is tried
    #[arg(long)]
    pub kvm: bool,
    /// How long a domain runs before another may take the processor away, in microseconds, rather than as our description and the peer's Xen
    /// have it
    #[arg(long)]
    pub slice_us: Option<u32>,
}

impl HostOptions {
    /// The host that is asked for, otherwise as `setup` has it; and the report of the benchmark called `bench`, which names that host.
    ///
    /// # Errors
    /// When the trial of KVM cannot be prepared.
    pub fn prepare(&self, bench: &'static str, setup: Setup) -> Result<(Setup, Report)> {
        let setup = Setup { xen: self.xen, processors: self.processors, slice_us: self.slice_us, ..setup };
        let setup = if self.kvm { setup.on_fastest_accelerator()? } else { setup };
        let mut report = Report::new(bench);
        report.version("xen", setup.xen);
        report.version("accelerator", setup.accelerator);
        if let Some(slice_us) = setup.slice_us {
            report.version("slice_us", slice_us);
        }
        Ok((setup, report))
    }
}
