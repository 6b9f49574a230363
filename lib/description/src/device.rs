//! Which PCI functions a component drives.

use core::{fmt, str::FromStr};
use serde::{Deserialize, Serialize};

/// A device that a component drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Which PCI function it is.
    pub select: DeviceSelector,
    /// Whether the component starts without it where the host has none; otherwise the component is held.
    pub optional: bool,
    /// The best way in which it may interrupt.
    pub interrupt: Interrupt,
}

/// A way in which a device makes itself heard, the best first. Which one is used depends on the device and the host: none
/// that is better than the one that a [`Device`] is allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Interrupt {
    /// Messages, each with an address of its own.
    #[default]
    Msix,
    /// Messages of the older kind.
    Msi,
    /// A line, which devices may share.
    Line,
    /// None: its driver looks again and again.
    Poll,
}

/// How a device is found among the host's PCI functions.
///
/// A selector that says less takes from what the more exact ones leave: addresses go first, then ids, then drivers,
/// then classes. `nth` counts from 0, in the order of addresses, among what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceSelector {
    /// The function at an address.
    Address(PciAddress),
    /// By vendor and device id.
    Id {
        /// The vendor's id in config space.
        vendor: u16,
        /// The device's id in config space.
        device: u16,
        /// Which of several.
        nth: u8,
    },
    /// Any function that a driver of ours can drive.
    Driver {
        /// The driver.
        driver: Driver,
        /// Which of several.
        nth: u8,
    },
    /// Any function of a class.
    Class {
        /// The class.
        class: DeviceClass,
        /// Which of several.
        nth: u8,
    },
}

/// What a device is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceClass {
    /// An Ethernet controller: PCI class 02, subclass 00.
    Net,
    /// Mass storage of any kind: PCI class 01.
    Block,
}

/// A driver of ours, which stands for the PCI functions it can drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Driver {
    /// The virtio network card (1af4:1041; 1af4:1000 where it also speaks the legacy protocol).
    VirtioNet,
    /// The virtio disk (1af4:1042; 1af4:1001 where it also speaks the legacy protocol).
    VirtioBlk,
    /// Intel's 82574L (8086:10d3).
    E1000e,
    /// An NVM Express controller: PCI class 01, subclass 08, interface 02.
    Nvme,
}

/// The address of a PCI function, written as `0000:00:03.0`: segment, bus, device, function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PciAddress {
    /// The segment (PCI domain).
    pub segment: u16,
    /// The bus.
    pub bus: u8,
    /// The device, below 32.
    pub device: u8,
    /// The function, below 8.
    pub function: u8,
}

/// A text is no PCI address such as `0000:00:03.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PciAddressError;

/// What a scan of the bus says of one PCI function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PciFunction {
    /// Where it is.
    pub address: PciAddress,
    /// The vendor's id in config space.
    pub vendor: u16,
    /// The device's id in config space.
    pub device: u16,
    /// Class, subclass and interface, as the upper 24 bits of config space's register 8 hold them.
    pub class: u32,
}

impl DeviceClass {
    /// Each class by its name in `rvmm.toml`.
    pub const NAMES: [(&'static str, Self); 2] = [("net", Self::Net), ("block", Self::Block)];

    fn matches(self, function: &PciFunction) -> bool {
        match self {
            Self::Net => function.class >> 8 == 0x02_00,
            Self::Block => function.class >> 16 == 0x01,
        }
    }
}

impl Driver {
    /// Each driver by its name in `rvmm.toml`.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("virtio-net", Self::VirtioNet),
        ("virtio-blk", Self::VirtioBlk),
        ("e1000e", Self::E1000e),
        ("nvme", Self::Nvme),
    ];

    fn matches(self, function: &PciFunction) -> bool {
        let id = (function.vendor, function.device);
        match self {
            Self::VirtioNet => matches!(id, (0x1af4, 0x1000 | 0x1041)),
            Self::VirtioBlk => matches!(id, (0x1af4, 0x1001 | 0x1042)),
            Self::E1000e => id == (0x8086, 0x10d3),
            Self::Nvme => function.class == 0x01_08_02,
        }
    }
}

impl Interrupt {
    /// Each way by its name in `rvmm.toml`.
    pub const NAMES: [(&'static str, Self); 4] =
        [("msix", Self::Msix), ("msi", Self::Msi), ("line", Self::Line), ("poll", Self::Poll)];
}

impl DeviceSelector {
    /// How many ranks of exactness there are.
    pub(crate) const RANKS: usize = 4;

    /// How exact the selector is: 0 is the most exact.
    pub(crate) fn rank(&self) -> usize {
        match self {
            Self::Address(_) => 0,
            Self::Id { .. } => 1,
            Self::Driver { .. } => 2,
            Self::Class { .. } => 3,
        }
    }

    /// Whether a function is of the kind asked for.
    pub fn matches(&self, function: &PciFunction) -> bool {
        match self {
            Self::Address(address) => function.address == *address,
            Self::Id { vendor, device, .. } => (function.vendor, function.device) == (*vendor, *device),
            Self::Driver { driver, .. } => driver.matches(function),
            Self::Class { class, .. } => class.matches(function),
        }
    }

    /// Which of several functions of the kind is meant, counted from 0.
    pub fn nth(&self) -> u8 {
        match self {
            Self::Address(_) => 0,
            Self::Id { nth, .. } | Self::Driver { nth, .. } | Self::Class { nth, .. } => *nth,
        }
    }

    /// The selector for another one of the same kind; an address names one function alone.
    pub fn with_nth(mut self, other: u8) -> Self {
        match &mut self {
            Self::Address(_) => {}
            Self::Id { nth, .. } | Self::Driver { nth, .. } | Self::Class { nth, .. } => *nth = other,
        }
        self
    }
}

impl PciAddress {
    /// Whether device and function are numbers that PCI has.
    pub fn is_valid(&self) -> bool {
        self.device < 32 && self.function < 8
    }
}

impl FromStr for PciAddress {
    type Err = PciAddressError;

    fn from_str(text: &str) -> Result<Self, PciAddressError> {
        let (segment, rest) = text.split_once(':').ok_or(PciAddressError)?;
        let (bus, rest) = rest.split_once(':').ok_or(PciAddressError)?;
        let (device, function) = rest.split_once('.').ok_or(PciAddressError)?;
        let address = Self {
            segment: hex(segment, 4)?,
            bus: hex(bus, 2)? as u8,
            device: hex(device, 2)? as u8,
            function: hex(function, 1)? as u8,
        };
        if address.is_valid() { Ok(address) } else { Err(PciAddressError) }
    }
}

/// A hexadecimal number of exactly so many digits.
fn hex(text: &str, digits: usize) -> Result<u16, PciAddressError> {
    let fits = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    if fits { u16::from_str_radix(text, 16).map_err(|_| PciAddressError) } else { Err(PciAddressError) }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.segment, self.bus, self.device, self.function)
    }
}

impl fmt::Display for PciAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an address such as 0000:00:03.0 (segment, bus, device, function)")
    }
}

impl core::error::Error for PciAddressError {}

impl fmt::Display for DeviceSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => return write!(f, "address {address}"),
            Self::Id { vendor, device, .. } => write!(f, "id {vendor:04x}:{device:04x}")?,
            Self::Driver { driver, .. } => write!(f, "driver {}", name_of(&Driver::NAMES, *driver))?,
            Self::Class { class, .. } => write!(f, "class {}", name_of(&DeviceClass::NAMES, *class))?,
        }
        write!(f, " nth {}", self.nth())
    }
}

fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, named)| *named == value).map_or("?", |(name, _)| name)
}
