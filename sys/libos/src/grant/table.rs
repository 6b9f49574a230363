//! This domain's grant table: the pages that it lets others use.
//!
//! An entry is one word, so that it is whole at any moment: a reset leaves a page granted or not.

use crate::dma::machine_address;
use crate::grant::{Access, GrantError, SharedPage};
use crate::start;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::sync::atomic::{AtomicU64, Ordering};
use heapless::Vec;
use uk_abi::layout::{GRANT_WINDOW_VA, PAGE_SIZE, RAM_BASE};
use xen_abi::grant_table::{GrantEntryV1, GrantFlags, GrantStatus, NR_RESERVED_ENTRIES};
use xen_abi::mmu::{Pte, PteFlags};
use xen_abi::{Domid, GrantRef, Mfn, VirtAddr};

/// Entries of the table, one frame of them: guests grant pages to unikernels, hardly ever the other way round.
const ENTRIES: usize = 512;

/// The first entry that a program can have; those before it are the domain builder's.
pub const FIRST_FREE: GrantRef = GrantRef(NR_RESERVED_ENTRIES);

/// How the table is mapped: at the first page of the grant window, which a micro-reboot leaves as it is.
const TABLE_FLAGS: PteFlags =
    PteFlags::PRESENT.union(PteFlags::USER).union(PteFlags::WRITABLE).union(PteFlags::NX);

/// A set of entries.
struct Entries([AtomicU64; ENTRIES / 64]);

impl Entries {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; ENTRIES / 64])
    }

    fn contains(&self, index: usize) -> bool {
        self.0[index / 64].load(Ordering::Relaxed) >> (index % 64) & 1 != 0
    }

    fn set(&self, index: usize, present: bool) {
        let (word, bit) = (&self.0[index / 64], 1 << (index % 64));
        if present {
            word.fetch_or(bit, Ordering::Relaxed);
        } else {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }
}

/// Entries that this life answers for: it has a handle, or had one and could not end the grant.
static OWNED: Entries = Entries::new();

/// Those of them whose handle was dropped while the page was still mapped elsewhere.
static LINGERING: Entries = Entries::new();

fn table() -> Option<&'static [AtomicU64; ENTRIES]> {
    // SAFETY: `set_up` has mapped the table there, writable; Xen and this domain use it by atomics.
    (start::boot_info().grant_window.pages > 0).then(|| unsafe { &*(GRANT_WINDOW_VA as *const _) })
}

fn decode(entry: u64) -> GrantEntryV1 {
    zerocopy::transmute!(entry)
}

/// Maps the table. It is there already after a micro-reboot, and stays the same.
///
/// # Panics
/// If Xen refuses.
pub(super) fn set_up() {
    let mut frame = [Mfn(0)];
    let status = match pv::grant::setup_table(&mut frame) {
        Ok(status) => status,
        Err(error) => panic!("the grant table: {error}"),
    };
    if let Err(error) = GrantStatus::check(status) {
        panic!("the grant table: {error}");
    }
    // SAFETY: the first page of the grant window is kept for the table.
    let mapped =
        unsafe { pv::mmu::update_va_mapping(VirtAddr(GRANT_WINDOW_VA), Pte::new(frame[0], TABLE_FLAGS)) };
    if let Err(error) = mapped {
        panic!("the grant table cannot be mapped: {error}");
    }
}

/// The pages of the heap that the last life has granted and that may still be mapped elsewhere: the heap must leave them
/// out.
pub(crate) fn inherited_pages() -> Vec<u64, ENTRIES> {
    in_use().filter_map(|(_, entry)| page_of(&decode(entry))).collect()
}

/// Entries in use, with their content.
fn in_use() -> impl Iterator<Item = (usize, u64)> {
    let entries = table().into_iter().flatten().enumerate().skip(FIRST_FREE.0 as usize);
    entries.map(|(index, entry)| (index, entry.load(Ordering::Acquire))).filter(|(_, entry)| *entry != 0)
}

/// Where the page of `entry` is in the heap, if it is there.
fn page_of(entry: &GrantEntryV1) -> Option<u64> {
    let info = start::boot_info();
    let pfn = start::words(info.p2m)
        .iter()
        .position(|frame| frame.load(Ordering::Relaxed) == entry.frame.into())?;
    let address = RAM_BASE + (pfn * PAGE_SIZE) as u64;
    let heap = start::heap();
    (heap.va..heap.end()).contains(&address).then_some(address)
}

/// The grants of the last life, each once. What is dropped of them ends.
pub fn inherited() -> impl Iterator<Item = Grant> {
    in_use().filter(|(index, _)| !OWNED.contains(*index)).filter_map(|(index, entry)| {
        let entry = decode(entry);
        let Some(address) = page_of(&entry) else {
            log::warn!(
                "entry {index} of the grant table has a page that is not of the heap: taken back {}",
                end(index)
            );
            return None;
        };
        OWNED.set(index, true);
        // SAFETY: the heap was set up without this page, and `OWNED` lets it be found only once.
        let page = ManuallyDrop::new(unsafe { SharedPage::at(address) });
        Some(Grant { reference: GrantRef(index as u32), to: entry.domid, page })
    })
}

