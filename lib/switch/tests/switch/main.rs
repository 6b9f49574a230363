//! The switch against what a bridge must do, and against guests that lie and flood.

mod bridge;
mod filter;
mod pcap;

use switch::{Arrival, EthernetAddress, Identity, PortConfig, PortId, PortSet, Role, Switch, Verdict};

/// Five minutes, as bridges use to have it.
const AGING_US: u64 = 300_000_000;

fn port(number: usize) -> PortId {
    PortId::new(number).expect("a small number")
}

fn ports(numbers: &[usize]) -> PortSet {
    numbers.iter().map(|&number| port(number)).collect()
}

/// An address that is nobody's by chance.
fn mac(number: u32) -> EthernetAddress {
    let [a, b, c, d] = number.to_be_bytes();
    EthernetAddress([0x00, 0x16, a, b, c, d])
}

fn config(bridge: &str, role: Role) -> PortConfig {
    PortConfig { bridge: bridge.try_into().expect("a short name"), role, isolated: false }
}

fn guest(number: u32) -> Role {
    Role::Guest(Identity::new(mac(number)))
}

fn frame(to: EthernetAddress, from: EthernetAddress, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&to.0, &from.0, &ethertype.to_be_bytes()[..], payload].concat()
}

/// What becomes of a frame without content.
fn send(switch: &mut Switch, now_us: u64, by: usize, from: EthernetAddress, to: EthernetAddress) -> Verdict {
    let bytes = frame(to, from, 0x88b5, &[0; 46]);
    switch.forward(now_us, &Arrival { port: port(by), head: &bytes, length: bytes.len() })
}
