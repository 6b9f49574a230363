//! Memory: the guests' pages, the uk's own, and what is mapped.

use blkback::pages::{Copy, Direction, MapError, Page, Pages};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use uk_abi::testing::Fuse;
use xen_abi::grant_table::{GrantError, GrantStatus};
use xen_abi::{Domid, GrantRef};

/// Pages that the uk has of its own.
const OWN: u32 = 48;
/// Pages that the uk can map.
pub(crate) const WINDOW: usize = 40;

pub(crate) const BAD_GRANT: GrantError = GrantError::Known(GrantStatus::BadGntref);

/// The machine's memory.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    own: BTreeMap<u32, Vec<u8>>,
    mapped: BTreeMap<u32, (Domid, GrantRef)>,
    granted: BTreeMap<(Domid, GrantRef), Vec<u8>>,
    mappings: u32,
}

pub(crate) type Shared = Rc<RefCell<Machine>>;

impl Machine {
    pub(crate) fn grant(&mut self, guest: Domid, gref: GrantRef, bytes: Vec<u8>) {
        assert_eq!(bytes.len(), 4096);
        self.granted.insert((guest, gref), bytes);
    }

    /// Takes a grant back. A page that is mapped cannot be.
    pub(crate) fn revoke(&mut self, guest: Domid, gref: GrantRef) -> Vec<u8> {
        assert!(
            !self.mapped.values().any(|&grant| grant == (guest, gref)),
            "{guest}'s grant {gref} is mapped"
        );
        self.granted.remove(&(guest, gref)).expect("it was granted")
    }

    pub(crate) fn granted(&mut self, guest: Domid, gref: GrantRef) -> Option<&mut Vec<u8>> {
        self.granted.get_mut(&(guest, gref))
    }

    /// What the device sees in a page: one that is neither the uk's nor mapped is none of its business.
    pub(crate) fn dma(&mut self, page: Page) -> &mut Vec<u8> {
        match self.mapped.get(&page.0) {
            Some(grant) => self.granted.get_mut(grant).expect("what is mapped is granted"),
            None => self.own.get_mut(&page.0).expect("the device uses a page that was let go"),
        }
    }

    /// Lets go of all that a dead uk has left.
    pub(crate) fn new_life(&mut self) {
        self.own.clear();
        self.mapped.clear();
    }

    /// How many pages of a guest's the uk has mapped.
    pub(crate) fn mapped_of(&self, guest: Domid) -> usize {
        self.mapped.values().filter(|(owner, _)| *owner == guest).count()
    }

    /// How many pages of its own the uk has in use, and how many mapped.
    pub(crate) fn in_use(&self) -> (usize, usize) {
        (self.own.len(), self.mapped.len())
    }
}

/// The uk's hands on that memory.
#[derive(Clone, Debug)]
pub(crate) struct Hands {
    pub(crate) machine: Shared,
    pub(crate) fuse: Fuse,
}

impl Pages for Hands {
    fn allocate(&mut self) -> Option<Page> {
        let machine = &mut *self.machine.borrow_mut();
        let free = (0..OWN).find(|page| !machine.own.contains_key(page))?;
        machine.own.insert(free, vec![0xee; 4096]);
        Some(Page(free))
    }

    fn release(&mut self, page: Page) {
        self.machine.borrow_mut().own.remove(&page.0).expect("it was allocated");
    }

    fn copy(&mut self, copies: &mut [Copy]) {
        for copy in copies {
            self.fuse.burn();
            let machine = &mut *self.machine.borrow_mut();
            let own =
                machine.own.get_mut(&copy.page.0).expect("copies are to and from pages that were allocated");
            let Some(guests) = machine.granted.get_mut(&(copy.guest, copy.gref)) else {
                copy.result = Err(BAD_GRANT);
                continue;
            };
            let own = &mut own[copy.offset as usize..][..copy.bytes as usize];
            let guests = &mut guests[copy.guest_offset as usize..][..copy.bytes as usize];
            match copy.direction {
                Direction::In => own.copy_from_slice(guests),
                Direction::Out => guests.copy_from_slice(own),
            }
        }
    }

    fn read(&self, page: Page, offset: u32, bytes: &mut [u8]) {
        let machine = self.machine.borrow();
        bytes.copy_from_slice(&machine.own[&page.0][offset as usize..][..bytes.len()]);
    }

    fn map(&mut self, guest: Domid, gref: GrantRef) -> Result<Page, MapError> {
        self.fuse.burn();
        let machine = &mut *self.machine.borrow_mut();
        if machine.mapped.len() >= WINDOW {
            return Err(MapError::NoRoom);
        }
        if !machine.granted.contains_key(&(guest, gref)) {
            return Err(MapError::Grant(BAD_GRANT));
        }
        machine.mappings += 1;
        let page = OWN + machine.mappings;
        machine.mapped.insert(page, (guest, gref));
        Ok(Page(page))
    }

    fn unmap(&mut self, pages: &[Page]) {
        self.fuse.burn();
        for page in pages {
            self.machine.borrow_mut().mapped.remove(&page.0).expect("it was mapped");
        }
    }
}
