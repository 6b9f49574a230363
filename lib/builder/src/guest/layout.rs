//! Where everything lies in a PV guest's memory.
//!
//! The order is that of Xen's public `xen.h` for the start of a domain's day: from [`KernelNotes::virt_base`] on the
//! guest finds its first pages mapped one after the other, with the kernel where it is linked for, and behind it
//! ramdisk, p2m list, start info, the pages of XenStore and the console, page tables and a stack, each on pages of its
//! own. At least 512 KiB follow before the mapping ends, on a multiple of 4 MiB or with the memory.
//!
//! A kernel that says so (as Linux does) takes its ramdisk and its p2m list from anywhere, so that neither is limited by
//! that mapping. The ramdisk goes below the kernel if there is room: Linux is linked for 16 MiB, and in a small guest
//! what lies below is most of what the kernel leaves. The p2m list goes behind the 512 KiB, with the tables that map it:
//! the guest frees them together.

use xen_abi::{
    PAGE_SHIFT, PAGE_SIZE, Pfn, VirtAddr,
    context::{HYPERVISOR_VIRT_END, HYPERVISOR_VIRT_START},
    elfnote::ElfNote,
};

use super::{error::GuestError, notes::KernelNotes, params::GuestParams};
use crate::{
    PfnRange, p2m,
    page_table::{Span, Tables},
};

/// What the mapping's end is a multiple of.
const REGION_ALIGNMENT: u64 = 4 << 20;
/// What is mapped at least behind the stack.
const REGION_SPARE: u64 = 512 << 10;
/// Where a ramdisk below the kernel starts: kernels take the first MiB for a PC's, with a hole in it.
const LOW_INITRD: Pfn = Pfn((1 << 20) >> PAGE_SHIFT);

/// Where everything lies in a guest's memory, by pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestAreas {
    /// The kernel, from its first load to its last; there can be gaps.
    pub kernel: PfnRange,
    /// The ramdisk; empty for none.
    pub initrd: PfnRange,
    /// The p2m list.
    pub p2m: PfnRange,
    /// The page tables that map the p2m list, but for the L4; empty if it is mapped with everything else.
    pub p2m_tables: PfnRange,
    /// The start info.
    pub start_info: Pfn,
    /// The ring to XenStore, be there one or not.
    pub store: Pfn,
    /// The ring to the console.
    pub console: Pfn,
    /// The page tables of the mapping that the guest starts with, the L4 first.
    pub page_tables: PfnRange,
    /// The stack that the guest starts on.
    pub stack: Pfn,
    /// All that is mapped from the virtual base on, as far as there is memory.
    pub mapped: PfnRange,
}

/// Areas and what maps them.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) areas: GuestAreas,
    pub(super) virt_base: u64,
    /// Where the p2m list starts.
    pub(super) p2m_base: u64,
    pub(super) tables: Tables,
    pub(super) p2m_tables: Tables,
}

