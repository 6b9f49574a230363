//! The network unikernel: it drives the cards, is the bridges between each of them and guests, and holds the backend of every
//! guest's interface. At addresses of its own it answers ARP and ping.
//!
//! ```text
//!   guests' rings --- wiring --- [ netback ]
//!                                    |            service: one turn of everything
//!                     own ------ [ switch ]       repair:  parts that fail
//!         another uk -- cable ---    |
//!                                    |            keeper:  what outlives this life
//!   cards -- attachment, card -- [ shadows ]      machine: where frames lie
//!
//!   XenStore --- xenstore: which interfaces there are, and how far both ends are
//! ```
//!
//! What is in brackets is `lib/network`. Arguments are words: `bridge=xenbr0,xenbr1` (each card's), `address=10.0.2.15/24` (on each of
//! these), `store=MEMORY` (of the ring to XenStore; without it there are no guests), `cable=MEMORY` (to another unikernel that is on the
//! first card's bridge), `deadline=MS` (of a part that hangs).

#![no_std]
#![no_main]

extern crate alloc;

mod arguments;
mod attachment;
mod cable;
mod card;
mod keeper;
mod machine;
mod own;
mod random;
mod repair;
mod service;
mod shown;
mod wiring;
mod xenstore;

use crate::cable::Cable;
use alloc::vec::Vec;
use arguments::Arguments;
use attachment::Attachment;
use card::Driver;
use core::cell::RefCell;
use core::future::poll_fn;
use core::task::Poll;
use keeper::Keeper;
use libos::event::close_leftovers;
use libos::futures::join::join;
use libos::futures::select::{Either3, select_array, select3, select4};
use libos::grant::inherited_mappings;
use libos::interrupt::Interrupt;
use libos::time::{Instant, Timer};
use libos::uk_abi::device_info::IrqKind;
use libos::uk_abi::fault::Fault;
use libos::virtio;
use libos::xen_abi::{MachineAddr, Port};
use libos::{Spawner, Uk, clock, fault};
use machine::Machine;
use network::switch::{Identity, PortConfig, Role};
use network::{Card, CardConfig, Granularity, Level, MAX_CARDS, Plane, Policy};
use own::Own;
use repair::{Probe, Watch};
use service::{Service, card_port, own_port};

libos::main!(main);

/// After how long an address that was not seen is forgotten: five minutes, as by other bridges.
const AGING_US: u64 = 300_000_000;

async fn main(_spawner: Spawner, uk: Uk) {
    log::info!("{}", uk.info());
    let arguments = match Arguments::read(uk.info().args()) {
        Ok(arguments) => arguments,
        Err(error) => panic!("{error}"),
    };
    let (service, interrupts) = set_up(&uk, &arguments);
    // Both run on one vCPU, and neither keeps it over an await.
    let service = RefCell::new(service);
    let work = work(&service, &interrupts);
    match arguments.store {
        Some(memory) => join(work, xenstore::run(&uk, &service, memory, arguments.bridge(0))).await.0,
        None => work.await,
    }
}

