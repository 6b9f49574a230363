//! PCI configuration space: functions, and the scan that finds them.

use core::fmt;
use description::{PciAddress, PciFunction};
use heapless::Vec;
use kernel::port_io;
use serde::{Deserialize, Serialize};
use xen_abi::physdev::PciDevice;

/// The most functions that a scan tells of: five times what a small server has.
pub const MAX_FUNCTIONS: usize = 128;

/// Offset of the vendor's and the device's id.
const IDS: u8 = 0x00;
/// Offset of the command register; see [`command`].
pub const COMMAND: u8 = 0x04;
/// Offset of the class, above the revision.
const CLASS: u8 = 0x08;
/// Offset of the header type.
const HEADER_TYPE: u8 = 0x0e;
/// Offset of the number of the bus behind a bridge.
const SECONDARY_BUS: u8 = 0x19;
/// Offset of the line that firmware has routed the interrupt pin to.
pub const INTERRUPT_LINE: u8 = 0x3c;
/// Offset of the interrupt pin: 0 where there is none.
pub const INTERRUPT_PIN: u8 = 0x3d;

/// Bits of the command register.
pub mod command {
    /// Answers to accesses of its I/O ports.
    pub const IO: u16 = 1 << 0;
    /// Answers to accesses of its memory-mapped registers.
    pub const MEMORY: u16 = 1 << 1;
    /// May reach memory: bus mastering, DMA. Messages that interrupt are such accesses too.
    pub const BUS_MASTER: u16 = 1 << 2;
    /// Does not use its interrupt line.
    pub const NO_LINE: u16 = 1 << 10;
}

/// A function with registers of its own.
const HEADER_ENDPOINT: u8 = 0;
/// A bridge to another bus.
const HEADER_BRIDGE: u8 = 1;
/// Set in the header type of a device with more than one function.
const MULTIFUNCTION: u8 = 0x80;

/// A PCI function of segment 0: bus (8 bits), device (5), function (3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bdf(pub u16);

impl Bdf {
    /// Reads the aligned doubleword at `offset` of its configuration space; all ones where nothing answers.
    pub fn read32(self, offset: u8) -> u32 {
        port_io::config_read(self.0, offset)
    }

    /// Reads the aligned word at `offset`.
    pub fn read16(self, offset: u8) -> u16 {
        (self.read32(offset) >> (8 * (offset & 2))) as u16
    }

    /// Reads the byte at `offset`.
    pub fn read8(self, offset: u8) -> u8 {
        (self.read32(offset) >> (8 * (offset & 3))) as u8
    }

    /// Writes the aligned doubleword at `offset`.
    pub fn write32(self, offset: u8, value: u32) {
        port_io::config_write(self.0, offset, value);
    }

    /// Writes the aligned word at `offset`.
    pub fn write16(self, offset: u8, value: u16) {
        port_io::config_write16(self.0, offset, value);
    }

    /// The ids of vendor (low half) and device; none where nothing answers.
    pub fn ids(self) -> Option<u32> {
        Some(self.read32(IDS)).filter(|ids| *ids as u16 != 0xffff)
    }

    /// Class, subclass and interface.
    fn class(self) -> u32 {
        self.read32(CLASS) >> 8
    }

    /// As the description names it.
    pub fn address(self) -> PciAddress {
        let [bus, devfn] = self.0.to_be_bytes();
        PciAddress { segment: 0, bus, device: devfn >> 3, function: devfn & 7 }
    }

    /// As Xen names it.
    pub fn for_xen(self) -> PciDevice {
        let [bus, devfn] = self.0.to_be_bytes();
        PciDevice { seg: 0, bus, devfn }
    }
}

impl From<PciAddress> for Bdf {
    fn from(address: PciAddress) -> Self {
        Self(u16::from_be_bytes([address.bus, address.device << 3 | address.function]))
    }
}

impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(f)
    }
}

/// Class, subclass and interface, as `config` says.
pub fn class_of(config: &[u8; 256]) -> u32 {
    let at = usize::from(CLASS);
    u32::from_le_bytes([config[at + 1], config[at + 2], config[at + 3], 0])
}

/// Every function behind bus 0 and the bridges on it, in the order of addresses; bridges are left out.
/// Firmware has numbered the buses, each higher than the one that its bridge is on.
pub fn scan() -> Vec<PciFunction, MAX_FUNCTIONS> {
    let mut functions = Vec::new();
    let mut is_there = [false; 256];
    is_there[0] = true;
    for bus in 0..=u8::MAX {
        if is_there[usize::from(bus)] {
            scan_bus(bus, &mut functions, &mut is_there);
        }
    }
    functions
}

fn scan_bus(bus: u8, functions: &mut Vec<PciFunction, MAX_FUNCTIONS>, is_there: &mut [bool; 256]) {
    for device in 0..32 {
        for function in 0..8 {
            let address = PciAddress { segment: 0, bus, device, function };
            let bdf = Bdf::from(address);
            let Some(ids) = bdf.ids() else {
                if function == 0 {
                    break;
                }
                continue;
            };
            let header = bdf.read8(HEADER_TYPE);
            match header & !MULTIFUNCTION {
                HEADER_ENDPOINT => {
                    let (vendor, device) = (ids as u16, (ids >> 16) as u16);
                    // What is too much for the list is given to nobody.
                    let _ = functions.push(PciFunction { address, vendor, device, class: bdf.class() });
                }
                HEADER_BRIDGE => {
                    // A bridge passes on what the devices behind it do: they are the ones to be stopped.
                    let passes = command::MEMORY | command::BUS_MASTER;
                    bdf.write16(COMMAND, bdf.read16(COMMAND) | passes);
                    is_there[usize::from(bdf.read8(SECONDARY_BUS))] = true;
                }
                _ => {}
            }
            if function == 0 && header & MULTIFUNCTION == 0 {
                break;
            }
        }
    }
}
