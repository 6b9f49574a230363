//! Page tables of PV domains (`xen.h`): they are the domain's own pages, and Xen checks every write to them.

use crate::types::{MachineAddr, Mfn, Pfn, VirtAddr};
use crate::{Domid, GuestHandle};

flags! {
    /// The bits of a page-table entry that are not its frame, as x86-64 has them.
    pub struct PteFlags: u64 {
        /// Maps something.
        const PRESENT = 1 << 0;
        /// May be written.
        const WRITABLE = 1 << 1;
        /// May be used in user mode. Xen sets it on every entry of a 64-bit PV domain, whose kernel runs in
        /// ring 3.
        const USER = 1 << 2;
        /// Write-through.
        const PWT = 1 << 3;
        /// Not cached.
        const PCD = 1 << 4;
        /// Was used.
        const ACCESSED = 1 << 5;
        /// Was written.
        const DIRTY = 1 << 6;
        /// In an L1 entry: selects the page attribute. In L2 and L3: maps a large page, which PV domains
        /// cannot.
        const PAT = 1 << 7;
        /// Not flushed with a new page-table base.
        const GLOBAL = 1 << 8;
        /// Free for software.
        const AVAIL0 = 1 << 9;
        /// Free for software.
        const AVAIL1 = 1 << 10;
        /// Free for software.
        const AVAIL2 = 1 << 11;
        /// Nothing is executed from there.
        const NX = 1 << 63;
    }

    /// What `HYPERVISOR_update_va_mapping` flushes. Either of the kinds, and where.
    pub struct UvmFlags: u64 {
        /// Kind: the whole TLB.
        const TLB_FLUSH = 1;
        /// Kind: the one address.
        const INVLPG = 2;
        /// The bits of the kind.
        const FLUSHTYPE_MASK = 3;
        /// On all CPUs; otherwise on the calling one, or on those of a mask whose address is added to the
        /// flags.
        const ALL = 1 << 2;
    }
}

/// The bits of an entry that hold its frame's address.
pub const PTE_FRAME_MASK: u64 = 0x000f_ffff_ffff_f000;

/// Entries in a page table.
pub const PTES_PER_TABLE: usize = 512;

/// A page-table entry.
#[repr(transparent)]
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
)]
pub struct Pte(pub u64);

impl Pte {
    /// Maps nothing.
    pub const EMPTY: Self = Self(0);

    /// Maps a frame (or, at level 2 and up, refers to a table).
    pub const fn new(mfn: Mfn, flags: PteFlags) -> Self {
        Self((mfn.0 << crate::PAGE_SHIFT) & PTE_FRAME_MASK | flags.bits())
    }

    /// The frame.
    pub const fn mfn(self) -> Mfn {
        Mfn((self.0 & PTE_FRAME_MASK) >> crate::PAGE_SHIFT)
    }

    /// Everything but the frame.
    pub const fn flags(self) -> PteFlags {
        PteFlags::from_bits_retain(self.0 & !PTE_FRAME_MASK)
    }

    /// Whether it maps something.
    pub const fn is_present(self) -> bool {
        self.flags().contains(PteFlags::PRESENT)
    }
}

numbers! {
    /// What an [`MmuUpdate`] does: the lowest two bits of its pointer.
    pub enum MmuUpdateKind: u64 {
        /// Writes a page-table entry.
        Normal = 0,
        /// Writes an entry of the table from machine frames to pages.
        Machphys = 1,
        /// Writes a page-table entry, but keeps its accessed and dirty bits.
        PreserveAd = 2,
        /// Writes a page-table entry without translating its frame, for translated domains.
        NoTranslate = 3,
    }

    /// The command of an [`MmuextOp`].
    pub enum MmuextCommand: u32 {
        /// Makes a frame an L1 table, and keeps it one.
        PinL1Table = 0,
        /// An L2 table.
        PinL2Table = 1,
        /// An L3 table.
        PinL3Table = 2,
        /// An L4 table.
        PinL4Table = 3,
        /// Undoes pinning.
        UnpinTable = 4,
        /// Loads a page-table base.
        NewBaseptr = 5,
        /// Flushes the calling CPU's TLB.
        TlbFlushLocal = 6,
        /// Flushes one address from the calling CPU's TLB.
        InvlpgLocal = 7,
        /// Flushes the TLBs of some vCPUs.
        TlbFlushMulti = 8,
        /// Flushes one address from the TLBs of some vCPUs.
        InvlpgMulti = 9,
        /// Flushes the TLBs of all the domain's vCPUs.
        TlbFlushAll = 10,
        /// Flushes one address from the TLBs of all the domain's vCPUs.
        InvlpgAll = 11,
        /// Writes the CPU's cache back and empties it.
        FlushCache = 12,
        /// Loads an LDT.
        SetLdt = 13,
        /// Sets the page-table base of user mode.
        NewUserBaseptr = 15,
        /// Fills a frame with zeroes.
        ClearPage = 16,
        /// Copies a frame.
        CopyPage = 17,
        /// [`MmuextCommand::FlushCache`] on all CPUs.
        FlushCacheGlobal = 18,
        /// Marks a large page.
        MarkSuper = 19,
        /// Undoes that.
        UnmarkSuper = 20,
    }
}

