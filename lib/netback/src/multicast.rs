//! Which groups a guest wants to hear.

use heapless::Vec;
use serde::{Deserialize, Serialize};
use smoltcp::wire::EthernetAddress;

/// The most groups that a guest can name; Linux's backend has as many.
pub const MAX_GROUPS: usize = 64;

/// The groups that a guest has named, by dummy requests in its transmit ring.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multicast {
    groups: Vec<[u8; 6], MAX_GROUPS>,
    /// Whether it wants nothing but those (`request-multicast-control`).
    filters: bool,
    /// How often this was changed.
    #[serde(skip)]
    changes: u32,
}

impl Multicast {
    /// No groups, and no filter.
    pub const fn new() -> Self {
        Self { groups: Vec::new(), filters: false, changes: 0 }
    }

    /// Says whether the guest wants nothing but what it names.
    pub const fn set_filter(&mut self, filters: bool) {
        self.filters = filters;
        self.changes = self.changes.wrapping_add(1);
    }

    /// How often this was changed: another number is another state.
    pub(crate) const fn changes(&self) -> u32 {
        self.changes
    }

    /// Adds a group, or takes it out. Whether that could be done: there is room for [`MAX_GROUPS`].
    pub fn change(&mut self, group: EthernetAddress, wanted: bool) -> bool {
        self.changes = self.changes.wrapping_add(1);
        let found = self.groups.iter().position(|known| *known == group.0);
        match (found, wanted) {
            (None, true) => self.groups.push(group.0).is_ok(),
            (Some(at), false) => {
                self.groups.swap_remove(at);
                true
            }
            (Some(_), true) | (None, false) => true,
        }
    }

    /// Whether the guest wants frames for this address. Broadcasts and what is for nobody but itself it always does.
    pub fn accepts(&self, to: EthernetAddress) -> bool {
        !self.filters || !to.is_multicast() || to.is_broadcast() || self.groups.contains(&to.0)
    }
}
