//! The boot info page: what root tells a unikernel about itself.
//!
//! Root writes it while the unikernel does not run; for the unikernel it is read-only. It is at
//! [`BOOT_INFO_VA`](crate::layout::BOOT_INFO_VA), which is also in rsi at the entry; the device pages follow.

use crate::kept::{MAX_SHARED, SharedInfo};
use crate::layout::{self, PAGE_SIZE};
use crate::text::{Printable, padded, until_nul};
use core::fmt;
use core::str;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// `R-VMM uk` in ASCII: the first eight bytes.
pub const MAGIC: u64 = u64::from_le_bytes(*b"R-VMM uk");

/// The version of everything in this crate that a unikernel and root must agree on.
pub const VERSION: u32 = 1;

/// The most devices that a unikernel can have.
pub const MAX_DEVICES: usize = 4;

/// Bytes for a component's name.
pub const NAME_MAX: usize = 16;

/// Bytes for a component's arguments.
pub const ARGS_MAX: usize = 192;

/// Why this incarnation was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum BootReason {
    /// The host has just come up: the recovery box is empty.
    First = 1,
    /// Restarted in place: the domain, its event channels and its grants are the old ones.
    MicroReboot = 2,
    /// Built anew under the same domid: only the recovery box is the old one.
    Rebuild = 3,
}

/// A range of whole pages in the unikernel's address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Area {
    /// The address of the first page.
    pub va: u64,
    /// How many pages.
    pub pages: u64,
}

impl Area {
    /// Bytes in the area.
    pub const fn bytes(&self) -> u64 {
        self.pages.saturating_mul(PAGE_SIZE as u64)
    }

    /// The first address behind the area.
    pub const fn end(&self) -> u64 {
        self.va.saturating_add(self.bytes())
    }

    /// Whether it starts at a page and lies within `from..to`.
    pub(crate) const fn is_within(&self, from: u64, to: u64) -> bool {
        self.va.is_multiple_of(PAGE_SIZE as u64) && self.va >= from && self.end() <= to
    }
}

/// The boot info page.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BootInfo {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`VERSION`].
    pub version: u32,
    /// A [`BootReason`]; see [`BootInfo::boot_reason`].
    pub boot_reason: u32,
    /// The component's name, padded with NUL; see [`BootInfo::name`].
    pub name: [u8; NAME_MAX],
    /// The component's arguments, padded with NUL; see [`BootInfo::args`].
    pub args: [u8; ARGS_MAX],
    /// Counts every start of this component since the host came up, from 1.
    pub incarnation: u64,
    /// How often the unikernel shall beat at least, in microseconds.
    pub heartbeat_period_us: u64,
    /// Pages of RAM; pfns are below.
    pub ram_pages: u64,
    /// The domain.
    pub domid: u16,
    /// Devices given to the unikernel: so many device pages follow this one.
    pub device_count: u16,
    /// The event channel between root and the unikernel.
    pub doorbell_port: u32,
    /// The stack.
    pub stack: Area,
    /// The log ring.
    pub log: Area,
    /// The recovery box: part of what is kept.
    pub recovery_box: Area,
    /// The table of machine frames: one `u64` for each pfn.
    pub p2m: Area,
    /// The heap.
    pub heap: Area,
    /// Memory for devices: machine-contiguous within 2 MiB, and mapped like the heap. Empty where there is
    /// none.
    pub dma: Area,
    /// Where granted pages can be mapped.
    pub grant_window: Area,
    /// All that root keeps for the unikernel, in the kept window. The unikernel maps it; see [`kept`](crate::kept).
    pub kept: Area,
    /// The part of it in which the unikernel asks root's broker for something; empty for most.
    pub broker: Area,
    /// The first of two parts that the unikernel may only read: the register of domains, empty for most.
    pub register: Area,
    /// The second of them, at the end: the boot archive, empty for most.
    pub archive: Area,
    /// Bytes of that archive.
    pub archive_bytes: u64,
    /// The unikernels that may have guests, for those who read the register: they may do everything for them. A set as in
    /// [`SharedInfo::members`].
    pub toolstacks: u64,
    /// Where the unikernel notes what of it is mapped: [`layout::KEPT_MAP_ENTRY`] bytes for each page.
    pub kept_map: Area,
    /// The number under which root has granted the first page of `kept`; the others follow.
    pub kept_reference: u32,
    /// How many of `shared` there are.
    pub shared_count: u32,
    /// 1 if a part that fails is to be repaired alone, where the unikernel can do that (the policy `fine` of its
    /// description); 0 if the whole unikernel is to be.
    pub repairs_parts: u64,
    /// What it shares with other unikernels: parts of what is kept.
    pub shared: [SharedInfo; MAX_SHARED],
}

