//! What it takes to build a domain, step by step: the little that somebody with the privilege does for somebody who has
//! the plan.
//!
//! Whoever lays a guest out need not be trusted: it parses kernels and configurations that others wrote. So it asks for
//! one [`Step`] at a time, and a broker carries it out with a hypercall or two, on domains that the asker owns and on
//! no others. Each step is small and bounded by the constants here, so that the broker never works long for anybody;
//! a frame that is not the domain's, a context or a page table that asks for too much, Xen itself refuses.

use xen_abi::{
    Domid, GrantRef, MachineAddr, Mfn, PAGE_SIZE, Pfn, Port,
    context::VcpuGuestContext,
    domctl::{DomainHandle, TscMode},
    memory::MemoryMapEntry,
};

/// The most extents that one [`Step::Populate`] asks for. Of 2 MiB each, that is 16 MiB: memory that Xen has not scrubbed
/// yet since somebody else had it, it scrubs before it gives it away, which for this much takes some milliseconds.
pub const MAX_EXTENTS: usize = 8;

/// The greatest order of an extent: 2 MiB.
pub const MAX_ORDER: u32 = 9;

/// The most bytes that one [`Step::Write`] or [`Step::Clear`] changes: 16 pages, which are mapped by one hypercall.
pub const MAX_BYTES: usize = 16 * PAGE_SIZE as usize;

/// The most ranges in one [`Step::MemoryMap`].
pub const MAX_RANGES: usize = 8;

/// The most vCPUs that a guest has.
pub const MAX_VCPUS: u32 = 8;

/// One step of building a domain. All but the first name the domain by being asked for it.
#[derive(Debug)]
pub enum Step<'a> {
    /// Make an empty, paused domain. Answered by [`Answer::Created`].
    Create(Create),
    /// Say what the domain is told when it asks for its memory map; at most [`MAX_RANGES`].
    MemoryMap(&'a [MemoryMapEntry]),
    /// Give it memory: `count` extents of 2^`order` pages, from `first` on. Answered by [`Answer::Frames`].
    Populate {
        /// The first page.
        first: Pfn,
        /// log2 of the pages in an extent; at most [`MAX_ORDER`].
        order: u32,
        /// How many extents; at most [`MAX_EXTENTS`], and not 0.
        count: usize,
    },
    /// Make a port of the domain, to which `remote` can bind. Answered by [`Answer::Port`].
    AllocatePort {
        /// Who is to bind to it.
        remote: Domid,
    },
    /// Copy bytes to its memory, or to the page that Xen shares with it; at most [`MAX_BYTES`], in frames that follow each
    /// other.
    Write {
        /// Where the first byte goes.
        at: MachineAddr,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Clear bytes of its memory; at most [`MAX_BYTES`], in frames that follow each other.
    Clear {
        /// The first byte.
        at: MachineAddr,
        /// How many.
        length: usize,
    },
    /// Have Xen write its hypercall stubs to a page.
    HypercallPage {
        /// The page's frame.
        frame: Mfn,
    },
    /// Write an entry of its grant table, version 1: `to` may map `frame`, to read and write.
    Grant {
        /// Which entry; one of those that are reserved for the builder.
        entry: GrantRef,
        /// Who may map it.
        to: Domid,
        /// What.
        frame: Mfn,
    },
    /// Pin an L4 table, and by it all tables that hang on it. Nobody may have them mapped writable.
    Pin {
        /// The frame of the L4.
        root: Mfn,
    },
    /// Set the state of a vCPU.
    Context {
        /// Which.
        vcpu: u32,
        /// Its state.
        context: &'a VcpuGuestContext,
    },
    /// Let it run.
    Unpause,
}

/// What an empty domain is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Create {
    /// Its UUID.
    pub handle: DomainHandle,
    /// The most memory that it may have, in KiB, with what Xen counts against it besides pages.
    pub memory_kib: u64,
    /// Its vCPUs; at most [`MAX_VCPUS`], and not 0.
    pub vcpus: u32,
    /// How it sees the time-stamp counter.
    pub tsc: TscMode,
    /// The tables that Xen keeps for it.
    pub tables: TableSizes,
}

/// How large the tables of a domain may grow that Xen keeps for it. Asking for more costs nothing until it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TableSizes {
    /// Pages of its grant table, of 512 entries each; at least 1.
    pub grant_frames: u16,
    /// Pages with records of what it has mapped of others, of 256 mappings each.
    pub maptrack_frames: u16,
    /// The highest port.
    pub highest_port: u32,
}

impl Default for TableSizes {
    /// What `xl` gives: a disk and a network card with a queue for each vCPU fit.
    fn default() -> Self {
        Self { grant_frames: 64, maptrack_frames: 1024, highest_port: 1023 }
    }
}

/// What carrying a step out has brought.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// It is done.
    Done,
    /// The domain exists.
    Created {
        /// The frame that Xen shares with it.
        shared_info: Mfn,
    },
    /// The first frame of each extent, in order. There may be fewer than were asked for; none means that Xen has no
    /// extent of that order left.
    Frames(&'a [Mfn]),
    /// The domain's new port.
    Port(Port),
}

impl Step<'_> {
    /// Its name, for logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::MemoryMap(_) => "memory-map",
            Self::Populate { .. } => "populate",
            Self::AllocatePort { .. } => "allocate-port",
            Self::Write { .. } => "write",
            Self::Clear { .. } => "clear",
            Self::HypercallPage { .. } => "hypercall-page",
            Self::Grant { .. } => "grant",
            Self::Pin { .. } => "pin",
            Self::Context { .. } => "context",
            Self::Unpause => "unpause",
        }
    }
}
