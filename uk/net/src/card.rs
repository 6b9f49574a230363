//! A card and its driver, as the plane sees them. A driver that crashes takes nothing with it: every call into it is
//! contained, and after the first one that fails there are no more.

use crate::machine::Machine;
use alloc::boxed::Box;
use alloc::vec;
use core::fmt;
use heapless::Vec;
use libos::contain::{Crashed, contain};
use libos::dma::{DmaPlace, Span};
use libos::e1000e::{E1000e, SetUpError};
use libos::fault;
use libos::nic::{self, CardError, Checked, Cut, MAX_PIECES, Nic, Sum, Unread, Work};
use libos::uk_abi::device_info::DeviceInfo;
use libos::virtio::{DeviceError, Net};
use network::netback::{
    Abilities, Checksum, Family, Found, FrameId, HEADROOM, Offload, PageId, Pages, Pool, Transport,
};
use network::switch::EthernetAddress;
use network::{Arrived, Card, CardConfig, DriverFault};

/// The most frames that a driver which hangs still takes.
const SWALLOWED: usize = 64;

/// How a driver has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It crashed.
    Crashed(Crashed),
    /// It has said what no driver says.
    Lied(DriverFault),
    /// Its card has said what no card says.
    Card,
    /// Its card has stopped.
    Stopped,
    /// It has frames, and for so long, in microseconds, none came back.
    Stuck(u64),
    /// There is none: the card cannot be driven, or was given up for a while.
    Absent,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crashed(crashed) => crashed.fmt(f),
            Self::Lied(fault) => write!(f, "it broke the rules: {fault:?}"),
            Self::Card => f.write_str("the card broke the rules"),
            Self::Stopped => f.write_str("the card has stopped"),
            Self::Stuck(for_us) => write!(f, "no frame came back for {for_us} us"),
            Self::Absent => f.write_str("there was none"),
        }
    }
}

impl Failure {
    /// Whether it was found out by waiting.
    pub const fn is_hang(&self) -> bool {
        matches!(self, Self::Stuck(_))
    }
}

/// What a driver was told to fail by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doom {
    /// It crashes at the next call.
    Crash,
    /// It takes what it is given, and does nothing.
    Hang,
}

/// Why a card cannot be driven.
#[derive(Debug)]
pub enum OpenError {
    /// A virtio card.
    Virtio(DeviceError),
    /// An 82574L.
    E1000e(SetUpError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Virtio(error) => error.fmt(f),
            Self::E1000e(error) => error.fmt(f),
        }
    }
}

/// Why there is no new driver.
#[derive(Debug)]
pub enum RestartError {
    /// It crashed while it was being made, or the old one while it was being dropped.
    Crashed(Crashed),
    /// The card cannot be driven.
    Device(OpenError),
}

impl fmt::Display for RestartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crashed(crashed) => crashed.fmt(f),
            Self::Device(error) => error.fmt(f),
        }
    }
}

/// Where frames lie, and the ring of those that are received.
#[derive(Clone, Copy)]
struct Memory {
    pool: DmaPlace,
    ring: DmaPlace,
}

/// The driver of a card, whichever life of the driver that is.
pub struct Driver {
    device: &'static DeviceInfo,
    memory: Memory,
    /// What the driver before this one has left.
    unread: vec::IntoIter<Unread>,
    nic: Option<Box<dyn Nic>>,
    mac: EthernetAddress,
    failure: Option<Failure>,
    doom: Option<Doom>,
    swallowed: usize,
}

impl Driver {
    /// Sets the device `place` up, which has been reset, with frames in the memory of `machine`; none if no driver here is for it. If it
    /// cannot be driven the driver has [failed](Failure::Absent), and why is said too.
    pub fn new(
        place: usize,
        device: &'static DeviceInfo,
        machine: &Machine,
    ) -> Option<(Self, Result<(), OpenError>)> {
        let memory = Memory { pool: machine.pool(), ring: machine.ring(place) };
        let unread = nic::unread(device, memory.ring, memory.pool).into_iter();
        let (nic, failure, opened) = match open(device, memory)? {
            Ok(nic) => (Some(nic), None, Ok(())),
            Err(error) => (None, Some(Failure::Absent), Err(error)),
        };
        let mac = nic.as_ref().map_or_else(EthernetAddress::default, |nic| EthernetAddress(nic.mac()));
        Some((Self { device, memory, unread, nic, mac, failure, doom: None, swallowed: 0 }, opened))
    }

