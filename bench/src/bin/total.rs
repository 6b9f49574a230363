//! What guests notice when everything beneath them dies at the same time, again and again, under load: the host of `rvmm.toml`, a guest
//! whose web page this machine asks for, and one that writes files to its disk and checks them.
//!
//! Times are in microseconds, from the first injection: until the last component's death was noticed (`detect`), until the last had
//! beaten again (`recover`); and the longest that a request for the page has taken meanwhile (`longest-request`). Beside them stand the
//! figures of the paper about R-VMM, from a machine and not from an emulator.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use emulator::host::Host;
use rvmm_bench::options::HostOptions;
use rvmm_bench::report::Report;
use rvmm_tests::Setup;
use rvmm_tests::service::breakage::{Breaker, EVERYTHING, TOTAL};
use rvmm_tests::service::{setup, start_load, wait_until_up};
use rvmm_tests::setup::log_directory;

/// How long the host may run, whatever happens.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The paper's figures, in microseconds: full recovery when all unikernels crash at once, and the time without service meanwhile.
const PAPER: &str = "R-VMM, paper";
const PAPER_RECOVER: u64 = 15_800_000;
const PAPER_DOWNTIME: u64 = 7_850_000;

/// What is aimed at, over the paper's figure: 50 ms.
const RECOVER: f64 = 50_000.0 / PAPER_RECOVER as f64;

/// What guests notice when everything beneath them dies at the same time
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    host: HostOptions,
    /// How often everything dies
    #[arg(long, default_value_t = 50)]
    count: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let (setup, mut report) = options.host.prepare("total", setup()?)?;
    measure(setup, options.count, &mut report)
        .with_context(|| format!("the logs are in {}", log_directory("bench-total").display()))?;
    report.publish(options.host.json.as_deref())
}

fn measure(setup: Setup, count: usize, report: &mut Report) -> Result<()> {
    let directory = log_directory("bench-total");
    let mut host = Host::switch_on(&setup.prepare(&directory)?.machine, &directory, LIFETIME)?;
    let mut guests = wait_until_up(&mut host)?;
    let load = start_load(&setup)?;
    let mut breaker = Breaker::default();
    let (mut detect, mut recover, mut longest) = (Vec::new(), Vec::new(), Vec::new());
    for fault in TOTAL.into_iter().cycle().take(count) {
        breaker.rest(EVERYTHING);
        let from = load.elapsed();
        let broken = breaker.break_all(&mut host, fault)?;
        guests.look(&host)?;
        load.wait_for_another();
        detect.extend(broken.detected_us);
        recover.extend(broken.recovered_us);
        longest.extend(load.ended_since(from).iter().map(|request| request.took.as_micros() as u64).max());
    }
    guests.rounds_after(&mut host)?;
    let requests = load.ended_since(Duration::ZERO);
    let took: Vec<u64> = requests.iter().map(|request| request.took.as_micros() as u64).collect();
    let failed = requests.iter().filter(|request| request.failure.is_some()).count();

    report.add("detect", &detect, None);
    report.add_beside("recover", "us", &recover, &[(PAPER, &[PAPER_RECOVER])], Some(RECOVER));
    report.add_beside("longest-request", "us", &longest, &[(PAPER, &[PAPER_DOWNTIME])], Some(1.0));
    report.add("request", &took, None);
    report.add_count("requests/failed", failed as u64);
    report.add_count("guests/complaints", guests.complaints().len() as u64);
    Ok(())
}
