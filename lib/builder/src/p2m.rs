//! The p2m list: the machine frame of each page of a domain, 8 bytes each.

use xen_abi::{Mfn, Pfn, mmu::PTES_PER_TABLE};

/// Entries in one page of the list.
pub(crate) const ENTRIES: u64 = PTES_PER_TABLE as u64;

/// Pages of the list for a memory of so many pages.
pub(crate) const fn pages(memory_pages: u64) -> u64 {
    memory_pages.div_ceil(ENTRIES)
}

/// The content of page `index` of the list. What is past the end of the memory has no frame.
pub(crate) fn fill(
    index: u64,
    memory_pages: u64,
    frame_of: impl Fn(Pfn) -> Mfn,
    out: &mut [u64; PTES_PER_TABLE],
) {
    let first = index.saturating_mul(ENTRIES);
    for (entry, offset) in out.iter_mut().zip(0..) {
        let pfn = first.saturating_add(offset);
        *entry = if pfn < memory_pages { frame_of(Pfn(pfn)).0 } else { Mfn::INVALID.0 };
    }
}
