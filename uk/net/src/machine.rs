//! The memory that frames lie in, and copying between it and guests' pages.
//!
//! A micro-reboot keeps it. So that a life finds what the last one has received, everything in it that is looked for is always in the same place:
//! first each card's ring of received frames, then the table of those that have been taken out of them, then frames.

use alloc::vec::Vec;
use core::sync::atomic::AtomicU64;
use libos::dma::{DmaPlace, DmaPool};
use libos::grant;
use libos::nic::RING_PAGES;
use libos::uk_abi::layout::PAGE_SIZE;
use libos::xen_abi::Mfn;
use libos::xen_abi::grant_table::GrantCopy;
use network::netback::{Arrivals, Copier, HEADROOM, MIN_PAGES, PAGE, PageId, Pages, RESERVE};

const _: () = assert!(PAGE == PAGE_SIZE && HEADROOM >= libos::nic::HEADROOM);

/// Pages of DMA memory that are left to each driver: descriptors and headers of both queues.
const LEFT_TO_DRIVERS: usize = 16;

/// Pages with the table of frames that came in: a word for each page that DMA memory can have.
const TABLE_PAGES: usize = 1;

/// The least pages for frames.
const LEAST: usize = MIN_PAGES * 3 / 2;

/// The most frames that a card has to receive into: as many as come while this program waits for its turn.
const MOST_RECEIVED: usize = 128;

/// The memory of all frames.
pub struct Machine {
    pool: DmaPool,
    pages: usize,
    rings: Vec<DmaPool>,
    arrivals: &'static [AtomicU64],
}

impl Machine {
    /// All of this program's DMA memory but for what the drivers of so many devices take; none if that is too little for the longest frame
    /// and a few to receive. To be called before anything else takes any.
    pub fn take(devices: usize) -> Option<Self> {
        let rings = (0..devices).map(|_| DmaPool::take(RING_PAGES)).collect::<Option<_>>()?;
        let arrivals = DmaPool::take(TABLE_PAGES)?.into_words();
        let pages = DmaPool::pages_left(LEFT_TO_DRIVERS * devices);
        let pool = (pages >= LEAST).then(|| DmaPool::take(pages)).flatten()?;
        Some(Self { pool, pages, rings, arrivals })
    }

    /// How many frames each of so many cards shall have room for to receive into: all of them have a third of what is not in reserve, and
    /// each has enough.
    pub fn receive_frames(&self, cards: usize) -> u16 {
        ((self.pages - RESERVE) / 3 / cards.max(1)).min(MOST_RECEIVED) as u16
    }

    /// How many pages there are.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// The memory of frames, for drivers.
    pub fn pool(&self) -> DmaPlace {
        self.pool.place()
    }

    /// The memory of the ring that the device `place` receives into.
    pub fn ring(&self, place: usize) -> DmaPlace {
        self.rings[place].place()
    }

    /// Where frames that came in are noted.
    pub fn arrivals(&self) -> Arrivals {
        Arrivals::new(self.arrivals)
    }
}

impl Pages for Machine {
    fn place(&self, page: PageId) -> Mfn {
        self.pool.frame(page.0.into())
    }

    fn bytes(&self, page: PageId) -> &[u8] {
        self.pool.page(page.0.into())
    }

    fn bytes_mut(&mut self, page: PageId) -> &mut [u8] {
        self.pool.page_mut(page.0.into())
    }
}

impl Copier for Machine {
    fn copy(&mut self, copies: &mut [GrantCopy]) {
        // Each copy says for itself how it went; if Xen takes none at all, it is because this program asks for nonsense.
        if let Err(error) = grant::copy_with(&mut self.pool, copies) {
            panic!("{} grant copies: {error}", copies.len());
        }
    }
}