    /// How it has failed, if it has.
    pub const fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// It has failed in a way that others have noticed.
    pub fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    /// Asks the card whether it works; one that was stopped has nothing else to say.
    pub fn ask(&mut self) {
        if self.with(false, |nic| Ok(nic.is_stopped())) {
            self.fail(Failure::Stopped);
        }
    }

    /// An interrupt has come: by a line, the card has to be told.
    pub fn acknowledge(&mut self) {
        self.with((), |nic| {
            nic.acknowledge();
            Ok(())
        });
    }

    /// Has the card interrupt for what it does next. Returns whether it has done something meanwhile.
    pub fn arm(&mut self) -> bool {
        !self.hangs() && self.with(false, |nic| Ok(nic.arm()))
    }

    /// Has it fail.
    pub fn doom(&mut self, doom: Doom) {
        self.doom = Some(doom);
    }

    /// Resets the card and makes a new driver. What an old one has left is found only if there was one until now: its frames' pages may have
    /// others in them by the time that a card which was without comes back.
    ///
    /// # Errors
    /// [`RestartError`]: then there is none.
    pub fn restart(&mut self) -> Result<(), RestartError> {
        let old = self.nic.take();
        let Self { device, memory, .. } = *self;
        let made = contain(|| {
            let unread = old.map(|old| {
                drop(old);
                nic::unread(device, memory.ring, memory.pool)
            });
            (unread.unwrap_or_default(), open(device, memory))
        });
        let (unread, nic) = made.map_err(RestartError::Crashed)?;
        let nic = nic.transpose().map_err(RestartError::Device)?;
        self.unread = unread.into_iter();
        (self.nic, self.failure, self.doom, self.swallowed) = (nic, None, None, 0);
        Ok(())
    }

    /// Ends the driver, and with it what the card does, until it is [made anew](Self::restart).
    ///
    /// # Panics
    /// If it crashes of that: the card may do anything then, until root has reset it.
    pub fn end(&mut self) {
        let old = self.nic.take();
        if let Err(crashed) = contain(|| drop(old)) {
            panic!("a card cannot be stopped: {crashed}");
        }
        self.fail(Failure::Absent);
    }

    /// Does something with the driver, unless it has failed; `otherwise` if it has, or does now.
    fn with<R>(&mut self, otherwise: R, work: impl FnOnce(&mut dyn Nic) -> Result<R, CardError>) -> R {
        let Self { nic: Some(nic), failure: None, doom, .. } = self else { return otherwise };
        let crashes = *doom == Some(Doom::Crash);
        let done = contain(|| {
            if crashes {
                fault::crash();
            }
            work(&mut **nic)
        });
        let failure = match done {
            Ok(Ok(result)) => return result,
            Ok(Err(CardError)) => Failure::Card,
            Err(crashed) => Failure::Crashed(crashed),
        };
        self.fail(failure);
        otherwise
    }

    fn hangs(&self) -> bool {
        self.doom == Some(Doom::Hang)
    }
}

/// The driver for `device`, if there is one.
fn open(
    device: &'static DeviceInfo,
    Memory { pool, ring }: Memory,
) -> Option<Result<Box<dyn Nic>, OpenError>> {
    let virtio = || Net::new(device, pool, ring).map(|net| net.map(boxed).map_err(OpenError::Virtio));
    let intel = || E1000e::new(device, pool, ring).map(|card| card.map(boxed).map_err(OpenError::E1000e));
    virtio().or_else(intel)
}

fn boxed(nic: impl Nic + 'static) -> Box<dyn Nic> {
    Box::new(nic)
}

