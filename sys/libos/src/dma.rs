//! Memory for devices: pages of the DMA area, contiguous in the machine, and where the machine has any
//! page of this domain.

use crate::start;
use core::cell::RefCell;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;
use critical_section::Mutex;
use uk_abi::layout::{PAGE_SIZE, RAM_BASE};
use xen_abi::{MachineAddr, Mfn};

/// Pages that the area can have: one extent of 2 MiB.
const MAX_PAGES: usize = 512;

/// Which pages of the area are taken.
static TAKEN: Mutex<RefCell<[bool; MAX_PAGES]>> = Mutex::new(RefCell::new([false; MAX_PAGES]));

/// Where the machine has the byte at `address` of this domain's memory; none where it has no memory
/// there. A device uses such addresses.
pub fn machine_address(address: u64) -> Option<MachineAddr> {
    let pfn = address.checked_sub(RAM_BASE)? / PAGE_SIZE as u64;
    let frame =
        start::words(start::boot_info().p2m).get(pfn as usize).map(|frame| Mfn(frame.load(Relaxed)))?;
    (pfn < start::boot_info().ram_pages).then(|| frame.addr() + address % PAGE_SIZE as u64)
}

/// Pages of the DMA area, given back when dropped. What a device is told of must be dropped only when
/// it has been told otherwise: it writes to memory of this domain, whoever has it.
#[derive(Debug)]
pub struct DmaBuffer {
    first: usize,
    pages: usize,
}

impl DmaBuffer {
    /// Takes `pages` pages, zeroed; none where there are not so many in a row.
    pub fn new(pages: usize) -> Option<Self> {
        let mut buffer = Self::take(pages)?;
        buffer.fill(0);
        Some(buffer)
    }

    /// Takes `pages` pages, as they are.
    pub(crate) fn take(pages: usize) -> Option<Self> {
        let area = start::boot_info().dma;
        let len = (area.pages as usize).min(MAX_PAGES);
        let first = critical_section::with(|cs| {
            let mut taken = TAKEN.borrow_ref_mut(cs);
            let first = (0..len.checked_sub(pages)? + 1)
                .find(|first| taken[*first..first + pages].iter().all(|taken| !taken))?;
            taken[first..first + pages].fill(true);
            Some(first)
        })?;
        Some(Self { first, pages })
    }

    /// Where the machine has its first byte; the others follow.
    pub fn machine_address(&self) -> MachineAddr {
        // The area lies in RAM: boot info was validated.
        machine_address(self.address()).unwrap_or(MachineAddr(0))
    }

    fn address(&self) -> u64 {
        start::boot_info().dma.va + (self.first * PAGE_SIZE) as u64
    }

    /// Its pages, each by itself.
    pub(crate) fn into_pages(self) -> impl Iterator<Item = Self> {
        let whole = ManuallyDrop::new(self);
        (whole.first..whole.first + whole.pages).map(|first| Self { first, pages: 1 })
    }

    /// Gives the pages away for good, or until [`Self::from_address`].
    pub(crate) fn into_address(self) -> u64 {
        let address = self.address();
        core::mem::forget(self);
        address
    }

    /// The buffer that was given away.
    ///
    /// # Safety
    /// `address` must come from [`Self::into_address`] of a buffer of so many pages, and only once.
    pub(crate) unsafe fn from_address(address: u64, pages: usize) -> Self {
        Self { first: (address - start::boot_info().dma.va) as usize / PAGE_SIZE, pages }
    }
}

impl Deref for DmaBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: root maps the area writable and gives it to nothing else; `TAKEN` has given these pages
        // to this buffer alone, and any bytes are plain.
        unsafe { core::slice::from_raw_parts(self.address() as *const u8, self.pages * PAGE_SIZE) }
    }
}

