//! A function's base address registers and configuration space, read and written. What they mean is `lib/pci`'s subject.

use super::config::{Bdf, COMMAND, command};
use uk_abi::device_info::{BAR_64, BARS, BarInfo};

/// Offset of the first base address register.
const FIRST_BAR: u8 = 0x10;

/// Offset of a base address register.
pub const fn bar_offset(index: usize) -> u8 {
    FIRST_BAR + 4 * index as u8
}

/// Finds out where the registers of `bdf` are and how large. Its decoding and bus mastering are off
/// meanwhile, so only before somebody uses it; afterwards memory decoding is on.
pub fn size(bdf: Bdf) -> [BarInfo; BARS] {
    let off = command::IO | command::MEMORY | command::BUS_MASTER;
    bdf.write16(COMMAND, bdf.read16(COMMAND) & !off);
    let bars = pci::bars::decode(|index| probe(bdf, index));
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
