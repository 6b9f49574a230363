//! Pages of other domains, mapped in the grant window.

use crate::grant::book::{self, Entry, Who};
use crate::grant::{Access, MapError, Page};
use crate::start;
use core::ops::Deref;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use uk_abi::layout::{GRANT_WINDOW_MAX_PAGES, GRANT_WINDOW_VA, PAGE_SIZE};
use xen_abi::grant_table::{GrantError as Refusal, GrantStatus, MapFlags, MapGrantRef, UnmapGrantRef};
use xen_abi::types::GrantHandle;
use xen_abi::{Domid, GrantRef};

/// The first page of the window for mappings. The one before it has this domain's grant table.
const FIRST: usize = 1;

/// The pages that this life has handles for.
static OWNED: [AtomicBool; GRANT_WINDOW_MAX_PAGES] =
    [const { AtomicBool::new(false) }; GRANT_WINDOW_MAX_PAGES];

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
        Ok(Entry::Mapped(who, handle)) if !OWNED[page].swap(true, Relaxed) => {
            Some(MappedPage { page, who, handle })
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
}

impl MappedPage {
    /// Maps the page that `from` has granted as `reference`.
    ///
    /// # Errors
    /// [`MapError`].
    pub fn map(from: Domid, reference: GrantRef, access: Access) -> Result<Self, MapError> {
        let free = |page: &usize| !OWNED[*page].load(Relaxed) && book::read(*page) == Ok(Entry::Free);
        let page = pages()
            .find(free)
            .ok_or(MapError::WindowFull { pages: start::boot_info().grant_window.pages })?;
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
        book::write(page, Entry::Mapped(who, op.handle));
        OWNED[page].store(true, Relaxed);
        Ok(Self { page, who, handle: op.handle })
    }

    /// Its words, for those that outlive this handle. Its address is the grant window's for ever: once it is unmapped, a
    /// use ends this life, or is one of what another domain has granted and this one has mapped there since.
    pub fn words(&self) -> &'static Page {
        // SAFETY: nothing but granted pages is ever mapped there, used by atomics on all sides; where none is, the access
        // traps.
        unsafe { &*(address(self.page) as *const Page) }
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
                book::write(self.page, Entry::Free);
                OWNED[self.page].store(false, Relaxed);
            }
            // The page of the window stays in use; the next life tries again.
            Err(error) => log::error!("page {} of the grant window stays mapped: {error}", self.page),
        }
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