impl DerefMut for DmaBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`.
        unsafe { core::slice::from_raw_parts_mut(self.address() as *mut u8, self.pages * PAGE_SIZE) }
    }
}

impl Drop for DmaBuffer {
    fn drop(&mut self) {
        critical_section::with(|cs| {
            TAKEN.borrow_ref_mut(cs)[self.first..self.first + self.pages].fill(false)
        });
    }
}

/// Bytes in a page of a [`DmaPool`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which page, from 0.
    pub page: usize,
    /// The first of the bytes.
    pub offset: usize,
    /// How many.
    pub length: usize,
}

/// Pages that devices read and write as long as they have them: taken once, and never given back. What is in them is
/// plain bytes to whoever looks, and whatever a device makes of them meanwhile. A micro-reboot keeps it: who takes the same pages first
/// thing in each life finds what the last one has left.
#[derive(Debug)]
pub struct DmaPool(ManuallyDrop<DmaBuffer>);

impl DmaPool {
    /// Takes `pages` pages, with whatever is in them; none where there are not so many in a row.
    pub fn take(pages: usize) -> Option<Self> {
        DmaBuffer::take(pages).map(|buffer| Self(ManuallyDrop::new(buffer)))
    }

    /// All pages of the area that are still free in a row at its end, but for `rest` of them.
    pub fn pages_left(rest: usize) -> usize {
        let len = (start::boot_info().dma.pages as usize).min(MAX_PAGES);
        let free = critical_section::with(|cs| {
            TAKEN.borrow_ref(cs)[..len].iter().rev().take_while(|taken| !**taken).count()
        });
        free.saturating_sub(rest)
    }

    /// Where the machine has a page.
    ///
    /// # Panics
    /// If there is no such page.
    pub fn frame(&self, page: usize) -> Mfn {
        assert!(page < self.0.pages, "page {page} of {}", self.0.pages);
        self.0.machine_address().mfn() + page as u64
    }

    /// Whether a frame of the machine is one of its pages.
    pub(crate) fn has_frame(&self, frame: Mfn) -> bool {
        let first = self.0.machine_address().mfn();
        frame.0.checked_sub(first.0).is_some_and(|page| page < self.0.pages as u64)
    }

    /// The bytes of a page.
    ///
    /// # Panics
    /// If there is no such page.
    pub fn page(&self, page: usize) -> &[u8] {
        &self.0[page * PAGE_SIZE..(page + 1) * PAGE_SIZE]
    }

    /// The bytes of a page, to be written.
    ///
    /// # Panics
    /// If there is no such page.
    pub fn page_mut(&mut self, page: usize) -> &mut [u8] {
        &mut self.0[page * PAGE_SIZE..(page + 1) * PAGE_SIZE]
    }

    /// Its pages as words, in the place of the pool.
    pub fn into_words(self) -> &'static [AtomicU64] {
        let count = self.0.pages * PAGE_SIZE / size_of::<u64>();
        // SAFETY: the pages are this pool's alone, which was never given back and is gone now; they are aligned for words.
        unsafe { core::slice::from_raw_parts(self.0.address() as *const AtomicU64, count) }
    }

    /// Who can give its bytes to a device.
    pub fn place(&self) -> DmaPlace {
        DmaPlace { address: self.0.address(), bytes: self.0.pages * PAGE_SIZE }
    }
}

/// Where a [`DmaPool`] is: what a driver has to know of it.
#[derive(Clone, Copy, Debug)]
pub struct DmaPlace {
    address: u64,
    bytes: usize,
}

impl DmaPlace {
    /// The bytes of `span`, as a pointer to give to a device.
    ///
    /// # Panics
    /// If they do not lie in one page of the pool.
    pub(crate) fn pointer(&self, span: Span) -> NonNull<[u8]> {
        let Span { page, offset, length } = span;
        let start = page * PAGE_SIZE + offset;
        assert!(offset + length <= PAGE_SIZE && start + length <= self.bytes, "{span:?}");
        let first = NonNull::new((self.address + start as u64) as *mut u8).unwrap_or(NonNull::dangling());
        NonNull::slice_from_raw_parts(first, length)
    }

    /// Copies the bytes of `span`, as many as there is room for in `to`.
    ///
    /// # Panics
    /// As [`pointer`](Self::pointer).
    pub(crate) fn read(&self, span: Span, to: &mut [u8]) {
        let from = self.pointer(span);
        // SAFETY: the place checks that the bytes lie in the pool, which is never given back; they are plain, and `to` is none of them,
        // because nobody has a reference to what a driver reads.
        unsafe { to.as_mut_ptr().copy_from_nonoverlapping(from.cast().as_ptr(), from.len().min(to.len())) };
    }

    /// Writes `bytes` into `span`, as many as there is room for.
    ///
    /// # Panics
    /// As [`pointer`](Self::pointer).
    pub(crate) fn write(&self, span: Span, bytes: &[u8]) {
        let to = self.pointer(span);
        // SAFETY: as in `read`.
        unsafe {
            to.cast::<u8>().as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), to.len().min(bytes.len()))
        };
    }

    /// Where the machine has the first byte of `span`.
    ///
    /// # Panics
    /// As [`pointer`](Self::pointer).
    pub(crate) fn machine_address(&self, span: Span) -> MachineAddr {
        let address = self.pointer(span).cast::<u8>().as_ptr() as u64;
        // The area lies in RAM: boot info was validated.
        machine_address(address).unwrap_or(MachineAddr(0))
    }

    /// The bytes that the machine has at `address`; none if they are not in one of the place's pages.
    pub(crate) fn find(&self, address: MachineAddr, length: usize) -> Option<Span> {
        // The pages are contiguous in the machine.
        let at = address.0.checked_sub(machine_address(self.address)?.0)? as usize;
        let (page, offset) = (at / PAGE_SIZE, at % PAGE_SIZE);
        let fits = length <= PAGE_SIZE - offset && page < self.bytes / PAGE_SIZE;
        fits.then_some(Span { page, offset, length })
    }

    /// So many of its pages, from `first` on.
    ///
    /// # Panics
    /// If it has fewer.
    #[must_use]
    pub fn part(&self, first: usize, pages: usize) -> Self {
        assert!((first + pages) * PAGE_SIZE <= self.bytes, "pages {first} to {} of a place", first + pages);
        Self { address: self.address + (first * PAGE_SIZE) as u64, bytes: pages * PAGE_SIZE }
    }
}
