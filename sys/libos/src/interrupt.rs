//! A device's interrupt as something to await, however it comes.

use crate::event::{Event, MAX_PORTS, TooManyPorts};
use embassy_futures::select::select;
use embassy_time::Timer;
use uk_abi::device_info::{DeviceInfo, IrqKind};
use xen_abi::errno::Errno;
use xen_abi::event_channel::PortState;
use xen_abi::{Domid, Port, XenError};

/// How often a device is looked at that cannot interrupt: an interrupt's delay under emulation.
const POLL_US: u64 = 1_000;

/// How often one is looked at whose line may be shared: who shares it and does not acknowledge it, being
/// dead, keeps it silent for all.
const LINE_POLL_US: u64 = 5_000;

/// A device's interrupt.
#[derive(Debug)]
pub struct Interrupt {
    kind: IrqKind,
    /// The pirq and its event.
    bound: Option<(u32, Event)>,
}

/// Why a device's interrupt cannot be awaited.
#[derive(Clone, Copy, Debug)]
pub enum InterruptError {
    /// Xen does not let this domain have it.
    Xen(XenError),
    /// No room for its port.
    Ports(TooManyPorts),
}

impl core::fmt::Display for InterruptError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Xen(error) => write!(f, "the interrupt cannot be bound: {error}"),
            Self::Ports(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for InterruptError {}

impl From<XenError> for InterruptError {
    fn from(error: XenError) -> Self {
        Self::Xen(error)
    }
}

impl Interrupt {
    /// The first interrupt of `device`. A life that follows another one in the same domain finds it bound,
    /// and takes it over.
    ///
    /// # Errors
    /// [`InterruptError`].
    pub fn of(device: &DeviceInfo) -> Result<Self, InterruptError> {
        let kind = device.irq_kind();
        let Some(&pirq) = device.pirqs().first() else {
            return Ok(Self { kind: IrqKind::Poll, bound: None });
        };
        let port = match pv::irq::bind(pirq, kind == IrqKind::Intx) {
            Err(error) if error.is(Errno::Eexist) => bound_port(pirq).ok_or(error)?,
            answer => answer?,
        };
        let event = Event::listen(port).map_err(InterruptError::Ports)?;
        let interrupt = Self { kind, bound: Some((pirq, event)) };
        // The last life may have died between an interrupt and its end.
        interrupt.done();
        Ok(interrupt)
    }

    /// How it comes.
    pub fn kind(&self) -> IrqKind {
        self.kind
    }

    /// Its port, if it has one.
    pub fn port(&self) -> Option<Port> {
        self.bound.as_ref().map(|(_, event)| event.port())
    }

    /// Waits until the device may want something.
    pub async fn wait(&self) {
        match &self.bound {
            Some((_, event)) if self.kind != IrqKind::Intx => event.wait().await,
            Some((_, event)) => {
                // Whichever it was, the caller looks at the device.
                let _ = select(event.wait(), Timer::after_micros(LINE_POLL_US)).await;
            }
            None => Timer::after_micros(POLL_US).await,
        }
    }

    /// Ends an interrupt, when the device does not assert its line any more; messages need no end.
    pub fn done(&self) {
        if let (IrqKind::Intx, Some((pirq, _))) = (self.kind, &self.bound) {
            // Refused where the line is not waiting for it.
            let _ = pv::irq::end(*pirq);
        }
    }
}

/// The port that `pirq` is bound to already.
fn bound_port(pirq: u32) -> Option<Port> {
    (1..MAX_PORTS as u32).map(Port).find(|port| {
        pv::event::status(Domid::SELF, *port).is_ok_and(|s| s.state() == Some(PortState::Pirq(pirq)))
    })
}
