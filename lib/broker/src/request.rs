//! What can be asked for.

use builder::steps::Create;
use serde::{Deserialize, Serialize};
use xen_abi::domctl::DomainHandle;
use xen_abi::{Domid, GrantRef, MachineAddr, Mfn, Pfn, Port};

/// A request. Where it says "data", that are the bytes which go with it.
///
/// All that name a `domain` are about one that the asker has created; of others it learns nothing, not even whether they
/// exist. Answered by [`Answer::Done`](crate::Answer::Done) where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// What the host has left. Answered by [`Answer::Host`](crate::Answer::Host).
    Host,
    /// Which domain of the asker's has this UUID. Answered by [`Answer::Domain`](crate::Answer::Domain).
    Find {
        /// The UUID.
        handle: DomainHandle,
    },
    /// The asker's domain with the lowest number above this one. Answered by [`Answer::Domain`](crate::Answer::Domain).
    Next {
        /// The number; 0 to begin with.
        after: Domid,
    },
    /// What has become of a domain. Answered by [`Answer::Info`](crate::Answer::Info).
    Info {
        /// Which.
        domain: Domid,
    },
    /// Make an empty, paused domain under a number that root chooses. A UUID is given once: asked for again, the request
    /// is refused with [`Refusal::Exists`](crate::Refusal::Exists), which names the domain. Answered by
    /// [`Answer::Created`](crate::Answer::Created).
    Create {
        /// What it is made with.
        create: Create,
        /// Its share of the CPU against others, 1 to 65535; Xen's default is 256.
        weight: u16,
    },
    /// Say what the domain is told when it asks for its memory map. Data: the entries, as Xen takes them.
    MemoryMap {
        /// Which.
        domain: Domid,
    },
    /// Give it memory, as [`Step::Populate`](builder::Step::Populate) says. Answered by
    /// [`Answer::Frames`](crate::Answer::Frames).
    Populate {
        /// Which.
        domain: Domid,
        /// The first page.
        first: Pfn,
        /// log2 of the pages in an extent.
        order: u32,
        /// How many extents.
        count: u32,
    },
    /// Make a port of the domain, to which `remote` can bind. Answered by [`Answer::Port`](crate::Answer::Port).
    AllocatePort {
        /// Which.
        domain: Domid,
        /// Who is to bind to it.
        remote: Domid,
    },
    /// Copy the data to its memory, in frames that follow each other.
    Write {
        /// Which.
        domain: Domid,
        /// Where the first byte goes.
        at: MachineAddr,
    },
    /// Copy bytes of the boot archive to its memory, in frames that follow each other.
    Copy {
        /// Which.
        domain: Domid,
        /// Where the first byte goes.
        at: MachineAddr,
        /// Where in the archive the first byte is.
        offset: u64,
        /// How many bytes; at most [`MAX_BYTES`](builder::steps::MAX_BYTES).
        length: u32,
    },
    /// Clear bytes of its memory, in frames that follow each other.
    Clear {
        /// Which.
        domain: Domid,
        /// The first byte.
        at: MachineAddr,
        /// How many bytes; at most [`MAX_BYTES`](builder::steps::MAX_BYTES).
        length: u32,
    },
    /// Have Xen write its hypercall stubs to a page.
    HypercallPage {
        /// Which.
        domain: Domid,
        /// The page's frame.
        frame: Mfn,
    },
    /// Write one of the reserved entries of its grant table: `to` may map `frame`.
    Grant {
        /// Which.
        domain: Domid,
        /// The entry.
        entry: GrantRef,
        /// Who may map it.
        to: Domid,
        /// What.
        frame: Mfn,
    },
    /// Pin an L4 table, and by it all that hangs on it.
    Pin {
        /// Which.
        domain: Domid,
        /// The frame of the L4.
        root: Mfn,
    },
    /// Set the state of a vCPU. Data: a `VcpuGuestContext`, as Xen takes it.
    Context {
        /// Which.
        domain: Domid,
        /// The vCPU.
        vcpu: u32,
    },
    /// Tell those who serve domains where its ring to XenStore is. From here on the register of domains speaks of it.
    Introduce {
        /// Which.
        domain: Domid,
        /// The frame of the ring's page.
        frame: Mfn,
        /// The number under which the domain grants it.
        reference: GrantRef,
        /// The domain's port.
        port: Port,
    },
    /// Let it run: start it, or take one [`Request::Pause`] back.
    Unpause {
        /// Which.
        domain: Domid,
    },
    /// Stop its vCPUs. Pauses count.
    Pause {
        /// Which.
        domain: Domid,
    },
    /// Destroy it. Answered by [`Answer::Again`](crate::Answer::Again) until nothing is left of it; the request is to be
    /// made again then.
    Destroy {
        /// Which.
        domain: Domid,
    },
    /// How much memory it may have.
    SetMaxMemory {
        /// Which.
        domain: Domid,
        /// In KiB.
        kib: u64,
    },
    /// What a vCPU of a domain is doing. Answered by [`Answer::Vcpu`](crate::Answer::Vcpu).
    Vcpu {
        /// Which.
        domain: Domid,
        /// The vCPU.
        vcpu: u32,
    },
    /// What the component at a place in the description is doing. Needs the capability `inspect`. Answered by
    /// [`Answer::Component`](crate::Answer::Component), with none behind the last.
    Component {
        /// The place, from 0.
        index: u32,
    },
    /// A line of the event log. Needs the capability `inspect`. Answered by [`Answer::Event`](crate::Answer::Event), with
    /// none where there is no such line yet.
    Event {
        /// The lowest number that it may have. The log keeps the last few hundred.
        from: u64,
    },
    /// Restart a component. Needs the capability `operate`.
    Restart {
        /// Its place.
        index: u32,
        /// How: a rung of the ladder, from 0, the cheapest.
        rung: u8,
    },
    /// Try a component again that was given up. Needs the capability `operate`.
    Release {
        /// Its place.
        index: u32,
    },
    /// Make a component fail. Needs the capability `faults`.
    Inject {
        /// Its place.
        index: u32,
        /// The number of a [`Fault`](uk_abi::fault::Fault).
        fault: u32,
        /// What the fault needs to know.
        argument: u64,
    },
    /// Its share of the CPU against others.
    SetWeight {
        /// Which.
        domain: Domid,
        /// 1 to 65535.
        weight: u16,
    },
}