/// Makes everything, and goes on with the guests of an earlier life.
fn set_up(uk: &Uk, arguments: &Arguments) -> (Service, Vec<Interrupt>) {
    let devices = uk.devices().take(MAX_CARDS).count();
    let Some(mut machine) = Machine::take(devices) else {
        panic!("there is too little DMA memory for frames")
    };
    let mut plane = Plane::new(machine.pages(), random::number(), AGING_US);
    let mut policy = Policy {
        granularity: if uk.info().repairs_parts() { Granularity::Fine } else { Granularity::Coarse },
        ..Policy::default()
    };
    if let Some(deadline_us) = arguments.deadline_us {
        (policy.driver_deadline_us, policy.netback_deadline_us) = (deadline_us, deadline_us);
    }
    let (drivers, interrupts): (Vec<Driver>, Vec<Interrupt>) = find_cards(uk, &machine).into_iter().unzip();
    let receive_frames = machine.receive_frames(drivers.len());
    let mut cards = Vec::new();
    for (number, driver) in drivers.into_iter().enumerate() {
        let (port, own_port, mac) = (card_port(number), own_port(number), driver.mac());
        let on_bridge = |role| PortConfig { bridge: arguments.bridge(number), role, isolated: false };
        plane.connect_card(
            port,
            on_bridge(Role::Uplink),
            CardConfig { receive_frames, ..CardConfig::default() },
        );
        let mut card = Attachment::new(port, own_port, driver, Probe::new(policy, Level::Driver));
        let (bridge, kind) = (arguments.bridge(number), interrupts[number].kind());
        log::info!("{card}: {mac} on {bridge}, interrupts by {kind:?}");
        if let Some(address) = arguments.address(number).filter(|_| card.works()) {
            plane.connect_own(own_port, on_bridge(Role::Guest(Identity::new(mac))));
            card.set_own(&mut plane, &mut machine, clock::now_us(), |line| Own::new(line, mac, address));
            log::info!("{address} on {bridge}");
        }
        cards.push(card);
    }
    let cable = arguments.cable.map(|name| Cable::connect(uk, name, &mut plane, arguments.bridge(0)));
    let keeper = arguments.store.map(|_| Keeper::open(uk));
    let mut service = Service::new(plane, machine, cards, keeper, Watch::new(policy), uk.health());
    service.cable = cable;
    go_on(&mut service, &interrupts);
    service.start_cards(clock::now_us());
    (service, interrupts)
}

/// The cards that this program drives, and their interrupts. What a card has received lies in the ring of its device, in each life. One that
/// cannot be driven is tried again later, if there are others that can.
fn find_cards(uk: &Uk, machine: &Machine) -> Vec<(Driver, Interrupt)> {
    let mut cards = Vec::new();
    for (place, device) in uk.devices().take(MAX_CARDS).enumerate() {
        let Some((driver, opened)) = Driver::new(place, device, machine) else { continue };
        if let Err(error) = opened {
            log::error!("card {} cannot be driven: {error}", cards.len());
        }
        match Interrupt::of(device) {
            Ok(interrupt) => cards.push((driver, interrupt)),
            Err(error) => panic!("card {} cannot be driven: {error}", cards.len()),
        }
    }
    if cards.is_empty() {
        log::warn!("there is no network card that this program drives");
    } else if !cards.iter().any(|(driver, _)| driver.failure().is_none()) {
        panic!("no network card can be driven");
    }
    cards
}

/// Goes on with what an earlier life has served, before anything else: guests wait.
fn go_on(service: &mut Service, interrupts: &[Interrupt]) {
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
    let ports: Vec<Port> = guests.chain(interrupts.iter().filter_map(Interrupt::port)).collect();
    if let Err(error) = close_leftovers(&ports) {
        log::warn!("ports of an earlier life: {error}");
    }
}

/// Works for ever.
async fn work(service: &RefCell<Service>, interrupts: &[Interrupt]) {
    let peer = service.borrow().cable.as_ref().map(Cable::peer);
    loop {
        let until_us = service.borrow_mut().turn(clock::now_us());
        let cards: [_; MAX_CARDS] = core::array::from_fn(|number| async move {
            match interrupts.get(number) {
                Some(interrupt) => interrupt.wait().await,
                None => core::future::pending().await,
            }
        });
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
        match select3(select_array(cards), fault::for_program(), others).await {
            Either3::First(((), number)) => acknowledge(service, number, &interrupts[number]),
            Either3::Second((Fault::RogueDma, address)) => {
                log::warn!("cards are told that every frame is at {address:#x}");
                virtio::go_rogue(MachineAddr(address));
                service.borrow_mut().hurry();
            }
            Either3::Second((fault, number)) => service.borrow_mut().doom(fault, number),
            Either3::Third(_) => {}
        }
    }
}

/// A line stays asserted until the card is told.
fn acknowledge(service: &RefCell<Service>, number: usize, interrupt: &Interrupt) {
    if interrupt.kind() == IrqKind::Intx {
        service.borrow_mut().cards[number].driver.acknowledge();
        interrupt.done();
    }
}
