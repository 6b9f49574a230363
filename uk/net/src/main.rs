//! The network unikernel: drives one card, and answers ARP and ping at the address of its arguments
//! (`address=10.0.2.15/24`).
//!
//! Its parts, as root watches them: frames that have arrived and are not looked at yet, and frames that
//! the card has not sent yet. Once a second it announces its address, so that a card which sends nothing
//! any more is noticed even when nobody writes to it. A card that says itself that it has stopped ends
//! this life: only root can reset it in earnest.

#![no_std]
#![no_main]

mod arguments;
mod card;

use card::Card;
use libos::futures::select::{Either3, select3};
use libos::time::{Duration, Instant, Timer};
use libos::uk_abi::fault::Fault;
use libos::uk_abi::health::HealthPage;
use libos::virtio::{self, Net};
use libos::xen_abi::MachineAddr;
use libos::{Spawner, Uk, fault};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::time::Instant as Timestamp;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Cidr};

libos::main!(main);

/// Root watches these parts for progress.
mod part {
    /// Frames that have arrived.
    pub const RECEIVE: usize = 0;
    /// Frames to be sent.
    pub const SEND: usize = 1;
}

/// How often the address is announced.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(1);

/// How often the card is asked whether it still works: one that was stopped has nothing to say, so nobody
/// would notice until there is something to send.
const ASK_EVERY: Duration = Duration::from_millis(20);

async fn main(_spawner: Spawner, uk: Uk) {
    log::info!("{}", uk.info());
    let address = match arguments::address(uk.info().args()) {
        Ok(address) => address,
        Err(error) => panic!("{error}"),
    };
    match uk.devices().find_map(Net::new) {
        Some(Ok(net)) => {
            log::info!("{address} on a card that interrupts by {:?}", net.irq_kind());
            serve(Card::new(net, uk.health()), uk.health(), address).await;
        }
        Some(Err(error)) => panic!("the network card cannot be driven: {error}"),
        None => log::warn!("there is no network card that this program drives"),
    }
}

/// Answers whoever asks, for ever.
async fn serve(mut card: Card, health: HealthPage<'static>, address: Ipv4Cidr) {
    let hardware = EthernetAddress(card.mac());
    let mut interface = Interface::new(Config::new(hardware.into()), &mut card, now());
    interface.update_ip_addrs(|addresses| {
        // The list is empty and holds one at least.
        let _ = addresses.push(IpCidr::Ipv4(address));
    });
    let mut sockets = SocketSet::new(&mut [][..]);
    let mut announce_at = Instant::now();
    loop {
        if Instant::now() >= announce_at {
            announce_at = Instant::now() + ANNOUNCE_EVERY;
            card.announce(hardware, address.address());
        }
        if fault::work_is_stuck() {
            // There is work, and it is left.
            health.accept(part::RECEIVE, 1);
        } else {
            interface.poll(now(), &mut card, &mut sockets);
            card.complete();
        }
        match select3(card.wait(), fault::for_program(), Timer::after(ASK_EVERY)).await {
            Either3::Second((Fault::RogueDma, address)) => {
                log::warn!("the card is told that every frame is at {address:#x}");
                virtio::go_rogue(MachineAddr(address));
                announce_at = Instant::now();
            }
            Either3::Second((fault, _)) => log::error!("this program cannot have the fault {fault}"),
            Either3::Third(()) if card.is_stopped() => panic!("the network card has stopped"),
            Either3::First(()) | Either3::Third(()) => {}
        }
    }
}

fn now() -> Timestamp {
    Timestamp::from_micros(Instant::now().as_micros() as i64)
}
