//! Copying to and from granted pages, many copies in one hypercall. A copy holds the page only while Xen copies: whoever
//! granted it can end the grant, or be rebuilt, at any other time.

use crate::block::DmaPage;
use crate::dma::{DmaPool, machine_address};
use crate::grant::{CopyError, Refusal};
use alloc::vec::Vec as List;
use core::marker::PhantomData;
use heapless::Vec;
use uk_abi::layout::PAGE_SIZE;
use xen_abi::grant_table::{CopyFlags, CopyPlace, GrantCopy, GrantStatus};
use xen_abi::{Domid, GrantRef, Mfn};

/// Bytes in a page that another domain has granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Who has granted it.
    pub domid: Domid,
    /// Under which number.
    pub reference: GrantRef,
    /// The first of the bytes.
    pub offset: u16,
}

/// Copies to be made together, in at most `N` pieces: bytes that cross the end of a page of this domain take two.
#[derive(Debug, Default)]
pub struct CopyBatch<'a, const N: usize> {
    pieces: Vec<GrantCopy, N>,
    /// For each copy, how many pieces there are up to its last.
    ends: Vec<usize, N>,
    /// The local bytes are borrowed until the copies are made.
    borrowed: PhantomData<&'a mut [u8]>,
}

impl<'a, const N: usize> CopyBatch<'a, N> {
    /// An empty batch.
    pub const fn new() -> Self {
        Self { pieces: Vec::new(), ends: Vec::new(), borrowed: PhantomData }
    }

    /// How many copies there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds a copy from a granted page.
    ///
    /// # Errors
    /// [`CopyError`]; the batch is as it was then.
    pub fn read(&mut self, from: Remote, to: &'a mut [u8]) -> Result<(), CopyError> {
        self.add(from, to.as_mut_ptr().expose_provenance() as u64, to.len(), |remote, local, len| {
            GrantCopy::new(remote, local, len)
        })
    }

    /// Adds a copy to a granted page.
    ///
    /// # Errors
    /// [`CopyError`]; the batch is as it was then.
    pub fn write(&mut self, from: &'a [u8], to: Remote) -> Result<(), CopyError> {
        self.add(to, from.as_ptr().expose_provenance() as u64, from.len(), |remote, local, len| {
            GrantCopy::new(local, remote, len)
        })
    }

    fn add(
        &mut self,
        remote: Remote,
        mut address: u64,
        len: usize,
        piece: impl Fn((CopyPlace, u16), (CopyPlace, u16), u16) -> GrantCopy,
    ) -> Result<(), CopyError> {
        let Remote { domid, reference, mut offset } = remote;
        if usize::from(offset) + len > PAGE_SIZE {
            return Err(CopyError::CrossesPage { offset, len });
        }
        if self.ends.is_full() {
            return Err(CopyError::Full);
        }
        let before = self.pieces.len();
        let mut left = len;
        while left > 0 {
            let in_page = (address % PAGE_SIZE as u64) as u16;
            let now = left.min(PAGE_SIZE - usize::from(in_page)) as u16;
            let added = machine_address(address).ok_or(CopyError::NotOwn { address }).and_then(|machine| {
                let local = (CopyPlace::Frame(machine.mfn()), in_page);
                let remote = (CopyPlace::Grant(domid, reference), offset);
                self.pieces.push(piece(remote, local, now)).map_err(|_| CopyError::Full)
            });
            if let Err(error) = added {
                self.pieces.truncate(before);
                return Err(error);
            }
            address += u64::from(now);
            offset += now;
            left -= usize::from(now);
        }
        self.ends.push(self.pieces.len()).map_err(|_| CopyError::Full)
    }

    /// Makes the copies, and says of each, in the order in which they were added, whether it was made.
    ///
    /// # Errors
    /// Xen's, for all of them.
    pub fn run(mut self) -> pv::Result<Vec<Result<(), Refusal>, N>> {
        // SAFETY: the local pages are those of bytes that the batch borrows, for writing where they are written.
        unsafe { pv::grant::copy(&mut self.pieces) }?;
        let mut from = 0;
        let outcome = |&to: &usize| {
            let pieces = &self.pieces[from..to];
            from = to;
            pieces.iter().try_for_each(|piece| GrantStatus::check(piece.status))
        };
        Ok(self.ends.iter().map(outcome).collect())
    }
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the granted page.
    In,
    /// To it.
    Out,
}

/// A copy between a granted page and one that devices use.
#[derive(Clone, Copy, Debug)]
pub struct PageCopy<'a> {
    /// The granted page, and where in it.
    pub remote: Remote,
    /// The other page.
    pub page: &'a DmaPage,
    /// Where in it, in bytes.
    pub offset: u16,
    /// How many bytes.
    pub bytes: u16,
    /// Which way.
    pub way: Way,
}

/// Room for the operations of many copies, kept from one time to the next.
#[derive(Debug, Default)]
pub struct CopyRoom(List<GrantCopy>);

impl CopyRoom {
    /// Makes the copies, all in one go. Bytes that are not within their pages are refused by Xen.
    ///
    /// # Errors
    /// Xen's, for all of them.
    pub fn copy<'a>(&mut self, copies: impl Iterator<Item = PageCopy<'a>>) -> pv::Result {
        self.0.clear();
        self.0.extend(copies.map(|copy| {
            let remote = (CopyPlace::Grant(copy.remote.domid, copy.remote.reference), copy.remote.offset);
            let local = (CopyPlace::Frame(copy.page.machine_address().mfn()), copy.offset);
            match copy.way {
                Way::In => GrantCopy::new(remote, local, copy.bytes),
                Way::Out => GrantCopy::new(local, remote, copy.bytes),
            }
        }));
        // SAFETY: the local pages are used by nobody but by atomics, and no copy leaves its page.
        unsafe { pv::grant::copy(&mut self.0) }
    }

    /// Says of each of the copies that were made last, in their order, how it went.
    pub fn outcomes(&self) -> impl Iterator<Item = Result<(), Refusal>> {
        self.0.iter().map(|done| GrantStatus::check(done.status))
    }
}

/// Makes copies between pages that other domains have granted and those of `pool`; each says in its status how it went.
///
/// # Errors
/// Xen's, for all of them.
///
/// # Panics
/// If a copy's own side is not in one page of the pool, or both sides are this domain's.
pub fn copy_with(pool: &mut DmaPool, copies: &mut [GrantCopy]) -> pv::Result {
    for copy in &*copies {
        let by_grant = [CopyFlags::SOURCE_GREF, CopyFlags::DEST_GREF].map(|flag| copy.flags.contains(flag));
        let own = match by_grant {
            [true, false] => copy.dest,
            [false, true] => copy.source,
            _ => panic!("a copy with {:?}", copy.flags),
        };
        let is_within = usize::from(own.offset) + usize::from(copy.len) <= PAGE_SIZE;
        let is_own = own.domid == Domid::SELF && pool.has_frame(Mfn(own.ref_or_frame));
        assert!(is_own && is_within, "a copy with frame {:#x}", own.ref_or_frame);
    }
    // SAFETY: the own side of each copy lies in a page of the pool, which is plain bytes and borrowed for writing.
    unsafe { pv::grant::copy(copies) }
}