const _: () = assert!(
    size_of::<BootInfo>() == 480 + MAX_SHARED * size_of::<SharedInfo>() && size_of::<BootInfo>() <= PAGE_SIZE
);

/// Why a boot info page is not one that this unikernel can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootInfoError {
    /// The page is something else.
    Magic {
        /// What its first word is.
        found: u64,
    },
    /// Root and the unikernel were built from different versions.
    Version {
        /// The version of root.
        found: u32,
    },
    /// A boot reason that does not exist.
    BootReason {
        /// Its number.
        found: u32,
    },
    /// More devices than there can be.
    Devices {
        /// How many.
        found: u16,
    },
    /// More that is shared than there can be.
    Shared {
        /// How much.
        found: u32,
    },
    /// A name or arguments that are not UTF-8.
    Text,
    /// An area that is not where it can be.
    Area {
        /// Which one.
        name: &'static str,
        /// Where it is said to be.
        found: Area,
    },
}

impl fmt::Display for BootInfoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Magic { found } => write!(f, "boot info: magic {found:#x}, not {MAGIC:#x}"),
            Self::Version { found } => {
                write!(f, "boot info: root speaks version {found}, this unikernel {VERSION}")
            }
            Self::BootReason { found } => write!(f, "boot info: no boot reason has the number {found}"),
            Self::Devices { found } => {
                write!(f, "boot info: {found} devices, at most {MAX_DEVICES} are possible")
            }
            Self::Shared { found } => {
                write!(f, "boot info: {found} pieces of shared memory, at most {MAX_SHARED} are possible")
            }
            Self::Text => f.write_str("boot info: name or arguments are not UTF-8"),
            Self::Area { name, found } => {
                write!(f, "boot info: the {name} cannot be {} pages at {:#x}", found.pages, found.va)
            }
        }
    }
}

impl core::error::Error for BootInfoError {}

impl BootInfo {
    /// A page with nothing but magic and version; names and arguments that are too long are cut.
    pub fn new(name: &str, args: &str, boot_reason: BootReason) -> Self {
        BootInfo {
            magic: MAGIC,
            version: VERSION,
            boot_reason: boot_reason as u32,
            name: padded(name),
            args: padded(args),
            ..Self::new_zeroed()
        }
    }

    /// Checks what the unikernel is about to build upon.
    pub fn validate(&self) -> Result<(), BootInfoError> {
        if self.magic != MAGIC {
            return Err(BootInfoError::Magic { found: self.magic });
        }
        if self.version != VERSION {
            return Err(BootInfoError::Version { found: self.version });
        }
        if self.boot_reason().is_none() {
            return Err(BootInfoError::BootReason { found: self.boot_reason });
        }
        if self.device_count as usize > MAX_DEVICES {
            return Err(BootInfoError::Devices { found: self.device_count });
        }
        if str::from_utf8(until_nul(&self.name)).is_err() || str::from_utf8(until_nul(&self.args)).is_err() {
            return Err(BootInfoError::Text);
        }
        self.validate_areas()
    }