/// A page that another domain may use. It derefs to the page's words.
///
/// Dropped, it ends the access; if the page is still mapped elsewhere, the page is set aside until it is not.
#[derive(Debug)]
pub struct Grant {
    reference: GrantRef,
    to: Domid,
    page: ManuallyDrop<SharedPage>,
}

/// The other domain has not let go of the page. The grant goes on.
#[derive(Debug)]
pub struct StillMapped(pub Grant);

impl SharedPage {
    /// Lets domain `to` use the page.
    ///
    /// # Errors
    /// [`GrantError`]; the page is free again then.
    pub fn grant(self, to: Domid, access: Access) -> Result<Grant, GrantError> {
        end_lingering();
        let free = |entry: &usize| is_free(*entry);
        let index = (FIRST_FREE.0 as usize..ENTRIES).find(free).ok_or(GrantError::Full)?;
        self.grant_in(index, to, access)
    }

    /// The same under a number that both sides know.
    ///
    /// # Errors
    /// [`GrantError`]; the page is free again then.
    pub fn grant_as(self, reference: GrantRef, to: Domid, access: Access) -> Result<Grant, GrantError> {
        end_lingering();
        let index = reference.0 as usize;
        if reference < FIRST_FREE || index >= ENTRIES || !is_free(index) {
            return Err(GrantError::Taken { reference });
        }
        self.grant_in(index, to, access)
    }

    fn grant_in(self, index: usize, to: Domid, access: Access) -> Result<Grant, GrantError> {
        let table = table().ok_or(GrantError::NoTable)?;
        // A page of the heap has a frame, and Xen gives PV domains none above the table's 32 bits.
        let frame = machine_address(self.address()).map_or(0, |address| address.mfn().0 as u32);
        let mut flags = GrantFlags::PERMIT_ACCESS;
        flags.set(GrantFlags::READONLY, access == Access::ReadOnly);
        let entry: u64 = zerocopy::transmute!(GrantEntryV1 { flags, domid: to, frame });
        OWNED.set(index, true);
        table[index].store(entry, Ordering::Release);
        Ok(Grant { reference: GrantRef(index as u32), to, page: ManuallyDrop::new(self) })
    }
}

fn is_free(index: usize) -> bool {
    !OWNED.contains(index) && table().is_some_and(|table| table[index].load(Ordering::Relaxed) == 0)
}

/// Takes the entry out of use, unless the page is mapped or being copied.
fn end(index: usize) -> bool {
    let Some(table) = table() else { return true };
    let busy = GrantFlags::READING | GrantFlags::WRITING;
    let ended = table[index].fetch_update(Ordering::AcqRel, Ordering::Acquire, |entry| {
        (!decode(entry).flags.intersects(busy)).then_some(0)
    });
    if ended.is_ok() {
        OWNED.set(index, false);
        LINGERING.set(index, false);
    }
    ended.is_ok()
}

/// Ends what could not be ended when its handle was dropped.
fn end_lingering() {
    for index in (0..ENTRIES).filter(|index| LINGERING.contains(*index)) {
        let Some(table) = table() else { return };
        let page = page_of(&decode(table[index].load(Ordering::Relaxed)));
        if end(index) {
            // SAFETY: its handle is gone, and so is the grant: nobody uses the page.
            drop(page.map(|address| unsafe { SharedPage::at(address) }));
        }
    }
}

impl Grant {
    /// The number by which the other domain knows it.
    pub const fn reference(&self) -> GrantRef {
        self.reference
    }

    /// Who may use the page.
    pub const fn to(&self) -> Domid {
        self.to
    }

    /// Ends the access and gives the page back.
    ///
    /// # Errors
    /// [`StillMapped`], with the grant as it was.
    pub fn end(mut self) -> Result<SharedPage, StillMapped> {
        if !end(self.reference.0 as usize) {
            return Err(StillMapped(self));
        }
        // SAFETY: the handle is forgotten right after, so the page is taken once.
        let page = unsafe { ManuallyDrop::take(&mut self.page) };
        core::mem::forget(self);
        Ok(page)
    }
}

impl Deref for Grant {
    type Target = super::Page;

    fn deref(&self) -> &super::Page {
        &self.page
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if end(self.reference.0 as usize) {
            // SAFETY: a handle is dropped once, and nobody uses the page any more.
            unsafe { ManuallyDrop::drop(&mut self.page) };
        } else {
            LINGERING.set(self.reference.0 as usize, true);
        }
    }
}
