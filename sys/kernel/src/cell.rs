//! State that only the recovery kernel writes.

use core::cell::UnsafeCell;

/// A static of the recovery kernel. It lives in a section that main sees read-only.
#[repr(transparent)]
pub(crate) struct KernelCell<T>(UnsafeCell<T>);

// SAFETY: root has one vCPU, kernel mode runs with events masked, and main cannot write here: there
// is never more than one writer, and main does not run while the kernel writes.
unsafe impl<T> Sync for KernelCell<T> {}

impl<T> KernelCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The value, for the kernel to change.
    ///
    /// # Safety
    /// Only in kernel mode, and with no other reference from this method alive.
    #[expect(clippy::mut_from_ref, reason = "the kernel is the only writer; see the Sync above")]
    pub(crate) unsafe fn get_mut(&self) -> &mut T {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.0.get() }
    }

    /// The value, to read in either mode.
    pub(crate) fn get(&self) -> &T {
        // SAFETY: the kernel writes only while main does not run, and main holds no reference
        // across a restart.
        unsafe { &*self.0.get() }
    }

    /// Where the value lies.
    pub(crate) const fn as_ptr(&self) -> *mut T {
        self.0.get()
    }
}
