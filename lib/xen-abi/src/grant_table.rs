//! Grant tables (`grant_table.h`): how a domain lets another use its pages.
//!
//! Operations come in arrays: `HYPERVISOR_grant_table_op` takes the command, a pointer to the first structure
//! and their count, and each structure has a status of its own.

use crate::types::GrantHandle;
use crate::{Domid, GrantRef, GuestHandle, MachineAddr, Mfn, VirtAddr};
use core::fmt;

numbers! {
    /// The command of `HYPERVISOR_grant_table_op`.
    pub enum GrantTableOp: u32 {
        /// Takes [`MapGrantRef`]s.
        MapGrantRef = 0,
        /// Takes [`UnmapGrantRef`]s.
        UnmapGrantRef = 1,
        /// Takes one [`SetupTable`].
        SetupTable = 2,
        /// Prints a table on Xen's console.
        DumpTable = 3,
        /// Gives pages away.
        Transfer = 4,
        /// Takes [`GrantCopy`]s.
        Copy = 5,
        /// Takes one [`QuerySize`].
        QuerySize = 6,
        /// Takes [`UnmapAndReplace`]s.
        UnmapAndReplace = 7,
        /// Takes one [`SetVersion`].
        SetVersion = 8,
        /// The frames of version 2's status words.
        GetStatusFrames = 9,
        /// Takes one [`GetVersion`].
        GetVersion = 10,
        /// Takes [`SwapGrantRef`]s.
        SwapGrantRef = 11,
        /// Cleans or invalidates a page of the CPU's cache.
        CacheFlush = 12,
    }
}

/// The first entries of a table belong to the domain builder.
pub const NR_RESERVED_ENTRIES: u32 = 8;

/// The entry that grants the page of the console's ring.
pub const RESERVED_CONSOLE: GrantRef = GrantRef(0);

/// The entry that grants the page of XenStore's ring.
pub const RESERVED_XENSTORE: GrantRef = GrantRef(1);

flags! {
    /// The first field of a grant entry: its type in the lowest two bits, and flags.
    pub struct GrantFlags: u16 {
        /// Type: the other domain may map or copy the page. No type at all: the entry is not in use.
        const PERMIT_ACCESS = 1;
        /// Type: the other domain may give a page to this one.
        const ACCEPT_TRANSFER = 2;
        /// The bits of the type.
        const TYPE_MASK = 3;
        /// The page may not be written.
        const READONLY = 1 << 2;
        /// Set by Xen: the page is mapped, or read.
        const READING = 1 << 3;
        /// Set by Xen: the page is mapped writable, or written.
        const WRITING = 1 << 4;
        /// Mappings are write-through.
        const PWT = 1 << 5;
        /// Mappings bypass the cache.
        const PCD = 1 << 6;
        /// Mappings use the page attribute table.
        const PAT = 1 << 7;
        /// Version 2: a part of the page is granted.
        const SUB_PAGE = 1 << 8;
    }

    /// What a mapping is to be.
    pub struct MapFlags: u32 {
        /// For a device: the answer tells its bus address.
        const DEVICE_MAP = 1 << 0;
        /// For the caller's CPU.
        const HOST_MAP = 1 << 1;
        /// Not writable.
        const READONLY = 1 << 2;
        /// Accessible in user mode.
        const APPLICATION_MAP = 1 << 3;
        /// `host_addr` is the machine address of the page-table entry to write.
        const CONTAINS_PTE = 1 << 4;
        /// Software bits of the entry.
        const GUEST_AVAIL_MASK = 0xffff << 16;
    }

    /// Which sides of a copy are grants; the others are the caller's own frames.
    pub struct CopyFlags: u16 {
        /// The source is a grant.
        const SOURCE_GREF = 1 << 0;
        /// The destination is a grant.
        const DEST_GREF = 1 << 1;
    }
}

