//! The heap: what is left of the domain's RAM.

use spin::Mutex;
use talc::TalcLock;
use talc::source::Manual;
use uk_abi::boot_info::Area;

#[global_allocator]
static HEAP: TalcLock<Mutex<()>, Manual> = TalcLock::new(Manual);

/// Gives `area` to the allocator.
///
/// # Safety
/// The area must be mapped, writable and used by nothing else.
pub(crate) unsafe fn init(area: Area) {
    // SAFETY: the caller's promise. A unikernel that asks for no heap gets none.
    unsafe { HEAP.lock().claim(area.va as *mut u8, area.bytes() as usize) };
}
