//! What stands in XenStore: which nodes the backend writes in which state, and what it reads of the frontend's.
//!
//! | before the backend's state is | the backend writes | for |
//! |---|---|---|
//! | InitWait | [`offer`] | the frontend to choose from |
//! | Connected | [`properties`] | the frontend to know the disk |
//! | Connected once more | [`resized`] | the frontend to look at the size again |
//!
//! Before it connects, it reads the frontend's choice as a [`Link`].

use crate::geometry::Geometry;
use crate::request::MAX_INDIRECT_SEGMENTS;
use core::fmt::{self, Write};
use heapless::{String, Vec};
use ring::request::MAX_PAGES;
use serde::{Deserialize, Serialize};
use xen_abi::blkif::VdiskFlags;
use xen_abi::{GrantRef, Port};

/// The most queues that a frontend can have.
pub const MAX_QUEUES: usize = 16;

/// The structures of 64-bit x86 frontends: what a frontend means that says nothing.
const NATIVE: &str = "x86_64-abi";

/// A node of the backend's: its name in the backend's directory, and its value.
pub type Node = (&'static str, String<20>);

fn node(name: &'static str, value: impl Into<u64>) -> Node {
    let mut text = String::new();
    // No number has more than 20 digits.
    let _ = write!(text, "{}", value.into());
    (name, text)
}

/// How much of the protocol is offered to a frontend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The most queues: from 1 to [`MAX_QUEUES`].
    pub max_queues: u16,
    /// The most pages of a ring: 2 to the power of this, which is at most 4.
    pub max_ring_page_order: u8,
    /// The most segments of an indirect request; 0 for none.
    pub max_indirect_segments: u16,
    /// How many grants may stay mapped; 0 for none.
    pub persistent_grants: u32,
}

impl Default for Offer {
    /// Four queues of at most 512 requests, up to a MiB in each, and as many mapped pages as a ring of one page can name at once.
    fn default() -> Self {
        Self { max_queues: 4, max_ring_page_order: 4, max_indirect_segments: 256, persistent_grants: 1056 }
    }
}

/// What is written before the state InitWait.
pub fn offer(offer: &Offer, geometry: &Geometry) -> impl Iterator<Item = Node> {
    let writable = !geometry.read_only;
    let discard = geometry.discard.filter(|_| writable);
    [
        node("multi-queue-max-queues", offer.max_queues),
        node("max-ring-page-order", offer.max_ring_page_order),
        node("feature-persistent", offer.persistent_grants > 0),
        node("feature-flush-cache", writable),
        node("feature-barrier", writable),
        node("feature-discard", discard.is_some()),
    ]
    .into_iter()
    .chain((offer.max_indirect_segments > 0).then(|| {
        node("feature-max-indirect-segments", offer.max_indirect_segments.min(MAX_INDIRECT_SEGMENTS))
    }))
    .chain(
        discard
            .map(|discard| {
                [
                    node("discard-granularity", discard.granularity),
                    node("discard-alignment", discard.alignment),
                    node("discard-secure", discard.secure),
                ]
            })
            .into_iter()
            .flatten(),
    )
}

/// What is written before the state Connected.
pub fn properties(geometry: &Geometry) -> [Node; 4] {
    let mut info = VdiskFlags::empty();
    info.set(VdiskFlags::READONLY, geometry.read_only);
    info.set(VdiskFlags::CDROM, geometry.cdrom);
    [
        node("sectors", geometry.sectors),
        node("info", info.bits()),
        node("sector-size", geometry.sector_size),
        node("physical-sector-size", geometry.physical_sector_size),
    ]
}

/// What is written, in one transaction with the state Connected once more, when the disk's size has changed.
pub fn resized(geometry: &Geometry) -> [Node; 1] {
    [node("sectors", geometry.sectors)]
}

/// A queue, as the frontend says how to connect to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueLink {
    port: u32,
    ring: Vec<u32, MAX_PAGES>,
}

impl QueueLink {
    /// The event channel.
    pub const fn port(&self) -> Port {
        Port(self.port)
    }

    /// Grants of the ring's pages, in their order.
    pub fn ring(&self) -> impl ExactSizeIterator<Item = GrantRef> {
        self.ring.iter().map(|&gref| GrantRef(gref))
    }
}

/// How to connect to a frontend. It can be put into a recovery box, for a life that has to connect again without XenStore, or
/// has to know whether the frontend is still the one it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Whether the frontend promises to use the same grants again and again.
    pub persistent: bool,
    /// Its queues.
    pub queues: Vec<QueueLink, MAX_QUEUES>,
}

