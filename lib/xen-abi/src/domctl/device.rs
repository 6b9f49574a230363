//! Devices of a domain, through the IOMMU.

use crate::physdev::PciDevice;

numbers! {
    /// How a device is named.
    pub enum DeviceKind: u32 {
        /// By its place on the PCI bus.
        Pci = 0,
        /// By its path in a device tree.
        Dt = 1,
    }
}

flags! {
    /// How a device is assigned.
    pub struct AssignFlags: u32 {
        /// Even if memory that it needs mapped one to one is in use.
        const RDM_RELAXED = 1 << 0;
    }
}

/// A PCI device's place: segment << 16 | bus << 8 | device << 3 | function.
#[repr(transparent)]
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
)]
pub struct Sbdf(pub u32);

impl From<PciDevice> for Sbdf {
    fn from(device: PciDevice) -> Self {
        Self(u32::from(device.seg) << 16 | u32::from(device.bus) << 8 | u32::from(device.devfn))
    }
}

structs! {
    /// Assigns a device to a domain, takes it away, or tells whether it could be assigned.
    pub struct AssignDevice: 24 {
        /// A [`DeviceKind`].
        pub dev: u32,
        /// How.
        pub flags: AssignFlags,
        /// Which.
        pub machine_sbdf: Sbdf,
        /// Zero: the rest of a union whose other member is a path.
        pub pad: [u32; 3],
    }
}

impl AssignDevice {
    /// A PCI device.
    pub fn pci(device: PciDevice) -> Self {
        Self { dev: DeviceKind::Pci.raw(), machine_sbdf: device.into(), ..Self::default() }
    }
}
