//! Pages of other domains, mapped in the grant window.
//!
//! A page of the window that was once mapped always has memory behind it: when a mapping ends, a blank page of this domain takes
//! its place. So whoever still has a reference to it reads and writes nothing of anybody's.

use crate::block::Span;
use crate::dma::machine_address;
use crate::grant::book::{self, Entry, Who};
use crate::grant::{Access, MapError, Page};
use crate::start;
use core::ops::Deref;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use uk_abi::layout::{GRANT_WINDOW_MAX_PAGES, GRANT_WINDOW_VA, PAGE_SIZE};
use xen_abi::grant_table::{GrantError as Refusal, GrantStatus, MapFlags, MapGrantRef, UnmapGrantRef};
use xen_abi::mmu::{Pte, PteFlags};
use xen_abi::types::GrantHandle;
use xen_abi::{Domid, GrantRef, MachineAddr, VirtAddr};

/// The first page of the window for mappings. The one before it has this domain's grant table.
const FIRST: usize = 1;

/// The pages that this life has handles for.
static OWNED: [AtomicBool; GRANT_WINDOW_MAX_PAGES] =
    [const { AtomicBool::new(false) }; GRANT_WINDOW_MAX_PAGES];

/// Where the next free page is looked for: behind the one that was mapped last, and not among all those before it.
static NEXT: AtomicUsize = AtomicUsize::new(FIRST);

/// What lies behind a page of the window whose mapping has ended.
#[repr(align(4096))]
struct Blank(Page);

static BLANK: Blank = Blank([const { AtomicU64::new(0) }; PAGE_SIZE / 8]);

const BLANK_FLAGS: PteFlags =
    PteFlags::PRESENT.union(PteFlags::USER).union(PteFlags::WRITABLE).union(PteFlags::NX);

/// The pages of the window for mappings.
fn pages() -> core::ops::Range<usize> {
    FIRST..start::boot_info().grant_window.pages as usize
}

fn address(page: usize) -> u64 {
    GRANT_WINDOW_VA + (page * PAGE_SIZE) as u64
}

/// Finishes what the last life was doing to its mappings.
///
/// # Panics
/// If that cannot be made out, because the book is damaged or the life ended while Xen was mapping: this life ends, and
/// a rebuild, which the next failure of its kind leads to, undoes all mappings.
pub(super) fn settle() {
    for page in book::used() {
        match book::read(page) {
            Ok(Entry::Free | Entry::Mapped(..)) => {}
            Ok(Entry::Unmapping(who, handle)) => {
                if let Err(error) = unmap(page, who, handle)
                    && !matches!(
                        error,
                        MapError::Refused { reason: Refusal::Known(GrantStatus::BadHandle), .. }
                    )
                {
                    panic!("page {page} of the grant window cannot be unmapped: {error}");
                }
                book::write(page, Entry::Free);
            }
            Ok(Entry::Mapping(who)) => panic!("the last life ended while it was mapping {who:?}"),
            Err(damaged) => panic!("the book of grants: {damaged:?}"),
        }
    }
}

/// The mappings of the last life, each once. What is dropped of them is unmapped.
pub fn inherited_mappings() -> impl Iterator<Item = MappedPage> {
    book::used().filter_map(|page| match book::read(page) {
        Ok(Entry::Mapped(who, handle, frame)) if !OWNED[page].swap(true, Relaxed) => {
            Some(MappedPage { page, who, handle, frame })
        }
        _ => None,
    })
}

/// A page that another domain has granted, mapped. It derefs to the page's words; to store into a page that is mapped
/// read-only ends this life. Dropped, it is unmapped.
#[derive(Debug)]
pub struct MappedPage {
    page: usize,
    who: Who,
    handle: GrantHandle,
    /// Where the machine has it.
    frame: MachineAddr,
}