impl Layout {
    /// Lays out a guest whose kernel takes the pages `kernel`.
    pub(super) fn new(
        kernel: PfnRange,
        notes: &KernelNotes<'_>,
        params: &GuestParams<'_>,
    ) -> Result<Self, GuestError> {
        let memory = params.memory_pages;
        let virt_base = notes.virt_base.ok_or(GuestError::NoteMissing { kind: ElfNote::VirtBase })?;
        let initrd_pages = (params.initrd.len() as u64).div_ceil(PAGE_SIZE);
        let p2m_pages = p2m::pages(memory);
        let too_little = |needed| GuestError::TooLittleMemory { needed, initrd_pages, memory };
        // Checked first, so that what is computed below are numbers of pages that there can be.
        let least = initrd_pages.max(kernel.end().0 + p2m_pages);
        if least >= memory {
            return Err(too_little(least + 1));
        }

        let mut next = kernel.end().0;
        let mut take = |pages: u64| {
            let range = PfnRange { start: Pfn(next), pages };
            next += pages;
            range
        };
        let mut initrd = take(if notes.mod_start_pfn { 0 } else { initrd_pages });
        let mut p2m = take(if notes.init_p2m.is_some() { 0 } else { p2m_pages });
        let start_info = take(1).start;
        let store = take(1).start;
        let console = take(1).start;
        let (tables, mapped_pages) = map_from(virt_base, take(0).start)?;
        let page_tables = take(tables.pages().pages);
        let stack = take(1).start;
        let mapped = PfnRange { start: Pfn(0), pages: mapped_pages.min(memory) };

        // Behind what is guaranteed to be mapped and free.
        let mut next = take(REGION_SPARE >> PAGE_SHIFT).end();
        let mut p2m_tables = Tables::without_root(next, &[])?;
        let mut p2m_base = virt_base.wrapping_add(p2m.start.byte_offset());
        if notes.mod_start_pfn {
            let low = PfnRange { start: LOW_INITRD, pages: initrd_pages };
            initrd = if low.end() <= kernel.start { low } else { PfnRange { start: next, ..low } };
            next = next.max(initrd.end());
        }
        if let Some(base) = notes.init_p2m {
            check_place("p2m list", base, p2m_pages)?;
            let span = Span { start: VirtAddr(base), pages: p2m_pages };
            // All that the tables cover, be there memory for it or not.
            if shares_l4_entry(&span, &Span { start: VirtAddr(virt_base), pages: mapped_pages }) {
                return Err(GuestError::Place { what: "p2m list", address: base, pages: p2m_pages });
            }
            p2m = PfnRange { start: next, pages: p2m_pages };
            p2m_base = base;
            p2m_tables = Tables::without_root(p2m.end(), &[span])?;
            next = p2m_tables.pages().end();
        }
        if next.0 > memory {
            return Err(too_little(next.0));
        }
        let p2m_tables_area = p2m_tables.pages();
        let areas = GuestAreas {
            kernel,
            initrd,
            p2m,
            p2m_tables: p2m_tables_area,
            start_info,
            store,
            console,
            page_tables,
            stack,
            mapped,
        };
        Ok(Self { areas, virt_base, p2m_base, tables, p2m_tables })
    }

    /// The address of a page in the mapping from the virtual base on.
    pub(super) fn address(&self, pfn: Pfn) -> VirtAddr {
        VirtAddr(self.virt_base + pfn.byte_offset())
    }
}

/// The tables, whose pages start at `first`, that map everything up to them, themselves, a stack, and the spare that
/// follows; and how many pages that is.
fn map_from(virt_base: u64, first: Pfn) -> Result<(Tables, u64), GuestError> {
    let mut table_pages = 0;
    loop {
        let used = first.0 + table_pages + 1;
        let too_far = || GuestError::Place { what: "guest", address: virt_base, pages: used };
        let end = virt_base
            .checked_add((used << PAGE_SHIFT) + REGION_SPARE)
            .and_then(|end| end.checked_next_multiple_of(REGION_ALIGNMENT))
            .ok_or_else(too_far)?;
        let pages = (end - virt_base) >> PAGE_SHIFT;
        check_place("guest", virt_base, pages)?;
        let tables = Tables::new(first, &[Span { start: VirtAddr(virt_base), pages }])?;
        // More tables need more room, and that more tables, but ever fewer: one maps 512 pages.
        if tables.pages().pages == table_pages {
            return Ok((tables, pages));
        }
        table_pages = tables.pages().pages;
    }
}

/// Whether a guest can have pages mapped there: at addresses of one half, on page boundaries, and not Xen's.
fn check_place(what: &'static str, address: u64, pages: u64) -> Result<(), GuestError> {
    let is_canonical = |address: u64| (address as i64) << 16 >> 16 == address as i64;
    let last = pages.checked_mul(PAGE_SIZE).and_then(|bytes| address.checked_add(bytes.checked_sub(1)?));
    let fits = last.is_some_and(|last| {
        address.is_multiple_of(PAGE_SIZE)
            && is_canonical(address)
            && is_canonical(last)
            && (address ^ last) >> 63 == 0
            && (last < HYPERVISOR_VIRT_START.0 || address >= HYPERVISOR_VIRT_END.0)
    });
    if fits { Ok(()) } else { Err(GuestError::Place { what, address, pages }) }
}

/// Whether two spans, neither of them empty, are mapped by one entry of the L4.
fn shares_l4_entry(one: &Span, other: &Span) -> bool {
    const L4_SHIFT: u32 = PAGE_SHIFT + 27;
    let entries = |span: &Span| {
        let last = span.start.0 + ((span.pages - 1) << PAGE_SHIFT);
        (span.start.0 >> L4_SHIFT, last >> L4_SHIFT)
    };
    let ((first, last), (other_first, other_last)) = (entries(one), entries(other));
    first <= other_last && other_first <= last
}