structs! {
    /// One write to a page table. `HYPERVISOR_mmu_update` takes an array, its length, a pointer for the count
    /// of those done, and a [`Foreign`] domain.
    pub struct MmuUpdate: 16 {
        /// The machine address to write, with an [`MmuUpdateKind`] in the lowest two bits.
        pub ptr: u64,
        /// The value.
        pub val: u64,
    }

    /// One extended operation. `HYPERVISOR_mmuext_op` takes an array, its length, a pointer for the count of
    /// those done, and the domain that owns the frames.
    pub struct MmuextOp: 24 {
        /// An [`MmuextCommand`].
        pub cmd: u32,
        /// Zero.
        pub pad: u32,
        /// A frame or an address.
        pub arg1: u64,
        /// A count, the address of a mask of vCPUs, or a frame.
        pub arg2: u64,
    }
}

impl MmuUpdate {
    /// Writes the page-table entry at a machine address, which is a multiple of 8.
    pub const fn write(entry: MachineAddr, pte: Pte) -> Self {
        Self { ptr: entry.0 | MmuUpdateKind::Normal.raw(), val: pte.0 }
    }

    /// The same, keeping what the CPU noted in the accessed and dirty bits.
    pub const fn write_preserving_ad(entry: MachineAddr, pte: Pte) -> Self {
        Self { ptr: entry.0 | MmuUpdateKind::PreserveAd.raw(), val: pte.0 }
    }

    /// Notes that the frame is that page of its owner.
    pub const fn machphys(mfn: Mfn, pfn: Pfn) -> Self {
        Self { ptr: mfn.addr().0 | MmuUpdateKind::Machphys.raw(), val: pfn.0 }
    }
}

/// The last argument of `HYPERVISOR_mmu_update`: whose frames are mapped, and whose tables are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The owner of the frames that entries refer to.
    pub frames: Domid,
    /// The owner of the page tables.
    pub tables: Domid,
}

impl Foreign {
    /// The caller's own frames in its own tables.
    pub const NONE: Self = Self { frames: Domid::SELF, tables: Domid::SELF };

    /// The argument: the frames' owner in the low half; the tables' owner plus one in the high half, or
    /// nothing there if they are the caller's.
    pub const fn raw(self) -> u32 {
        let tables = if self.tables.0 == Domid::SELF.0 { 0 } else { self.tables.0 as u32 + 1 };
        tables << 16 | self.frames.0 as u32
    }
}

impl MmuextOp {
    const fn new(command: MmuextCommand, arg1: u64, arg2: u64) -> Self {
        Self { cmd: command.raw(), pad: 0, arg1, arg2 }
    }

    /// Pins an L4 table, and by it all tables that it refers to.
    pub const fn pin_l4(table: Mfn) -> Self {
        Self::new(MmuextCommand::PinL4Table, table.0, 0)
    }

    /// Pins an L1 table.
    pub const fn pin_l1(table: Mfn) -> Self {
        Self::new(MmuextCommand::PinL1Table, table.0, 0)
    }

    /// Unpins a table.
    pub const fn unpin(table: Mfn) -> Self {
        Self::new(MmuextCommand::UnpinTable, table.0, 0)
    }

    /// Loads a page-table base: a pinned L4 table.
    pub const fn new_baseptr(table: Mfn) -> Self {
        Self::new(MmuextCommand::NewBaseptr, table.0, 0)
    }

    /// Sets the page-table base of user mode; frame 0 for none.
    pub const fn new_user_baseptr(table: Mfn) -> Self {
        Self::new(MmuextCommand::NewUserBaseptr, table.0, 0)
    }

    /// Flushes the calling CPU's TLB.
    pub const fn tlb_flush_local() -> Self {
        Self::new(MmuextCommand::TlbFlushLocal, 0, 0)
    }

    /// Flushes an address from the calling CPU's TLB.
    pub const fn invlpg_local(addr: VirtAddr) -> Self {
        Self::new(MmuextCommand::InvlpgLocal, addr.0, 0)
    }

    /// Flushes the TLBs of all the domain's vCPUs.
    pub const fn tlb_flush_all() -> Self {
        Self::new(MmuextCommand::TlbFlushAll, 0, 0)
    }

    /// Flushes an address from the TLBs of all the domain's vCPUs.
    pub const fn invlpg_all(addr: VirtAddr) -> Self {
        Self::new(MmuextCommand::InvlpgAll, addr.0, 0)
    }

    /// Flushes the TLBs of the vCPUs in a mask.
    pub const fn tlb_flush_multi(vcpu_mask: GuestHandle) -> Self {
        Self::new(MmuextCommand::TlbFlushMulti, 0, vcpu_mask.0)
    }

    /// Loads an LDT of so many entries; 0 for none.
    pub const fn set_ldt(base: VirtAddr, entries: u32) -> Self {
        Self::new(MmuextCommand::SetLdt, base.0, entries as u64)
    }

    /// Fills a frame with zeroes.
    pub const fn clear_page(mfn: Mfn) -> Self {
        Self::new(MmuextCommand::ClearPage, mfn.0, 0)
    }

    /// Copies a frame.
    pub const fn copy_page(to: Mfn, from: Mfn) -> Self {
        Self::new(MmuextCommand::CopyPage, to.0, from.0)
    }
}
