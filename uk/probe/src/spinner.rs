//! Burning CPU time.

use core::hint::spin_loop;
use libos::time::{Duration, Instant};

/// For so long it computes without a break: often enough for a heartbeat, and no rest for the CPU.
const TURN: Duration = Duration::from_millis(1);

/// Computes nothing, for ever.
#[libos::task(embassy_executor = libos::embassy_executor)]
pub async fn run() {
    loop {
        let end = Instant::now() + TURN;
        while Instant::now() < end {
            spin_loop();
        }
        libos::futures::yield_now().await;
    }
}