/// Where frames lie, as drivers name it.
fn spans(frame: FrameId, pool: &Pool) -> Vec<Span, MAX_PIECES> {
    pool.pieces(frame, 0)
        .map(|piece| Span { page: piece.page.0.into(), offset: piece.offset, length: piece.length })
        .collect()
}

/// What is known of a frame whose checksum a card has checked.
const fn offload(checked: Checked) -> Offload {
    let checksum = match checked {
        Checked::No => Checksum::Unknown,
        Checked::Yes => Checksum::Valid,
        Checked::Blank => Checksum::Blank,
    };
    Offload { checksum, segments: None }
}

/// What the card has to do to a frame.
fn work(frame: FrameId, pool: &Pool, pages: &impl Pages) -> Work {
    let Offload { checksum, segments } = pool.offload(frame);
    let transport = if checksum == Checksum::Blank || segments.is_some() {
        Transport::locate(pool.head(frame, pages))
    } else {
        None
    };
    let Some(transport) = transport else { return Work::default() };
    let sum = Sum { start: transport.start as u16, field: (transport.field - transport.start) as u16 };
    let cut = segments.map(|segments| Cut {
        headers: transport.payload as u16,
        size: segments.size.get(),
        is_v6: segments.family == Family::TcpV6,
    });
    Work { sum: Some(sum), cut }
}

impl Card for Driver {
    /// A card here hears everything from the start, and its queues are as large as they are.
    fn configure(&mut self, _: &CardConfig) {}

    fn mac(&self) -> EthernetAddress {
        self.mac
    }

    fn is_linked(&self) -> bool {
        self.nic.as_ref().is_some_and(|nic| nic.is_linked())
    }

    fn abilities(&self) -> Abilities {
        let offloads = self.nic.as_ref().map(|nic| nic.offloads()).unwrap_or_default();
        Abilities {
            checksum_v4: offloads.checksum,
            checksum_v6: offloads.checksum,
            segments_v4: offloads.tcp_v4,
            segments_v6: offloads.tcp_v6,
        }
    }

    fn room(&self) -> usize {
        match &self.nic {
            Some(_) if self.hangs() => SWALLOWED - self.swallowed,
            Some(nic) if self.failure.is_none() => nic.room(),
            _ => 0,
        }
    }

    fn send(&mut self, frame: FrameId, pool: &Pool, pages: &impl Pages) {
        if self.hangs() {
            self.swallowed += 1;
            return;
        }
        let (work, spans) = (work(frame, pool, pages), spans(frame, pool));
        self.with((), |nic| nic.send(frame.0, work, &spans));
    }

    fn sent(&mut self) -> Option<FrameId> {
        if self.hangs() {
            return None;
        }
        self.with(None, |nic| nic.sent()).map(FrameId)
    }

    fn post(&mut self, frame: FrameId, pool: &Pool, _: &impl Pages) {
        if let [span] = spans(frame, pool)[..] {
            self.with((), |nic| nic.post(frame.0, span));
        }
    }

    fn arrived(&mut self) -> Option<Arrived> {
        if self.hangs() {
            return None;
        }
        let received = self.with(None, |nic| nic.received())?;
        let offload = offload(received.checked);
        Some(Arrived { frame: FrameId(received.number), length: received.length, offload })
    }

    fn settle(&mut self) {
        if !self.hangs() {
            self.with((), |nic| {
                nic.settle();
                Ok(())
            });
        }
    }

    fn unread(&mut self) -> Option<Found> {
        // Whatever lies elsewhere is no frame of the pool's.
        let frame = |Unread { span, checked }| {
            let pages = [PageId(span.page as u16)].into_iter().collect();
            (span.offset == HEADROOM).then_some(Found {
                pages,
                length: span.length,
                offload: offload(checked),
            })
        };
        self.unread.by_ref().find_map(frame)
    }

    fn kick(&mut self) {
        self.with((), |nic| {
            nic.kick();
            Ok(())
        });
    }
}
