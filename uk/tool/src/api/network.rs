//! The way to the network: a cable to the unikernel that has the card, as the crate `embassy-net` sees it.

use cable::{End, MAX_FRAME, Side};
use core::future::Future;
use core::pin::pin;
use core::sync::atomic::AtomicU64;
use core::task::Context;
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use libos::Uk;
use libos::channel::Channel;

/// This program's end of the cable.
pub struct Line {
    end: End<&'static [AtomicU64]>,
    peer: Channel,
    mac: [u8; 6],
}

impl Line {
    /// The cable in the memory `name`; none if this program shares no such memory, or it is too small.
    pub fn find(uk: &Uk, name: &str) -> Option<Self> {
        let memory = uk.shared(name)?;
        let peer = uk.channel(memory.others().next()?)?;
        let side = if peer.peer() > uk.domid() { Side::First } else { Side::Second };
        let end = End::new(memory.words(), side)?;
        Some(Self { end, peer, mac: cable::mac(uk.domid().0) })
    }
}

/// A frame that has arrived.
pub struct Arrived {
    bytes: [u8; MAX_FRAME],
    length: usize,
}

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, read: F) -> R {
        read(&mut self.bytes[..self.length])
    }
}

/// Leave to send a frame.
pub struct Leave<'a>(&'a Line);

impl TxToken for Leave<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut bytes = [0; MAX_FRAME];
        let bytes = &mut bytes[..length.min(MAX_FRAME)];
        let result = fill(bytes);
        // Without room it is lost, as frames may be.
        if self.0.end.send(bytes) {
            self.0.peer.notify();
        }
        result
    }
}

impl Driver for Line {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Leave<'a>;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Arrived, Leave<'_>)> {
        let mut bytes = [0; MAX_FRAME];
        loop {
            if let Some(length) = self.end.receive(&mut bytes) {
                return Some((Arrived { bytes, length }, Leave(self)));
            }
            // An event that has come meanwhile may tell of a frame.
            if pin!(self.peer.wait()).poll(context).is_pending() {
                return None;
            }
        }
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Leave<'_>> {
        Some(Leave(self))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = MAX_FRAME;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac)
    }
}
