//! The network unikernel: it drives a card, is the bridge between the card and the guests, and holds the backend of every
//! guest's interface. At an address of its own it answers ARP and ping.
//!
//! ```text
//!   guests' rings --- wiring --- [ netback ]
//!                                    |            service: one turn of everything
//!                     own ------ [ switch ]       repair:  parts that fail
//!         another uk -- cable ---    |
//!                                    |            keeper:  what outlives this life
//!   card ----- card (driver) --- [ shadow ]       machine: where frames lie
//!
//!   XenStore --- xenstore: which interfaces there are, and how far both ends are
//! ```
//!
//! What is in brackets is `lib/network`. Arguments are words: `address=10.0.2.15/24`, `bridge=xenbr0` (the card's),
//! `store=MEMORY` (of the ring to XenStore; without it there are no guests), `cable=MEMORY` (to another unikernel that is on
//! the card's bridge), `deadline=MS` (of a part that hangs).

#![no_std]
#![no_main]

extern crate alloc;

mod arguments;
mod cable;
mod card;
mod keeper;
mod machine;
mod own;
mod random;
mod repair;
mod service;
mod wiring;
mod xenstore;

use crate::cable::Cable;
use alloc::vec::Vec;
use arguments::Arguments;
use card::Driver;
use core::cell::RefCell;
use core::future::poll_fn;
use core::task::Poll;
use keeper::Keeper;
use libos::event::close_leftovers;
use libos::futures::join::join;
use libos::futures::select::{Either3, select3, select4};
use libos::grant::inherited_mappings;
use libos::interrupt::Interrupt;
use libos::time::{Instant, Timer};
use libos::uk_abi::device_info::{DeviceInfo, IrqKind};
use libos::uk_abi::fault::Fault;
use libos::virtio;
use libos::xen_abi::{MachineAddr, Port};
use libos::{Spawner, Uk, clock, fault};
use machine::Machine;
use network::switch::{Identity, PortConfig, Role};
use network::{Card, CardConfig, Granularity, Plane, Policy};
use own::Own;
use repair::Watch;
use service::{CARD, OWN, Service};

libos::main!(main);

/// After how long an address that was not seen is forgotten: five minutes, as by other bridges.
const AGING_US: u64 = 300_000_000;

async fn main(_spawner: Spawner, uk: Uk) {
    log::info!("{}", uk.info());
    let arguments = match Arguments::read(uk.info().args()) {
        Ok(arguments) => arguments,
        Err(error) => panic!("{error}"),
    };
    let (service, interrupt) = set_up(&uk, &arguments);
    // Both run on one vCPU, and neither keeps it over an await.
    let service = RefCell::new(service);
    let work = work(&service, interrupt.as_ref());
    match arguments.store {
        Some(memory) => join(work, xenstore::run(&uk, &service, memory, arguments.bridge)).await.0,
        None => work.await,
    }
}

/// Makes everything, and goes on with the guests of an earlier life.
fn set_up(uk: &Uk, arguments: &Arguments) -> (Service, Option<Interrupt>) {
    let Some(machine) = Machine::take() else { panic!("there is too little DMA memory for frames") };
    let mut plane = Plane::new(machine.pages(), random::number(), AGING_US);
    let on_bridge = |role| PortConfig { bridge: arguments.bridge.clone(), role, isolated: false };
    let found = find_card(uk, &machine);
    if let Some((driver, _)) = &found {
        let config = CardConfig { receive_frames: machine.receive_frames(), ..CardConfig::default() };
        plane.connect_card(CARD, on_bridge(Role::Uplink), config);
        plane.connect_own(OWN, on_bridge(Role::Guest(Identity::new(driver.mac()))));
    }
    let (driver, interrupt) =
        found.map_or((None, None), |(driver, interrupt)| (Some(driver), Some(interrupt)));
    let mut policy = Policy {
        granularity: if uk.info().repairs_parts() { Granularity::Fine } else { Granularity::Coarse },
        ..Policy::default()
    };
    if let Some(deadline_us) = arguments.deadline_us {
        (policy.driver_deadline_us, policy.netback_deadline_us) = (deadline_us, deadline_us);
    }
    let cable = arguments.cable.map(|name| Cable::connect(uk, name, &mut plane, arguments.bridge.clone()));
    let keeper = arguments.store.map(|_| Keeper::open(uk));
    let mac = driver.as_ref().map(Driver::mac);
    let mut service = Service::new(plane, machine, driver, keeper, Watch::new(policy), uk.health());
    service.cable = cable;
    if let Some(mac) = mac {
        service.set_own(clock::now_us(), |line| Own::new(line, mac, arguments.address));
    }
    if let Some(interrupt) = &interrupt {
        log::info!("{} on a card that interrupts by {:?}", arguments.address, interrupt.kind());
    }
    go_on(&mut service, interrupt.as_ref());
    service.start_card(clock::now_us());
    (service, interrupt)
}

