//! Probe.
#![no_std]
#![no_main]

use libos::{Spawner, Uk};
libos::main!(main);

async fn main(_spawner: Spawner, uk: Uk) {
    log::info!("{}", uk.info());
    loop {
        libos::time::Timer::after_millis(100).await;
    }
}
