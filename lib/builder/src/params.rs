//! What a unikernel is to have.

use uk_abi::{
    boot_info::MAX_DEVICES,
    layout::{
        BAR_WINDOW_MAX_PAGES, GRANT_WINDOW_MAX_PAGES, KEPT_WINDOW_MAX_PAGES, PAGE_SIZE, RAM_BASE,
        SHARED_INFO_VA,
    },
};
use xen_abi::Mfn;

use crate::PlanError;

/// The most pages of RAM: they end where shared_info is.
pub const MEMORY_MAX_PAGES: u64 = (SHARED_INFO_VA - RAM_BASE) / PAGE_SIZE as u64;

/// Pages in a 2 MiB extent (order 9 to Xen): machine memory is contiguous inside one.
pub const EXTENT_PAGES: u64 = 512;

/// Machine frames can have 40 bits (52-bit physical addresses).
const MFN_LIMIT: u64 = 1 << 40;

/// A range of machine frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineRange {
    /// The first frame.
    pub first: Mfn,
    /// How many frames.
    pub pages: u64,
}

/// What a unikernel is to have. All counts are of pages of 4 KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct UkParams<'a> {
    /// All of its memory.
    pub memory_pages: u32,
    /// The stack.
    pub stack_pages: u32,
    /// The log ring.
    pub log_pages: u32,
    /// What root keeps for it, its recovery box among it: virtual addresses, as for granted pages.
    pub kept_pages: u32,
    /// Virtual addresses for other domains' granted pages; they take no memory but for their tables.
    pub grant_window_pages: u32,
    /// Machine-contiguous memory for devices, at most one extent. More than none asks for a memory of whole extents,
    /// as which root then populates it.
    pub dma_pages: u32,
    /// Devices, each of which gets a page after the boot info page.
    pub devices: u32,
    /// The registers of these devices, mapped one after the other from the start of the BAR window.
    pub bars: &'a [MachineRange],
}

impl UkParams<'_> {
    /// The pages that all device registers take.
    pub(crate) fn bar_pages(&self) -> u64 {
        self.bars.iter().fold(0, |sum, bar| sum.saturating_add(bar.pages))
    }

    /// Checks the parameters by themselves: whether they fit the address space and name what can exist.
    pub(crate) fn check(&self) -> Result<(), PlanError> {
        for (area, pages) in [("stack", self.stack_pages), ("log ring", self.log_pages)] {
            if pages == 0 {
                return Err(PlanError::Empty { area });
            }
        }
        for (index, bar) in self.bars.iter().enumerate() {
            let end = bar.first.0.checked_add(bar.pages);
            if end.is_none_or(|end| end > MFN_LIMIT) {
                return Err(PlanError::BarFrames { index, first: bar.first, pages: bar.pages });
            }
        }
        let limits = [
            ("pages of memory", u64::from(self.memory_pages), MEMORY_MAX_PAGES),
            ("pages of DMA memory", u64::from(self.dma_pages), EXTENT_PAGES),
            ("devices", u64::from(self.devices), MAX_DEVICES as u64),
            ("pages of grant window", u64::from(self.grant_window_pages), GRANT_WINDOW_MAX_PAGES as u64),
            ("pages kept by root", u64::from(self.kept_pages), KEPT_WINDOW_MAX_PAGES as u64),
            ("pages of device registers", self.bar_pages(), BAR_WINDOW_MAX_PAGES as u64),
        ];
        for (what, asked, most) in limits {
            if asked > most {
                return Err(PlanError::Limit { what, asked, most });
            }
        }
        let memory_pages = u64::from(self.memory_pages);
        if self.dma_pages > 0 && !memory_pages.is_multiple_of(EXTENT_PAGES) {
            return Err(PlanError::DmaMemory { memory_pages });
        }
        Ok(())
    }
}
