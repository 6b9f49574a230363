//! The memory of a domain, and the type of its frames.

use crate::GuestHandle;

numbers! {
    /// The command of a [`ShadowOp`].
    pub enum ShadowOpCommand: u32 {
        /// Turns everything off.
        Off = 0,
        /// Turns on shadow page tables, for tests.
        EnableTest = 1,
        /// Turns on the log of written pages.
        EnableLogdirty = 2,
        /// Gets the log and clears it.
        Clean = 11,
        /// Gets the log.
        Peek = 12,
        /// Gets the pool's size.
        GetAllocation = 30,
        /// Sets it.
        SetAllocation = 31,
        /// Turns on what `mode` says.
        Enable = 32,
    }

    /// What a frame is used as: the upper 4 bits of an entry of [`GetPageFrameInfo3`].
    pub enum FrameType: u32 {
        /// Ordinary.
        NoTab = 0,
        /// An L1 table.
        L1Tab = 1 << 28,
        /// An L2 table.
        L2Tab = 2 << 28,
        /// An L3 table.
        L3Tab = 3 << 28,
        /// An L4 table.
        L4Tab = 4 << 28,
        /// A pinned L1 table.
        PinnedL1Tab = 9 << 28,
        /// A pinned L2 table.
        PinnedL2Tab = 10 << 28,
        /// A pinned L3 table.
        PinnedL3Tab = 11 << 28,
        /// A pinned L4 table.
        PinnedL4Tab = 12 << 28,
        /// Broken memory.
        Broken = 13 << 28,
        /// Allocated but not populated.
        Xalloc = 14 << 28,
        /// Not a frame of the domain.
        Xtab = 15 << 28,
    }
}

/// The bit of a [`FrameType`] that says the table is pinned.
pub const FRAME_PINNED: u32 = 1 << 31;

/// The bits of an entry of [`GetPageFrameInfo3`] that hold the [`FrameType`].
pub const FRAME_TYPE_MASK: u32 = 0xf << 28;

flags! {
    /// What [`ShadowOpCommand::Enable`] turns on.
    pub struct ShadowMode: u32 {
        /// Xen counts references itself.
        const REFCOUNT = 1 << 1;
        /// Written pages are logged.
        const LOG_DIRTY = 1 << 2;
        /// Frames are translated.
        const TRANSLATE = 1 << 3;
        /// Xen is not mapped into the domain.
        const EXTERNAL = 1 << 4;
    }
}

structs! {
    /// Sets the most memory that a domain may have.
    pub struct MaxMem: 8 {
        /// In KiB.
        pub max_memkb: u64,
    }

    /// What frames are used as.
    pub struct GetPageFrameInfo3: 16 {
        /// How many.
        pub num: u64,
        /// In: an array of `u64`, each a frame. Out: each a [`FrameType`].
        pub array: GuestHandle,
    }

    /// Sets or gets the pool that the domain's nested (or shadow) page tables are allocated from.
    pub struct PagingMempool: 8 {
        /// In bytes, a multiple of a page.
        pub size: u64,
    }

    /// Counters of the log of written pages.
    pub struct ShadowOpStats: 8 {
        /// How many faults it took.
        pub fault_count: u32,
        /// How many pages were written.
        pub dirty_count: u32,
    }

    /// The log of written pages, for migration.
    pub struct ShadowOp: 40 {
        /// A [`ShadowOpCommand`].
        pub op: u32,
        /// What is turned on.
        pub mode: ShadowMode,
        /// The pool's size, in MiB.
        pub mb: u32,
        /// Zero.
        pub pad: u32,
        /// Out: a bit for each page.
        pub dirty_bitmap: GuestHandle,
        /// In: the bitmap's room, in bits. Out: how many were copied.
        pub pages: u64,
        /// Out: counters.
        pub stats: ShadowOpStats,
    }
}
