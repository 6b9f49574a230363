//! Dividing the pages of a domain into areas.

use uk_abi::layout::{KEPT_MAP_ENTRY, PAGE_SIZE};
use xen_abi::Pfn;

use crate::{PlanError, UkParams, p2m};

/// A range of pseudo-physical pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PfnRange {
    /// The first page.
    pub start: Pfn,
    /// How many pages.
    pub pages: u64,
}

impl PfnRange {
    /// The page after the last one.
    pub const fn end(self) -> Pfn {
        Pfn(self.start.0 + self.pages)
    }

    /// Whether the range has no page.
    pub const fn is_empty(self) -> bool {
        self.pages == 0
    }

    /// Whether `pfn` is one of the pages.
    pub const fn contains(self, pfn: Pfn) -> bool {
        self.start.0 <= pfn.0 && pfn.0 < self.end().0
    }

    /// The pages, in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Pfn> {
        // A usize range, because that of u64 has no exact size.
        (0..self.pages as usize).map(move |index| Pfn(self.start.0 + index as u64))
    }
}

/// Where everything of a unikernel is, in the order of its pages. The areas cover its memory without gap or overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Areas {
    /// The segments of the ELF image. The only area that a micro-reboot rewrites.
    pub image: PfnRange,
    /// Page tables. Not mapped in the unikernel, so they guard the stack above them.
    pub page_tables: PfnRange,
    /// The stack; it grows down from the end.
    pub stack: PfnRange,
    /// The boot info page, then a page for each device. Mapped at a fixed address, read-only.
    pub boot_info: PfnRange,
    /// The health page. Mapped at a fixed address.
    pub health: PfnRange,
    /// The log ring.
    pub log: PfnRange,
    /// The kept map: where the unikernel notes what it has mapped of the pages that root keeps for it.
    pub kept_map: PfnRange,
    /// The p2m list: the machine frame of each page, 8 bytes each. Read-only.
    pub p2m: PfnRange,
    /// All that is left; what of the memory comes after it is the DMA area.
    pub heap: PfnRange,
    /// Memory for devices, all of it in the last 2 MiB; or empty. Machine-contiguous, if root has populated the
    /// memory with extents of that size.
    pub dma: PfnRange,
}

impl Areas {
    /// Lays the areas out one after the other.
    ///
    /// # Errors
    /// When they do not fit with at least one page of heap.
    pub(crate) fn lay_out(image: u64, page_tables: u64, params: &UkParams) -> Result<Self, PlanError> {
        let memory = u64::from(params.memory_pages);
        let dma = u64::from(params.dma_pages);
        let mut next = 0;
        let mut take = |pages: u64| {
            let range = PfnRange { start: Pfn(next), pages };
            next += pages;
            range
        };
        let image = take(image);
        let page_tables = take(page_tables);
        let stack = take(params.stack_pages.into());
        let boot_info = take(1 + u64::from(params.devices));
        let health = take(1);
        let log = take(params.log_pages.into());
        let kept_map =
            take((u64::from(params.kept_pages) * KEPT_MAP_ENTRY as u64).div_ceil(PAGE_SIZE as u64));
        let p2m = take(p2m::pages(memory));
        let needed = p2m.end().0 + 1 + dma;
        let Some(spare) = memory.checked_sub(needed) else {
            return Err(PlanError::Memory { needed, memory_pages: memory });
        };
        let heap = take(spare + 1);
        let dma = take(dma);
        Ok(Self { image, page_tables, stack, boot_info, health, log, kept_map, p2m, heap, dma })
    }
}
