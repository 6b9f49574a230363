//! What is answered.

use builder::steps::MAX_EXTENTS;
use core::fmt;
use heapless::{String, Vec};
use serde::{Deserialize, Serialize};
use xen_abi::domctl::DomainHandle;
use xen_abi::errno::{Errno, XenError};
use xen_abi::{Domid, Mfn, Port};

/// What came of a request.
pub type Outcome = Result<Answer, Refusal>;

/// What carrying a request out has brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It is done.
    Done,
    /// The domain exists.
    Created {
        /// Its number.
        domain: Domid,
        /// The frame that Xen shares with it.
        shared_info: Mfn,
    },
    /// The first frame of each extent, in order. There may be fewer than were asked for.
    Frames(Vec<Mfn, MAX_EXTENTS>),
    /// The domain's new port.
    Port(Port),
    /// A part of it is done: the same is to be asked for again.
    Again,
    /// A domain and its UUID; none if there is no such domain.
    Domain(Option<(Domid, DomainHandle)>),
    /// What has become of a domain.
    Info(DomainInfo),
    /// What the host has left.
    Host(HostInfo),
    /// What a vCPU is doing.
    Vcpu(VcpuInfo),
    /// What a component is doing; none if there are not so many.
    Component(Option<ComponentInfo>),
    /// A line of the event log; none if there is none yet.
    Event(Option<EventLine>),
}

/// The most bytes of a line of the event log: what an answer has room for.
pub const EVENT_TEXT: usize = 224;

/// A line of the event log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLine {
    /// Its number.
    pub sequence: u64,
    /// When it was noted, in microseconds since Xen has booted.
    pub at_us: u64,
    /// What it says.
    pub text: String<EVENT_TEXT>,
}

/// What a vCPU is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VcpuInfo {
    /// Whether it is up.
    pub online: bool,
    /// Whether it waits for an event.
    pub blocked: bool,
    /// Whether it has a CPU.
    pub running: bool,
    /// The CPU that it had last.
    pub cpu: u32,
    /// Its CPU time, in ns.
    pub cpu_time_ns: u64,
}

/// What a component is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentInfo {
    /// Its name.
    pub name: String<{ uk_abi::boot_info::NAME_MAX }>,
    /// How it is, in root's words: `healthy`, `starting`, `held` ...
    pub state: String<16>,
    /// The number of its domain.
    pub domain: Domid,
    /// Lives that it has had.
    pub incarnation: u64,
    /// Heartbeats of this one.
    pub beats: u64,
    /// How it has failed last, if it has: root's word for it, and when that was found.
    pub fault: Option<(String<16>, u64)>,
}

/// What has become of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainInfo {
    /// Whether it runs.
    pub state: DomainState,
    /// Its pages.
    pub pages: u64,
    /// The most that it may have.
    pub max_pages: u64,
    /// The CPU time of all its vCPUs, in ns.
    pub cpu_time_ns: u64,
    /// How many vCPUs are up.
    pub vcpus: u32,
    /// The frame that Xen shares with it.
    pub shared_info: Mfn,
}

/// Whether a domain runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DomainState {
    /// It runs, or waits for events.
    Running,
    /// It was paused, or has not been started yet.
    Paused,
    /// It has shut down, and is still there.
    ShutDown {
        /// Why: Xen's number of the reason, `SHUTDOWN_*` in its `sched.h`.
        reason: u8,
    },
    /// It is being destroyed.
    Dying,
}

/// What the host has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInfo {
    /// Pages that nobody has.
    pub free_pages: u64,
    /// All pages of the machine.
    pub total_pages: u64,
    /// Its processors.
    pub processors: u32,
    /// The version of Xen.
    pub xen: (u16, u16),
    /// How much memory the asker's domains may have together, in KiB.
    pub guest_memory_kib: u64,
    /// How much of it they may have already.
    pub promised_kib: u64,
}

/// Why a request was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Nothing that can be asked for.
    #[error("nothing that can be asked for")]
    Malformed,
    /// The domain is none of the asker's.
    #[error("{domain} is none of the asker's domains")]
    NotYours {
        /// Which.
        domain: Domid,
    },
    /// One step may not do so much.
    #[error("a {what} of {asked} was asked for, {most} is the most")]
    TooMuch {
        /// Of what.
        what: What,
        /// How much was asked for.
        asked: u64,
        /// How much there may be.
        most: u64,
    },
    /// The asker's domains may not have so much memory.
    #[error("{asked_kib} KiB of memory were asked for, {left_kib} KiB may still be had")]
    Memory {
        /// What was asked for.
        asked_kib: u64,
        /// What the description leaves.
        left_kib: u64,
    },
    /// There is a domain with this UUID.
    #[error("{domain} has this UUID")]
    Exists {
        /// Which.
        domain: Domid,
    },
    /// No number for a domain is left.
    #[error("no number for a domain is left")]
    NoNumber,
    /// The domain was introduced with another ring.
    #[error("it was introduced with another ring")]
    Introduced,
    /// Root was restarted while it was at this: it may be done or not.
    #[error("root was restarted meanwhile: it may be done or not")]
    Interrupted,
    /// The asker has not the capability that this needs.
    #[error("the system description does not let the asker do that")]
    NotAllowed,
    /// There is no component at this place.
    #[error("no component is at place {index}")]
    NoComponent {
        /// The place.
        index: u32,
    },
    /// It cannot be done to this component: it has no domain, or no device that it takes.
    #[error("it cannot be done to this component as things stand")]
    Unable,
    /// Xen refuses it.
    #[error("Xen: {}", XenAnswer(*.0))]
    Xen(i32),
}

/// What a [`Refusal::TooMuch`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// Bytes of a write, a copy, a clear.
    Length,
    /// The end of a copy, in the boot archive.
    ArchiveOffset,
    /// Ranges of a memory map.
    Ranges,
    /// Extents.
    Extents,
    /// log2 of the pages of an extent.
    Order,
    /// vCPUs.
    Vcpus,
    /// Pages of a grant table.
    GrantFrames,
    /// Pages of records of mappings.
    MaptrackFrames,
    /// The highest port.
    Ports,
    /// An entry of a grant table.
    GrantEntry,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "length",
            Self::ArchiveOffset => "place in the archive",
            Self::Ranges => "number of ranges",
            Self::Extents => "number of extents",
            Self::Order => "order",
            Self::Vcpus => "number of vCPUs",
            Self::GrantFrames => "number of grant frames",
            Self::MaptrackFrames => "number of maptrack frames",
            Self::Ports => "highest port",
            Self::GrantEntry => "grant entry",
        })
    }
}

impl Refusal {
    /// Xen's refusal.
    pub fn xen(error: XenError) -> Self {
        match error {
            XenError::Known(errno) => Self::Xen(-(errno.raw() as i32)),
            XenError::Unknown(answer) => Self::Xen(i32::try_from(answer).unwrap_or(i32::MIN)),
        }
    }

    /// Whether Xen refuses it with this error.
    pub fn is_xen(self, errno: Errno) -> bool {
        self == Self::Xen(-(errno.raw() as i32))
    }

    /// Whether a sound asker would not have asked for it.
    pub const fn is_misuse(self) -> bool {
        matches!(self, Self::Malformed | Self::NotYours { .. } | Self::TooMuch { .. } | Self::Introduced)
    }
}

/// An answer of Xen, by its name if it has one.
struct XenAnswer(i32);

impl fmt::Display for XenAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match XenError::from_status(self.0) {
            Some(error) => write!(f, "{error}"),
            None => write!(f, "{}", self.0),
        }
    }
}
