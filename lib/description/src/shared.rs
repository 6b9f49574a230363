//! Memory that components share, and all else that root keeps for them.

use crate::{Capabilities, ComponentId, ComponentSet, Description, Name};
use serde::{Deserialize, Serialize};

/// The most pieces of shared memory in one host.
pub const MAX_SHARED: usize = 16;

/// The most pages that root keeps for all components together: 36 MiB.
pub const KEPT_MAX_PAGES: u64 = uk_abi::layout::KEPT_MAX_PAGES as u64;

/// A piece of memory that components share. Root owns it, so it outlives all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// Its name, unique among shared memory.
    pub name: Name,
    /// The components that share it.
    pub between: ComponentSet,
    /// Its pages.
    pub pages: u32,
}

impl Shared {
    /// Its pages where `rvmm.toml` says nothing: one, enough for a ring each way.
    pub const DEFAULT_PAGES: u32 = 1;
}

impl Description {
    /// The pieces of shared memory that a component takes part in.
    pub fn shared_by(&self, index: usize) -> impl Iterator<Item = &Shared> {
        let component = ComponentId::new(index);
        self.shared.iter().filter(move |shared| component.is_some_and(|id| shared.between.contains(id)))
    }

    /// Pages of the register of domains that a component may read.
    pub fn register_pages_of(&self, index: usize) -> u32 {
        let reads = Capabilities::XENSTORE | Capabilities::GUESTS;
        if self.capabilities_of(index).intersects(reads) { uk_abi::register::PAGES as u32 } else { 0 }
    }

    /// Pages in which a component asks root's broker for something.
    pub fn broker_pages_of(&self, index: usize) -> u32 {
        let asks = self.components.get(index).is_some_and(|component| component.may_have_guests());
        if asks { uk_abi::layout::BROKER_PAGES as u32 } else { 0 }
    }

    /// The pages that root keeps and lends to a component: its recovery box, what it shares, its requests to the broker,
    /// the register of domains.
    pub fn kept_pages_of(&self, index: usize) -> u64 {
        let own = self.components.get(index).map_or(0, |component| component.box_pages);
        let shared: u64 = self.shared_by(index).map(|shared| u64::from(shared.pages)).sum();
        u64::from(own)
            + shared
            + u64::from(self.broker_pages_of(index))
            + u64::from(self.register_pages_of(index))
    }

    /// All pages that root keeps, each of them once.
    pub fn kept_pages(&self) -> u64 {
        let boxes: u64 = self.components.iter().map(|component| u64::from(component.box_pages)).sum();
        let shared: u64 = self.shared.iter().map(|shared| u64::from(shared.pages)).sum();
        let broker: u64 = (0..self.components.len()).map(|i| u64::from(self.broker_pages_of(i))).sum();
        boxes + shared + broker + uk_abi::register::PAGES as u64
    }

    fn capabilities_of(&self, index: usize) -> Capabilities {
        self.components.get(index).map_or(Capabilities::empty(), |component| component.capabilities)
    }
}
