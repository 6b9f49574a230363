//! The page that Xen shares with this domain.

use core::mem::offset_of;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use xen_abi::Port;
use xen_abi::shared_info as abi;

/// A view of `shared_info`, as Xen keeps writing to it.
#[derive(Clone, Copy)]
pub struct SharedInfo(NonNull<abi::SharedInfo>);

// SAFETY: every access through the view is atomic or volatile, so sharing it is sound.
unsafe impl Send for SharedInfo {}
// SAFETY: as above.
unsafe impl Sync for SharedInfo {}

impl SharedInfo {
    /// The view of the page at `address`.
    ///
    /// # Safety
    /// `shared_info` of some domain must be mapped there for as long as the view is used; the
    /// methods that write need it mapped writable.
    pub const unsafe fn at(address: NonNull<abi::SharedInfo>) -> Self {
        Self(address)
    }

    fn word(&self, array: usize, port: Port) -> Option<(&AtomicU64, u64)> {
        let index = port.0 as usize / 64;
        if index >= 64 {
            return None;
        }
        // SAFETY: both arrays have 64 aligned words inside the mapped page, and Xen itself
        // updates them atomically.
        let word = unsafe { &*self.0.as_ptr().cast::<u8>().add(array + index * 8).cast::<AtomicU64>() };
        Some((word, 1 << (port.0 % 64)))
    }

    /// Whether an event is pending on `port`.
    pub fn is_pending(&self, port: Port) -> bool {
        self.word(offset_of!(abi::SharedInfo, evtchn_pending), port)
            .is_some_and(|(word, bit)| word.load(Ordering::Acquire) & bit != 0)
    }

    /// Clears the pending bit of `port`; answers whether it was set.
    pub fn take_pending(&self, port: Port) -> bool {
        self.word(offset_of!(abi::SharedInfo, evtchn_pending), port)
            .is_some_and(|(word, bit)| word.fetch_and(!bit, Ordering::AcqRel) & bit != 0)
    }

    /// Sets or clears the mask bit of `port`.
    pub fn set_masked(&self, port: Port, masked: bool) {
        if let Some((word, bit)) = self.word(offset_of!(abi::SharedInfo, evtchn_mask), port) {
            if masked {
                word.fetch_or(bit, Ordering::AcqRel);
            } else {
                word.fetch_and(!bit, Ordering::AcqRel);
            }
        }
    }

    /// Masks every port, and forgets what was pending, here and in the selector of vCPU 0.
    pub fn mask_and_clear_all(&self) {
        for word in 0..64 {
            let port = Port(word * 64);
            if let Some((mask, _)) = self.word(offset_of!(abi::SharedInfo, evtchn_mask), port) {
                mask.store(u64::MAX, Ordering::Release);
            }
            if let Some((pending, _)) = self.word(offset_of!(abi::SharedInfo, evtchn_pending), port) {
                pending.store(0, Ordering::Release);
            }
        }
        self.clear_upcall_pending();
    }

    /// Clears what tells vCPU 0 that some port wants an upcall.
    pub fn clear_upcall_pending(&self) {
        let vcpu = self.0.as_ptr().cast::<u8>().wrapping_add(offset_of!(abi::SharedInfo, vcpu_info));
        // SAFETY: vcpu_info[0] lies in the mapped page; Xen updates both fields atomically.
        unsafe {
            (*vcpu.add(offset_of!(abi::VcpuInfo, evtchn_upcall_pending)).cast::<AtomicU8>())
                .store(0, Ordering::Release);
            (*vcpu.add(offset_of!(abi::VcpuInfo, evtchn_pending_sel)).cast::<AtomicU64>())
                .swap(0, Ordering::AcqRel);
        }
    }

    /// Sets the upcall mask of vCPU 0: while it is set, Xen delivers no event to it.
    pub fn set_upcall_mask(&self, masked: bool) {
        let vcpu = self.0.as_ptr().cast::<u8>().wrapping_add(offset_of!(abi::SharedInfo, vcpu_info));
        // SAFETY: as in `clear_upcall_pending`.
        unsafe {
            (*vcpu.add(offset_of!(abi::VcpuInfo, evtchn_upcall_mask)).cast::<AtomicU8>())
                .store(u8::from(masked), Ordering::Release);
        }
    }

    /// The address that the last page fault of vCPU 0 was about.
    pub fn cr2(&self) -> u64 {
        let field = offset_of!(abi::SharedInfo, vcpu_info)
            + offset_of!(abi::VcpuInfo, arch)
            + offset_of!(abi::ArchVcpuInfo, cr2);
        // SAFETY: the word lies in the mapped page.
        unsafe { self.0.as_ptr().cast::<u8>().add(field).cast::<u64>().read_volatile() }
    }

    /// A copy of the time record of vCPU 0, which may be half-written: see its version.
    pub(crate) fn time_record(&self) -> abi::VcpuTimeInfo {
        let time = self
            .0
            .as_ptr()
            .cast::<u8>()
            .wrapping_add(offset_of!(abi::SharedInfo, vcpu_info) + offset_of!(abi::VcpuInfo, time));
        // SAFETY: the record lies in the mapped page, and any bytes make a valid one.
        unsafe { time.cast::<abi::VcpuTimeInfo>().read_volatile() }
    }
}
