//! Pages of this domain that may be shared.

use alloc::alloc::{Layout, alloc_zeroed};
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use uk_abi::layout::PAGE_SIZE;

/// The words of a page.
pub type Page = [AtomicU64; PAGE_SIZE / 8];

/// The same page as the 32-bit words that the indexes of Xen's rings are. Who uses one view of a page at a time sees no
/// value that nobody has written.
pub fn halves(page: &Page) -> &[AtomicU32; PAGE_SIZE / 4] {
    // SAFETY: a page of words is aligned for halves of them and as large as so many, and both are atomics.
    unsafe { &*page.as_ptr().cast() }
}

/// The first page of those that were shared and are free now, or 0. Each holds the address of the next in its first
/// word: pages for sharing do not return to the heap, which may have been set up around them.
static FREE: AtomicU64 = AtomicU64::new(0);

/// A page of this domain that may be shared. It derefs to its words.
#[derive(Debug)]
pub struct SharedPage(NonNull<Page>);

impl SharedPage {
    /// A page of zeros; none where the heap is used up.
    pub fn new() -> Option<Self> {
        let free = FREE.load(Relaxed);
        if free == 0 {
            // SAFETY: the layout is not empty.
            let page = unsafe { alloc_zeroed(Layout::new::<PageOfBytes>()) };
            return NonNull::new(page.cast()).map(Self);
        }
        // SAFETY: the list holds pages that nobody uses.
        let page = unsafe { Self::at(free) };
        FREE.store(page[0].load(Relaxed), Relaxed);
        page.iter().for_each(|word| word.store(0, Relaxed));
        Some(page)
    }

    /// The page at `address`.
    ///
    /// # Safety
    /// It must be a page of this domain that nobody else in it uses.
    pub(super) unsafe fn at(address: u64) -> Self {
        Self(NonNull::new(address as *mut Page).unwrap_or(NonNull::dangling()))
    }

    /// Where it is.
    pub fn address(&self) -> u64 {
        self.0.as_ptr() as u64
    }
}

/// The layout of a page.
#[repr(C, align(4096))]
struct PageOfBytes([u8; PAGE_SIZE]);

impl Deref for SharedPage {
    type Target = Page;

    fn deref(&self) -> &Page {
        // SAFETY: the page is this handle's, mapped for as long as this domain runs, and used by atomics on all sides.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        self[0].store(FREE.load(Relaxed), Relaxed);
        FREE.store(self.address(), Relaxed);
    }
}