/// The first card that this program drives, and its interrupt.
fn find_card(uk: &Uk, machine: &Machine) -> Option<(Driver, Interrupt)> {
    let drive = |device: &'static DeviceInfo| Some((device, Driver::new(device, machine)?));
    let Some((device, driver)) = uk.devices().find_map(drive) else {
        log::warn!("there is no network card that this program drives");
        return None;
    };
    match (driver, Interrupt::of(device)) {
        (Ok(driver), Ok(interrupt)) => Some((driver, interrupt)),
        (Err(error), _) => panic!("the network card cannot be driven: {error}"),
        (_, Err(error)) => panic!("the network card cannot be driven: {error}"),
    }
}

/// Goes on with what an earlier life has served, before anything else: guests wait.
fn go_on(service: &mut Service, interrupt: Option<&Interrupt>) {
    let Some(keeper) = &service.keeper else { return };
    let mut leftovers: Vec<_> = inherited_mappings().collect();
    for (vif, interface) in keeper.interfaces() {
        let (domid, handle) = (interface.domid(), interface.handle);
        let saved = service.keeper.as_ref().and_then(|keeper| keeper.saved(vif));
        let resumed =
            saved.map(|saved| service.resume(vif.into(), interface, saved, &mut leftovers, clock::now_us()));
        match resumed {
            Some(Ok(())) => log::info!("interface {handle} of {domid} goes on"),
            Some(Err(error)) => {
                log::warn!("interface {handle} of {domid} does not go on: {error}");
                service.disconnect(vif.into());
            }
            // It was being connected when the last life ended.
            None => service.disconnect(vif.into()),
        }
    }
    drop(leftovers);
    let guests = service.guests.iter().flatten().flat_map(|guest| guest.wiring.ports());
    let ports: Vec<Port> = guests.chain(interrupt.and_then(Interrupt::port)).collect();
    if let Err(error) = close_leftovers(&ports) {
        log::warn!("ports of an earlier life: {error}");
    }
}

/// Works for ever.
async fn work(service: &RefCell<Service>, interrupt: Option<&Interrupt>) {
    let peer = service.borrow().cable.as_ref().map(Cable::peer);
    loop {
        let until_us = service.borrow_mut().turn(clock::now_us());
        let card = async {
            match interrupt {
                Some(interrupt) => interrupt.wait().await,
                None => core::future::pending().await,
            }
        };
        let cable = async {
            match peer {
                Some(peer) => peer.wait().await,
                None => core::future::pending().await,
            }
        };
        let guests = poll_fn(|context| match service.borrow_mut().poll_guests(context) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        let others =
            select4(guests, cable, xenstore::CHANGED.wait(), Timer::at(Instant::from_micros(until_us)));
        match select3(card, fault::for_program(), others).await {
            Either3::First(()) => acknowledge(service, interrupt),
            Either3::Second((Fault::RogueDma, address)) => {
                log::warn!("the card is told that every frame is at {address:#x}");
                virtio::go_rogue(MachineAddr(address));
                service.borrow_mut().hurry();
            }
            Either3::Second((fault, _)) => service.borrow_mut().doom(fault),
            Either3::Third(_) => {}
        }
    }
}

/// A line stays asserted until the card is told.
fn acknowledge(service: &RefCell<Service>, interrupt: Option<&Interrupt>) {
    if let Some(interrupt) = interrupt.filter(|interrupt| interrupt.kind() == IrqKind::Intx) {
        service.borrow_mut().driver.iter_mut().for_each(Driver::acknowledge);
        interrupt.done();
    }
}
