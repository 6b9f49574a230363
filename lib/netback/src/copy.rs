//! Copies between guests' pages and the pool, many with one hypercall.

use crate::Lie;
use crate::lie::RingKind;
use crate::pool::{FrameId, PAGE, Pages, Pool};
use heapless::Vec;
use xen_abi::grant_table::{CopyPlace, GrantCopy, GrantError, GrantStatus};
use xen_abi::{Domid, GrantRef};

/// The most copies of one batch: some forty frames of 1500 bytes, or three of 64 KiB.
pub const MAX_COPIES: usize = 128;

/// Whoever can copy between pages of domains (`GNTTABOP_copy`).
pub trait Copier {
    /// Carries the copies out, in any order, and fills in their status.
    fn copy(&mut self, copies: &mut [GrantCopy]);
}

/// Copies to be carried out together. It is large, and needed by one queue at a time: one for a whole uk will do.
#[derive(Debug, Default)]
pub struct Batch(Vec<GrantCopy, MAX_COPIES>);

/// Which way a copy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    FromGuest,
    ToGuest,
}

/// Bytes in a guest's page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuestBytes {
    pub(crate) domid: Domid,
    pub(crate) gref: GrantRef,
    pub(crate) offset: usize,
    pub(crate) length: usize,
}

/// The outcome of the copies of one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// Not the guest's fault: Xen could not do it now.
    NotNow,
    Failed(GrantRef, GrantError),
}

impl Batch {
    /// An empty batch.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many copies there is still room for.
    pub(crate) fn room(&self) -> usize {
        MAX_COPIES - self.0.len()
    }

    /// The most copies between a frame of `length` bytes and `pieces` pieces in guests' pages: one for each, and one
    /// more wherever a page of the pool ends within a piece.
    pub(crate) const fn needed(length: usize, pieces: usize) -> usize {
        pieces + length.div_ceil(PAGE) + 1
    }

    /// Adds the copies between a guest's bytes and a frame's, from its byte `at` on. The room was checked.
    pub(crate) fn add(
        &mut self,
        pool: &Pool,
        pages: &impl Pages,
        (frame, at): (FrameId, usize),
        guest: GuestBytes,
        way: Way,
    ) {
        let (mut offset, mut left) = (guest.offset, guest.length);
        for piece in pool.pieces(frame, at) {
            let length = piece.length.min(left);
            if length == 0 {
                break;
            }
            let theirs = (CopyPlace::Grant(guest.domid, guest.gref), offset as u16);
            let ours = (CopyPlace::Frame(pages.place(piece.page)), piece.offset as u16);
            let copy = match way {
                Way::FromGuest => GrantCopy::new(theirs, ours, length as u16),
                Way::ToGuest => GrantCopy::new(ours, theirs, length as u16),
            };
            let added = self.0.push(copy);
            debug_assert!(added.is_ok(), "the room was checked");
            (offset, left) = (offset + length, left - length);
        }
    }

    /// Carries the copies out.
    pub(crate) fn run(&mut self, copier: &mut impl Copier) {
        if !self.0.is_empty() {
            copier.copy(&mut self.0);
        }
    }

    /// How the copies from `first` to `end` went: the worst of them.
    pub(crate) fn outcome(&self, first: usize, end: usize, way: Way) -> Outcome {
        let mut outcome = Outcome::Done;
        for copy in &self.0[first..end] {
            let side = if way == Way::FromGuest { copy.source } else { copy.dest };
            match GrantStatus::check(copy.status) {
                Ok(()) => {}
                Err(GrantError::Known(GrantStatus::Eagain)) => outcome = Outcome::NotNow,
                Err(error) => return Outcome::Failed(GrantRef(side.ref_or_frame as u32), error),
            }
        }
        outcome
    }
}

impl Outcome {
    /// Whether all bytes were copied.
    pub(crate) fn check(self, ring: RingKind) -> Result<bool, Lie> {
        match self {
            Self::Done => Ok(true),
            Self::NotNow => Ok(false),
            Self::Failed(gref, error) => Err(Lie::Grant { ring, gref, error }),
        }
    }
}
