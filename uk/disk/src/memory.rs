//! The pages that data lie in on their way: the uk's own, and those of guests that stay mapped.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use blkback::device::Piece;
use blkback::pages::{Copy, Direction, MapError, Page, Pages};
use core::cell::RefCell;
use core::sync::atomic::Ordering::Relaxed;
use libos::block::{DmaPage, Span};
use libos::grant::{
    self, Access, CopyRoom, Domid, GrantRef, MapError as Unmappable, MappedPage, PageCopy, Remote, Way,
};
use libos::xen_abi::PAGE_SIZE;
use libos::xen_abi::grant_table::{GrantError, GrantStatus};

/// Pages of the uk's own: as many as the largest request that is offered has segments.
pub const OWN: usize = 256;

/// The memory. Clones are the same memory: a driver looks up where pages are while the backend gives them away.
#[derive(Clone)]
pub struct Memory(Rc<RefCell<Inner>>);

struct Inner {
    /// Numbered from 0; the mapped ones follow.
    own: Vec<DmaPage>,
    free: Vec<Page>,
    mapped: Vec<Option<MappedPage>>,
    /// Mapped by an earlier life, or by a backend that has died, and not asked for since.
    left: BTreeMap<(Domid, GrantRef), MappedPage>,
    copies: CopyRoom,
}

impl Memory {
    /// The memory, with what the life before has left mapped. None if there is too little DMA memory.
    pub fn new() -> Option<Self> {
        let own = DmaPage::row(OWN)?;
        let left = grant::inherited_mappings().map(|page| ((page.from(), page.reference()), page)).collect();
        let free = (0..OWN as u32).rev().map(Page).collect();
        let inner = Inner { own, free, mapped: Vec::new(), left, copies: CopyRoom::default() };
        Some(Self(Rc::new(RefCell::new(inner))))
    }

    /// Where the machine has a piece.
    pub fn span(&self, piece: &Piece) -> Option<Span> {
        let Inner { own, mapped, .. } = &*self.0.borrow();
        let page = piece.page.0 as usize;
        match page.checked_sub(own.len()) {
            None => own[page].span(piece.offset, piece.bytes),
            Some(place) => mapped.get(place)?.as_ref()?.span(piece.offset, piece.bytes),
        }
    }

    /// Maps a page for a ring, or takes it over if an earlier life has mapped it.
    pub fn ring(&self, guest: Domid, gref: GrantRef) -> Result<MappedPage, Unmappable> {
        self.0.borrow_mut().page(guest, gref)
    }

    /// Unmaps what is left of a guest's and not in use.
    pub fn forget(&self, guest: Domid) {
        self.0.borrow_mut().left.retain(|(domid, _), _| *domid != guest);
    }

    /// Unmaps all that is left of guests of which `is_known` says no.
    pub fn forget_unknown(&self, is_known: impl Fn(Domid) -> bool) {
        self.0.borrow_mut().left.retain(|(domid, _), _| is_known(*domid));
    }

    /// Begins anew for a new backend: nothing is allocated, and what was mapped is left for it to ask for. The device has nothing.
    pub fn begin_anew(&self) {
        let Inner { own, free, mapped, left, .. } = &mut *self.0.borrow_mut();
        *free = (0..own.len() as u32).rev().map(Page).collect();
        let pages = mapped.drain(..).flatten();
        left.extend(pages.map(|page| ((page.from(), page.reference()), page)));
    }
}

impl Inner {
    /// Maps a page, or takes over what is left. Where the window is full, something that is left makes room.
    fn page(&mut self, guest: Domid, gref: GrantRef) -> Result<MappedPage, Unmappable> {
        if let Some(page) = self.left.remove(&(guest, gref)).filter(|page| page.access() == Access::ReadWrite)
        {
            return Ok(page);
        }
        match MappedPage::map(guest, gref, Access::ReadWrite) {
            Err(Unmappable::WindowFull { .. }) if !self.left.is_empty() => {
                self.left.pop_first();
                MappedPage::map(guest, gref, Access::ReadWrite)
            }
            mapped => mapped,
        }
    }
}

impl Pages for Memory {
    fn allocate(&mut self) -> Option<Page> {
        self.0.borrow_mut().free.pop()
    }

    fn release(&mut self, page: Page) {
        self.0.borrow_mut().free.push(page);
    }

    fn copy(&mut self, copies: &mut [Copy]) {
        if copies.is_empty() {
            return;
        }
        let Inner { own, copies: room, .. } = &mut *self.0.borrow_mut();
        let made = room.copy(copies.iter().map(|copy| PageCopy {
            remote: Remote { domid: copy.guest, reference: copy.gref, offset: copy.guest_offset as u16 },
            page: &own[copy.page.0 as usize],
            offset: copy.offset as u16,
            bytes: copy.bytes as u16,
            way: match copy.direction {
                Direction::In => Way::In,
                Direction::Out => Way::Out,
            },
        }));
        match made {
            Ok(()) => copies.iter_mut().zip(room.outcomes()).for_each(|(copy, made)| copy.result = made),
            Err(error) => {
                log::error!("{} copies: {error}", copies.len());
                let refused = Err(GrantError::Known(GrantStatus::GeneralError));
                copies.iter_mut().for_each(|copy| copy.result = refused);
            }
        }
    }

    fn read(&self, page: Page, offset: u32, bytes: &mut [u8]) {
        let words = &self.0.borrow().own[page.0 as usize];
        for (place, byte) in (offset as usize..PAGE_SIZE as usize).zip(bytes) {
            *byte = (words[place / 8].load(Relaxed) >> (place % 8 * 8)) as u8;
        }
    }

    fn map(&mut self, guest: Domid, gref: GrantRef) -> Result<Page, MapError> {
        let inner = &mut *self.0.borrow_mut();
        let page = inner.page(guest, gref).map_err(|error| match error {
            Unmappable::Refused { reason, .. } => MapError::Grant(reason),
            Unmappable::WindowFull { .. } | Unmappable::Xen(_) => MapError::NoRoom,
        })?;
        let free = inner.mapped.iter().position(Option::is_none);
        let place = free.unwrap_or_else(|| {
            inner.mapped.push(None);
            inner.mapped.len() - 1
        });
        inner.mapped[place] = Some(page);
        Ok(Page((inner.own.len() + place) as u32))
    }

    fn unmap(&mut self, pages: &[Page]) {
        let inner = &mut *self.0.borrow_mut();
        for page in pages {
            if let Some(place) = (page.0 as usize).checked_sub(inner.own.len())
                && let Some(mapped) = inner.mapped.get_mut(place)
            {
                *mapped = None;
            }
        }
    }
}
