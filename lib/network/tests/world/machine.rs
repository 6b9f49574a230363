//! Memory: the guests' pages with their grants, and the unikernel's own.

use netback::{Copier, PAGE, PageId, Pages};
use network::netback;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use uk_abi::testing::Fuse;
use xen_abi::grant_table::{CopyFlags, GrantCopy, GrantStatus};
use xen_abi::{Domid, GrantRef, Mfn};

/// What a guest permits with one of its pages.
pub struct Granted {
    pub bytes: Box<[u8; PAGE]>,
    pub is_writable: bool,
}

/// All guests' pages that are granted to the backend.
pub type Grants = Rc<RefCell<HashMap<(Domid, GrantRef), Granted>>>;

/// The first frame of the unikernel's pages: no page's number is its frame's.
const FIRST_FRAME: u64 = 0x1000;

pub struct SimMachine {
    pub grants: Grants,
    pub fuse: Fuse,
    pages: Vec<[u8; PAGE]>,
    /// Copies so far.
    pub copies: usize,
}

impl SimMachine {
    pub fn new(pages: usize, grants: Grants, fuse: Fuse) -> Self {
        Self { grants, fuse, pages: vec![[0xee; PAGE]; pages], copies: 0 }
    }

    fn carry_out(&mut self, copy: &GrantCopy) -> GrantStatus {
        let mut grants = self.grants.borrow_mut();
        let length = usize::from(copy.len);
        let (from, to) = (usize::from(copy.source.offset), usize::from(copy.dest.offset));
        if from + length > PAGE || to + length > PAGE {
            return GrantStatus::BadCopyArg;
        }
        let is_from_guest = copy.flags.contains(CopyFlags::SOURCE_GREF);
        let (theirs, ours) = if is_from_guest { (copy.source, copy.dest) } else { (copy.dest, copy.source) };
        let Some(granted) = grants.get_mut(&(theirs.domid, GrantRef(theirs.ref_or_frame as u32))) else {
            return GrantStatus::BadGntref;
        };
        assert_eq!(ours.domid, Domid::SELF);
        let own = &mut self.pages[(ours.ref_or_frame - FIRST_FRAME) as usize];
        if is_from_guest {
            own[to..to + length].copy_from_slice(&granted.bytes[from..from + length]);
        } else if granted.is_writable {
            granted.bytes[to..to + length].copy_from_slice(&own[from..from + length]);
        } else {
            return GrantStatus::PermissionDenied;
        }
        GrantStatus::Okay
    }
}

impl Copier for SimMachine {
    fn copy(&mut self, copies: &mut [GrantCopy]) {
        self.fuse.burn();
        for copy in copies {
            self.copies += 1;
            copy.status = self.carry_out(copy).raw();
        }
        self.fuse.burn();
    }
}

impl Pages for SimMachine {
    fn place(&self, page: PageId) -> Mfn {
        Mfn(FIRST_FRAME + u64::from(page.0))
    }

    fn bytes(&self, page: PageId) -> &[u8] {
        &self.pages[usize::from(page.0)]
    }

    fn bytes_mut(&mut self, page: PageId) -> &mut [u8] {
        &mut self.pages[usize::from(page.0)]
    }
}
