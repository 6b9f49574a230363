//! Who a guest may be.
//!
//! Its Ethernet address is always checked; its internet addresses where they are configured. Then it may say nothing
//! but ARP, IPv4 and IPv6, and neither bears witness to somebody else's address: not as a sender, not in an answer to
//! "who has", not by advertising itself as a router. Two exceptions let a guest find out its address in the first
//! place: IPv4's `0.0.0.0` for DHCP and ARP probes, and IPv6's `::` and link-local addresses.

use crate::Drop;
use heapless::Vec;
use serde::{Deserialize, Serialize};
use smoltcp::wire::{
    ArpPacket, EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv6Message, Icmpv6Packet, IpProtocol,
    Ipv4Address, Ipv4Packet, Ipv6Address, Ipv6ExtHeader, Ipv6Packet, UdpPacket,
};

/// The most internet addresses of each kind that a guest can be bound to.
pub const MAX_ADDRESSES: usize = 8;

/// The most extension headers of IPv6 that are walked; nobody honest sends more.
const MAX_EXTENSIONS: usize = 4;

/// The port of DHCP's clients, and that of its servers.
const DHCP: (u16, u16) = (68, 67);

/// Bytes of an ARP message that speaks of Ethernet and IPv4.
const ARP_LEN: usize = 28;

/// Bytes of an Ethernet address and of an IPv4 address, as ARP says them.
const ARP_LENGTHS: (u8, u8) = (6, 4);

/// Who a guest may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    #[serde(with = "address")]
    mac: EthernetAddress,
    ipv4: Vec<Ipv4Address, MAX_ADDRESSES>,
    ipv6: Vec<Ipv6Address, MAX_ADDRESSES>,
}

/// An Ethernet address is six bytes.
mod address {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use smoltcp::wire::EthernetAddress;

    pub fn serialize<S: Serializer>(mac: &EthernetAddress, to: S) -> Result<S::Ok, S::Error> {
        mac.0.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<EthernetAddress, D::Error> {
        <[u8; 6]>::deserialize(from).map(EthernetAddress)
    }
}

impl Identity {
    /// Bound to an Ethernet address, and to no internet address.
    pub const fn new(mac: EthernetAddress) -> Self {
        Self { mac, ipv4: Vec::new(), ipv6: Vec::new() }
    }

    /// Its Ethernet address.
    pub const fn mac(&self) -> EthernetAddress {
        self.mac
    }

    /// Binds it to an IPv4 address too, one of at most [`MAX_ADDRESSES`]; the address itself, if there is no room.
    ///
    /// # Errors
    /// There is no room.
    pub fn allow_ipv4(&mut self, address: Ipv4Address) -> Result<(), Ipv4Address> {
        self.ipv4.push(address)
    }

    /// Binds it to an IPv6 address too, one of at most [`MAX_ADDRESSES`]; the address itself, if there is no room.
    ///
    /// # Errors
    /// There is no room.
    pub fn allow_ipv6(&mut self, address: Ipv6Address) -> Result<(), Ipv6Address> {
        self.ipv6.push(address)
    }

    /// Checks what it wants to send.
    pub(crate) fn check(&self, frame: &EthernetFrame<&[u8]>) -> Result<(), Drop> {
        if frame.src_addr() != self.mac {
            return Err(Drop::ForgedMac);
        }
        if self.ipv4.is_empty() && self.ipv6.is_empty() {
            return Ok(());
        }
        let honest = match frame.ethertype() {
            EthernetProtocol::Arp => self.may_say_arp(frame.payload()),
            EthernetProtocol::Ipv4 => self.may_say_ipv4(frame.payload()),
            EthernetProtocol::Ipv6 => self.may_say_ipv6(frame.payload()),
            // What cannot be checked, a VLAN's tag for instance, could hide anything.
            EthernetProtocol::Unknown(_) => false,
        };
        if honest { Ok(()) } else { Err(Drop::ForgedIp) }
    }

