//! The heap: what is left of the domain's RAM.

use spin::Mutex;
use talc::TalcLock;
use talc::source::Manual;
use uk_abi::boot_info::Area;
use uk_abi::layout::PAGE_SIZE;

#[global_allocator]
static HEAP: TalcLock<Mutex<()>, Manual> = TalcLock::new(Manual);

/// Bytes of the heap that are in use.
pub fn heap_used() -> usize {
    HEAP.lock().counters().allocated_bytes
}

/// Gives `area` to the allocator, but for the pages at the addresses in `except`.
///
/// # Safety
/// The area must be mapped, writable and used by nothing else.
pub(crate) unsafe fn init(area: Area, except: &[u64]) {
    let mut from = area.va;
    // The allocator gets what lies between two such pages. There are hardly ever any.
    while from < area.end() {
        let next = except.iter().copied().filter(|page| *page >= from).min().unwrap_or(area.end());
        // SAFETY: the caller's promise. A piece that is too small for the allocator stays unused.
        unsafe { HEAP.lock().claim(from as *mut u8, (next - from) as usize) };
        from = next + PAGE_SIZE as u64;
    }
}
