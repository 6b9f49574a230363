//! The quantities that Xen's interface deals in. Each has its own type, because mixing them up is the usual
//! mistake.

use core::fmt;
use core::ops::{Add, Sub};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// log2 of the size of a page.
pub const PAGE_SHIFT: u32 = 12;

/// Bytes in a page.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;

macro_rules! newtypes {
    ($($(#[$meta:meta])* pub struct $name:ident($repr:ident), $format:literal;)*) => {$(
        $(#[$meta])*
        #[repr(transparent)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name(pub $repr);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }
    )*};
}

newtypes! {
    /// The number of a domain. Values from [`Domid::FIRST_RESERVED`] on have special meanings.
    pub struct Domid(u16), "d{}";
    /// An index into a domain's grant table: what that domain hands out to let another use a page.
    pub struct GrantRef(u32), "{}";
    /// What Xen calls a mapping of a grant; to unmap it, the mapper gives it back.
    pub struct GrantHandle(u32), "{}";
    /// An event channel's number inside one domain. Port 0 is never valid.
    pub struct Port(u32), "{}";
    /// The number of a page as a domain counts its own memory, from 0.
    pub struct Pfn(u64), "{:#x}";
    /// The number of a page of the machine.
    pub struct Mfn(u64), "{:#x}";
    /// A byte address in the machine's memory: what page tables and devices use.
    pub struct MachineAddr(u64), "{:#x}";
    /// An address in the caller's own address space.
    pub struct VirtAddr(u64), "{:#x}";
    /// The virtual address of a caller's buffer, as it stands inside a hypercall's argument.
    pub struct GuestHandle(u64), "{:#x}";
}

/// Adds a count of pages or bytes, and measures distances in them.
macro_rules! arithmetic {
    ($($name:ident)*) => {$(
        impl Add<u64> for $name {
            type Output = Self;
            fn add(self, count: u64) -> Self {
                Self(self.0 + count)
            }
        }

        impl Sub for $name {
            type Output = u64;
            fn sub(self, start: Self) -> u64 {
                self.0 - start.0
            }
        }
    )*};
}

arithmetic! { Pfn Mfn MachineAddr VirtAddr }

impl Domid {
    /// The domain that boots first and holds every privilege.
    pub const DOM0: Self = Self(0);
    /// The first number that no domain can have.
    pub const FIRST_RESERVED: Self = Self(0x7ff0);
    /// The calling domain.
    pub const SELF: Self = Self(0x7ff0);
    /// The owner of memory-mapped I/O: used to map pages that are not RAM.
    pub const IO: Self = Self(0x7ff1);
    /// The owner of Xen's own pages that it shares with domains.
    pub const XEN: Self = Self(0x7ff2);
    /// The owner of pages that domains share copy-on-write.
    pub const COW: Self = Self(0x7ff3);
    /// No domain: for instance "any free number" or "none".
    pub const INVALID: Self = Self(0x7ff4);
    /// The owner of the vCPUs that run when nothing else does.
    pub const IDLE: Self = Self(0x7fff);

    /// Whether a domain can have this number.
    pub const fn is_ordinary(self) -> bool {
        self.0 < Self::FIRST_RESERVED.0
    }
}

impl Pfn {
    /// The offset of the page's first byte in the domain's memory.
    pub const fn byte_offset(self) -> u64 {
        self.0 << PAGE_SHIFT
    }
}

impl Mfn {
    /// The entry of a p2m list, or the answer of a hypercall, that stands for no frame.
    pub const INVALID: Self = Self(u64::MAX);

    /// The address of the frame's first byte.
    pub const fn addr(self) -> MachineAddr {
        MachineAddr(self.0 << PAGE_SHIFT)
    }
}

impl MachineAddr {
    /// The frame that the address lies in.
    pub const fn mfn(self) -> Mfn {
        Mfn(self.0 >> PAGE_SHIFT)
    }

    /// The address's distance from the start of its frame, in bytes.
    pub const fn page_offset(self) -> u64 {
        self.0 & (PAGE_SIZE - 1)
    }
}

impl VirtAddr {
    /// The address of something in this address space.
    pub fn of<T: ?Sized>(thing: &T) -> Self {
        Self(core::ptr::from_ref(thing).expose_provenance() as u64)
    }

    /// The address's distance from the start of its page, in bytes.
    pub const fn page_offset(self) -> u64 {
        self.0 & (PAGE_SIZE - 1)
    }

    /// The index into the page table of `level` (1 to 4) on the way to this address.
    pub const fn table_index(self, level: u8) -> usize {
        ((self.0 >> (PAGE_SHIFT + 9 * (level as u32 - 1))) & 511) as usize
    }
}

impl From<Mfn> for MachineAddr {
    fn from(mfn: Mfn) -> Self {
        mfn.addr()
    }
}

impl GuestHandle {
    /// No buffer. Several operations answer with a size or reset something when given it.
    pub const NULL: Self = Self(0);

    /// A handle to something that Xen reads. It does not borrow: who issues the hypercall keeps the thing
    /// alive.
    pub fn to<T: ?Sized>(thing: &T) -> Self {
        Self(core::ptr::from_ref(thing).expose_provenance() as u64)
    }

    /// A handle to something that Xen writes. It does not borrow: who issues the hypercall keeps the thing
    /// alive and untouched.
    pub fn to_mut<T: ?Sized>(thing: &mut T) -> Self {
        Self(core::ptr::from_mut(thing).expose_provenance() as u64)
    }
}

impl From<VirtAddr> for GuestHandle {
    fn from(addr: VirtAddr) -> Self {
        Self(addr.0)
    }
}

/// The text in a field that Xen ends with a NUL: the bytes before the first one, all of them if there is
/// none.
pub fn until_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    &bytes[..end]
}
