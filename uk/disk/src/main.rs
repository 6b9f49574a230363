//! The disk unikernel: drives one disk, and checks without end that it keeps what was written.

#![no_std]
#![no_main]

extern crate alloc;

mod arguments;
mod pattern;
mod self_test;

use core::convert::Infallible;
use libos::futures::select::{Either, select};
use libos::interrupt::Interrupt;
use libos::uk_abi::fault::Fault;
use libos::virtio;
use libos::xen_abi::MachineAddr;
use libos::{Spawner, Uk, block, fault};
use self_test::SelfTest;

libos::main!(main);

async fn main(_spawner: Spawner, uk: Uk) {
    log::info!("{}", uk.info());
    let scratch = match arguments::scratch(uk.info().args()) {
        Ok(scratch) => scratch,
        Err(error) => panic!("{error}"),
    };
    let found = uk.devices().find_map(|device| Some((device, block::drive(device)?)));
    let (disk, interrupt) = match found {
        Some((device, disk)) => match disk.and_then(|disk| Ok((disk, Interrupt::of(device)?))) {
            Ok(found) => found,
            Err(error) => panic!("the disk cannot be driven: {error}"),
        },
        None => return log::warn!("there is no disk that this program drives"),
    };
    let facts = *disk.facts();
    log::info!("{} sectors on a disk that interrupts by {:?}", facts.sectors, interrupt.kind());
    let Some(scratch) = scratch else { return };
    if scratch.end > facts.sectors || facts.read_only {
        panic!("the disk has no sectors {scratch:?} to write to");
    }
    let mut test = SelfTest::new(&uk, disk, interrupt, scratch);
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