impl Request {
    /// Its name, for logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Find { .. } => "find",
            Self::Next { .. } => "next",
            Self::Info { .. } => "info",
            Self::Create { .. } => "create",
            Self::MemoryMap { .. } => "memory-map",
            Self::Populate { .. } => "populate",
            Self::AllocatePort { .. } => "allocate-port",
            Self::Write { .. } => "write",
            Self::Copy { .. } => "copy",
            Self::Clear { .. } => "clear",
            Self::HypercallPage { .. } => "hypercall-page",
            Self::Grant { .. } => "grant",
            Self::Pin { .. } => "pin",
            Self::Context { .. } => "context",
            Self::Introduce { .. } => "introduce",
            Self::Unpause { .. } => "unpause",
            Self::Pause { .. } => "pause",
            Self::Destroy { .. } => "destroy",
            Self::SetMaxMemory { .. } => "set-max-memory",
            Self::Vcpu { .. } => "vcpu",
            Self::Component { .. } => "component",
            Self::Event { .. } => "event",
            Self::Restart { .. } => "restart",
            Self::Release { .. } => "release",
            Self::Inject { .. } => "inject",
            Self::SetWeight { .. } => "set-weight",
        }
    }

    /// The domain that it is about, if it must be one of the asker's.
    pub const fn domain(&self) -> Option<Domid> {
        match *self {
            Self::Host
            | Self::Find { .. }
            | Self::Next { .. }
            | Self::Create { .. }
            | Self::Component { .. }
            | Self::Event { .. }
            | Self::Restart { .. }
            | Self::Release { .. }
            | Self::Inject { .. } => None,
            Self::Info { domain }
            | Self::MemoryMap { domain }
            | Self::Populate { domain, .. }
            | Self::AllocatePort { domain, .. }
            | Self::Write { domain, .. }
            | Self::Copy { domain, .. }
            | Self::Clear { domain, .. }
            | Self::HypercallPage { domain, .. }
            | Self::Grant { domain, .. }
            | Self::Pin { domain, .. }
            | Self::Context { domain, .. }
            | Self::Introduce { domain, .. }
            | Self::Unpause { domain }
            | Self::Pause { domain }
            | Self::Destroy { domain }
            | Self::SetMaxMemory { domain, .. }
            | Self::Vcpu { domain, .. }
            | Self::SetWeight { domain, .. } => Some(domain),
        }
    }

    /// Whether it does the same when it is carried out a second time.
    pub const fn is_repeatable(&self) -> bool {
        !matches!(
            self,
            Self::Create { .. }
                | Self::Populate { .. }
                | Self::AllocatePort { .. }
                | Self::Pin { .. }
                | Self::Unpause { .. }
                | Self::Pause { .. }
                | Self::Restart { .. }
                | Self::Release { .. }
                | Self::Inject { .. }
        )
    }
}
