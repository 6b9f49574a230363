//! Commands beside those of guests: one at a time, each until it is done or the disk says that it cannot be.

use crate::service::Service;
use core::cell::RefCell;
use libos::block::{Command, Outcome};
use libos::time::{Duration, Timer};

/// From one look at whether the disk has done it to the next.
const PAUSE: Duration = Duration::from_millis(1);

/// How often something is tried again that a restart of the driver has called off. It may be what kills the driver.
const TRIES: usize = 8;

/// Has a disk do something; answers whether it is done. To be waited for to its end, and by one task at a time.
pub async fn carry_out(service: &RefCell<Service>, disk: usize, command: &Command<'_>) -> bool {
    for _ in 0..=TRIES {
        match carry_out_once(service, disk, command).await {
            Outcome::Done => return true,
            Outcome::Aborted => {}
            Outcome::Failed | Outcome::Unsupported => return false,
        }
    }
    false
}

async fn carry_out_once(service: &RefCell<Service>, disk: usize, command: &Command<'_>) -> Outcome {
    while service.borrow_mut().storage.submit_aside(disk, command).is_err() {
        Timer::after(PAUSE).await;
    }
    loop {
        let outcome = service.borrow_mut().storage.aside();
        match outcome {
            Some(outcome) => return outcome,
            None => Timer::after(PAUSE).await,
        }
    }
}
