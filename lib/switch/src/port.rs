//! Ports by number, sets of them, and how one is configured.

use crate::Identity;
use heapless::String;
use serde::{Deserialize, Serialize};

/// The most ports of a switch: one bit each.
pub const MAX_PORTS: usize = 64;

/// The most bytes in a bridge's name, as Linux limits the names of interfaces.
pub const MAX_BRIDGE_NAME: usize = 15;

/// A bridge's name, as in `vif=['bridge=xenbr0']`.
pub type BridgeName = String<MAX_BRIDGE_NAME>;

/// A port's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortId(u8);

impl PortId {
    /// Port `number`; none beyond [`MAX_PORTS`].
    pub const fn new(number: usize) -> Option<Self> {
        if number < MAX_PORTS { Some(Self(number as u8)) } else { None }
    }

    /// The number, for indexing.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A set of ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PortSet(u64);

impl PortSet {
    /// No port.
    pub const EMPTY: Self = Self(0);

    /// One port.
    pub const fn of(port: PortId) -> Self {
        Self(1 << port.0)
    }

    /// Adds a port.
    pub const fn insert(&mut self, port: PortId) {
        self.0 |= 1 << port.0;
    }

    /// Takes a port out.
    pub const fn remove(&mut self, port: PortId) {
        self.0 &= !(1 << port.0);
    }

    /// Whether a port is in.
    pub const fn contains(self, port: PortId) -> bool {
        self.0 >> port.0 & 1 == 1
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Those that are in both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are in this one alone.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The ports, by number.
    pub fn iter(self) -> impl Iterator<Item = PortId> {
        let mut left = self.0;
        core::iter::from_fn(move || {
            let next = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            (next < u64::BITS).then_some(PortId(next as u8))
        })
    }
}

impl FromIterator<PortId> for PortSet {
    fn from_iter<T: IntoIterator<Item = PortId>>(ports: T) -> Self {
        let mut set = Self::EMPTY;
        ports.into_iter().for_each(|port| set.insert(port));
        set
    }
}

/// What is behind a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// A card, and behind it a whole network: anybody may speak there.
    Uplink,
    /// A guest that may be only who it is. What is for others never reaches it, not even when nobody knows where
    /// they are.
    Guest(Identity),
    /// A guest that may be anybody, for instance a router or a bridge of its own. It is told what uplinks are told.
    Free,
}

/// How a port is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortConfig {
    /// The bridge that it belongs to: ports of different bridges never hear each other.
    pub bridge: BridgeName,
    /// What is behind it.
    pub role: Role,
    /// Isolated ports of a bridge do not hear each other, only those that are not isolated.
    pub isolated: bool,
}
