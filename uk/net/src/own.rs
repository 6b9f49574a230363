//! This program's own place on the bridge: it answers ARP and ping at an address, and says once a second that it is
//! there, so that a card which sends nothing any more is noticed even when nobody else sends anything.

use crate::machine::Machine;
use network::Plane;
use network::switch::PortId;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant as Timestamp;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpCidr,
    Ipv4Cidr,
};

/// The longest frame: 1500 bytes and an Ethernet header.
const MAX_FRAME: usize = 1514;

/// How often the address is announced.
const ANNOUNCE_EVERY_US: u64 = 1_000_000;

/// The program as a machine on the network.
pub struct Own {
    interface: Interface,
    hardware: EthernetAddress,
    address: Ipv4Cidr,
    announce_at_us: u64,
}

/// The cable from it to the bridge.
pub struct Line<'a> {
    /// The bridge.
    pub plane: &'a mut Plane<'static>,
    /// Where frames lie.
    pub machine: &'a mut Machine,
    /// Its port.
    pub port: PortId,
    /// The time.
    pub now_us: u64,
}

impl Own {
    /// The machine with these addresses.
    pub fn new(line: &mut Line<'_>, hardware: EthernetAddress, address: Ipv4Cidr) -> Self {
        let now = timestamp(line.now_us);
        let mut interface = Interface::new(Config::new(hardware.into()), line, now);
        interface.update_ip_addrs(|addresses| {
            // The list is empty and holds one at least.
            let _ = addresses.push(IpCidr::Ipv4(address));
        });
        Self { interface, hardware, address, announce_at_us: 0 }
    }

    /// Answers whoever asks.
    pub fn turn(&mut self, line: &mut Line<'_>) {
        if line.now_us >= self.announce_at_us {
            self.announce_at_us = line.now_us + ANNOUNCE_EVERY_US;
            self.announce(line);
        }
        self.interface.poll(timestamp(line.now_us), line, &mut SocketSet::new(&mut [][..]));
    }

    /// When it has something to say, whatever else happens.
    pub const fn next_us(&self) -> u64 {
        self.announce_at_us
    }

    /// Says soon that it is there.
    pub const fn hurry(&mut self) {
        self.announce_at_us = 0;
    }

    fn announce(&self, line: &mut Line<'_>) {
        let address = self.address.address();
        let arp = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: self.hardware,
            source_protocol_addr: address,
            target_hardware_addr: EthernetAddress::default(),
            target_protocol_addr: address,
        };
        let ethernet = EthernetRepr {
            src_addr: self.hardware,
            dst_addr: EthernetAddress::BROADCAST,
            ethertype: EthernetProtocol::Arp,
        };
        Leave(line).consume(ethernet.buffer_len() + arp.buffer_len(), |bytes| {
            let mut frame = EthernetFrame::new_unchecked(bytes);
            ethernet.emit(&mut frame);
            arp.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
        });
    }
}

fn timestamp(us: u64) -> Timestamp {
    Timestamp::from_micros(us as i64)
}

/// A frame that has arrived.
pub struct Arrived {
    bytes: [u8; MAX_FRAME],
    length: usize,
}

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.bytes[..self.length])
    }
}

/// Leave to send a frame.
pub struct Leave<'a, 'b>(&'a mut Line<'b>);

impl TxToken for Leave<'_, '_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut bytes = [0; MAX_FRAME];
        let bytes = &mut bytes[..length.min(MAX_FRAME)];
        let result = fill(bytes);
        let Line { plane, machine, port, now_us } = self.0;
        // Without room it is lost, as frames may be.
        let _ = plane.say(*port, *now_us, bytes, *machine);
        result
    }
}

impl<'b> Device for Line<'b> {
    type RxToken<'a>
        = Arrived
    where
        Self: 'a;
    type TxToken<'a>
        = Leave<'a, 'b>
    where
        Self: 'a;

    fn receive(&mut self, _: Timestamp) -> Option<(Arrived, Leave<'_, 'b>)> {
        let mut bytes = [0; MAX_FRAME];
        let length = self.plane.hear(self.port, &mut bytes, self.machine)?;
        Some((Arrived { bytes, length }, Leave(self)))
    }

    fn transmit(&mut self, _: Timestamp) -> Option<Leave<'_, 'b>> {
        Some(Leave(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = MAX_FRAME;
        capabilities
    }
}
