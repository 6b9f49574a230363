//! A controller by its registers (NVM Express base specification 2.0, 3.1.3): how it is reset, started and told.

use crate::clock;
use crate::registers::Registers;
use crate::virtio::DeviceError;
use uk_abi::device_info::DeviceInfo;

/// Offsets.
const CAPABILITIES: usize = 0x00;
const CONFIGURATION: usize = 0x14;
const STATUS: usize = 0x1c;
const ADMIN_ATTRIBUTES: usize = 0x24;
const ADMIN_SUBMISSION: usize = 0x28;
const ADMIN_COMPLETION: usize = 0x30;
const DOORBELLS: usize = 0x1000;

/// The fewest bytes that a controller's registers have: some doorbells are among them.
const LEAST: usize = DOORBELLS + 64;

/// Bits of the configuration: enabled, with pages of 4 KiB, commands of 2^6 bytes and completions of 2^4.
const ENABLE: u32 = 1 | 6 << 16 | 4 << 20;

/// Bits of the status.
const READY: u32 = 1;
const FATAL: u32 = 2;

/// The capability's unit of time, in microseconds.
const TIME_UNIT_US: u64 = 500_000;

/// A controller.
pub(super) struct Controller {
    registers: Registers,
    /// Bytes from one doorbell to the next.
    stride: usize,
    /// How long it may take to start or to stop.
    patience_us: u64,
}

impl Controller {
    /// The controller that `device` is.
    pub(super) fn of(device: &DeviceInfo) -> Result<Self, DeviceError> {
        let registers = Registers::of(&device.bars[0], LEAST).ok_or(DeviceError::Registers)?;
        let capabilities = registers.read_wide(CAPABILITIES);
        Ok(Self {
            registers,
            stride: 4 << (capabilities >> 32 & 0xf),
            patience_us: (capabilities >> 24 & 0xff).max(1) * TIME_UNIT_US,
        })
    }

    /// How many entries a queue can have.
    pub(super) fn most_entries(&self) -> u32 {
        (self.registers.read(CAPABILITIES) & 0xffff) + 1
    }

    /// Stops the controller, and waits until it has.
    pub(super) fn stop(&mut self) -> Result<(), DeviceError> {
        self.registers.write(CONFIGURATION, 0);
        self.wait(|status| status & READY == 0)
    }

    /// Starts it with the queue for administration in these places, with so many entries.
    pub(super) fn start(
        &mut self,
        entries: u32,
        submission: u64,
        completion: u64,
    ) -> Result<(), DeviceError> {
        self.registers.write(ADMIN_ATTRIBUTES, (entries - 1) << 16 | (entries - 1));
        self.registers.write_wide(ADMIN_SUBMISSION, submission);
        self.registers.write_wide(ADMIN_COMPLETION, completion);
        self.registers.write(CONFIGURATION, ENABLE);
        self.wait(|status| status & READY != 0)
    }

    fn wait(&self, is_there: impl Fn(u32) -> bool) -> Result<(), DeviceError> {
        let end_us = clock::now_us() + self.patience_us;
        loop {
            let status = self.registers.read(STATUS);
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
        let status = self.registers.read(STATUS);
        status == u32::MAX || status & FATAL != 0 || status & READY == 0
    }

    /// Tells the controller how far a queue has come: of submissions, or of completions that were taken.
    pub(super) fn ring(&mut self, queue: u16, is_completion: bool, index: u16) {
        let place = usize::from(queue) * 2 + usize::from(is_completion);
        self.registers.write(DOORBELLS + place * self.stride, index.into());
    }
}
