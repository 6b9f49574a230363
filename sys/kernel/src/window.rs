//! Other domains' pages, mapped for main.
//!
//! The window is divided into slots, one for each component and one for guests; behind them is the place for what root lends
//! ([`lend`](crate::lend)). What is mapped stays mapped as long as
//! the domain lives, so that a micro-reboot costs no hypercall a page; it must be unmapped before the
//! domain is destroyed, or Xen keeps a zombie. The entries of the window's tables are what Xen holds
//! to be true: a new life of main reads from them which frames its last life had mapped.

use crate::info;
use crate::tables::{LENT_TABLES, READ_ONLY, REGISTERS, SLOT_TABLES, WINDOW_BASE, WRITABLE, window_entry};
use core::sync::atomic::{AtomicU64, Ordering};
use pv::Result;
use xen_abi::errno::Errno;
use xen_abi::mmu::{Foreign, MmuUpdate, MmuextOp, Pte};
use xen_abi::{Domid, Mfn};

/// Slots of the window: one for each component that there can be, and one for what root does for guests.
pub const SLOTS: usize = 33;

/// Pages in a slot.
pub const SLOT_PAGES: usize = SLOT_TABLES / SLOTS * 512;

/// Pages in the part of the window for what root lends.
pub(crate) const LENT_PAGES: usize = LENT_TABLES * 512;

const PAGE: usize = 4096;

/// Entries changed by one hypercall: 2 KiB of stack.
const BATCH: usize = 128;

/// The slots that this life of main has taken.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// How a page is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read: all that Xen allows for a page table.
    ReadOnly,
    /// To read and write.
    Writable,
    /// To read and write the registers of a device, past the caches.
    Registers,
}

/// A part of the window, for the pages of one domain. Pages are counted from the start of the slot,
/// and so are bytes.
#[derive(Debug)]
pub struct Slot {
    first: usize,
    pages: usize,
}

impl Slot {
    /// Takes slot `index`; once in a life of main.
    pub fn take(index: usize) -> Option<Self> {
        let free = index < SLOTS && TAKEN.fetch_or(1 << index, Ordering::Relaxed) & 1 << index == 0;
        free.then_some(Self { first: index * SLOT_PAGES, pages: SLOT_PAGES })
    }

    /// The part of the window behind the slots.
    pub(crate) const fn lent() -> Self {
        Self { first: SLOTS * SLOT_PAGES, pages: LENT_PAGES }
    }

    /// Maps `count` frames of `domain`, `frame(n)` at page `at + n`.
    ///
    /// # Errors
    /// Xen's: a frame is not the domain's, or is a page table and `access` is writable. EINVAL where
    /// the slot has no such pages. Pages before the refused one may be mapped.
    pub fn map(
        &mut self,
        at: usize,
        count: usize,
        domain: Domid,
        access: Access,
        frame: impl Fn(usize) -> Mfn,
    ) -> Result {
        let flags = match access {
            Access::ReadOnly => READ_ONLY,
            Access::Writable => WRITABLE,
            Access::Registers => REGISTERS,
        };
        self.change(at, count, domain, |n| Pte::new(frame(n), flags))
    }

    /// Unmaps `count` pages from page `at` on; what is not mapped is left.
    ///
    /// # Errors
    /// Xen's, or EINVAL where the slot has no such pages.
    pub fn unmap(&mut self, at: usize, count: usize) -> Result {
        self.change(at, count, Domid::SELF, |_| Pte::EMPTY)
    }

    fn change(&mut self, at: usize, count: usize, domain: Domid, value: impl Fn(usize) -> Pte) -> Result {
        if at.checked_add(count).is_none_or(|end| end > self.pages) {
            return Err(Errno::Einval.into());
        }
        let tables = &info().window_tables;
        let mut batch = heapless::Vec::<MmuUpdate, BATCH>::new();
        for n in 0..count {
            let page = self.first + at + n;
            let place = tables[page / 512].addr() + (page % 512 * 8) as u64;
            if window_entry(page) != Pte::EMPTY || value(n) != Pte::EMPTY {
                // Never full: it is emptied below as soon as it is.
                let _ = batch.push(MmuUpdate::write(place, value(n)));
            }
            if batch.is_full() || n + 1 == count {
                // SAFETY: only entries of this slot change, and whoever uses its pages borrows it.
                unsafe { pv::mmu::update(&batch, Foreign { frames: domain, tables: Domid::SELF }) }?;
                batch.clear();
            }
        }
        let flush = MmuextOp::tlb_flush_local();
        // SAFETY: a flush only makes the change above seen.
        unsafe { pv::mmu::ext_op(&flush, Domid::SELF) }
    }

