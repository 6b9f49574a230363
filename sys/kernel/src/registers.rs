//! Registers of other domains' devices, through the window: what it takes to reset them.

use crate::window::Slot;

/// A register's value: one that a device reads and writes with one access.
pub trait Register: Copy + sealed::Sealed {}

impl Register for u8 {}
impl Register for u16 {}
impl Register for u32 {}

mod sealed {
    /// The sizes of registers that there are.
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
    impl Sealed for u32 {}
}

impl Slot {
    /// Reads the register at `offset`, in bytes from the start of the slot. The page must be mapped as
    /// [`Access::Registers`](crate::window::Access::Registers), or main's life ends.
    ///
    /// # Panics
    /// Outside the slot, or where `offset` is not aligned.
    pub fn read_register<T: Register>(&self, offset: usize) -> T {
        let register = self.register::<T>(offset);
        // SAFETY: the address lies in this slot, is aligned, and no Rust object lives there; any bits
        // make a value. Where nothing is mapped the load faults, and the kernel starts main afresh.
        unsafe { register.read_volatile() }
    }

    /// Writes the register at `offset`; as [`Self::read_register`]. What the device then does reaches
    /// only memory of the domain that it is assigned to, or, without an IOMMU, what its driver has told
    /// it: root writes to the registers of a device whose bus mastering is off.
    ///
    /// # Panics
    /// As [`Self::read_register`].
    pub fn write_register<T: Register>(&mut self, offset: usize, value: T) {
        let register = self.register::<T>(offset);
        // SAFETY: as in `read_register`.
        unsafe { register.write_volatile(value) };
    }

    fn register<T>(&self, offset: usize) -> *mut T {
        assert!(offset.is_multiple_of(size_of::<T>()), "the register at {offset:#x} is not aligned");
        self.address(offset, size_of::<T>()).cast()
    }
}
