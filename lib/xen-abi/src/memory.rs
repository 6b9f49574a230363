//! Memory of a domain (`memory.h`): reserving, releasing and asking about it.

use crate::{Domid, GuestHandle, Mfn, Pfn, VirtAddr};
use zerocopy::little_endian::{U32, U64};

numbers! {
    /// The command of `HYPERVISOR_memory_op`.
    ///
    /// Those that take a [`MemoryReservation`] answer with the count of extents that were done: fewer than
    /// asked for means that the next one could not be.
    pub enum MemoryOp: u32 {
        /// Takes a [`MemoryReservation`]: more memory, that no page of the domain refers to yet.
        IncreaseReservation = 0,
        /// Takes a [`MemoryReservation`]: gives memory back.
        DecreaseReservation = 1,
        /// Answers the highest machine frame. No argument.
        MaximumRamPage = 2,
        /// Takes a [`MemoryDomain`]; answers the domain's pages.
        CurrentReservation = 3,
        /// Takes a [`MemoryDomain`]; answers the most pages that it may have.
        MaximumReservation = 4,
        /// Takes a [`MachphysMfnList`].
        MachphysMfnList = 5,
        /// Takes a [`MemoryReservation`]: memory for given pages of the domain.
        PopulatePhysmap = 6,
        /// Takes an [`AddToPhysmap`].
        AddToPhysmap = 7,
        /// Takes a [`MemoryMap`]: the caller's.
        MemoryMap = 9,
        /// Takes a [`MemoryMap`]: the machine's.
        MachineMemoryMap = 10,
        /// Takes a [`MemoryExchange`].
        Exchange = 11,
        /// Takes a [`MachphysMapping`].
        MachphysMapping = 12,
        /// Takes a [`ForeignMemoryMap`].
        SetMemoryMap = 13,
        /// Takes a [`MemoryDomain`]; answers the highest page number of a translated domain.
        MaximumGpfn = 14,
        /// Takes a [`RemoveFromPhysmap`].
        RemoveFromPhysmap = 15,
        /// Sets the target of populate-on-demand.
        SetPodTarget = 16,
        /// Asks for it.
        GetPodTarget = 17,
        /// Pages saved by sharing.
        GetSharingFreedPages = 18,
        /// Pages that are shared.
        GetSharingSharedPages = 19,
        /// Paging out.
        PagingOp = 20,
        /// Access rights of pages, for introspection.
        AccessOp = 21,
        /// Sharing of pages.
        SharingOp = 22,
        /// Many [`AddToPhysmap`]s at once.
        AddToPhysmapBatch = 23,
        /// Takes a [`MemoryReservation`]: sets pages aside for a domain, without allocating them.
        ClaimPages = 24,
        /// [`MemoryOp::MachphysMfnList`] for 32-bit domains.
        MachphysCompatMfnList = 25,
        /// The virtual NUMA topology.
        GetVnumainfo = 26,
        /// Memory that devices need mapped one to one.
        ReservedDeviceMemoryMap = 27,
        /// Takes an [`AcquireResource`].
        AcquireResource = 28,
    }

    /// What [`AddToPhysmap`] adds.
    pub enum MapSpace: u32 {
        /// The shared info page.
        SharedInfo = 0,
        /// A page of the grant table.
        GrantTable = 1,
        /// A page of the domain itself.
        Gmfn = 2,
        /// Several of them.
        GmfnRange = 3,
        /// A page of another domain.
        GmfnForeign = 4,
        /// Device registers, one to one.
        DevMmio = 5,
    }

    /// What [`AcquireResource`] acquires.
    pub enum ResourceType: u16 {
        /// The pages of an I/O request server.
        IoreqServer = 0,
        /// Pages of a grant table.
        GrantTable = 1,
        /// A trace buffer.
        VmtraceBuf = 2,
    }

    /// What a range of the machine's memory is, as firmware says.
    pub enum MemoryType: u32 {
        /// Free to use.
        Ram = 1,
        /// Not to be touched.
        Reserved = 2,
        /// ACPI tables, free once read.
        Acpi = 3,
        /// ACPI memory to be preserved.
        Nvs = 4,
        /// Broken.
        Unusable = 5,
    }
}

/// The bit of [`AddToPhysmap::idx`] that asks for the status frames of a version 2 grant table.
pub const MAPIDX_GRANT_TABLE_STATUS: u64 = 0x8000_0000;

/// [`AcquireResource::id`]: the entries of a grant table.
pub const RESOURCE_GRANT_TABLE_ID_SHARED: u32 = 0;

/// [`AcquireResource::id`]: the status words of a version 2 grant table.
pub const RESOURCE_GRANT_TABLE_ID_STATUS: u32 = 1;

