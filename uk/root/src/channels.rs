//! Event channels between components that share memory: see `uk_abi::kept`.
//!
//! Of each pair the one with the lower number has the port. Root makes it when it builds that domain, and says so in
//! the health pages of both; the other binds to it, whenever it is told of a new one.

use crate::component::Component;
use crate::life::{Doing, RepairError};
use heapless::Vec;
use kernel::pv::event;
use uk_abi::kept::{Offer, domains};
use xen_abi::event_channel::PortState;
use xen_abi::{Domid, Port};

/// The most ports that one component offers.
pub const MAX_OFFERS: usize = monitor::MAX_COMPONENTS - 1;

/// Offers by the domain that they are to, or from.
pub type Offers = heapless::LinearMap<u16, Offer, MAX_OFFERS>;

impl Component {
    /// The peers with higher numbers: those it offers ports to.
    fn higher_peers(&self) -> impl Iterator<Item = u16> + Clone + use<> {
        let own = self.domid().0;
        domains(self.lent.members()).filter(move |peer| *peer > own)
    }

    /// Makes its ports, in a domain that is being built for life `built`.
    ///
    /// # Errors
    /// Where Xen refuses one.
    pub fn make_ports(&mut self, built: u32) -> Result<(), RepairError> {
        for peer in self.higher_peers() {
            let port = event::alloc_unbound(self.domid(), Domid(peer)).doing("making a port for a peer")?;
            // There is room for an offer to each peer.
            let _ = self.offers.insert(peer, Offer { built, port: port.0 });
        }
        Ok(())
    }

    /// The ports that it offers, in the order of its peers.
    pub fn offered_ports(&self) -> Vec<u32, MAX_OFFERS> {
        self.higher_peers().filter_map(|peer| self.offers.get(&peer)).map(|offer| offer.port).collect()
    }

    /// Takes `ports` over, which a last life of root has made for life `built`; answers whether they are still what they
    /// were.
    pub fn adopt_ports(&mut self, built: u32, ports: &[u32]) -> bool {
        let own = self.domid();
        let mut peers = self.higher_peers();
        let sound = ports.iter().zip(&mut peers).all(|(&port, peer)| {
            let _ = self.offers.insert(peer, Offer { built, port });
            let state = event::status(own, Port(port)).ok().and_then(|status| status.state());
            match state {
                Some(PortState::Unbound(to)) => to == Domid(peer),
                Some(PortState::Interdomain(to, _)) => to == Domid(peer),
                _ => false,
            }
        });
        sound && peers.next().is_none()
    }

    /// Tells it which ports lead to its peers, in a health page that it does not look at yet.
    pub fn show_offers(&self) {
        let Some(health) = self.health() else { return };
        for (peer, offer) in &self.offers {
            health.set_offer(*peer, Some(*offer));
        }
    }
}

/// Tells the peers of the component at `index` of the ports that it offers them since it was built.
pub fn tell_peers(components: &mut [Component], index: usize) {
    let own = components[index].domid().0;
    for peer in components[index].higher_peers() {
        let Some(&offer) = components[index].offers.get(&peer) else { continue };
        let Some(other) = components.get_mut(usize::from(peer) - 1) else { continue };
        // There is room for an offer from each peer.
        let _ = other.offers.insert(own, offer);
        if let Some(health) = other.health() {
            health.set_offer(own, Some(offer));
            other.ring();
        }
    }
}