    /// The frame that is mapped at `page`, as Xen has it.
    pub fn frame(&self, page: usize) -> Option<Mfn> {
        let entry = if page < self.pages { window_entry(self.first + page) } else { Pte::EMPTY };
        entry.is_present().then(|| entry.mfn())
    }

    pub(crate) fn address(&self, offset: usize, len: usize) -> *mut u8 {
        let end = offset.checked_add(len).filter(|end| *end <= self.pages * PAGE);
        assert!(end.is_some(), "{len} bytes at {offset:#x} lie outside a slot of the window");
        (WINDOW_BASE as usize + self.first * PAGE + offset) as *mut u8
    }

    /// Copies `bytes` to `offset`. The pages must be mapped writable, or main's life ends.
    ///
    /// # Panics
    /// Outside the slot.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        let to = self.address(offset, bytes.len());
        // SAFETY: the range lies in this slot, which no Rust object lives in; where nothing is
        // mapped the store faults, and the kernel starts main afresh.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    /// Clears `len` bytes at `offset`; as [`Self::write`].
    ///
    /// # Panics
    /// Outside the slot.
    pub fn zero(&mut self, offset: usize, len: usize) {
        let to = self.address(offset, len);
        // SAFETY: as in `write`.
        unsafe { core::ptr::write_bytes(to, 0, len) };
    }

    /// Whether `bytes` are what is at `offset`.
    ///
    /// # Panics
    /// Outside the slot, or where `offset` is no multiple of 8.
    pub fn holds(&self, offset: usize, bytes: &[u8]) -> bool {
        assert!(offset.is_multiple_of(8), "comparing from {offset:#x} on, which is no multiple of 8");
        let found = self.address(offset, bytes.len()).cast::<u64>();
        let differs = |index: usize, word: &[u8; 8]| {
            // SAFETY: aligned, inside this slot, and read volatile, as another domain may write.
            u64::from_le_bytes(*word) ^ unsafe { found.add(index).read_volatile() }
        };
        let (words, rest) = bytes.as_chunks::<8>();
        let (fours, single) = words.as_chunks::<4>();
        let mut last = [0; 8];
        let last = &mut last[..rest.len()];
        self.read(offset + bytes.len() - rest.len(), last);
        // By fours: half the instructions of one by one.
        last == rest
            && fours.iter().enumerate().all(|(index, four)| {
                let at = index * 4;
                differs(at, &four[0])
                    | differs(at + 1, &four[1])
                    | differs(at + 2, &four[2])
                    | differs(at + 3, &four[3])
                    == 0
            })
            && single.iter().enumerate().all(|(index, word)| differs(fours.len() * 4 + index, word) == 0)
    }

    /// Copies from `offset` to `bytes`. What another domain writes meanwhile may be mixed in.
    ///
    /// # Panics
    /// Outside the slot.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) {
        let from = self.address(offset, bytes.len());
        // SAFETY: as in `write`; the bytes are plain and `from` and `bytes` are apart.
        unsafe { core::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
    }

    /// The words of `count` pages from page `at` on, as both domains see them.
    ///
    /// # Panics
    /// Outside the slot.
    pub fn words(&self, at: usize, count: usize) -> &[AtomicU64] {
        let start = self.address(at * PAGE, count * PAGE);
        // SAFETY: the range lies in this slot, is page-aligned, and its mapping cannot change while
        // the slot is borrowed; where nothing is mapped an access faults, and main starts afresh.
        unsafe { core::slice::from_raw_parts(start.cast(), count * PAGE / 8) }
    }

    /// The page at `page` as another domain's `shared_info`.
    pub fn shared_info(&self, page: usize) -> pv::shared_info::SharedInfo {
        let address = core::ptr::NonNull::new(self.address(page * PAGE, PAGE).cast());
        // SAFETY: the caller has mapped that page, writable; see `words`.
        unsafe { pv::shared_info::SharedInfo::at(address.unwrap_or(core::ptr::NonNull::dangling())) }
    }
}
