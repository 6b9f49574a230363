//! A function's registers and capabilities: where they are, how large, which of them a component may map.

use super::pci::{Bdf, COMMAND, command};
use builder::MachineRange;
use uk_abi::device_info::{BAR_64, BAR_IO, BAR_PREFETCH, BARS, BarInfo, DeviceInfo};
use uk_abi::layout::PAGE_SIZE;
use xen_abi::MachineAddr;

const PAGE: u64 = PAGE_SIZE as u64;

/// Offset of the first base address register.
const FIRST_BAR: u8 = 0x10;

/// Ids of capabilities (PCI local bus 3.0, appendix H).
mod id {
    pub const MSI: u8 = 0x05;
    pub const VENDOR: u8 = 0x09;
    pub const PCI_EXPRESS: u8 = 0x10;
    pub const MSIX: u8 = 0x11;
}

/// Bit of PCI Express' device capabilities: the function can be reset by itself.
const FUNCTION_LEVEL_RESET: u32 = 1 << 28;

/// `cfg_type` of virtio's common configuration (virtio 1.2, 4.1.4).
const VIRTIO_COMMON: u8 = 1;

/// Offset of a base address register.
pub const fn bar_offset(index: usize) -> u8 {
    FIRST_BAR + 4 * index as u8
}

/// Finds out where the registers of `bdf` are and how large. Its decoding and bus mastering are off
/// meanwhile, so only before somebody uses it; afterwards memory decoding is on.
pub fn size(bdf: Bdf) -> [BarInfo; BARS] {
    let off = command::IO | command::MEMORY | command::BUS_MASTER;
    bdf.write16(COMMAND, bdf.read16(COMMAND) & !off);
    let mut bars = [BarInfo::default(); BARS];
    let mut index = 0;
    while index < BARS {
        let (low, low_mask) = probe(bdf, index);
        if low & 1 != 0 {
            let machine = u64::from(low & !3);
            let size = u64::from((low_mask & !3).wrapping_neg() & 0xffff);
            bars[index] = BarInfo { va: 0, machine, size, flags: BAR_IO };
        } else {
            let is_64 = low & 6 == 4 && index + 1 < BARS;
            let (high, high_mask) = if is_64 { probe(bdf, index + 1) } else { (0, u32::MAX) };
            let machine = u64::from(high) << 32 | u64::from(low & !0xf);
            let mask = u64::from(high_mask) << 32 | u64::from(low_mask & !0xf);
            let size = if low_mask & !0xf == 0 && !is_64 { 0 } else { mask.wrapping_neg() };
            let prefetch = if low & 8 != 0 { BAR_PREFETCH } else { 0 };
            bars[index] = BarInfo { va: 0, machine, size, flags: prefetch | if is_64 { BAR_64 } else { 0 } };
            index += usize::from(is_64);
        }
        index += 1;
    }
    bdf.write16(COMMAND, bdf.read16(COMMAND) | command::MEMORY);
    bars
}

/// A register's value, and which of its bits can be set.
fn probe(bdf: Bdf, index: usize) -> (u32, u32) {
    let value = bdf.read32(bar_offset(index));
    bdf.write32(bar_offset(index), u32::MAX);
    let mask = bdf.read32(bar_offset(index));
    bdf.write32(bar_offset(index), value);
    (value, mask)
}

/// Writes the addresses back that a reset has cleared.
pub fn restore(bdf: Bdf, bars: &[BarInfo; BARS]) {
    for (index, bar) in bars.iter().enumerate().filter(|(_, bar)| bar.size > 0) {
        bdf.write32(bar_offset(index), bar.machine as u32);
        if bar.flags & BAR_64 != 0 {
            bdf.write32(bar_offset(index + 1), (bar.machine >> 32) as u32);
        }
    }
}

/// Configuration space as it is now.
pub fn snapshot(bdf: Bdf) -> [u8; 256] {
    let mut config = [0; 256];
    for (bytes, index) in config.chunks_exact_mut(4).zip(0u8..) {
        bytes.copy_from_slice(&bdf.read32(4 * index).to_le_bytes());
    }
    config
}

/// Where in configuration space the capabilities are that root uses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Capabilities {
    /// MSI.
    pub msi: Option<u8>,
    /// MSI-X.
    pub msix: Option<Msix>,
    /// PCI Express, where the function can be reset by itself.
    pub flr: Option<u8>,
    /// The registers of virtio's common configuration.
    pub virtio_common: Option<MachineAddr>,
}

/// MSI-X of a function.
#[derive(Clone, Copy, Debug)]
pub struct Msix {
    /// Where the capability is.
    pub offset: u8,
    /// Messages that it can have.
    pub vectors: u32,
    /// The register that its table lies behind, and where.
    pub table: (usize, u64),
    /// The same of its pending bits.
    pending: (usize, u64),
}

impl Capabilities {
    /// Those of the device that `info` describes.
    pub fn of(info: &DeviceInfo) -> Self {
        let mut found = Self::default();
        for capability in info.capabilities() {
            let word = |at: usize| {
                let bytes = capability.bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
                bytes.map_or(0, u32::from_le_bytes)
            };
            let place = |at: usize| ((word(at) & 7) as usize, u64::from(word(at) & !7));
            match capability.id {
                id::MSI => found.msi = Some(capability.offset),
                id::MSIX => {
                    let vectors = (word(0) >> 16 & 0x7ff) + 1;
                    let (table, pending) = (place(4), place(8));
                    found.msix = Some(Msix { offset: capability.offset, vectors, table, pending });
                }
                id::PCI_EXPRESS if word(4) & FUNCTION_LEVEL_RESET != 0 => {
                    found.flr = Some(capability.offset);
                }
                id::VENDOR if info.vendor == 0x1af4 && (word(0) >> 24) as u8 == VIRTIO_COMMON => {
                    let bar = info.bars.get((word(4) & 0xff) as usize).filter(|bar| bar.size > 0);
                    found.virtio_common = bar.map(|bar| MachineAddr(bar.machine + u64::from(word(8))));
                }
                _ => {}
            }
        }
        found
    }
}

/// The registers behind `info.bars[index]` that a component may map, in pages: all of them, but for
/// MSI-X's own, which Xen keeps to itself, and what comes after those. Registers that do not start on a
/// page share it with another device's, and are mapped for nobody.
pub fn mappable(info: &DeviceInfo, msix: Option<&Msix>, index: usize) -> Option<MachineRange> {
    let bar = &info.bars[index];
    if bar.flags & BAR_IO != 0 || bar.size == 0 || bar.machine == 0 || !bar.machine.is_multiple_of(PAGE) {
        return None;
    }
    let own = msix.into_iter().flat_map(|msix| [msix.table, msix.pending]);
    let end = own.filter(|(of, _)| *of == index).map(|(_, offset)| offset / PAGE);
    let pages = end.min().unwrap_or(bar.size.div_ceil(PAGE));
    (pages > 0).then(|| MachineRange { first: MachineAddr(bar.machine).mfn(), pages })
}
