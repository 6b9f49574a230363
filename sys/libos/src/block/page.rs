//! Pages that disks read and write while this domain looks on.

use crate::dma::DmaBuffer;
use crate::grant::Page;
use alloc::vec::Vec;
use core::ops::Deref;
use uk_abi::layout::PAGE_SIZE;
use xen_abi::MachineAddr;

/// Bytes in a row of one page that a device may read and write: of a [`DmaPage`] or a
/// [`MappedPage`](crate::grant::MappedPage), which nobody but by atomics looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    address: MachineAddr,
    bytes: u32,
}

impl Span {
    /// Bytes of the page at `page`, if they lie within it.
    pub(crate) fn within(page: MachineAddr, offset: u32, bytes: u32) -> Option<Self> {
        let fits = offset.checked_add(bytes).is_some_and(|end| end as usize <= PAGE_SIZE);
        fits.then(|| Self { address: page + u64::from(offset), bytes })
    }

    /// Where the machine has the first of them.
    pub const fn address(&self) -> MachineAddr {
        self.address
    }

    /// How many there are.
    pub const fn bytes(&self) -> u32 {
        self.bytes
    }
}

/// A page of the DMA area: it derefs to words that are atomics. What a device is
/// told of must not be dropped before the device has been told otherwise.
#[derive(Debug)]
pub struct DmaPage(DmaBuffer);

impl DmaPage {
    /// Takes a page, zeroed; none where all are taken.
    pub fn new() -> Option<Self> {
        DmaBuffer::new(1).map(Self)
    }

    /// Takes so many pages with whatever is in them, for what is written before it is read; none where there are not so many in a row.
    pub fn row(count: usize) -> Option<Vec<Self>> {
        DmaBuffer::take(count).map(|buffer| buffer.into_pages().map(Self).collect())
    }

    /// Where the machine has it.
    pub fn machine_address(&self) -> MachineAddr {
        self.0.machine_address()
    }

    /// Bytes of it; none if they are not within the page.
    pub fn span(&self, offset: u32, bytes: u32) -> Option<Span> {
        Span::within(self.0.machine_address(), offset, bytes)
    }
}

impl Deref for DmaPage {
    type Target = Page;

    fn deref(&self) -> &Page {
        // SAFETY: it is a page of the area, aligned as one, which this handle alone has, and which it never shows as bytes.
        unsafe { &*self.0.as_ptr().cast::<Page>() }
    }
}