flags! {
    /// Where memory is to come from. Zero asks for nothing in particular.
    pub struct MemFlags: u32 {
        /// The most bits that a machine address may have; 0 for any.
        const ADDRESS_BITS_MASK = 0xff;
        /// The node plus one; 0 for any.
        const NODE_MASK = 0xff << 8;
        /// Translated domains: on first use.
        const POPULATE_ON_DEMAND = 1 << 16;
        /// From no other node.
        const EXACT_NODE_REQUEST = 1 << 17;
        /// The node is a virtual one.
        const VNODE = 1 << 18;
    }
}

structs! {
    /// Extents of 2^order pages.
    pub struct MemoryReservation: 32 {
        /// An array of frames. `populate_physmap` reads from it the domain's page numbers and writes to it
        /// the machine frames; `increase_reservation` only writes, `decrease_reservation` only reads frames.
        pub extent_start: GuestHandle,
        /// The array's length.
        pub nr_extents: u64,
        /// log2 of an extent's pages: 0, or 9 for 2 MiB.
        pub extent_order: u32,
        /// Where from.
        pub mem_flags: MemFlags,
        /// Whose memory.
        pub domid: Domid,
        /// Zero.
        pub pad: [u16; 3],
    }

    /// Gives memory back and takes other memory for it, of another order or other address bits.
    pub struct MemoryExchange: 72 {
        /// What is given.
        pub give: MemoryReservation,
        /// What is taken.
        pub take: MemoryReservation,
        /// In: 0. Out: the count of input extents that were exchanged.
        pub nr_exchanged: u64,
    }

    /// An operation that only names a domain.
    pub struct MemoryDomain: 2 {
        /// Which.
        pub domid: Domid,
    }

    /// The frames of Xen's table from machine frames to pages.
    pub struct MachphysMfnList: 24 {
        /// In: the array's room.
        pub max_extents: u32,
        /// Zero.
        pub pad0: u32,
        /// Out: an array of [`Mfn`], one for each 2 MiB of the table.
        pub extent_start: GuestHandle,
        /// Out: how many there are.
        pub nr_extents: u32,
        /// Zero.
        pub pad1: u32,
    }

    /// Out: where the table from machine frames to pages is mapped.
    pub struct MachphysMapping: 24 {
        /// Its first address.
        pub v_start: VirtAddr,
        /// Behind its last address.
        pub v_end: VirtAddr,
        /// The highest frame in it.
        pub max_mfn: Mfn,
    }

    /// Adds a page to a translated domain.
    pub struct AddToPhysmap: 24 {
        /// Which domain.
        pub domid: Domid,
        /// For [`MapSpace::GmfnRange`]: how many pages.
        pub size: u16,
        /// A [`MapSpace`].
        pub space: u32,
        /// Which page of that space.
        pub idx: u64,
        /// Where it goes.
        pub gpfn: Pfn,
    }

    /// Removes a page from a translated domain.
    pub struct RemoveFromPhysmap: 16 {
        /// Which domain.
        pub domid: Domid,
        /// Zero.
        pub pad: [u16; 3],
        /// Which page.
        pub gpfn: Pfn,
    }

    /// A map of memory.
    pub struct MemoryMap: 16 {
        /// In: the buffer's room. Out: how many entries there are.
        pub nr_entries: u32,
        /// Zero.
        pub pad: u32,
        /// An array of [`MemoryMapEntry`].
        pub buffer: GuestHandle,
    }

    /// Sets the map of memory that a domain is shown.
    pub struct ForeignMemoryMap: 24 {
        /// Which domain.
        pub domid: Domid,
        /// Zero.
        pub pad: [u16; 3],
        /// The map.
        pub map: MemoryMap,
    }

    /// A range of memory, in the form of the BIOS' E820 call: packed to 20 bytes.
    pub struct MemoryMapEntry: 20 {
        /// The first byte's address.
        pub addr: U64,
        /// The length in bytes.
        pub size: U64,
        /// A [`MemoryType`].
        pub kind: U32,
    }

    /// Gets pages that belong to a domain's resource, to be mapped by its tools.
    pub struct AcquireResource: 32 {
        /// Whose.
        pub domid: Domid,
        /// A [`ResourceType`].
        pub kind: u16,
        /// Which of that type.
        pub id: u32,
        /// In: how many frames. Out, if there was no list: the resource's size.
        pub nr_frames: u32,
        /// Zero.
        pub pad: u32,
        /// The first frame of the resource that is wanted.
        pub frame: u64,
        /// Out: an array of [`Mfn`] (if the caller is PV).
        pub frame_list: GuestHandle,
    }
}

impl MemFlags {
    /// Below 2^`bits` in machine memory.
    pub const fn address_bits(bits: u8) -> Self {
        Self::from_bits_retain(bits as u32)
    }

    /// From this node, if possible.
    pub const fn node(node: u8) -> Self {
        Self::from_bits_retain((node as u32 + 1) << 8)
    }
}

impl MemoryReservation {
    /// Extents of 2^`order` pages for `domid`, the array of frames at `extents`.
    pub fn new(domid: Domid, extents: GuestHandle, nr_extents: u64, order: u32) -> Self {
        Self { extent_start: extents, nr_extents, extent_order: order, domid, ..Self::default() }
    }
}
