//! Root's own pages, lent to other domains by grants: they outlive whoever uses them.
//!
//! The pages are the last of root's memory, which nothing else uses; and those of the boot archive, to be read. Who is lent which page is decided once, and a
//! new life of main decides the same: what the grant table says already is left alone. So a page's entry in the
//! grant table says whether the page has been prepared, and there is nothing else to remember.

use crate::window::{Access, LENT_PAGES, Slot};
use crate::{image, info};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use pv::Result;
use xen_abi::errno::Errno;
use xen_abi::grant_table::{GrantEntryV1, GrantFlags, GrantStatus, NR_RESERVED_ENTRIES};
use xen_abi::{Domid, GrantRef, Mfn};

/// Entries in a frame of the grant table.
const ENTRIES: usize = 512;

/// Frames of the grant table: as many as Xen gives a domain unless it is told otherwise. That is room for 128 MiB, boot
/// archive and all.
const MAX_FRAMES: usize = 64;

/// Pages that can be lent. The grant table is mapped behind them.
pub const MAX_PAGES: usize = LENT_PAGES - 512;

const PAGE: usize = 4096;

/// The first number under which a page is lent; those before it are reserved.
pub const FIRST_REFERENCE: GrantRef = GrantRef(NR_RESERVED_ENTRIES);

/// Set once a life of main has taken the pages.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Who may use pages, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Borrower {
    /// Who.
    pub domain: Domid,
    /// The number under which the first of the pages is lent; the others follow.
    pub reference: GrantRef,
    /// [`Access::ReadOnly`] or [`Access::Writable`].
    pub access: Access,
}

impl Borrower {
    /// The entry of the grant table that lends `frame`.
    fn entry(&self, frame: Mfn) -> u64 {
        let mut flags = GrantFlags::PERMIT_ACCESS;
        flags.set(GrantFlags::READONLY, self.access == Access::ReadOnly);
        // Xen gives PV domains no frame above the table's 32 bits.
        zerocopy::transmute!(GrantEntryV1 { flags, domid: self.domain, frame: frame.0 as u32 })
    }
}

/// The pages that root lends, counted from the first of them.
#[derive(Debug)]
pub struct Loans {
    slot: Slot,
    frames: &'static [Mfn],
    /// Frames of the grant table.
    tables: usize,
}

impl Loans {
    /// Takes the last `pages` pages of root's memory, with a grant table for `entries` loans; once in a life of main.
    ///
    /// # Errors
    /// Xen's; ENOMEM where root has fewer pages to spare, or Xen gives no such grant table.
    pub fn open(pages: usize, entries: usize) -> Result<Self> {
        let spare = image::frames().get(info().first_spare as usize..).unwrap_or_default();
        let first = spare.len().checked_sub(pages).ok_or(Errno::Enomem)?;
        let tables = (FIRST_REFERENCE.0 as usize + entries).div_ceil(ENTRIES);
        if pages > MAX_PAGES || tables > MAX_FRAMES || TAKEN.swap(true, Ordering::Relaxed) {
            return Err(Errno::Enomem.into());
        }
        let mut loans = Self { slot: Slot::lent(), frames: &spare[first..], tables };
        let mut table = [Mfn(0); MAX_FRAMES];
        let status = pv::grant::setup_table(&mut table[..tables])?;
        GrantStatus::check(status).map_err(|_| Errno::Enomem)?;
        loans.map_frames(MAX_PAGES, &table[..tables])?;
        Ok(loans)
    }

    /// Lends the `count` pages from `page` on to `borrowers`, cleared if the first of them has not been lent all of
    /// them before.
    ///
    /// # Errors
    /// Xen's, where pages cannot be mapped to be cleared; EINVAL where there are no such pages or entries.
    pub fn lend(&mut self, page: usize, count: usize, borrowers: &[Borrower]) -> Result {
        let frames = self.pages(page, count)?;
        let Some(first) = borrowers.first() else { return Ok(()) };
        if self.entries(first.reference, count)?.iter().any(|entry| entry.load(Ordering::Acquire) == 0) {
            self.map(page, count)?;
            self.slot.zero(page * PAGE, count * PAGE);
            self.slot.unmap(page, count)?;
        }
        self.grant(frames, borrowers)
    }

    /// Lends the first `count` pages of the boot archive to `borrowers`, to be read.
    ///
    /// # Errors
    /// EINVAL where there are no such pages or entries, or somebody is to write.
    pub fn lend_archive(&self, count: usize, borrowers: &[Borrower]) -> Result {
        let frames = image::archive_frames().get(..count).ok_or(Errno::Einval)?;
        if borrowers.iter().any(|borrower| borrower.access != Access::ReadOnly) {
            return Err(Errno::Einval.into());
        }
        self.grant(frames, borrowers)
    }

    /// Writes the entries that lend `frames`, where they are not written yet.
    fn grant(&self, frames: &[Mfn], borrowers: &[Borrower]) -> Result {
        // What Xen notes in an entry while it is in use.
        let in_use: u64 = zerocopy::transmute!(GrantEntryV1 {
            flags: GrantFlags::READING.union(GrantFlags::WRITING),
            domid: Domid(0),
            frame: 0,
        });
        for borrower in borrowers {
            for (entry, frame) in self.entries(borrower.reference, frames.len())?.iter().zip(frames) {
                let wanted = borrower.entry(*frame);
                if entry.load(Ordering::Acquire) & !in_use != wanted {
                    entry.store(wanted, Ordering::Release);
                }
            }
        }
        Ok(())
    }

    /// Maps `count` of the pages for root itself.
    ///
    /// # Errors
    /// Xen's; EINVAL where there are no such pages.
    pub fn map(&mut self, page: usize, count: usize) -> Result {
        let frames = self.pages(page, count)?;
        self.map_frames(page, frames)
    }

    /// The words of pages that are [mapped](Self::map).
    ///
    /// # Panics
    /// Where there are no such pages.
    pub fn words(&self, page: usize, count: usize) -> &[AtomicU64] {
        self.slot.words(page, count)
    }

    fn map_frames(&mut self, at: usize, frames: &[Mfn]) -> Result {
        if (at..).zip(frames).all(|(page, frame)| self.slot.frame(page) == Some(*frame)) {
            return Ok(());
        }
        self.slot.map(at, frames.len(), Domid::SELF, Access::Writable, |n| frames[n])
    }

    fn pages(&self, page: usize, count: usize) -> Result<&'static [Mfn]> {
        page.checked_add(count).and_then(|end| self.frames.get(page..end)).ok_or(Errno::Einval.into())
    }

    fn entries(&self, reference: GrantRef, count: usize) -> Result<&[AtomicU64]> {
        let first = reference.0 as usize;
        let entries = self.slot.words(MAX_PAGES, self.tables).get(first..first.saturating_add(count));
        entries.filter(|_| reference >= FIRST_REFERENCE).ok_or(Errno::Einval.into())
    }
}
