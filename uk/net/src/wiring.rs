//! The ends of a guest's interface in this domain: its rings, mapped; its event channels, bound.

use alloc::vec::Vec;
use core::fmt;
use core::task::Context;
use libos::event::{self, BindError, Event};
use libos::grant::{self, Access, MapError, MappedPage};
use libos::xen_abi::{Domid, GrantRef, Port};
use network::netback::{FrontendKeys, NetControl, Notify, QueueRings};
use ring::Page;
use ring::request::{BadSize, Protocol, Ring};

/// Why an interface cannot be wired.
#[derive(Debug)]
pub enum WiringError {
    /// A ring's page cannot be mapped.
    Map(MapError),
    /// A port cannot be bound to.
    Bind(BindError),
    /// A ring has no size that rings have.
    Size(BadSize),
}

impl fmt::Display for WiringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(error) => error.fmt(f),
            Self::Bind(error) => error.fmt(f),
            Self::Size(error) => error.fmt(f),
        }
    }
}

/// A guest's interface, mapped and bound.
pub struct Wiring {
    /// The rings of each queue.
    pub queues: Vec<QueueRings<'static>>,
    /// The control ring, if there is one.
    pub control: Option<Ring<'static, NetControl>>,
    /// The page of each transmit ring, for whoever watches.
    pub transmit: Vec<&'static Page>,
    /// That of each receive ring.
    pub receive: Vec<&'static Page>,
    /// Whom to notify of what: for transmit rings, receive rings and the control ring.
    ports: [Vec<Port>; 3],
    events: Vec<Event>,
    pages: Vec<MappedPage>,
}

impl Wiring {
    /// Maps and binds what `keys` of `domid` say. What `leftovers` of an earlier life are mapped already is taken from
    /// there, and a port that it has bound is taken over: an event may have been lost, so the rings are to be looked at.
    ///
    /// # Errors
    /// [`WiringError`]; then nothing stays mapped or bound.
    pub fn connect(
        domid: Domid,
        keys: &FrontendKeys,
        leftovers: &mut Vec<MappedPage>,
    ) -> Result<Self, WiringError> {
        let mut wiring = Self {
            queues: Vec::new(),
            control: None,
            transmit: Vec::new(),
            receive: Vec::new(),
            ports: [const { Vec::new() }; 3],
            events: Vec::new(),
            pages: Vec::new(),
        };
        match wiring.wire(domid, keys, leftovers) {
            Ok(()) => Ok(wiring),
            Err(error) => {
                wiring.close();
                Err(error)
            }
        }
    }

    fn wire(
        &mut self,
        domid: Domid,
        keys: &FrontendKeys,
        leftovers: &mut Vec<MappedPage>,
    ) -> Result<(), WiringError> {
        for queue in &keys.queues {
            let (page, transmit) = self.ring(domid, queue.tx_ring(), leftovers)?;
            let (receive_page, receive) = self.ring(domid, queue.rx_ring(), leftovers)?;
            self.transmit.push(page);
            self.receive.push(receive_page);
            self.queues.push(QueueRings { transmit, receive });
            for (kind, there) in [(0, queue.tx_port()), (1, queue.rx_port())] {
                let port = self.bind(domid, there)?;
                self.ports[kind].push(port);
            }
        }
        if let Some((page, there)) = keys.control() {
            self.control = Some(self.ring(domid, page, leftovers)?.1);
            let port = self.bind(domid, there)?;
            self.ports[2].push(port);
        }
        Ok(())
    }

    fn ring<P: Protocol>(
        &mut self,
        domid: Domid,
        reference: GrantRef,
        leftovers: &mut Vec<MappedPage>,
    ) -> Result<(&'static Page, Ring<'static, P>), WiringError> {
        let is_same = |page: &MappedPage| (page.from(), page.reference()) == (domid, reference);
        let page = match leftovers.iter().position(is_same) {
            Some(index) => leftovers.swap_remove(index),
            None => MappedPage::map(domid, reference, Access::ReadWrite).map_err(WiringError::Map)?,
        };
        let words: &'static Page = grant::halves(page.words());
        self.pages.push(page);
        Ok((words, Ring::new(&[words]).map_err(WiringError::Size)?))
    }

    fn bind(&mut self, domid: Domid, there: Port) -> Result<Port, WiringError> {
        let event = event::connect(domid, there).map_err(WiringError::Bind)?;
        let port = event.port();
        if !self.events.iter().any(|event| event.port() == port) {
            self.events.push(event);
        }
        Ok(port)
    }

    /// The ports that are bound.
    pub fn ports(&self) -> impl Iterator<Item = Port> {
        self.events.iter().map(Event::port)
    }

    /// Sends the events that are due.
    pub fn notify(&self, notify: Notify) {
        let masks = [notify.transmit, notify.receive, u8::from(notify.control)];
        let mut told: Vec<Port> = Vec::new();
        for (ports, mask) in self.ports.iter().zip(masks) {
            for (index, &port) in ports.iter().enumerate() {
                if mask >> index & 1 == 1 && !told.contains(&port) {
                    told.push(port);
                    // Refused where the guest is just going: then there is nobody to tell.
                    let _ = event::send(port);
                }
            }
        }
    }

    /// Sends an event on every port: what an earlier life has not told.
    pub fn notify_all(&self) {
        self.ports().for_each(|port| _ = event::send(port));
    }

    /// Whether the guest has sent an event; if not, `context` is woken by the next.
    pub fn poll(&self, context: &mut Context<'_>) -> bool {
        // All of them: each has to know whom to wake.
        self.events.iter().fold(false, |any, event| any | event.poll(context).is_ready())
    }

    /// Unmaps and closes everything.
    pub fn close(self) {
        for event in self.events {
            let port = event.port();
            if let Err(error) = event::close(event) {
                log::warn!("port {port}: {error}");
            }
        }
    }
}
