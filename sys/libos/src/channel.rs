//! Event channels to the unikernels that this one shares memory with: one to each, whatever becomes of either side.
//!
//! Of two the one with the lower number has the port, and the other binds to it; root tells both which port that is
//! ([`Offer`]). A micro-reboot keeps the port. After a rebuild of either side it is bound anew, without the program's
//! doing, and whoever waits at it is woken once: an event that was sent meanwhile may be lost, so who wakes looks at the
//! shared memory, and who starts looks before it waits.

use crate::event::{self, Event, PortState};
use crate::start;
use core::cell::RefCell;
use core::future::poll_fn;
use core::task::{Poll, Waker};
use critical_section::Mutex;
use heapless::Vec;
use uk_abi::kept::{Offer, domains};
use xen_abi::{Domid, Port};

/// Peers that a unikernel can have.
const MAX_CHANNELS: usize = 32;

/// One end of a channel, as this life has it.
struct End {
    peer: Domid,
    /// This domain's port, if there is one: the peer may not have been built yet.
    port: Option<Port>,
    /// The offer that it belongs to, or that could not be taken up.
    offer: Option<Offer>,
    /// Who waits for it while there is no port.
    waker: Option<Waker>,
}

static ENDS: Mutex<RefCell<Vec<End, MAX_CHANNELS>>> = Mutex::new(RefCell::new(Vec::new()));

/// A channel to another unikernel.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    peer: Domid,
}

impl Channel {
    pub(crate) fn to(peer: Domid) -> Option<Self> {
        let known = critical_section::with(|cs| ENDS.borrow_ref(cs).iter().any(|end| end.peer == peer));
        known.then_some(Self { peer })
    }

    /// Whom it leads to.
    pub const fn peer(&self) -> Domid {
        self.peer
    }

    /// Sends an event. While the peer is being rebuilt there is nobody to get it: it looks when it is back.
    pub fn notify(&self) {
        if let Some(port) = self.port() {
            // Refused where the peer is just going: as above.
            let _ = event::send(port);
        }
    }

    /// Waits for an event; those that came since the last wait count as one. One task waits at a channel.
    pub async fn wait(&self) {
        poll_fn(|context| match self.port() {
            Some(port) => event::poll_fired(port, context),
            None => {
                critical_section::with(|cs| {
                    let mut ends = ENDS.borrow_ref_mut(cs);
                    if let Some(end) = ends.iter_mut().find(|end| end.peer == self.peer) {
                        end.waker = Some(context.waker().clone());
                    }
                });
                Poll::Pending
            }
        })
        .await;
    }

    fn port(&self) -> Option<Port> {
        critical_section::with(|cs| {
            let ends = ENDS.borrow_ref(cs);
            ends.iter().find(|end| end.peer == self.peer).and_then(|end| end.port)
        })
    }
}

/// Finds the ends that this domain has, and the ports that its peers offer.
pub(crate) fn start() {
    let info = start::boot_info();
    let members = info.shared().iter().fold(0, |set, shared| set | shared.members);
    for peer in domains(members).filter(|peer| *peer != info.domid) {
        let mut end = End { peer: Domid(peer), port: None, offer: None, waker: None };
        if let Some(offer) = start::health().offer(peer) {
            if peer > info.domid {
                end.port = Some(Port(offer.port));
                listen(&end);
            } else if let Some(port) = bound_to(end.peer, offer) {
                (end.port, end.offer) = (Some(port), Some(offer));
                listen(&end);
            }
        }
        // There are no more peers than there is room for.
        let _ = critical_section::with(|cs| ENDS.borrow_ref_mut(cs).push(end));
    }
    refresh();
}

/// The port that an earlier life of this domain has bound to an offer of `peer`. Others that led there are closed.
fn bound_to(peer: Domid, offer: Offer) -> Option<Port> {
    let mut found = None;
    for port in (1..event::MAX_PORTS as u32).map(Port) {
        let Ok(status) = event::status(Domid::SELF, port) else { break };
        match status.state() {
            Some(PortState::Interdomain(to, there)) if to == peer && there.0 == offer.port => {
                found = Some(port)
            }
            Some(PortState::Interdomain(to, _) | PortState::Unbound(to)) if to == peer => {
                // It is open: nothing else is there to be refused.
                let _ = pv::event::close(port);
            }
            _ => {}
        }
    }
    found
}

/// Takes up what peers with lower numbers offer anew. Costs a load for each while there is nothing new.
pub(crate) fn refresh() {
    let own = Domid(start::boot_info().domid);
    critical_section::with(|cs| {
        for end in ENDS.borrow_ref_mut(cs).iter_mut().filter(|end| end.peer < own) {
            let offer = start::health().offer(end.peer.0);
            if let Some(offer) = offer.filter(|offer| end.offer != Some(*offer)) {
                take_up(end, offer);
            }
        }
    });
}

fn take_up(end: &mut End, offer: Offer) {
    let old = end.port.take();
    end.offer = Some(offer);
    match pv::event::bind_interdomain(end.peer, Port(offer.port)) {
        Ok(port) => {
            end.port = Some(port);
            match old {
                Some(old) => event::replace(old, port),
                None => listen(end),
            }
            if let Some(waker) = end.waker.take() {
                waker.wake();
            }
        }
        // The peer is gone again already, and its next domain will offer another port.
        Err(error) => log::warn!("domain {} offers port {}: {error}", end.peer, offer.port),
    }
    if let Some(old) = old {
        if end.port.is_none() {
            event::forget(old);
        }
        // It led to a domain that is gone.
        let _ = pv::event::close(old);
    }
}

/// Has the executor wait for the port of `end`.
///
/// # Panics
/// If there is no room for another port.
fn listen(end: &End) {
    if let Some(Err(error)) = end.port.map(Event::listen) {
        panic!("{error}");
    }
}

/// Whether `port` is an end of a channel.
pub(crate) fn has(port: Port) -> bool {
    critical_section::with(|cs| ENDS.borrow_ref(cs).iter().any(|end| end.port == Some(port)))
}