impl MappedPage {
    /// Maps the page that `from` has granted as `reference`.
    ///
    /// # Errors
    /// [`MapError`].
    pub fn map(from: Domid, reference: GrantRef, access: Access) -> Result<Self, MapError> {
        let free = |page: &usize| !OWNED[*page].load(Relaxed) && book::read(*page) == Ok(Entry::Free);
        let after_last = NEXT.load(Relaxed).clamp(FIRST, pages().end);
        let page = (after_last..pages().end)
            .chain(FIRST..after_last)
            .find(free)
            .ok_or(MapError::WindowFull { pages: start::boot_info().grant_window.pages })?;
        NEXT.store(page + 1, Relaxed);
        let who = Who { from, reference, access };
        let mut flags = MapFlags::HOST_MAP;
        flags.set(MapFlags::READONLY, access == Access::ReadOnly);
        let mut op = MapGrantRef {
            host_addr: address(page),
            flags,
            grant_ref: reference,
            dom: from,
            ..Default::default()
        };
        book::write(page, Entry::Mapping(who));
        // SAFETY: the book says that nothing is mapped there, and gives the page to this mapping.
        let mapped = unsafe { pv::grant::map(core::slice::from_mut(&mut op)) };
        let mapped = mapped.map_err(MapError::Xen).and_then(|()| checked(who, op.status));
        if let Err(error) = mapped {
            book::write(page, Entry::Free);
            return Err(error);
        }
        book::write(page, Entry::Mapped(who, op.handle, op.dev_bus_addr));
        OWNED[page].store(true, Relaxed);
        Ok(Self { page, who, handle: op.handle, frame: op.dev_bus_addr })
    }

    /// Who has granted it.
    pub const fn from(&self) -> Domid {
        self.who.from
    }

    /// The number under which it was granted.
    pub const fn reference(&self) -> GrantRef {
        self.who.reference
    }

    /// Whether it may be written.
    pub const fn access(&self) -> Access {
        self.who.access
    }

    /// Its words, which can be kept for longer than the mapping: after that they are those of a blank page, or of what is mapped
    /// there next.
    pub fn words(&self) -> &'static Page {
        // SAFETY: a page of the window that was mapped keeps memory behind it, used by atomics on all sides.
        unsafe { &*(address(self.page) as *const Page) }
    }

    /// Bytes of it, for a device; none if they are not within the page, or the page may only be read.
    pub fn span(&self, offset: u32, bytes: u32) -> Option<Span> {
        let writable = self.who.access == Access::ReadWrite;
        Span::within(self.frame, offset, bytes).filter(|_| writable)
    }
}

impl Deref for MappedPage {
    type Target = Page;

    fn deref(&self) -> &Page {
        self.words()
    }
}

impl Drop for MappedPage {
    fn drop(&mut self) {
        book::write(self.page, Entry::Unmapping(self.who, self.handle));
        match unmap(self.page, self.who, self.handle) {
            Ok(()) => {
                cover(self.page);
                book::write(self.page, Entry::Free);
                OWNED[self.page].store(false, Relaxed);
            }
            // The page of the window stays in use; the next life tries again.
            Err(error) => log::error!("page {} of the grant window stays mapped: {error}", self.page),
        }
    }
}

/// Puts the blank page where a mapping was.
///
/// # Panics
/// If Xen refuses: what may still be referred to must not be without memory.
fn cover(page: usize) {
    // The blank page is one of the image, which lies in RAM.
    let frame = machine_address(BLANK.0.as_ptr() as u64).unwrap_or(MachineAddr(0));
    let entry = Pte::new(frame.mfn(), BLANK_FLAGS);
    // SAFETY: nothing is mapped there any more, and the blank page is for this alone.
    if let Err(error) = unsafe { pv::mmu::update_va_mapping(VirtAddr(address(page)), entry) } {
        panic!("page {page} of the grant window is left without memory: {error}");
    }
}

fn unmap(page: usize, who: Who, handle: GrantHandle) -> Result<(), MapError> {
    let mut op = UnmapGrantRef { host_addr: address(page), handle, ..Default::default() };
    // SAFETY: the one handle to this mapping is being dropped, or was lost with the last life.
    unsafe { pv::grant::unmap(core::slice::from_mut(&mut op)) }.map_err(MapError::Xen)?;
    checked(who, op.status)
}

fn checked(who: Who, status: i16) -> Result<(), MapError> {
    let Who { from, reference, .. } = who;
    GrantStatus::check(status).map_err(|reason| MapError::Refused { from, reference, reason })
}
