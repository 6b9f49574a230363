//! Event channels as something to await.

use crate::{channel, start};
use core::cell::RefCell;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use critical_section::Mutex;
use heapless::Vec;
use xen_abi::{Domid, Port, XenError};

pub use pv::event::{alloc_unbound, bind_interdomain, bind_ipi, bind_pirq, bind_virq, send, status};
pub use xen_abi::event_channel::PortState;

/// Ports that a unikernel can await, which is what one `SCHEDOP_poll` takes.
pub const MAX_PORTS: usize = 128;

#[derive(Clone)]
struct Awaited {
    port: Port,
    fired: bool,
    waker: Option<Waker>,
}

static AWAITED: Mutex<RefCell<Vec<Awaited, MAX_PORTS>>> = Mutex::new(RefCell::new(Vec::new()));

/// An event channel of this domain, open or bound by root or by this unikernel.
#[derive(Debug)]
pub struct Event {
    port: Port,
}

/// There is no room for another awaited port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyPorts;

impl core::fmt::Display for TooManyPorts {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "a unikernel can await {MAX_PORTS} ports at most")
    }
}

impl core::error::Error for TooManyPorts {}

impl Event {
    /// Starts to listen on `port`.
    ///
    /// # Errors
    /// [`TooManyPorts`].
    pub fn listen(port: Port) -> Result<Self, TooManyPorts> {
        critical_section::with(|cs| {
            let mut awaited = AWAITED.borrow_ref_mut(cs);
            if !awaited.iter().any(|entry| entry.port == port) {
                awaited.push(Awaited { port, fired: false, waker: None }).map_err(|_| TooManyPorts)?;
            }
            Ok(Self { port })
        })
    }

    /// The port.
    pub const fn port(&self) -> Port {
        self.port
    }

    /// Waits for an event; those that came since the last wait count as one. One task waits for a port.
    pub async fn wait(&self) {
        poll_fn(|context| poll_fired(self.port, context)).await;
    }

    /// Whether there was an event since the last look; if not, `context` is woken by the next.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        poll_fired(self.port, context)
    }

    /// Sends an event to the other end.
    ///
    /// # Errors
    /// Xen's: the port is bound to nothing that can be sent to.
    pub fn notify(&self) -> pv::Result {
        send(self.port)
    }
}

/// The port of this domain that an earlier life has bound to `there` of `domid`: whoever was at the other end then is there still.
pub fn bound_to(domid: Domid, there: Port) -> Option<Port> {
    let ports = (1..MAX_PORTS as u32).map(Port);
    let mut states = ports.map_while(|port| Some((port, status(Domid::SELF, port).ok()?.state())));
    states.find(|(_, state)| *state == Some(PortState::Interdomain(domid, there))).map(|(port, _)| port)
}

/// Whether there was an event on `port`, which is awaited; if not, `context` is woken by the next.
pub(crate) fn poll_fired(port: Port, context: &mut Context<'_>) -> Poll<()> {
    critical_section::with(|cs| {
        let mut awaited = AWAITED.borrow_ref_mut(cs);
        let Some(entry) = awaited.iter_mut().find(|entry| entry.port == port) else { return Poll::Pending };
        if core::mem::take(&mut entry.fired) || start::shared_info().take_pending(port) {
            return Poll::Ready(());
        }
        entry.waker = Some(context.waker().clone());
        Poll::Pending
    })
}

/// Has what waits for `old` wait for `new` instead, and wakes it.
pub(crate) fn replace(old: Port, new: Port) {
    critical_section::with(|cs| {
        let mut awaited = AWAITED.borrow_ref_mut(cs);
        if let Some(entry) = awaited.iter_mut().find(|entry| entry.port == old) {
            (entry.port, entry.fired) = (new, true);
            if let Some(waker) = entry.waker.take() {
                waker.wake();
            }
        }
    });
}

/// Stops waiting for `port`.
pub(crate) fn forget(port: Port) {
    critical_section::with(|cs| AWAITED.borrow_ref_mut(cs).retain(|entry| entry.port != port));
}

/// Binds to the port `there` of another domain, or finds the port that an earlier life of this one has bound to it. An
/// event that was sent meanwhile may be lost: look at what it would have told of.
///
/// # Errors
/// [`BindError`].
pub fn connect(domid: Domid, there: Port) -> Result<Event, BindError> {
    let port = match bound_to(domid, there) {
        Some(port) => port,
        None => bind_interdomain(domid, there).map_err(BindError::Xen)?,
    };
    Event::listen(port).map_err(BindError::Ports)
}

/// Why there is no event channel to another domain.
#[derive(Clone, Copy, Debug)]
pub enum BindError {
    /// Xen refuses.
    Xen(XenError),
    /// There is no room for its port.
    Ports(TooManyPorts),
}

impl core::fmt::Display for BindError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Xen(error) => write!(f, "its port cannot be bound to: {error}"),
            Self::Ports(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for BindError {}

/// Closes what a last life has opened and this one does not know: every port but `keep`, the doorbell and the channels. A micro-reboot
/// keeps event channels, so a program that opens some calls this at its start, or they add up. Answers how many there
/// were.
///
/// # Errors
/// Xen's: a port cannot be closed.
pub fn close_leftovers(keep: &[Port]) -> pv::Result<usize> {
    let mut closed = 0;
    for port in (1..MAX_PORTS as u32).map(Port) {
        let is_open =
            pv::event::status(Domid::SELF, port).is_ok_and(|s| s.state() != Some(PortState::Closed));
        if is_open
            && port.0 != start::boot_info().doorbell_port
            && !keep.contains(&port)
            && !channel::has(port)
        {
            pv::event::close(port)?;
            closed += 1;
        }
    }
    Ok(closed)
}

/// Closes `event`'s port; nobody can wait for it any more.
///
/// # Errors
/// Xen's: the port is not open.
pub fn close(event: Event) -> pv::Result {
    forget(event.port);
    pv::event::close(event.port)
}

/// Takes pending events and wakes who waits for them; answers whether there was any.
pub(crate) fn wake_pending() -> bool {
    let shared = start::shared_info();
    critical_section::with(|cs| {
        let mut any = false;
        for entry in AWAITED.borrow_ref_mut(cs).iter_mut() {
            if shared.take_pending(entry.port) {
                any = true;
                entry.fired = true;
                if let Some(waker) = entry.waker.take() {
                    waker.wake();
                }
            }
        }
        any
    })
}

/// Waits for an event on an awaited port, at most until `until_us`.
pub(crate) fn wait(until_us: u64) {
    let ports: Vec<Port, MAX_PORTS> =
        critical_section::with(|cs| AWAITED.borrow_ref(cs).iter().map(|entry| entry.port).collect());
    if let Err(error) = pv::sched::poll(&ports, until_us.saturating_mul(1000)) {
        // A port of the list is not open. What waits for it waits in vain, the rest must not.
        log::error!("poll of {} ports: {error}", ports.len());
        pv::sched::yield_now();
    }
}