structs! {
    /// An entry of a version 1 table. The flags go in last, after a barrier; to take a grant back, the flags
    /// are cleared by compare-and-swap while neither `READING` nor `WRITING` is set.
    pub struct GrantEntryV1: 8 {
        /// Type and flags.
        pub flags: GrantFlags,
        /// Who may use the page.
        pub domid: Domid,
        /// The page: a machine frame, of which version 1 has room for 32 bits.
        pub frame: u32,
    }

    /// Maps a granted page.
    pub struct MapGrantRef: 32 {
        /// The address to map it at (or of the entry, see [`MapFlags::CONTAINS_PTE`]).
        pub host_addr: u64,
        /// How.
        pub flags: MapFlags,
        /// Which entry of the other domain's table.
        pub grant_ref: GrantRef,
        /// Who granted it.
        pub dom: Domid,
        /// Out: a [`GrantStatus`].
        pub status: i16,
        /// Out: what to give back when unmapping.
        pub handle: GrantHandle,
        /// Out: the frame's machine address.
        pub dev_bus_addr: MachineAddr,
    }

    /// Unmaps a granted page.
    pub struct UnmapGrantRef: 24 {
        /// What it was mapped at.
        pub host_addr: u64,
        /// The bus address, to end a device's mapping; otherwise 0.
        pub dev_bus_addr: MachineAddr,
        /// What mapping it answered.
        pub handle: GrantHandle,
        /// Out: a [`GrantStatus`].
        pub status: i16,
        /// Zero.
        pub pad: u16,
    }

    /// Makes a table of at least so many frames, and tells which they are.
    pub struct SetupTable: 24 {
        /// Whose table.
        pub dom: Domid,
        /// Zero.
        pub pad0: u16,
        /// How many frames.
        pub nr_frames: u32,
        /// Out: a [`GrantStatus`].
        pub status: i16,
        /// Zero.
        pub pad1: [u16; 3],
        /// Out: an array of [`Mfn`].
        pub frame_list: GuestHandle,
    }

    /// One side of a copy, made from a [`CopyPlace`].
    pub struct CopySide: 16 {
        /// The grant (in the low half), or the frame.
        pub ref_or_frame: u64,
        /// Who granted it, or whose frame it is.
        pub domid: Domid,
        /// The first byte in the page.
        pub offset: u16,
        /// Zero.
        pub pad: u32,
    }

    /// Copies up to a page, neither side crossing a page's end. Build it with [`GrantCopy::new`].
    pub struct GrantCopy: 40 {
        /// From where.
        pub source: CopySide,
        /// To where.
        pub dest: CopySide,
        /// How many bytes.
        pub len: u16,
        /// Which sides are grants.
        pub flags: CopyFlags,
        /// Out: a [`GrantStatus`].
        pub status: i16,
        /// Zero.
        pub pad: u16,
    }

    /// How large a table is.
    pub struct QuerySize: 16 {
        /// Whose table.
        pub dom: Domid,
        /// Zero.
        pub pad0: u16,
        /// Out: its frames.
        pub nr_frames: u32,
        /// Out: the most that it may have.
        pub max_nr_frames: u32,
        /// Out: a [`GrantStatus`].
        pub status: i16,
        /// Zero.
        pub pad1: u16,
    }

    /// Unmaps a granted page and maps there what is mapped at another address, in one step.
    pub struct UnmapAndReplace: 24 {
        /// What the grant is mapped at.
        pub host_addr: VirtAddr,
        /// Where the replacement is mapped; that mapping goes away.
        pub new_addr: VirtAddr,
        /// What mapping it answered.
        pub handle: GrantHandle,
        /// Out: a [`GrantStatus`].
        pub status: i16,
        /// Zero.
        pub pad: u16,
    }

    /// Chooses the form of the caller's table, while no grant is in use.
    pub struct SetVersion: 4 {
        /// In: 1 or 2. Out: the version before.
        pub version: u32,
    }

    /// The form of a domain's table.
    pub struct GetVersion: 8 {
        /// Whose table.
        pub dom: Domid,
        /// Zero.
        pub pad: u16,
        /// Out: 1 or 2.
        pub version: u32,
    }

    /// Exchanges two entries of the caller's table.
    pub struct SwapGrantRef: 12 {
        /// One.
        pub ref_a: GrantRef,
        /// The other.
        pub ref_b: GrantRef,
        /// Out: a [`GrantStatus`].
        pub status: i16,
        /// Zero.
        pub pad: u16,
    }
}

/// One side of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyPlace {
    /// A page that a domain granted to the caller.
    Grant(Domid, GrantRef),
    /// A page of the caller's own.
    Frame(Mfn),
}

impl CopyPlace {
    fn at(self, offset: u16) -> CopySide {
        match self {
            Self::Grant(domid, GrantRef(grant)) => {
                CopySide { ref_or_frame: u64::from(grant), domid, offset, pad: 0 }
            }
            Self::Frame(Mfn(frame)) => CopySide { ref_or_frame: frame, domid: Domid::SELF, offset, pad: 0 },
        }
    }
}

impl GrantCopy {
    /// Copies `len` bytes. Each side is a page, and the first byte there.
    pub fn new((source, from): (CopyPlace, u16), (dest, to): (CopyPlace, u16), len: u16) -> Self {
        let mut flags = CopyFlags::empty();
        flags.set(CopyFlags::SOURCE_GREF, matches!(source, CopyPlace::Grant(..)));
        flags.set(CopyFlags::DEST_GREF, matches!(dest, CopyPlace::Grant(..)));
        Self { source: source.at(from), dest: dest.at(to), len, flags, ..Self::default() }
    }
}

numbers! {
    /// The outcome of one grant operation.
    pub enum GrantStatus: i16 {
        /// Done.
        Okay = 0,
        /// None of the others.
        GeneralError = -1,
        /// No such domain.
        BadDomain = -2,
        /// No such grant, or not granted to the caller.
        BadGntref = -3,
        /// Not a handle of the caller's.
        BadHandle = -4,
        /// Not an address that can be mapped at.
        BadVirtAddr = -5,
        /// Not the device's address.
        BadDevAddr = -6,
        /// The IOMMU has no room.
        NoDeviceSpace = -7,
        /// Not allowed.
        PermissionDenied = -8,
        /// The page is not ordinary memory.
        BadPage = -9,
        /// A copy crosses a page's end.
        BadCopyArg = -10,
        /// The frame's number does not fit.
        AddressTooBig = -11,
        /// Busy: to be tried again.
        Eagain = -12,
        /// No room, for instance for the handle.
        NoSpace = -13,
    }
}

/// A grant operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantError {
    /// A status that Xen's headers name.
    Known(GrantStatus),
    /// Some other status, as it came.
    Unknown(i16),
}

impl GrantStatus {
    /// Turns a status field into a result.
    ///
    /// # Errors
    /// Every status but [`GrantStatus::Okay`].
    pub fn check(status: i16) -> Result<(), GrantError> {
        match Self::from_raw(status) {
            Some(Self::Okay) => Ok(()),
            Some(known) => Err(GrantError::Known(known)),
            None => Err(GrantError::Unknown(status)),
        }
    }
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(status) => write!(f, "grant status {status:?} ({})", status.raw()),
            Self::Unknown(status) => write!(f, "unknown grant status {status}"),
        }
    }
}

impl core::error::Error for GrantError {}