/// What a frontend says about how to connect makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadLink {
    /// A node is not there.
    Missing {
        /// Its name in the frontend's directory.
        node: String<32>,
    },
    /// A node is not a number, or one that was not offered.
    Value {
        /// Its name in the frontend's directory.
        node: String<32>,
        /// What it says, or the beginning of that.
        found: String<32>,
        /// The largest number that it may say.
        max: u32,
    },
    /// It speaks in another machine's structures.
    Protocol {
        /// Which, or the beginning of that.
        found: String<32>,
    },
}

impl fmt::Display for BadLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { node } => write!(f, "the frontend's node {node} is missing"),
            Self::Value { node, found, max } => {
                write!(f, "the frontend's node {node}: expected a number up to {max}, found {found:?}")
            }
            Self::Protocol { found } => write!(f, "expected the protocol {NATIVE}, found {found:?}"),
        }
    }
}

impl core::error::Error for BadLink {}

fn beginning(text: &str) -> String<32> {
    let mut kept = String::new();
    // Stops at the first character that has no room.
    let _ = text.chars().try_for_each(|character| kept.push(character));
    kept
}

/// The frontend's directory: gives the value of a node, if there is one.
struct Directory<F>(F);

impl<S: AsRef<str>, F: FnMut(&str) -> Option<S>> Directory<F> {
    fn number(&mut self, name: &str, max: u32) -> Result<Option<u32>, BadLink> {
        let Some(value) = (self.0)(name) else {
            return Ok(None);
        };
        let number = value.as_ref().parse().ok().filter(|&number| number <= max);
        let bad = || BadLink::Value { node: beginning(name), found: beginning(value.as_ref()), max };
        number.map(Some).ok_or_else(bad)
    }

    fn needed(&mut self, name: &str) -> Result<u32, BadLink> {
        self.number(name, u32::MAX)?.ok_or_else(|| BadLink::Missing { node: beginning(name) })
    }
}

/// `queue-N/`, in front of the name of a node of one queue; nothing, if there is only one.
fn queue_node(queue: Option<u32>, name: fmt::Arguments<'_>) -> String<32> {
    let mut path = String::new();
    // The longest is `queue-15/event-channel`.
    let _ = match queue {
        Some(queue) => write!(path, "queue-{queue}/{name}"),
        None => write!(path, "{name}"),
    };
    path
}

impl Link {
    /// Reads what the frontend has chosen, from its directory in XenStore: `get` gives the value of a node there.
    ///
    /// # Errors
    /// [`BadLink`].
    pub fn read<S: AsRef<str>>(offer: &Offer, get: impl FnMut(&str) -> Option<S>) -> Result<Self, BadLink> {
        let mut frontend = Directory(get);
        if let Some(protocol) = (frontend.0)("protocol")
            && protocol.as_ref() != NATIVE
        {
            return Err(BadLink::Protocol { found: beginning(protocol.as_ref()) });
        }
        let persistent = frontend.number("feature-persistent", u32::MAX)?.unwrap_or(0) != 0;
        let max_queues = u32::from(offer.max_queues).min(MAX_QUEUES as u32);
        let count = frontend.number("multi-queue-num-queues", max_queues)?.unwrap_or(1);
        if count == 0 {
            let node = beginning("multi-queue-num-queues");
            return Err(BadLink::Value { node, found: beginning("0"), max: max_queues });
        }
        let max_order = u32::from(offer.max_ring_page_order).min(MAX_PAGES.ilog2());
        let order = frontend.number("ring-page-order", max_order)?;
        let mut queues = Vec::new();
        for queue in 0..count {
            let queue = (count > 1).then_some(queue);
            let link = read_queue(&mut frontend, queue, order)?;
            // There are at most as many as there is room for.
            let _ = queues.push(link);
        }
        Ok(Self { persistent: persistent && offer.persistent_grants > 0, queues })
    }
}

fn read_queue<S: AsRef<str>, F: FnMut(&str) -> Option<S>>(
    frontend: &mut Directory<F>,
    queue: Option<u32>,
    order: Option<u32>,
) -> Result<QueueLink, BadLink> {
    let single = queue_node(queue, format_args!("ring-ref"));
    let mut ring = Vec::new();
    let only = if order.unwrap_or(0) == 0 { frontend.number(&single, u32::MAX)? } else { None };
    match (only, order) {
        (Some(gref), _) => {
            let _ = ring.push(gref);
        }
        (None, None) => return Err(BadLink::Missing { node: single }),
        (None, Some(order)) => {
            for page in 0..1 << order {
                let gref = frontend.needed(&queue_node(queue, format_args!("ring-ref{page}")))?;
                let _ = ring.push(gref);
            }
        }
    }
    let port = frontend.needed(&queue_node(queue, format_args!("event-channel")))?;
    Ok(QueueLink { port, ring })
}
