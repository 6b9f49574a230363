//! Domains: how their rings come and go, and what the hypervisor tells of them.

use std::collections::BTreeSet;

use tracing::{info, warn};
use xen_abi::Domid;
use xen_abi::xs_wire::ServerFeatures;
use xenstore::{ConnectionId, Damage, DomainAction, Effects, Engine, Item, ItemCursor, Items, Peer};

use super::{Client, Server};
use crate::domains::{DomainState, Event};
use crate::stream::ClientStream;
use crate::trace;

/// Events of the hypervisor that are taken in one round.
const EVENTS: usize = 256;

impl Server {
    /// Serves the rings that were served before, and that of the domain that the daemon runs in.
    pub(super) fn serve_rings(&mut self) {
        let known = self.introduced();
        let Some(hypervisor) = &mut self.hypervisor else { return };
        let own = hypervisor.own_ring();
        match own {
            Ok((page, port)) => self.connect(Domid(0), port, ClientStream::ring(page)),
            Err(error) => warn!("the kernel's own ring cannot be served: {error}"),
        }
        for (domid, gfn, port) in known {
            self.act(DomainAction::Connect { domid, gfn, port });
        }
        self.look_at_domains();
        // Whoever waited for somebody to serve it, or was told nothing in the meantime, looks again.
        let rings: Vec<ConnectionId> = self.ports.values().copied().collect();
        rings.into_iter().for_each(|id| self.notify_always(id));
    }

    /// The domains that are introduced, with frame and port, other than the own one.
    fn introduced(&self) -> Vec<(Domid, u64, u32)> {
        let (mut cursor, mut items) = (ItemCursor::default(), Items::new());
        let mut found = Vec::new();
        loop {
            items.clear();
            let over = self.master.engine().items(&mut cursor, 256, &mut items);
            found.extend(items.list().flatten().filter_map(|item| match item {
                Item::Domain { domid, facts } if facts.introduced && domid != Domid(0) => {
                    Some((domid, facts.gfn, facts.port))
                }
                _ => None,
            }));
            if over {
                return found;
            }
        }
    }

    /// Carries out what the engine wants done for a domain.
    pub(super) fn act(&mut self, action: DomainAction) {
        match action {
            DomainAction::Connect { domid, port, .. } => {
                match self.hypervisor.as_mut().map(|own| own.map(domid)) {
                    Some(Ok(page)) => {
                        let stream = ClientStream::ring(page);
                        let id = ConnectionId::of_domain(domid);
                        let goes_on = self.master.connections().any(|known| known == id);
                        // Whatever is in the ring of a domain that is introduced is from before.
                        if let (false, Some(interface)) = (goes_on, stream.interface()) {
                            interface.reset();
                        }
                        self.connect(domid, port, stream);
                    }
                    Some(Err(error)) => warn!("domain {}: its ring cannot be mapped: {error}", domid.0),
                    None => {
                        info!("domain {} is introduced, and there is no hypervisor to map its ring", domid.0)
                    }
                }
            }
            DomainAction::Reconnect { domid, port } => {
                self.unbind(domid);
                // Its session is over; the next one begins with an empty ring.
                let Some(client) = self.clients.remove(&ConnectionId::of_domain(domid)) else { return };
                if let Some(interface) = client.stream.interface() {
                    interface.reset();
                }
                self.connect(domid, port, client.stream);
            }
            DomainAction::Disconnect { domid } => {
                self.unbind(domid);
                self.clients.remove(&ConnectionId::of_domain(domid));
            }
            DomainAction::Log { on } => {
                trace::switch(on);
                info!("the log of requests is {}", if on { "on" } else { "off" });
            }
        }
    }

    fn connect(&mut self, domid: Domid, port: u32, stream: ClientStream) {
        if let Some(interface) = stream.interface() {
            interface.set_features(ServerFeatures::ERROR);
        }
        let id = ConnectionId::of_domain(domid);
        if let Err(error) = self.master.connect(id, Peer::Domain(domid), &stream) {
            return warn!("domain {} cannot be served: {error:?}", domid.0);
        }
        self.clients.insert(id, Client::new(stream));
        self.bind(domid, port);
        self.queue(id, false);
    }

