//! The library OS of the unikernels: one Rust program, one vCPU, cooperative tasks.
//!
//! ```text
//!   main (async)  --  spawns tasks, awaits events and time
//!   executor      --  polls tasks, beats the heart, waits in SCHEDOP_poll
//!   event  time  grant  log  recovery  health
//!   kept, channel --  memory and events shared with other unikernels
//!   boot_archive  --  the files of guests that start with the host
//!   store         --  a session with XenStore over such memory
//!   nic, block    --  what a network card and a disk are asked; virtio, e1000e and nvme drive them,
//!                     on dma memory, registers and interrupt
//!   contain       --  parts whose crash is not the program's
//!   start, trap   --  from root's boot info to main; from a fault to a crash report
//! ```
//!
//! A program is `#![no_std] #![no_main]`, names its main with [`main!`], and contains no `unsafe`.
//! Root may end it at any instruction and start it again at `_start` with fresh data and bss: what
//! must survive that goes into the recovery box ([`Uk::recovery_box`]).

#![no_std]

extern crate alloc;

pub mod block;
pub mod boot_archive;
pub mod channel;
pub mod clock;
pub mod contain;
mod critical;
pub mod dma;
pub mod e1000e;
mod entry;
pub mod event;
mod executor;
pub mod fault;
pub mod grant;
mod heap;
pub mod interrupt;
pub mod kept;
pub mod log_ring;
pub mod nic;
mod nvme;
mod registers;
mod start;
pub mod store;
mod time_driver;
mod trap;
mod uk;
pub mod virtio;

pub use embassy_executor::{self, Spawner, task};
pub use embassy_futures as futures;
pub use embassy_sync as sync;
pub use embassy_time as time;
pub use executor::{beat, give_way};
pub use heap::heap_used;
pub use recovery_box;
pub use uk::{Records, Uk};
pub use uk_abi;
pub use xen_abi;

/// Names the main of a unikernel: `libos::main!(main)`, with `async fn main(Spawner, Uk)`.
#[macro_export]
macro_rules! main {
    ($main:path) => {
        #[$crate::embassy_executor::task(embassy_executor = $crate::embassy_executor)]
        async fn __uk_main(spawner: $crate::Spawner, uk: $crate::Uk) {
            $main(spawner, uk).await
        }

        #[unsafe(no_mangle)]
        extern "Rust" fn uk_main(spawner: $crate::Spawner, uk: $crate::Uk) {
            match __uk_main(spawner, uk) {
                Ok(token) => spawner.spawn(token),
                Err(error) => panic!("main cannot be spawned: {error:?}"),
            }
        }
    };
}