    /// The areas lie in RAM in their order, or are empty; p2m has an entry for every page; the window is
    /// where it belongs.
    fn validate_areas(&self) -> Result<(), BootInfoError> {
        let ram = Area { va: layout::RAM_BASE, pages: self.ram_pages };
        if ram.end() > layout::SHARED_INFO_VA {
            return Err(BootInfoError::Area { name: "RAM", found: ram });
        }
        let mut from = ram.va;
        let in_order = [
            ("stack", self.stack, 1),
            ("log ring", self.log, 1),
            (
                "kept map",
                self.kept_map,
                self.kept.pages.saturating_mul(layout::KEPT_MAP_ENTRY as u64).div_ceil(PAGE_SIZE as u64),
            ),
            ("p2m", self.p2m, (self.ram_pages * 8).div_ceil(PAGE_SIZE as u64)),
            ("heap", self.heap, 0),
            ("DMA memory", self.dma, 0),
        ];
        for (name, area, least) in in_order {
            if area.pages == 0 && least == 0 {
                continue;
            }
            if !area.is_within(from, ram.end()) || area.pages < least {
                return Err(BootInfoError::Area { name, found: area });
            }
            from = area.end();
        }
        if !self.grant_window.is_within(layout::GRANT_WINDOW_VA, layout::BAR_WINDOW_VA) {
            return Err(BootInfoError::Area { name: "grant window", found: self.grant_window });
        }
        self.validate_kept()
    }

    /// What is kept lies in its window, and everything in it within that.
    fn validate_kept(&self) -> Result<(), BootInfoError> {
        let error = |name, found| Err(BootInfoError::Area { name, found });
        let kept = self.kept;
        if kept.pages > layout::KEPT_WINDOW_MAX_PAGES as u64
            || (kept.pages > 0 && kept.va != layout::KEPT_WINDOW_VA)
        {
            return error("kept window", kept);
        }
        let inside = |area: Area, to: u64| area.pages == 0 || area.is_within(kept.va, to);
        let at_end = |area: Area, end: u64| inside(area, end) && (area.pages == 0 || area.end() == end);
        if !at_end(self.archive, kept.end()) || self.archive_bytes > self.archive.bytes() {
            return error("boot archive", self.archive);
        }
        let archive_start = kept.end() - self.archive.bytes();
        if !at_end(self.register, archive_start) {
            return error("register of domains", self.register);
        }
        let writable_end = self.writable_end();
        if !inside(self.recovery_box, writable_end) {
            return error("recovery box", self.recovery_box);
        }
        if !inside(self.broker, writable_end) {
            return error("requests to the broker", self.broker);
        }
        if self.shared_count as usize > MAX_SHARED {
            return Err(BootInfoError::Shared { found: self.shared_count });
        }
        match self.shared().iter().find(|shared| !inside(shared.area, writable_end)) {
            Some(shared) => error("shared memory", shared.area),
            None => Ok(()),
        }
    }

    /// Where the part of what is kept ends that the unikernel may write.
    pub const fn writable_end(&self) -> u64 {
        self.kept.end().saturating_sub(self.register.bytes()).saturating_sub(self.archive.bytes())
    }

    /// Why this incarnation was started; `None` if the page says what does not exist.
    pub const fn boot_reason(&self) -> Option<BootReason> {
        match self.boot_reason {
            1 => Some(BootReason::First),
            2 => Some(BootReason::MicroReboot),
            3 => Some(BootReason::Rebuild),
            _ => None,
        }
    }

    /// Whether a part that fails is to be repaired alone.
    pub const fn repairs_parts(&self) -> bool {
        self.repairs_parts != 0
    }

    /// The component's name; empty if it is not UTF-8.
    pub fn name(&self) -> &str {
        str::from_utf8(until_nul(&self.name)).unwrap_or_default()
    }

    /// The component's arguments; empty if they are not UTF-8.
    pub fn args(&self) -> &str {
        str::from_utf8(until_nul(&self.args)).unwrap_or_default()
    }

    /// What it shares with other unikernels.
    pub fn shared(&self) -> &[SharedInfo] {
        &self.shared[..(self.shared_count as usize).min(MAX_SHARED)]
    }

    /// Where the page of the device `index` is; `None` if there is no such device.
    pub fn device_info_va(&self, index: usize) -> Option<u64> {
        let count = (self.device_count as usize).min(MAX_DEVICES);
        (index < count).then(|| layout::BOOT_INFO_VA + (1 + index as u64) * PAGE_SIZE as u64)
    }
}

/// Prints who the unikernel is, for the first line of its log.
impl fmt::Display for BootInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Printable(until_nul(&self.name));
        write!(f, "{name}, domain {}, incarnation {}, {} pages", self.domid, self.incarnation, self.ram_pages)
    }
}

#[cfg(test)]
mod tests;
