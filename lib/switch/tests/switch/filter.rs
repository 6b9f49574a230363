//! Guests that pose as somebody else.

use crate::{AGING_US, config, frame, mac, port};
use switch::{Arrival, Drop, EthernetAddress, Identity, Ipv4Address, Ipv6Address, Role, Switch, Verdict};

const MINE: Ipv4Address = Ipv4Address::new(192, 168, 1, 10);
const OTHER: Ipv4Address = Ipv4Address::new(192, 168, 1, 1);
const MINE6: Ipv6Address = Ipv6Address::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 10);
const OTHER6: Ipv6Address = Ipv6Address::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// What becomes of what a guest says that is bound to `mac(1)`, [`MINE`] and [`MINE6`].
fn say(ethertype: u16, payload: &[u8]) -> Result<(), Drop> {
    say_as(mac(1), ethertype, payload)
}

fn say_as(from: EthernetAddress, ethertype: u16, payload: &[u8]) -> Result<(), Drop> {
    let mut identity = Identity::new(mac(1));
    identity.allow_ipv4(MINE).expect("there is room");
    identity.allow_ipv6(MINE6).expect("there is room");
    let mut switch = Switch::new(0, AGING_US);
    switch.connect(port(0), config("xenbr0", Role::Uplink));
    switch.connect(port(1), config("xenbr0", Role::Guest(identity)));
    let bytes = frame(EthernetAddress::BROADCAST, from, ethertype, payload);
    match switch.forward(0, &Arrival { port: port(1), head: &bytes, length: bytes.len() }) {
        Verdict::Forward(_) => Ok(()),
        Verdict::Drop(why) => Err(why),
    }
}

const FORGED: Result<(), Drop> = Err(Drop::ForgedIp);

fn arp(hardware: EthernetAddress, sender: Ipv4Address) -> Vec<u8> {
    [&[0, 1, 8, 0, 6, 4, 0, 2], &hardware.0[..], &sender.octets(), &[0xff; 6], &OTHER.octets()].concat()
}

fn ipv4(from: Ipv4Address, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = (20 + payload.len() as u16).to_be_bytes();
    let head = [0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0];
    [&head[..], &from.octets(), &OTHER.octets(), payload].concat()
}

fn ipv6(from: Ipv6Address, next: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16).to_be_bytes();
    let head = [0x60, 0, 0, 0, length[0], length[1], next, 255];
    [&head[..], &from.octets(), &OTHER6.octets(), payload].concat()
}

/// A neighbour's advertisement, or a router's.
fn icmpv6(kind: u8, target: Ipv6Address) -> Vec<u8> {
    [&[kind, 0, 0, 0, 0x60, 0, 0, 0][..], &target.octets()].concat()
}

#[test]
fn only_its_own_ethernet_address() {
    assert_eq!(say_as(mac(2), 0x0800, &ipv4(MINE, 6, &[0; 20])), Err(Drop::ForgedMac));
    assert_eq!(say(0x0800, &ipv4(MINE, 6, &[0; 20])), Ok(()));
}

#[test]
fn arp_tells_the_truth() {
    assert_eq!(say(0x0806, &arp(mac(1), MINE)), Ok(()));
    assert_eq!(say(0x0806, &arp(mac(1), Ipv4Address::UNSPECIFIED)), Ok(()), "a probe");
    assert_eq!(say(0x0806, &arp(mac(1), OTHER)), FORGED);
    assert_eq!(say(0x0806, &arp(mac(2), MINE)), FORGED);
    assert_eq!(say(0x0806, &arp(mac(1), MINE)[..27]), FORGED, "cut short");
    let mut odd = arp(mac(1), MINE);
    odd[4] = 8;
    assert_eq!(say(0x0806, &odd), FORGED, "another kind of address");
}

#[test]
fn ipv4_has_its_own_sender() {
    assert_eq!(say(0x0800, &ipv4(OTHER, 6, &[0; 20])), FORGED);
    assert_eq!(say(0x0800, &ipv4(MINE, 6, &[])[..19]), FORGED, "cut short");
    let dhcp = [0, 68, 0, 67, 0, 8, 0, 0];
    assert_eq!(say(0x0800, &ipv4(Ipv4Address::UNSPECIFIED, 17, &dhcp)), Ok(()));
    assert_eq!(say(0x0800, &ipv4(Ipv4Address::UNSPECIFIED, 6, &dhcp)), FORGED, "not UDP");
    assert_eq!(say(0x0800, &ipv4(Ipv4Address::UNSPECIFIED, 17, &[0, 68, 0, 68, 0, 8, 0, 0])), FORGED);
    let mut later = ipv4(Ipv4Address::UNSPECIFIED, 17, &dhcp);
    later[7] = 1;
    assert_eq!(say(0x0800, &later), FORGED, "a later fragment only looks like DHCP");
}

#[test]
fn ipv6_has_its_own_sender_and_neighbour() {
    let local = Ipv6Address::new(0xfe80, 0, 0, 0, 0x216, 0xff, 0xfe00, 1);
    for from in [MINE6, local, Ipv6Address::UNSPECIFIED] {
        assert_eq!(say(0x86dd, &ipv6(from, 6, &[0; 20])), Ok(()));
        assert_eq!(say(0x86dd, &ipv6(from, 58, &icmpv6(136, MINE6))), Ok(()));
        assert_eq!(say(0x86dd, &ipv6(from, 58, &icmpv6(135, OTHER6))), Ok(()), "asking is free");
        assert_eq!(say(0x86dd, &ipv6(from, 58, &icmpv6(136, OTHER6))), FORGED);
        assert_eq!(say(0x86dd, &ipv6(from, 58, &icmpv6(134, OTHER6))), FORGED, "it is no router");
    }
    assert_eq!(say(0x86dd, &ipv6(OTHER6, 6, &[0; 20])), FORGED);
    assert_eq!(say(0x86dd, &ipv6(MINE6, 58, &icmpv6(136, MINE6)[..23])), FORGED, "cut short");
}

#[test]
fn extension_headers_hide_nothing() {
    let hide = |depth: usize, last: &[u8]| {
        let mut payload = last.to_vec();
        let mut next = 58;
        for _ in 0..depth {
            payload = [&[next, 0, 1, 4, 0, 0, 0, 0][..], &payload].concat();
            next = 60;
        }
        ipv6(MINE6, next, &payload)
    };
    for depth in 0..4 {
        assert_eq!(say(0x86dd, &hide(depth, &icmpv6(136, MINE6))), Ok(()), "depth {depth}");
        assert_eq!(say(0x86dd, &hide(depth, &icmpv6(136, OTHER6))), FORGED, "depth {depth}");
    }
    assert_eq!(say(0x86dd, &hide(20, &icmpv6(136, MINE6))), FORGED, "nobody honest does that");
}

#[test]
fn what_cannot_be_checked_is_not_said() {
    assert_eq!(say(0x8100, &[0; 60]), FORGED, "a VLAN's tag");
    assert_eq!(say(0x88b5, &[0; 60]), FORGED);
}
