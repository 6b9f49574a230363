//! Where a frame goes.

use crate::table::Table;
use crate::{Counters, Drop, MAX_PORTS, PortConfig, PortId, PortSet, Role};
use alloc::vec::Vec;
use core::fmt;
use smoltcp::wire::{ETHERNET_HEADER_LEN, EthernetAddress, EthernetFrame};

/// The groups that no bridge passes on: `01:80:c2:00:00:00` to `0f`.
const LINK_LOCAL: [u8; 5] = [0x01, 0x80, 0xc2, 0x00, 0x00];

/// A frame that has come in.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// By which port.
    pub port: PortId,
    /// Its first bytes: all of them, or at least [`HEAD`](crate::HEAD).
    pub head: &'a [u8],
    /// All of its bytes.
    pub length: usize,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes out by these ports; there is at least one.
    Forward(PortSet),
    /// It goes nowhere.
    Drop(Drop),
}

/// A port that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchPort(pub PortId);

impl fmt::Display for NoSuchPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the switch has no port {}", self.0.index())
    }
}

impl core::error::Error for NoSuchPort {}

#[derive(Debug)]
struct Port {
    config: PortConfig,
    /// Its bridge, as an index.
    bridge: u8,
    counters: Counters,
}

/// All bridges of a host, and the ports on them.
#[derive(Debug)]
pub struct Switch {
    ports: Vec<Option<Port>>,
    /// The ports of each bridge.
    bridges: [PortSet; MAX_PORTS],
    /// The ports whose guests are bound to an address.
    guests: PortSet,
    isolated: PortSet,
    table: Table,
}

impl Switch {
    /// A switch without ports. `seed` is a number that guests cannot guess; an address that was not seen for
    /// `aging_us` is forgotten.
    pub fn new(seed: u64, aging_us: u64) -> Self {
        Self {
            ports: (0..MAX_PORTS).map(|_| None).collect(),
            bridges: [PortSet::EMPTY; MAX_PORTS],
            guests: PortSet::EMPTY,
            isolated: PortSet::EMPTY,
            table: Table::new(seed, aging_us),
        }
    }

    /// Adds a port, or configures it anew. What was learned behind it is forgotten, its counters begin at 0.
    pub fn connect(&mut self, port: PortId, config: PortConfig) {
        self.disconnect(port);
        let bridge = self.number_of(&config.bridge);
        self.bridges[usize::from(bridge)].insert(port);
        if matches!(config.role, Role::Guest(_)) {
            self.guests.insert(port);
        }
        if config.isolated {
            self.isolated.insert(port);
        }
        self.ports[port.index()] = Some(Port { config, bridge, counters: Counters::default() });
    }

    /// Takes a port away.
    pub fn disconnect(&mut self, port: PortId) {
        if let Some(gone) = self.ports[port.index()].take() {
            self.bridges[usize::from(gone.bridge)].remove(port);
            self.guests.remove(port);
            self.isolated.remove(port);
            self.table.forget(port);
        }
    }

    /// The ports on a bridge.
    pub fn ports_on(&self, bridge: &str) -> PortSet {
        let named = self.ports.iter().flatten().find(|port| port.config.bridge == bridge);
        named.map_or(PortSet::EMPTY, |port| self.bridges[usize::from(port.bridge)])
    }

    /// What passed a port.
    ///
    /// # Errors
    /// [`NoSuchPort`].
    pub fn counters(&self, port: PortId) -> Result<Counters, NoSuchPort> {
        self.ports[port.index()].as_ref().map(|port| port.counters).ok_or(NoSuchPort(port))
    }

    /// How many addresses are remembered behind a port.
    pub const fn learned(&self, port: PortId) -> u16 {
        self.table.learned(port)
    }

