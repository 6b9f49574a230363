//! A device that root has given to a unikernel: one page for each.

use crate::layout::PAGE_SIZE;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The most pirqs that a device can have.
pub const MAX_PIRQS: usize = 8;

/// Base address registers of a PCI device.
pub const BARS: usize = 6;

/// How a device interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum IrqKind {
    /// Not at all.
    None = 0,
    /// MSI-X messages.
    Msix = 1,
    /// MSI messages.
    Msi = 2,
    /// An interrupt line, which may be shared.
    Intx = 3,
    /// It could not be routed: the driver looks at the device from time to time.
    Poll = 4,
}

impl IrqKind {
    const ALL: [IrqKind; 5] = [Self::None, Self::Msix, Self::Msi, Self::Intx, Self::Poll];
}

/// One base address register. All zeros where the device has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BarInfo {
    /// Where the unikernel finds it; 0 where it is not mapped (I/O ports never are).
    pub va: u64,
    /// The machine address, or the number of the first I/O port.
    pub machine: u64,
    /// Bytes, or ports; 0 where the device has no such register.
    pub size: u64,
    /// Any of [`BAR_IO`], [`BAR_64`], [`BAR_PREFETCH`].
    pub flags: u64,
}

/// It is a range of I/O ports.
pub const BAR_IO: u64 = 1;
/// It is a 64-bit register: the next one holds its upper half, and is empty here.
pub const BAR_64: u64 = 2;
/// Reads have no side effects.
pub const BAR_PREFETCH: u64 = 4;

/// A device, as it was when root gave it away.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceInfo {
    /// PCI segment.
    pub segment: u16,
    /// Bus (8 bits), device (5), function (3).
    pub bdf: u16,
    /// PCI vendor.
    pub vendor: u16,
    /// PCI device number.
    pub device: u16,
    /// Class (byte 2), subclass (1), programming interface (0).
    pub class: u32,
    /// An [`IrqKind`]; see [`DeviceInfo::irq_kind`].
    pub irq_kind: u32,
    /// How many of `pirqs` are valid; see [`DeviceInfo::pirqs`].
    pub pirq_count: u32,
    /// The pirqs to bind, in the order of the device's vectors.
    pub pirqs: [u32; MAX_PIRQS],
    /// The vectors that the device could have at most; 0 without MSI and MSI-X.
    pub vectors_max: u32,
    /// The base address registers.
    pub bars: [BarInfo; BARS],
    /// The first 256 bytes of configuration space.
    pub config: [u8; 256],
}

const _: () =
    assert!(size_of::<DeviceInfo>() == 56 + BARS * 32 + 256 && size_of::<DeviceInfo>() <= PAGE_SIZE);

/// One entry of the list of capabilities in configuration space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability<'a> {
    /// What it is: 0x05 MSI, 0x09 vendor-specific, 0x10 PCI Express, 0x11 MSI-X ...
    pub id: u8,
    /// Where it starts in configuration space.
    pub offset: u8,
    /// From its first byte to the end of the first 256 bytes: how long it really is depends on what it is.
    pub bytes: &'a [u8],
}

impl DeviceInfo {
    /// How the device interrupts; by polling, if the page says what is not known here.
    pub fn irq_kind(&self) -> IrqKind {
        IrqKind::ALL.into_iter().find(|&kind| kind as u32 == self.irq_kind).unwrap_or(IrqKind::Poll)
    }

    /// The pirqs to bind.
    pub fn pirqs(&self) -> &[u32] {
        &self.pirqs[..(self.pirq_count as usize).min(MAX_PIRQS)]
    }

    /// The capabilities, in the order of the device's list. Ends also where the list is broken or circular.
    pub fn capabilities(&self) -> impl Iterator<Item = Capability<'_>> {
        const STATUS: usize = 0x06;
        const HAS_LIST: u8 = 1 << 4;
        const FIRST: usize = 0x34;
        // Entries are at least 4 bytes, behind the 64 bytes that every device has.
        const MOST: usize = (256 - 64) / 4;
        let mut next = if self.config[STATUS] & HAS_LIST != 0 { self.config[FIRST] & !3 } else { 0 };
        core::iter::from_fn(move || {
            let offset = next;
            let bytes = self.config.get(offset as usize..).filter(|_| offset >= 0x40)?;
            next = bytes[1] & !3;
            Some(Capability { id: bytes[0], offset, bytes })
        })
        .take(MOST)
    }
}

#[cfg(test)]
mod tests;
