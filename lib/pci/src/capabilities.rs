//! Capabilities: what a function can do, and where its registers for it are.

use uk_abi::device_info::DeviceInfo;
use xen_abi::MachineAddr;

/// Ids of capabilities (PCI local bus 3.0, appendix H).
mod id {
    pub const MSI: u8 = 0x05;
    pub const VENDOR: u8 = 0x09;
    pub const PCI_EXPRESS: u8 = 0x10;
    pub const MSIX: u8 = 0x11;
}

/// Bit of PCI Express' device capabilities: the function can be reset by itself.
const FUNCTION_LEVEL_RESET: u32 = 1 << 28;

/// The vendor whose capabilities tell where virtio's registers are.
const VIRTIO_VENDOR: u16 = 0x1af4;

/// `cfg_type` of virtio's common configuration (virtio 1.2, 4.1.4).
const VIRTIO_COMMON: u8 = 1;

/// Where in configuration space the capabilities are that root uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msix {
    /// Where the capability is.
    pub offset: u8,
    /// Messages that it can have.
    pub vectors: u32,
    /// The register that its table lies behind, and where.
    pub table: (usize, u64),
    /// The same of its pending bits.
    pub pending: (usize, u64),
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
                id::VENDOR if info.vendor == VIRTIO_VENDOR && (word(0) >> 24) as u8 == VIRTIO_COMMON => {
                    let bar = info.bars.get((word(4) & 0xff) as usize).filter(|bar| bar.size > 0);
                    let address = bar.and_then(|bar| bar.machine.checked_add(word(8).into()));
                    found.virtio_common = address.map(MachineAddr);
                }
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zerocopy::FromZeros;

    /// A device with a chain of capabilities, each with its words, from offset 0x40 on, 0x20 apart.
    fn device<const N: usize>(vendor: u16, capabilities: [(u8, [u32; 4]); N]) -> DeviceInfo {
        let mut info = DeviceInfo::new_zeroed();
        info.vendor = vendor;
        info.config[0x06] = 1 << 4;
        info.config[0x34] = 0x40;
        for (index, (id, words)) in capabilities.into_iter().enumerate() {
            let at = 0x40 + 0x20 * index;
            for (n, word) in words.into_iter().enumerate() {
                info.config[at + 4 * n..][..4].copy_from_slice(&word.to_le_bytes());
            }
            info.config[at] = id;
            info.config[at + 1] = if index + 1 < N { (at + 0x20) as u8 } else { 0 };
        }
        info.bars[4].machine = 0x8_0000_0000;
        info.bars[4].size = 0x4000;
        info
    }

    #[test]
    fn each_capability_is_found() {
        // Virtio's: cfg_type in the last byte of the first word, then the register, then the offset behind it.
        let info = device(
            VIRTIO_VENDOR,
            [
                (id::MSI, [0; 4]),
                (id::MSIX, [2 << 16, 1, 0x800 | 1, 0]),
                (id::PCI_EXPRESS, [0, FUNCTION_LEVEL_RESET, 0, 0]),
                (id::VENDOR, [u32::from(VIRTIO_COMMON) << 24, 4, 0x1000, 0x38]),
            ],
        );
        let msix = Msix { offset: 0x60, vectors: 3, table: (1, 0), pending: (1, 0x800) };
        let wanted = Capabilities {
            msi: Some(0x40),
            msix: Some(msix),
            flr: Some(0x80),
            virtio_common: Some(MachineAddr(0x8_0000_1000)),
        };
        assert_eq!(Capabilities::of(&info), wanted);
    }

    #[test]
    fn what_a_device_cannot_do_is_not_found() {
        let common = (id::VENDOR, [u32::from(VIRTIO_COMMON) << 24, 4, 0, 0]);
        let nothing = Capabilities::default();
        assert_eq!(Capabilities::of(&device(0x8086, [common, (id::PCI_EXPRESS, [0; 4])])), nothing);
        // Virtio's notification registers, and common ones behind a register that is not there.
        let others = [
            (id::VENDOR, [2 << 24, 4, 0, 0]),
            (id::VENDOR, [1 << 24, 5, 0, 0]),
            (id::VENDOR, [1 << 24, 9, 0, 0]),
        ];
        assert_eq!(Capabilities::of(&device(VIRTIO_VENDOR, others)), nothing);
        let mut without_list = device(VIRTIO_VENDOR, [common]);
        without_list.config[0x06] = 0;
        assert_eq!(Capabilities::of(&without_list), nothing);
    }

    proptest! {
        /// Whatever configuration space holds, there is an answer, which lies in it.
        #[test]
        fn reading_is_total(config in prop::collection::vec(any::<u8>(), 256), machine: u64, size: u64) {
            let mut info = device(VIRTIO_VENDOR, [(0, [0; 4])]);
            info.config.copy_from_slice(&config);
            info.bars[0].machine = machine;
            info.bars[0].size = size;
            let found = Capabilities::of(&info);
            let offsets = [found.msi, found.msix.map(|msix| msix.offset), found.flr];
            prop_assert!(offsets.into_iter().flatten().all(|offset| offset >= 0x40));
        }
    }
}
