//! The card, as smoltcp's interface sees it.

use crate::part;
use libos::uk_abi::health::HealthPage;
use libos::virtio::Net;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::Ipv4Address;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr,
};

/// The longest frame: 1500 bytes and an Ethernet header.
const MAX_FRAME: usize = 1514;

/// A card whose work root can count.
pub struct Card {
    net: Net,
    health: HealthPage<'static>,
}

impl Card {
    /// Counts the work of `net` in `health`.
    pub fn new(net: Net, health: HealthPage<'static>) -> Self {
        Self { net, health }
    }

    /// Its hardware address.
    pub fn mac(&self) -> [u8; 6] {
        self.net.mac()
    }

    /// Whether it works no more.
    pub fn is_stopped(&self) -> bool {
        self.net.is_stopped()
    }

    /// Waits until a frame may have arrived or left.
    pub async fn wait(&mut self) {
        self.net.wait().await;
    }

    /// Takes frames back that have left.
    pub fn complete(&mut self) {
        self.health.complete(part::SEND, self.net.complete());
    }

    /// Tells the network who has `address`.
    pub fn announce(&mut self, hardware: EthernetAddress, address: Ipv4Address) {
        let arp = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: hardware,
            source_protocol_addr: address,
            target_hardware_addr: EthernetAddress::default(),
            target_protocol_addr: address,
        };
        let ethernet = EthernetRepr {
            src_addr: hardware,
            dst_addr: EthernetAddress::BROADCAST,
            ethertype: EthernetProtocol::Arp,
        };
        self.send(ethernet.buffer_len() + arp.buffer_len(), |bytes| {
            let mut frame = EthernetFrame::new_unchecked(bytes);
            ethernet.emit(&mut frame);
            arp.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
        });
    }

    /// Sends a frame. Without room it is lost, as frames may be.
    fn send<R>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        let sent = self.net.send(len, fill);
        self.health.accept(part::SEND, u64::from(sent.is_some()));
        sent
    }
}

/// A frame that has arrived.
pub struct Arrived {
    bytes: [u8; MAX_FRAME],
    len: usize,
}

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.bytes[..self.len])
    }
}

/// Leave to send a frame.
pub struct Leave<'a>(&'a mut Card);

impl TxToken for Leave<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let mut fill = Some(fill);
        let sent = self.0.send(len, |bytes| fill.take().map(|fill| fill(bytes)));
        match (sent.flatten(), fill) {
            (Some(result), _) => result,
            // There was room when leave was given; a frame that is too long goes nowhere.
            (None, Some(fill)) => fill(&mut [0; MAX_FRAME][..len.min(MAX_FRAME)]),
            (None, None) => unreachable!("a frame that was filled has a result"),
        }
    }
}

impl Device for Card {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Leave<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Arrived, Leave<'_>)> {
        self.complete();
        if !self.net.can_send() {
            return None;
        }
        let arrived = self.net.receive(|frame| {
            let len = frame.len().min(MAX_FRAME);
            let mut bytes = [0; MAX_FRAME];
            bytes[..len].copy_from_slice(&frame[..len]);
            Arrived { bytes, len }
        })?;
        self.health.accept(part::RECEIVE, 1);
        self.health.complete(part::RECEIVE, 1);
        Some((arrived, Leave(self)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Leave<'_>> {
        self.complete();
        self.net.can_send().then_some(Leave(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = MAX_FRAME;
        capabilities
    }
}
