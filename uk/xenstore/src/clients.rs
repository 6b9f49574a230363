//! Who is served: the rings of guests, which they grant, and those of unikernels, in memory that root keeps for both.

use crate::memory::Kept;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll};
use libos::Uk;
use libos::channel::Channel;
use libos::event::{self, Event, TooManyPorts};
use libos::grant::{self, Access, MapError, MappedPage};
use libos::kept::SharedMemory;
use libos::uk_abi::register;
use libos::xen_abi::{Domid, GrantRef, Port, XenError};
use ring::xenstore::Interface;

/// Memory that a unikernel shares with the master for its ring is called so in the system description, with any ending.
pub const RING_PREFIX: &str = "store.";

/// Why a ring cannot be served.
#[derive(Debug)]
pub enum RingError {
    /// Its page cannot be mapped.
    Map(MapError),
    /// Its port cannot be bound to.
    Bind(XenError),
    /// There are too many.
    Ports(TooManyPorts),
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(error) => write!(f, "its page: {error}"),
            Self::Bind(error) => write!(f, "its port: {error}"),
            Self::Ports(error) => write!(f, "its port: {error}"),
        }
    }
}

/// How a client is reached.
enum Link {
    Guest { page: MappedPage, event: Event },
    Neighbour { page: &'static grant::Page, channel: Channel },
}

/// A domain with a ring.
pub struct Client {
    /// The domain.
    pub domid: Domid,
    link: Link,
    /// There may be something in its ring.
    pub is_ready: bool,
    /// Its ring makes no sense, and it is not served until it asks for a new beginning.
    pub is_broken: bool,
}

impl Client {
    fn new(domid: Domid, link: Link) -> Self {
        // What came before somebody listened is looked at as well.
        Self { domid, link, is_ready: true, is_broken: false }
    }

    /// Its ring.
    pub fn interface(&self) -> Interface<'_> {
        let page = match &self.link {
            Link::Guest { page, .. } => page,
            Link::Neighbour { page, .. } => *page,
        };
        Interface::new(grant::halves(page))
    }

    /// Tells it to look at its ring.
    pub fn notify(&self) {
        match &self.link {
            // Refused where the other end is just going: then there is nobody to tell.
            Link::Guest { event, .. } => drop(event.notify()),
            Link::Neighbour { channel, .. } => channel.notify(),
        }
    }

    /// Notes whether it has sent an event; if not, `context` is woken by the next.
    pub fn poll(&mut self, context: &mut Context<'_>) {
        let fired = match &self.link {
            Link::Guest { event, .. } => pin!(event.wait()).poll(context),
            Link::Neighbour { channel, .. } => pin!(channel.wait()).poll(context),
        };
        self.is_ready |= fired == Poll::Ready(());
    }

    /// Lets it go: unmaps its page and closes the port.
    pub fn close(self) {
        if let Link::Guest { event, .. } = self.link
            && let Err(error) = event::close(event)
        {
            log::warn!("the port of {}: {error}", self.domid);
        }
    }
}

/// Rings that a unikernel shares with the master, and what the last life has left mapped and bound.
pub struct Rings {
    neighbours: Vec<(Domid, &'static grant::Page, Channel)>,
    mapped: Vec<MappedPage>,
}

impl Rings {
    /// Finds them. `others` are the other instances.
    pub fn find(uk: &Uk, others: &[Domid]) -> Self {
        let shared = uk.info().shared().iter().filter_map(|info| uk.shared(info.name()));
        let rings = shared.filter(|memory| memory.name().starts_with(RING_PREFIX));
        let neighbour = |memory: SharedMemory| {
            let domid = memory.others().find(|domid| !others.contains(domid))?;
            let words: Kept = memory.words();
            Some((domid, words.first_chunk()?, uk.channel(domid)?))
        };
        Self {
            neighbours: rings.filter_map(neighbour).collect(),
            mapped: grant::inherited_mappings().collect(),
        }
    }

    /// Whether there is a ring for a unikernel.
    pub fn has(&self, domid: Domid) -> bool {
        self.neighbours.iter().any(|(neighbour, ..)| *neighbour == domid)
    }

    /// Opens the ring of a domain: its own memory if there is some, otherwise what the register says.
    ///
    /// # Errors
    /// [`RingError`].
    pub fn open(&mut self, domid: Domid, ring: Option<register::Ring>) -> Result<Option<Client>, RingError> {
        if let Some((_, page, channel)) = self.neighbours.iter().find(|(neighbour, ..)| *neighbour == domid) {
            return Ok(Some(Client::new(domid, Link::Neighbour { page, channel: *channel })));
        }
        let Some(ring) = ring else { return Ok(None) };
        let reference = GrantRef(ring.reference);
        let left = self.mapped.iter().position(|page| (page.from(), page.reference()) == (domid, reference));
        let page = match left {
            Some(index) => self.mapped.swap_remove(index),
            None => MappedPage::map(domid, reference, Access::ReadWrite).map_err(RingError::Map)?,
        };
        let port = match event::bound_to(domid, Port(ring.port)) {
            Some(port) => port,
            None => event::bind_interdomain(domid, Port(ring.port)).map_err(RingError::Bind)?,
        };
        let event = Event::listen(port).map_err(RingError::Ports)?;
        Ok(Some(Client::new(domid, Link::Guest { page, event })))
    }

    /// Lets go of what the last life had mapped and bound and nobody has asked for since.
    pub fn drop_leftovers(&mut self, clients: &[Client]) {
        self.mapped.clear();
        let ports = clients.iter().filter_map(|client| match &client.link {
            Link::Guest { event, .. } => Some(event.port()),
            Link::Neighbour { .. } => None,
        });
        let ports: Vec<Port> = ports.collect();
        match event::close_leftovers(&ports) {
            Ok(0) => {}
            Ok(count) => log::info!("{count} ports of domains that are gone closed"),
            Err(error) => log::warn!("ports of domains that are gone: {error}"),
        }
    }
}