    fn bind(&mut self, domid: Domid, port: u32) {
        let id = ConnectionId::of_domain(domid);
        let (Some(hypervisor), Some(client)) = (&mut self.hypervisor, self.clients.get_mut(&id)) else {
            return;
        };
        match hypervisor.bind(domid, port) {
            Ok(local) => {
                client.port = Some(local);
                self.ports.insert(local, id);
            }
            Err(error) => warn!("domain {}: no channel to its port {port}: {error}", domid.0),
        }
    }

    fn unbind(&mut self, domid: Domid) {
        let id = ConnectionId::of_domain(domid);
        let port = self.clients.get_mut(&id).and_then(|client| client.port.take());
        if let (Some(hypervisor), Some(port)) = (&mut self.hypervisor, port) {
            self.ports.remove(&port);
            if let Err(error) = hypervisor.unbind(port) {
                warn!("domain {}: {error} at unbinding its port", domid.0);
            }
        }
    }

    /// Takes the hypervisor's events.
    pub(super) fn hear_hypervisor(&mut self) {
        for _ in 0..EVENTS {
            let Some(hypervisor) = &mut self.hypervisor else { return };
            let (port, changed) = match hypervisor.next_event() {
                Ok(Some(Event::Port(port))) => (port, false),
                Ok(Some(Event::DomainsChanged(port))) => (port, true),
                Ok(None) => return,
                Err(error) => return warn!("events cannot be read: {error}"),
            };
            if let Err(error) = hypervisor.listen(port) {
                warn!("port {} cannot be listened to: {error}", port.0);
            }
            if changed {
                self.look_at_domains();
            } else if let Some(id) = self.ports.get(&port).copied() {
                self.queue(id, false);
            }
        }
    }

    /// Tells the engine of the domains that have shut down or are gone.
    fn look_at_domains(&mut self) {
        let Some(hypervisor) = &mut self.hypervisor else { return };
        let states = match hypervisor.states() {
            Ok(states) => states,
            Err(error) => return warn!("the states of domains cannot be read: {error}"),
        };
        // Besides those that are served: those that there were when somebody looked last. They may own nodes.
        let rings = self.clients.keys().filter(|id| **id >= ConnectionId::FIRST_RING);
        let mut domains: BTreeSet<Domid> = rings.map(|id| Domid(id.0 as u16)).collect();
        domains.extend(std::mem::replace(&mut self.domains, states.keys().copied().collect()));
        domains.extend(&self.domains);
        domains.remove(&Domid(0));
        for domid in domains {
            match states.get(&domid) {
                Some(DomainState::Running) => {}
                Some(DomainState::Shutdown) => {
                    self.tell_engine(domid, |engine, effects| engine.domain_shutdown(domid, effects));
                }
                Some(DomainState::Dying) | None => {
                    self.tell_engine(domid, |engine, effects| engine.domain_died(domid, effects));
                }
            }
        }
        self.carry_out();
    }

    fn tell_engine(
        &mut self,
        domid: Domid,
        news: impl FnMut(&mut Engine, &mut Effects) -> Result<(), Damage>,
    ) {
        if !self.master.with_engine(news) {
            warn!("domain {} has changed its state, and the store cannot be told", domid.0);
        }
    }

    /// Tells a domain that something has happened in its ring, if so.
    pub(super) fn notify(&mut self, id: ConnectionId) {
        if self.clients.get_mut(&id).is_some_and(|client| client.stream.take_moved()) {
            self.notify_always(id);
        }
    }

    fn notify_always(&mut self, id: ConnectionId) {
        let port = self.clients.get(&id).and_then(|client| client.port);
        if let (Some(hypervisor), Some(port)) = (&mut self.hypervisor, port)
            && let Err(error) = hypervisor.notify(port)
        {
            warn!("domain {} cannot be notified: {error}", id.0 & 0xffff);
        }
    }
}