    /// Decides where a frame goes, learns from it, and counts it.
    pub fn forward(&mut self, now_us: u64, arrival: &Arrival<'_>) -> Verdict {
        let decided = self.decide(now_us, arrival);
        if let Some(port) = &mut self.ports[arrival.port.index()] {
            port.counters.came_in(arrival.length);
        }
        match decided {
            Ok(ports) => {
                for port in ports.iter() {
                    if let Some(port) = &mut self.ports[port.index()] {
                        port.counters.went_out(arrival.length);
                    }
                }
                Verdict::Forward(ports)
            }
            Err(why) => {
                if let Some(port) = &mut self.ports[arrival.port.index()] {
                    port.counters.drop(why);
                }
                Verdict::Drop(why)
            }
        }
    }

    /// Forgets addresses that were not seen of late, some at a time: to be called when there is nothing better to do.
    pub fn age(&mut self, now_us: u64) {
        const BUCKETS_AT_A_TIME: usize = 16;
        self.table.sweep(now_us, BUCKETS_AT_A_TIME);
    }

    fn decide(&mut self, now_us: u64, arrival: &Arrival<'_>) -> Result<PortSet, Drop> {
        let port = self.ports[arrival.port.index()].as_ref().ok_or(Drop::NoPort)?;
        if arrival.head.len() < ETHERNET_HEADER_LEN {
            return Err(Drop::Malformed);
        }
        let frame = EthernetFrame::new_unchecked(arrival.head);
        let (from, to) = (frame.src_addr(), frame.dst_addr());
        if from.is_multicast() || from == EthernetAddress::default() {
            return Err(Drop::Malformed);
        }
        let is_guest = match &port.config.role {
            Role::Guest(identity) => {
                identity.check(&frame)?;
                true
            }
            // A card also hears its own guests' frames, when a switch beyond it floods them back: they are no news.
            Role::Uplink | Role::Free => {
                self.check_not_taken(from, arrival.port, port.bridge)?;
                false
            }
        };
        if to.0[..5] == LINK_LOCAL && to.0[5] < 0x10 {
            return Err(Drop::LinkLocal);
        }
        let bridge = port.bridge;
        if !is_guest {
            self.table.learn(bridge, from, arrival.port, now_us);
        }
        let mut ports = self.audience(now_us, bridge, to);
        ports.remove(arrival.port);
        if self.isolated.contains(arrival.port) {
            ports = ports.without(self.isolated);
        }
        if ports.is_empty() { Err(Drop::NoWay) } else { Ok(ports) }
    }

    /// Nobody may take the address of a guest that is bound to it.
    fn check_not_taken(&self, from: EthernetAddress, by: PortId, bridge: u8) -> Result<(), Drop> {
        match self.owner(bridge, from) {
            Some(owner) if owner != by => Err(Drop::ForgedMac),
            _ => Ok(()),
        }
    }

    /// The guest that is bound to an address.
    fn owner(&self, bridge: u8, mac: EthernetAddress) -> Option<PortId> {
        let is_bound = |port: &PortId| match self.ports[port.index()].as_ref().map(|port| &port.config.role) {
            Some(Role::Guest(identity)) => identity.mac() == mac,
            _ => false,
        };
        self.bridges[usize::from(bridge)].and(self.guests).iter().find(is_bound)
    }

    /// The ports that hear a frame to `to`, its sender perhaps among them.
    fn audience(&self, now_us: u64, bridge: u8, to: EthernetAddress) -> PortSet {
        let all = self.bridges[usize::from(bridge)];
        if to.is_multicast() {
            return all;
        }
        match self.owner(bridge, to).or_else(|| self.table.find(bridge, to, now_us)) {
            Some(port) => PortSet::of(port),
            None => all.without(self.guests),
        }
    }

    /// The number of a bridge; the number that it gets, if there is none of that name: there are as many as ports.
    fn number_of(&self, name: &str) -> u8 {
        let named = self.ports.iter().flatten().find(|port| port.config.bridge == name);
        let free = || self.bridges.iter().position(|ports| ports.is_empty()).unwrap_or_default() as u8;
        named.map_or_else(free, |port| port.bridge)
    }
}
