//! The registers of a device, which root maps for as long as this domain runs.

use core::ptr::NonNull;
use uk_abi::device_info::BarInfo;

/// Registers of 32 bits, by their offsets in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registers {
    base: NonNull<u8>,
    size: usize,
}

impl Registers {
    /// Those behind a base address register; none where nothing is mapped, or fewer than `least` bytes.
    pub(crate) fn of(bar: &BarInfo, least: usize) -> Option<Self> {
        let size = usize::try_from(bar.size).ok().filter(|&size| size >= least)?;
        Some(Self { base: NonNull::new(bar.va as *mut u8)?, size })
    }

    /// Reads one.
    ///
    /// # Panics
    /// Where there is none at `offset`.
    pub(crate) fn read(self, offset: usize) -> u32 {
        // SAFETY: the registers are mapped there, aligned, for as long as this domain runs, and any bits make a value. Reading
        // may change what the device does next, but no memory.
        unsafe { self.pointer(offset).read_volatile() }
    }

    /// Writes one. A driver tells its device of no other memory than its own DMA memory.
    ///
    /// # Panics
    /// Where there is none at `offset`.
    pub(crate) fn write(self, offset: usize, value: u32) {
        // SAFETY: as above; what the device is told of memory is the driver's own, which no reference leads to.
        unsafe { self.pointer(offset).write_volatile(value) };
    }

    /// Reads two that are one number, the lower half first.
    pub(crate) fn read_wide(self, offset: usize) -> u64 {
        u64::from(self.read(offset)) | u64::from(self.read(offset + 4)) << 32
    }

    /// Writes two that are one number, the lower half first.
    pub(crate) fn write_wide(self, offset: usize, value: u64) {
        self.write(offset, value as u32);
        self.write(offset + 4, (value >> 32) as u32);
    }

    fn pointer(self, offset: usize) -> *mut u32 {
        let behind = self.size.checked_sub(offset);
        let is_there = offset.is_multiple_of(size_of::<u32>()) && behind >= Some(size_of::<u32>());
        assert!(is_there, "a register at {offset:#x} of {:#x} bytes", self.size);
        // SAFETY: it lies within the registers, as was just looked at.
        unsafe { self.base.as_ptr().add(offset).cast() }
    }
}
