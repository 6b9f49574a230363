//! The disk unikernel: drives one disk, and checks without end that it keeps what was written.
//!
//! It writes numbered blocks to the scratch area that its arguments name (`scratch=2048+2048`: so many
//! sectors from the first on) and reads each back. The number of the last good one is in the recovery
//! box, so that a new life checks what the last one has written. Without arguments it writes nothing.

#![no_std]
#![no_main]

mod arguments;
mod pattern;
mod self_test;

use core::convert::Infallible;
use libos::futures::select::{Either, select};
use libos::uk_abi::fault::Fault;
use libos::virtio::{self, Disk};
use libos::xen_abi::MachineAddr;
use libos::{Spawner, Uk, fault};
use self_test::SelfTest;

libos::main!(main);

async fn main(_spawner: Spawner, uk: Uk) {
    log::info!("{}", uk.info());
    let scratch = match arguments::scratch(uk.info().args()) {
        Ok(scratch) => scratch,
        Err(error) => panic!("{error}"),
    };
    let disk = match uk.devices().find_map(Disk::new) {
        Some(Ok(disk)) => disk,
        Some(Err(error)) => panic!("the disk cannot be driven: {error}"),
        None => return log::warn!("there is no disk that this program drives"),
    };
    log::info!("{} sectors on a disk that interrupts by {:?}", disk.sectors(), disk.irq_kind());
    let Some(scratch) = scratch else { return };
    if scratch.end > disk.sectors() || disk.is_read_only() {
        panic!("the disk has no sectors {scratch:?} to write to");
    }
    let mut test = SelfTest::new(&uk, disk, scratch);
    match select(test.run(), have_faults()).await {
        Either::First(error) => panic!("{error}"),
        Either::Second(never) => match never {},
    }
}

/// Has the faults that only this program can have.
async fn have_faults() -> Infallible {
    loop {
        match fault::for_program().await {
            (Fault::RogueDma, address) => {
                log::warn!("the disk is told that every block is at {address:#x}");
                virtio::go_rogue(MachineAddr(address));
            }
            (fault, _) => log::error!("this program cannot have the fault {fault}"),
        }
    }
}
