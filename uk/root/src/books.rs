//! What root keeps in its recovery box: what it needs to know when it starts again.

use crate::channels::MAX_OFFERS;
use core::sync::atomic::AtomicU64;
use heapless::Vec;
use monitor::Saved;
use recovery_box::{OpenReport, Record, RecoveryBox};
use serde::{Deserialize, Serialize};
use xen_abi::Port;

/// The most extents of 2 MiB that one component can have.
pub const MAX_EXTENTS: usize = 32;

/// Records: two for each component, one for each device, and a few of root's own.
const SLOTS: usize = 80 + crate::devices::MAX_GIVEN;

/// Bytes of the largest record: a component's extents, 10 bytes each when encoded, and its ports, 5 bytes each.
const PAYLOAD: usize = 512;

/// The box.
pub type Books = RecoveryBox<&'static [AtomicU64], SLOTS, PAYLOAD>;

/// A component's domain, as root has built it. Keyed by the component's index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainRecord {
    /// Lives that the component has had.
    pub incarnation: u64,
    /// Whether the domain is complete: it was started at least once.
    pub complete: bool,
    /// First frames of its 2 MiB extents, in order.
    pub extents: Vec<u64, MAX_EXTENTS>,
    /// Root's end of the doorbell.
    pub doorbell: u32,
    /// The component's end of it.
    pub doorbell_there: u32,
    /// The life that the domain was built for.
    pub built: u32,
    /// The ports that it offers its peers.
    pub offered: Vec<u32, MAX_OFFERS>,
}

impl Record for DomainRecord {
    const TYPE: u16 = 1;
    const VERSION: u16 = 1;
}

/// What the monitor wants to know about a component. Keyed by the component's index.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MonitorRecord(pub Saved);

impl Record for MonitorRecord {
    const TYPE: u16 = 2;
    const VERSION: u16 = 1;
}

/// Root's own event channels. There is one, under key 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PortsRecord {
    /// Where `VIRQ_DOM_EXC` arrives.
    pub dom_exc: u32,
    /// Where `VIRQ_CONSOLE` arrives.
    pub console: u32,
}

impl PortsRecord {
    /// Both as ports.
    pub fn ports(&self) -> [Port; 2] {
        [Port(self.dom_exc), Port(self.console)]
    }
}

impl Record for PortsRecord {
    const TYPE: u16 = 3;
    const VERSION: u16 = 1;
}

/// A life of root has checked the boot archive, and noted the devices that it gives away. Before that nothing was built, and the next
/// life does both again. There is one, under key 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PreparedRecord;

impl Record for PreparedRecord {
    const TYPE: u16 = 4;
    const VERSION: u16 = 1;
}

/// What the recovery kernel keeps over a restart.
pub struct Divided {
    /// The words of [`Books`].
    pub books: &'static [AtomicU64],
    /// Those of the broker's table of domains.
    pub domains: &'static [AtomicU64],
    /// Those of the event log.
    pub events: &'static [AtomicU64],
}

/// Divides it.
///
/// # Panics
/// If it is too small, which root's linker script decides.
pub fn divide() -> Divided {
    let (books, rest) = kernel::recovery_words().split_at(Books::WORDS);
    let (domains, events) = rest.split_at(crate::broker::Records::WORDS);
    Divided { books, domains, events }
}

/// Opens the books; says what was found.
///
/// # Panics
/// If the memory is too small, which root's linker script decides.
pub fn open(words: &'static [AtomicU64]) -> (Books, OpenReport) {
    match RecoveryBox::open(words) {
        Ok(opened) => opened,
        Err(error) => panic!("root's recovery box: {error}"),
    }
}
