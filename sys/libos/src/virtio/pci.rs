//! Configuration space for `virtio-drivers`: root's snapshot of it, because a unikernel has no access.

use uk_abi::device_info::{BAR_64, BARS, DeviceInfo};
use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction};

/// Where the base address registers are in configuration space.
const FIRST_BAR: u8 = 0x10;

/// Configuration space as it was when root gave the device away. Writes change the snapshot alone, and of
/// it the base address registers alone: that is how a driver asks for their sizes.
pub struct Snapshot {
    device: &'static DeviceInfo,
    config: [u8; 256],
}

impl Snapshot {
    /// The configuration space of `device`.
    pub fn of(device: &'static DeviceInfo) -> Self {
        Self { device, config: device.config }
    }

    /// The device's place, which the snapshot does not look at.
    pub fn function(&self) -> DeviceFunction {
        let [bus, devfn] = self.device.bdf.to_be_bytes();
        DeviceFunction { bus, device: devfn >> 3, function: devfn & 7 }
    }

    /// The bits that a write to the doubleword at `offset` changes.
    fn writable(&self, offset: u8) -> u32 {
        let index = usize::from(offset.wrapping_sub(FIRST_BAR) / 4);
        let bars = &self.device.bars;
        match index {
            index if offset < FIRST_BAR || index >= BARS => 0,
            index if index > 0 && bars[index - 1].flags & BAR_64 != 0 => {
                (bars[index - 1].size.wrapping_neg() >> 32) as u32
            }
            index => bars[index].size.wrapping_neg() as u32 & !0xf,
        }
    }
}

impl ConfigurationAccess for Snapshot {
    fn read_word(&self, _: DeviceFunction, offset: u8) -> u32 {
        let at = usize::from(offset & !3);
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.config[at..at + 4]);
        u32::from_le_bytes(bytes)
    }

    fn write_word(&mut self, function: DeviceFunction, offset: u8, data: u32) {
        let (at, mask) = (usize::from(offset & !3), self.writable(offset));
        let value = data & mask | self.read_word(function, offset) & !mask;
        self.config[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    unsafe fn unsafe_clone(&self) -> Self {
        Self { device: self.device, config: self.config }
    }
}
