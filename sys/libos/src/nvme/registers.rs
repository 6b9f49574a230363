//! A controller's registers (NVM Express base specification 2.0, 3.1.3), and its reset.

use crate::clock;
use crate::virtio::DeviceError;
use core::ptr::NonNull;
use uk_abi::device_info::DeviceInfo;

/// Offsets.
const CAPABILITIES: usize = 0x00;
const CONFIGURATION: usize = 0x14;
const STATUS: usize = 0x1c;
const ADMIN_ATTRIBUTES: usize = 0x24;
const ADMIN_SUBMISSION: usize = 0x28;
const ADMIN_COMPLETION: usize = 0x30;
const DOORBELLS: usize = 0x1000;

/// Bits of the configuration: enabled, with pages of 4 KiB, commands of 2^6 bytes and completions of 2^4.
const ENABLE: u32 = 1 | 6 << 16 | 4 << 20;

/// Bits of the status.
const READY: u32 = 1;
const FATAL: u32 = 2;

/// The capability's unit of time, in microseconds.
const TIME_UNIT_US: u64 = 500_000;

/// The registers of a controller.
pub(super) struct Registers {
    base: NonNull<u8>,
    /// Bytes from one doorbell to the next.
    stride: usize,
    size: usize,
    patience_us: u64,
}

impl Registers {
    /// The registers of `device`.
    pub(super) fn of(device: &DeviceInfo) -> Result<Self, DeviceError> {
        let bar = &device.bars[0];
        let base = NonNull::new(bar.va as *mut u8).filter(|_| bar.size as usize > DOORBELLS + 64);
        let base = base.ok_or(DeviceError::Registers)?;
        let mut registers = Self { base, stride: 4, size: bar.size as usize, patience_us: TIME_UNIT_US };
        let capabilities = registers.read64(CAPABILITIES);
        registers.stride = 4 << (capabilities >> 32 & 0xf);
        registers.patience_us = (capabilities >> 24 & 0xff).max(1) * TIME_UNIT_US;
        Ok(registers)
    }

    /// How many entries a queue can have.
    pub(super) fn most_entries(&self) -> u32 {
        (self.read64(CAPABILITIES) as u32 & 0xffff) + 1
    }

    /// Stops the controller, and waits until it has.
    pub(super) fn stop(&mut self) -> Result<(), DeviceError> {
        self.write32(CONFIGURATION, 0);
        self.wait(|status| status & READY == 0)
    }

    /// Starts it with the queue for administration in these places, with so many entries.
    pub(super) fn start(
        &mut self,
        entries: u32,
        submission: u64,
        completion: u64,
    ) -> Result<(), DeviceError> {
        self.write32(ADMIN_ATTRIBUTES, (entries - 1) << 16 | (entries - 1));
        self.write64(ADMIN_SUBMISSION, submission);
        self.write64(ADMIN_COMPLETION, completion);
        self.write32(CONFIGURATION, ENABLE);
        self.wait(|status| status & READY != 0)
    }

    fn wait(&self, is_there: impl Fn(u32) -> bool) -> Result<(), DeviceError> {
        let end_us = clock::now_us() + self.patience_us;
        loop {
            let status = self.read32(STATUS);
            if status != u32::MAX && is_there(status) {
                return Ok(());
            }
            if clock::now_us() > end_us {
                return Err(DeviceError::Reset);
            }
        }
    }

    /// Whether the controller works no more.
    pub(super) fn is_stopped(&self) -> bool {
        let status = self.read32(STATUS);
        status == u32::MAX || status & FATAL != 0 || status & READY == 0
    }

    /// Tells the controller how far a queue has come: of submissions, or of completions that were taken.
    pub(super) fn ring(&mut self, queue: u16, is_completion: bool, index: u16) {
        let place = usize::from(queue) * 2 + usize::from(is_completion);
        self.write32(DOORBELLS + place * self.stride, index.into());
    }

    fn pointer<T>(&self, offset: usize) -> *mut T {
        assert!(offset + size_of::<T>() <= self.size, "a register at {offset:#x}");
        // SAFETY: it lies within the registers, as was just looked at.
        unsafe { self.base.as_ptr().add(offset).cast() }
    }

    fn read32(&self, offset: usize) -> u32 {
        // SAFETY: root maps the registers there for as long as this domain runs; reading those named above changes nothing.
        unsafe { self.pointer::<u32>(offset).read_volatile() }
    }

    fn read64(&self, offset: usize) -> u64 {
        u64::from(self.read32(offset)) | u64::from(self.read32(offset + 4)) << 32
    }

    fn write32(&mut self, offset: usize, value: u32) {
        // SAFETY: as above. What a register has the controller do to memory is in the queues, which are a driver's own pages.
        unsafe { self.pointer::<u32>(offset).write_volatile(value) };
    }

    fn write64(&mut self, offset: usize, value: u64) {
        self.write32(offset, value as u32);
        self.write32(offset + 4, (value >> 32) as u32);
    }
}