    fn is_ipv4(&self, address: Ipv4Address) -> bool {
        self.ipv4.contains(&address)
    }

    /// Every interface has a link-local address besides those it is given.
    fn is_ipv6(&self, address: Ipv6Address) -> bool {
        self.ipv6.contains(&address) || address.is_unicast_link_local()
    }

    fn may_say_arp(&self, bytes: &[u8]) -> bool {
        let Some(Ok(arp)) = bytes.get(..ARP_LEN).map(ArpPacket::new_checked) else {
            return false;
        };
        if (arp.hardware_len(), arp.protocol_len()) != ARP_LENGTHS {
            return false;
        }
        let Ok(sender) = <[u8; 4]>::try_from(arp.source_protocol_addr()) else {
            return false;
        };
        let sender = Ipv4Address::from(sender);
        arp.source_hardware_addr() == self.mac.as_bytes() && (self.is_ipv4(sender) || sender.is_unspecified())
    }

    fn may_say_ipv4(&self, bytes: &[u8]) -> bool {
        let Some(ip) = ipv4(bytes) else {
            return false;
        };
        self.is_ipv4(ip.src_addr()) || ip.src_addr().is_unspecified() && is_dhcp(&ip, bytes)
    }

    fn may_say_ipv6(&self, bytes: &[u8]) -> bool {
        if bytes.len() < smoltcp::wire::IPV6_HEADER_LEN {
            return false;
        }
        let ip = Ipv6Packet::new_unchecked(bytes);
        let known = self.is_ipv6(ip.src_addr()) || ip.src_addr().is_unspecified();
        known && self.may_say_icmpv6(ip.next_header(), &bytes[smoltcp::wire::IPV6_HEADER_LEN..])
    }

    /// Whether what follows IPv6's header is no forged word about neighbours or routers.
    fn may_say_icmpv6(&self, mut next: IpProtocol, mut bytes: &[u8]) -> bool {
        for _ in 0..=MAX_EXTENSIONS {
            match next {
                IpProtocol::Icmpv6 => return self.is_honest_neighbour(bytes),
                IpProtocol::HopByHop | IpProtocol::Ipv6Route | IpProtocol::Ipv6Opts => {
                    let Ok(header) = Ipv6ExtHeader::new_checked(bytes) else {
                        return false;
                    };
                    let length = (usize::from(header.header_len()) + 1) * 8;
                    (next, bytes) = (header.next_header(), bytes.get(length..).unwrap_or_default());
                }
                // Hosts must not believe a neighbour in fragments (RFC 6980).
                _ => return true,
            }
        }
        false
    }

    fn is_honest_neighbour(&self, bytes: &[u8]) -> bool {
        let Ok(icmp) = Icmpv6Packet::new_checked(bytes) else {
            return false;
        };
        match icmp.msg_type() {
            Icmpv6Message::RouterAdvert | Icmpv6Message::Redirect => false,
            Icmpv6Message::NeighborAdvert => bytes.len() >= 24 && self.is_ipv6(icmp.target_addr()),
            _ => true,
        }
    }
}

/// The header of IPv4, checked as far as it is there: a head need not have the whole packet.
fn ipv4(bytes: &[u8]) -> Option<Ipv4Packet<&[u8]>> {
    let ip = Ipv4Packet::new_unchecked(bytes);
    (bytes.len() >= smoltcp::wire::IPV4_HEADER_LEN
        && ip.version() == 4
        && usize::from(ip.header_len()) >= smoltcp::wire::IPV4_HEADER_LEN)
        .then_some(ip)
}

fn is_dhcp(ip: &Ipv4Packet<&[u8]>, bytes: &[u8]) -> bool {
    let header = usize::from(ip.header_len());
    let Some(bytes) = bytes.get(header..header + smoltcp::wire::UDP_HEADER_LEN) else {
        return false;
    };
    let udp = UdpPacket::new_unchecked(bytes);
    ip.next_header() == IpProtocol::Udp && ip.frag_offset() == 0 && (udp.src_port(), udp.dst_port()) == DHCP
}
