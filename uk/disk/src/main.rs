//! The disk unikernel: drives disks, and serves volumes on them to guests.
//!
//! | arguments | what it does |
//! |---|---|
//! | `store=NAME` | serves guests, of whom XenStore tells over the ring in the shared memory of that name |
//! | `store=NAME volumes=NAME` | and whoever shares the second memory: lists, reads and writes volumes for it |
//! | `scratch=FIRST+COUNT` | checks without end that the first disk keeps what is written to these sectors |
//! | `measure=FIRST+COUNT runs=N` | measures the first disk with these sectors, by itself: nothing can be faster for a guest |
//! | none | sets up the first disk |
//!
//! ```text
//!   serve      the tasks
//!   service    the backend (`lib/blkback`), and its repair          storage   drivers and volumes
//!   frontend   a frontend's rings and ports                         memory    pages, and grants of guests
//!   records    what the next life must know                         tables    partition tables
//!   volumes    which there are, and who has them
//!   manager    XenStore: which devices there are                    device    one of them
//!   clerk      volumes for who is no guest (`lib/volume-io`)        aside     commands beside those of guests
//!   vigil      when to look rather than to sleep
//!   self_test, pattern, measure, plain    the check of a disk, and its measure
//! ```

#![no_std]
#![no_main]

extern crate alloc;

mod arguments;
mod aside;
mod clerk;
mod device;
mod frontend;
mod manager;
mod measure;
mod memory;
mod pattern;
mod plain;
mod records;
mod self_test;
mod serve;
mod service;
mod storage;
mod tables;
mod vigil;
mod volumes;

pub(crate) use serve::{notice, noticed, wake};

use arguments::Task;
use core::convert::Infallible;
use libos::futures::select::{Either, select};
use libos::interrupt::Interrupt;
use libos::uk_abi::fault::Fault;
use libos::virtio;
use libos::xen_abi::MachineAddr;
use libos::{Spawner, Uk, block, fault};
use plain::Disk;
use self_test::SelfTest;

libos::main!(main);

async fn main(_spawner: Spawner, uk: Uk) {
    log::info!("{}", uk.info());
    let task = match arguments::parse(uk.info().args()) {
        Ok(task) => task,
        Err(error) => panic!("{error}"),
    };
    if let Task::Serve { store, volumes } = task {
        return serve::run(&uk, store, volumes).await;
    }
    let found = uk.devices().find_map(|device| Some((device, block::drive(device)?)));
    let disk = match found {
        Some((device, driver)) => {
            match driver.and_then(|driver| Ok(Disk { driver, interrupt: Interrupt::of(device)? })) {
                Ok(disk) => disk,
                Err(error) => panic!("the disk cannot be driven: {error}"),
            }
        }
        None => return log::warn!("there is no disk that this program drives"),
    };
    let facts = *disk.driver.facts();
    log::info!("{} sectors on a disk that interrupts by {:?}", facts.sectors, disk.interrupt.kind());
    let (Task::Test(scratch) | Task::Measure(scratch, _)) = task.clone() else { return };
    if scratch.end > facts.sectors || facts.read_only {
        panic!("the disk has no sectors {scratch:?} to write to");
    }
    if let Task::Measure(sectors, runs) = task {
        return measure::run(disk, sectors, runs).await;
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
