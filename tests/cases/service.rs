//! The host of `rvmm.toml`, with its guests and load on them: everything beneath them dies at the same time, and they notice a pause.
//!
//! `RVMM_TOTAL_CRASHES=50` has it die as often as that.

use std::time::Duration;

use anyhow::{Context, Result};
use emulator::host::Host;
use rvmm_tests::seats::Seats;
use rvmm_tests::service::breakage::{Breaker, EVERYTHING, TOTAL};
use rvmm_tests::service::{setup, start_load, wait_until_up};
use rvmm_tests::setting;
use rvmm_tests::setup::log_directory;

/// How long the host may run, whatever happens.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// How often everything dies unless told otherwise.
const CRASHES: usize = 2;

#[test]
fn guests_outlive_total_crashes() -> Result<()> {
    let count = setting("RVMM_TOTAL_CRASHES", CRASHES);
    let setup = setup()?;
    let directory = log_directory("service-total");
    let _seats = Seats::take(setup.processors as usize);
    let mut host = Host::switch_on(&setup.prepare(&directory)?.machine, &directory, LIFETIME)?;
    let mut check = || {
        let mut guests = wait_until_up(&mut host)?;
        let load = start_load(&setup)?;
        let mut breaker = Breaker::default();
        for fault in TOTAL.into_iter().cycle().take(count) {
            breaker.rest(EVERYTHING);
            breaker.break_all(&mut host, fault)?;
            guests.look(&host)?;
            load.wait_for_another();
        }
        guests.rounds_after(&mut host)?;
        let failures: Vec<String> =
            load.ended_since(Duration::ZERO).into_iter().filter_map(|request| request.failure).collect();
        assert!(failures.is_empty(), "these requests failed: {failures:?}");
        assert!(guests.complaints().is_empty(), "guests say: {:?}", guests.complaints());
        Ok::<_, anyhow::Error>(())
    };
    check().with_context(|| format!("the logs are in {}", directory.display()))
}
