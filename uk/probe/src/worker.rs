//! Work for root to watch: one task takes it on, another does it, at a rate that is steady and small.

use crate::census::Census;
use crate::journal::Journal;
use crate::service;
use core::cell::RefCell;
use libos::sync::blocking_mutex::raw::CriticalSectionRawMutex;
use libos::sync::channel::Channel;
use libos::time::{Duration, Ticker, Timer};
use libos::uk_abi::health::HealthPage;
use libos::{Uk, fault};

/// The pair of counters in the health page that this work moves.
const PART: usize = 0;

/// From one unit to the next: several within any deadline for a heartbeat, because work that is done counts as one.
const PERIOD: Duration = Duration::from_millis(5);

/// Units that may wait. When nothing is done, no more are taken on.
static WAITING: Channel<CriticalSectionRawMutex, (), 4> = Channel::new();

/// Takes work on.
#[libos::task(embassy_executor = libos::embassy_executor)]
pub async fn take_on(health: HealthPage<'static>) {
    let mut ticker = Ticker::every(PERIOD);
    loop {
        ticker.next().await;
        if WAITING.try_send(()).is_ok() {
            health.accept(PART, 1);
        }
    }
}

/// Does it, unless it is to be stuck.
#[libos::task(embassy_executor = libos::embassy_executor)]
pub async fn work(health: HealthPage<'static>, journal: &'static RefCell<Journal>) {
    loop {
        WAITING.receive().await;
        while fault::work_is_stuck() {
            Timer::after(PERIOD).await;
        }
        let units = journal.borrow_mut().enter_work();
        health.set_service(service::WORK, units);
        health.complete(PART, 1);
    }
}

/// Counts rings of the doorbell, for ever, and looks each time at what root may have rung for.
///
/// # Panics
/// If the doorbell cannot be listened to.
pub async fn count_rings(uk: &Uk) {
    let doorbell = match uk.doorbell() {
        Ok(doorbell) => doorbell,
        Err(error) => panic!("{error}"),
    };
    let mut census = Census::new();
    for rings in 1.. {
        census.take(uk);
        doorbell.wait().await;
        uk.health().set_service(service::RINGS, rings);
    }
}
