//! Serving guests: the tasks, and what wakes them.

use crate::clerk;
use crate::manager::Manager;
use crate::service::{self, Service};
use crate::storage::{Harm, PROBE_PERIOD};
use crate::tables::Disks;
use crate::volumes::Volumes;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::convert::Infallible;
use core::future::poll_fn;
use core::pin::pin;
use libos::futures::join::{join, join5};
use libos::futures::select::{select_slice, select3};
use libos::futures::yield_now;
use libos::interrupt::Interrupt;
use libos::sync::blocking_mutex::raw::CriticalSectionRawMutex;
use libos::sync::signal::Signal;
use libos::uk_abi::fault::Fault;
use libos::xen_abi::MachineAddr;
use libos::{Uk, clock, fault, store, virtio};

type Bell = Signal<CriticalSectionRawMutex, ()>;

/// The backend is to run.
static WAKE: Bell = Bell::new();

/// There may be a notice.
static NOTICE: Bell = Bell::new();

/// Has the backend run.
pub fn wake() {
    WAKE.signal(());
}

/// Says that there may be a notice.
pub fn notice() {
    NOTICE.signal(());
}

/// Waits until there may be a notice.
pub async fn noticed() {
    NOTICE.wait().await;
}

/// Serves guests, of whom XenStore tells over the ring in the memory called `ring`, and whoever shares the memory called `volumes`.
///
/// # Panics
/// If what it needs is not there, or XenStore says what cannot be.
pub async fn run(uk: &Uk, ring: &str, volumes: Option<&str>) {
    let (service, interrupts) = Service::new(uk);
    for (number, facts) in service.storage.facts().enumerate() {
        log::info!("disk{number}: {} sectors, interrupts by {:?}", facts.sectors, interrupts[number].kind());
    }
    let service = RefCell::new(service);
    join5(
        work(&service, &interrupts),
        probe(&service),
        have_faults(&service),
        obey(uk, &service),
        manage(uk, ring, volumes, &service),
    )
    .await;
}

/// The data's way: runs when anything has happened.
async fn work(service: &RefCell<Service>, interrupts: &[Interrupt]) -> Infallible {
    loop {
        let again = service.borrow_mut().turn(interrupts);
        if service.borrow().has_notice() {
            notice();
        }
        if again || service.borrow_mut().stays_awake() {
            yield_now().await;
            continue;
        }
        let events = poll_fn(|context| service.borrow().poll_events(context));
        let mut waits: Vec<_> = interrupts.iter().map(Interrupt::wait).collect();
        select3(WAKE.wait(), events, select_slice(pin!(&mut waits[..]))).await;
    }
}

/// Looks from outside whether the work is done.
async fn probe(service: &RefCell<Service>) -> Infallible {
    loop {
        // One that comes late, because nobody had the processor, is not made up for.
        clock::at_next(PROBE_PERIOD).await;
        if service.borrow_mut().probe() {
            wake();
        }
    }
}

/// Restarts the parts that root wants restarted.
async fn obey(uk: &Uk, service: &RefCell<Service>) -> Infallible {
    let doorbell = match uk.doorbell() {
        Ok(doorbell) => doorbell,
        Err(error) => panic!("{error}"),
    };
    let health = uk.health();
    loop {
        doorbell.wait().await;
        let Some(ticket) = health.part_request() else { continue };
        match ticket.what() as usize {
            service::part::DRIVER => service.borrow_mut().restart_driver(),
            _ => service.borrow_mut().replace_backend(true, format_args!("root says that it stalls")),
        }
        health.part_restarted(ticket);
        wake();
    }
}

/// Has the faults that only this program can have.
async fn have_faults(service: &RefCell<Service>) -> Infallible {
    loop {
        let (fault, argument) = fault::for_program().await;
        let mut service = service.borrow_mut();
        match fault {
            Fault::RogueDma => virtio::go_rogue(MachineAddr(argument)),
            Fault::DriverCrash => service.storage.harm = Harm::Crash,
            Fault::DriverHang => service.storage.harm = Harm::Hang,
            Fault::BackendCrash => service.backend_crashes = true,
            Fault::BackendHang => service.backend_hangs = true,
            fault => log::error!("this program cannot have the fault {fault}"),
        }
        wake();
    }
}

/// Sees to the volumes: for guests, and for whoever shares the memory called `shared`.
async fn manage(uk: &Uk, ring: &str, shared: Option<&str>, service: &RefCell<Service>) {
    let volumes = Volumes::new(Disks::read(service).await);
    let clerk = async {
        if let Some(shared) = shared {
            clerk::run(uk, shared, service, &volumes).await;
        }
    };
    join(see_to_devices(uk, ring, service, &volumes), clerk).await;
}

/// Sees to guests' devices.
///
/// # Panics
/// If XenStore says what cannot be: the next life begins anew with it.
async fn see_to_devices(uk: &Uk, ring: &str, service: &RefCell<Service>, volumes: &Volumes) {
    let Some(session) = store::connect(uk, ring).await else { panic!("nobody shares {ring}") };
    log::info!("XenStore serves this backend");
    if let Err(error) = Manager::new(session, service, volumes).run().await {
        panic!("{error}");
    }
}
