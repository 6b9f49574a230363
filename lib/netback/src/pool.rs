//! Frames in the backend's own memory.
//!
//! A guest's frame is copied here once and looked at here alone: the original may change under any check. It lies in
//! pages that the card can reach, after [`HEADROOM`] bytes for the header that a driver may want before it.
//!
//! A broadcast has many readers. Each has a *reference*, which keeps the frame in memory, and at first a *claim*, which
//! keeps its sender's request open. When the last claim goes, the pool says whose the frame was, so that the request can
//! be answered. A reader that is slow loses its claim and keeps its reference: it must not hold up the sender.

use crate::Offload;
use crate::arrivals::{Arrivals, Found, Source};
use alloc::vec::Vec;
use xen_abi::Mfn;

/// Bytes of a page.
pub const PAGE: usize = xen_abi::PAGE_SIZE as usize;

/// Free bytes before a frame: enough for the header of any driver (virtio's has 12), and a cache line.
pub const HEADROOM: usize = 64;

/// The longest frame.
pub const MAX_LENGTH: usize = xen_abi::netif::MAX_TX_SIZE as usize;

/// Pages of the longest frame.
pub const FRAME_PAGES: usize = (HEADROOM + MAX_LENGTH).div_ceil(PAGE);

/// The most pages of a pool: 16 MiB.
pub const MAX_PAGES: usize = 4096;

/// The most frames of a pool: two full rings of small ones for each of eight guests.
pub const MAX_FRAMES: usize = 4096;

/// Pages that frames from guests leave to frames that are cut: the longest one, cut into pieces of 512 bytes.
pub const RESERVE: usize = MAX_LENGTH.div_ceil(512);

/// One guest's frames have at most one part in so many of the pool, however slow those are whom they are for.
const SHARES: usize = 4;

/// The least pages of a pool that can take the longest frame from a guest.
pub const MIN_PAGES: usize = RESERVE + FRAME_PAGES;

const _: () = assert!(MIN_PAGES / SHARES >= FRAME_PAGES, "a share has room for it too");

/// The number of a page in the pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageId(pub u16);

/// The number of a frame in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId(pub u16);

/// The memory behind the pool.
pub trait Pages {
    /// Where a page is in the machine.
    fn place(&self, page: PageId) -> Mfn;

    /// The bytes of a page; [`PAGE`] of them.
    fn bytes(&self, page: PageId) -> &[u8];

    /// The bytes of a page, to be written; [`PAGE`] of them.
    fn bytes_mut(&mut self, page: PageId) -> &mut [u8];
}

/// Whose slots in which ring a frame came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The guest's device, as the backend counts them.
    pub vif: u8,
    /// Its queue.
    pub queue: u8,
    /// The index of the frame's first request, modulo 2^32.
    pub index: u32,
}

/// A run of bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// In which page.
    pub page: PageId,
    /// Where it begins there.
    pub offset: usize,
    /// Its bytes.
    pub length: usize,
}

#[derive(Clone, Debug)]
struct Frame {
    pages: [PageId; FRAME_PAGES],
    length: u32,
    offload: Offload,
    owner: Option<Owner>,
    /// The frame that this one was cut from: it is done when all its pieces are.
    parent: Option<FrameId>,
    references: u16,
    claims: u16,
    /// On whose account its pages are.
    account: Option<u8>,
    /// Whether it came from outside, and is noted.
    is_arrival: bool,
}

const FREE: Frame = Frame {
    pages: [PageId(0); FRAME_PAGES],
    length: 0,
    offload: Offload::NONE,
    owner: None,
    parent: None,
    references: 0,
    claims: 0,
    account: None,
    is_arrival: false,
};

/// Frames, and the pages that they lie in.
#[derive(Debug)]
pub struct Pool {
    frames: Vec<Frame>,
    free_frames: Vec<FrameId>,
    free_pages: Vec<PageId>,
    /// Pages on each device's account.
    accounts: [u16; 256],
    /// The most pages on one account.
    share: u16,
    arrivals: Arrivals,
}

impl Pool {
    /// A pool of the pages from 0 to `pages`, [`MIN_PAGES`] to [`MAX_PAGES`]; all of them are free. Everything that it will ever
    /// need is allocated here.
    pub fn new(pages: usize) -> Self {
        // Each has a page at least.
        let frames = pages.min(MAX_FRAMES);
        Self {
            frames: alloc::vec![FREE; frames],
            free_frames: (0..frames as u16).rev().map(FrameId).collect(),
            free_pages: (0..pages.min(MAX_PAGES) as u16).rev().map(PageId).collect(),
            accounts: [0; 256],
            share: (pages.min(MAX_PAGES) / SHARES) as u16,
            arrivals: Arrivals::default(),
        }
    }

    /// Notes frames that [come](Self::arrived) from outside from now on in `arrivals`, beginning with those that a predecessor has left there:
    /// they are in use now, and the caller is their one reader. Nothing must have been allocated before.
    pub fn note_in(&mut self, arrivals: Arrivals) -> Vec<(Source, FrameId)> {
        self.arrivals = arrivals;
        let left = self.arrivals.take();
        left.iter().filter_map(|(source, found)| Some((*source, self.adopt(*source, found)?))).collect()
    }

    /// A frame that has come from outside into these pages without this pool's doing, with one reader. None if one of them is in use or
    /// there is no such.
    pub fn adopt(&mut self, source: Source, found: &Found) -> Option<FrameId> {
        let is_whole = found.pages.len() == (HEADROOM + found.length).div_ceil(PAGE);
        let is_free = |page: &PageId| self.free_pages.contains(page);
        if !is_whole || !found.pages.iter().all(is_free) {
            return None;
        }
        let id = self.free_frames.pop()?;
        self.free_pages.retain(|page| !found.pages.contains(page));
        let frame = &mut self.frames[usize::from(id.0)];
        *frame = Frame { length: found.length as u32, references: 1, claims: 1, ..FREE };
        frame.pages[..found.pages.len()].copy_from_slice(&found.pages);
        self.arrived(id, source, found.length, found.offload);
        Some(id)
    }

    /// A frame has been filled from outside, with so many bytes, of which this is known.
    pub fn arrived(&mut self, id: FrameId, source: Source, length: usize, offload: Offload) {
        self.shorten(id, length);
        self.set_offload(id, offload);
        let (count, length) = (self.pages(id), self.length(id));
        let frame = &mut self.frames[usize::from(id.0)];
        frame.is_arrival = true;
        self.arrivals.note(source, &frame.pages[..count], length, offload);
    }

    /// Whether a frame begins with these pages, of which there is one at least.
    pub fn lies_in(&self, id: FrameId, pages: &[PageId]) -> bool {
        !pages.is_empty() && self.frame(id).pages[..self.pages(id)].starts_with(pages)
    }

    /// Whether a frame came from outside.
    pub fn is_arrival(&self, id: FrameId) -> bool {
        self.frame(id).is_arrival
    }

    /// How many pages are free.
    pub fn free_pages(&self) -> usize {
        self.free_pages.len()
    }

    /// How many frames there are.
    pub fn frames(&self) -> usize {
        self.capacity() - self.free_frames.len()
    }

    /// How many frames there can be: their numbers are below.
    pub fn capacity(&self) -> usize {
        self.frames.len()
    }

    /// A frame of `length` bytes, with one reader, that leaves `reserve` pages free; its bytes are what was there
    /// before. None if there is no room for it, or it would be empty or too long.
    pub fn allocate(&mut self, length: usize, reserve: usize) -> Option<FrameId> {
        let pages = (HEADROOM + length).div_ceil(PAGE);
        if length == 0 || length > MAX_LENGTH || self.free_pages.len() < pages + reserve {
            return None;
        }
        let id = self.free_frames.pop()?;
        let frame = &mut self.frames[usize::from(id.0)];
        *frame = Frame { length: length as u32, references: 1, claims: 1, ..FREE };
        for page in &mut frame.pages[..pages] {
            *page = self.free_pages.pop()?;
        }
        Some(id)
    }

    /// A frame of a guest's, as long as its share of the pool allows.
    pub fn allocate_for(&mut self, owner: Owner, length: usize) -> Option<FrameId> {
        let pages = (HEADROOM + length).div_ceil(PAGE) as u16;
        if self.accounts[usize::from(owner.vif)] + pages > self.share {
            return None;
        }
        let id = self.allocate(length, RESERVE)?;
        self.accounts[usize::from(owner.vif)] += pages;
        let frame = self.frame_mut(id);
        (frame.owner, frame.account) = (Some(owner), Some(owner.vif));
        Some(id)
    }

    /// One more reader, with a claim.
    pub fn retain(&mut self, id: FrameId) {
        let frame = self.frame_mut(id);
        frame.references += 1;
        frame.claims += 1;
    }

    /// A reader with a claim is done. If it was the last one with a claim, this says whose the frame was.
    pub fn release(&mut self, id: FrameId) -> Option<Owner> {
        let owner = self.unclaim(id);
        self.release_unclaimed(id);
        owner
    }

    /// A reader gives up its claim, and not its reference. If it was the last claim, this says whose the frame was.
    pub fn unclaim(&mut self, id: FrameId) -> Option<Owner> {
        let mut id = id;
        loop {
            let frame = self.frame_mut(id);
            frame.claims = frame.claims.checked_sub(1)?;
            if frame.claims > 0 {
                return None;
            }
            match frame.parent {
                Some(parent) => id = parent,
                None => {
                    // What is kept for slow readers is on their account: their queues are bounded.
                    let (owner, account) = (frame.owner.take(), frame.account.take());
                    if let Some(account) = account {
                        self.accounts[usize::from(account)] -= self.pages(id) as u16;
                    }
                    return owner;
                }
            }
        }
    }

    /// A reader that has no claim any more is done. When it was the last one, the frame is gone.
    pub fn release_unclaimed(&mut self, id: FrameId) {
        let mut next = Some(id);
        while let Some(id) = next {
            let frame = &mut self.frames[usize::from(id.0)];
            let Some(references) = frame.references.checked_sub(1) else {
                return;
            };
            frame.references = references;
            if references > 0 {
                return;
            }
            let pages = (HEADROOM + frame.length as usize).div_ceil(PAGE);
            if let Some(account) = frame.account {
                self.accounts[usize::from(account)] -= pages as u16;
            }
            if frame.is_arrival {
                self.arrivals.forget(&frame.pages[..pages]);
            }
            self.free_frames.push(id);
            self.free_pages.extend(&frame.pages[..pages]);
            next = frame.parent;
        }
    }

    /// Whose a frame is.
    pub fn owner(&self, id: FrameId) -> Option<Owner> {
        self.frame(id).owner
    }

    /// Nobody waits for the frames of a device any more, because it is gone.
    pub fn disown(&mut self, vif: u8) {
        for frame in self.frames.iter_mut().filter(|frame| frame.owner.is_some_and(|owner| owner.vif == vif))
        {
            frame.owner = None;
        }
    }

    /// How many readers a frame has; 0 if there is no such frame.
    pub fn references(&self, id: FrameId) -> u16 {
        self.frame(id).references
    }

    /// Nobody waits for a frame any more.
    pub fn disown_frame(&mut self, id: FrameId) {
        self.frame_mut(id).owner = None;
    }

    /// All frames that somebody waits for.
    pub fn owned(&self) -> impl Iterator<Item = (FrameId, Owner)> {
        let numbered = (0..).map(FrameId).zip(&self.frames);
        numbered.filter(|(_, frame)| frame.references > 0).filter_map(|(id, frame)| Some((id, frame.owner?)))
    }

    /// All frames that somebody reads.
    pub fn in_use(&self) -> impl Iterator<Item = FrameId> {
        let numbered = (0..).map(FrameId).zip(&self.frames);
        numbered.filter(|(_, frame)| frame.references > 0).map(|(id, _)| id)
    }

    /// The frame that this one was cut from.
    pub fn parent(&self, id: FrameId) -> Option<FrameId> {
        self.frame(id).parent
    }

    /// How many pages a frame has.
    pub fn pages(&self, id: FrameId) -> usize {
        (HEADROOM + self.length(id)).div_ceil(PAGE)
    }

    /// Makes a frame shorter and gives back what it needs no more: a card has filled less of it than it could. A frame
    /// becomes neither longer nor empty.
    pub fn shorten(&mut self, id: FrameId, length: usize) {
        let frame = &mut self.frames[usize::from(id.0)];
        let pages = |length: usize| (HEADROOM + length).div_ceil(PAGE);
        let (before, after) = (frame.length as usize, length.clamp(1, frame.length as usize));
        self.free_pages.extend(&frame.pages[pages(after)..pages(before)]);
        frame.length = after as u32;
    }

    /// Says that a frame was cut from another one, which lives as long.
    pub fn set_parent(&mut self, id: FrameId, parent: FrameId) {
        self.retain(parent);
        self.frame_mut(id).parent = Some(parent);
    }

    /// The bytes of a frame.
    pub fn length(&self, id: FrameId) -> usize {
        self.frame(id).length as usize
    }

    /// What is still to be done to a frame.
    pub fn offload(&self, id: FrameId) -> Offload {
        self.frame(id).offload
    }

    /// Says what is still to be done to a frame.
    pub fn set_offload(&mut self, id: FrameId, offload: Offload) {
        self.frame_mut(id).offload = offload;
    }

    /// Where a frame lies, from its byte `from` on.
    pub fn pieces(&self, id: FrameId, from: usize) -> impl Iterator<Item = Piece> {
        let frame = self.frame(id);
        let (mut at, end) = (HEADROOM + from, HEADROOM + frame.length as usize);
        core::iter::from_fn(move || {
            let (page, offset) = (at / PAGE, at % PAGE);
            let length = end.saturating_sub(at).min(PAGE - offset);
            at += length;
            (length > 0).then(|| Piece { page: frame.pages[page], offset, length })
        })
    }

    /// The beginning of a frame: as much as lies in its first page, which no header goes beyond.
    pub fn head<'a>(&self, id: FrameId, pages: &'a impl Pages) -> &'a [u8] {
        let frame = self.frame(id);
        let length = (frame.length as usize).min(PAGE - HEADROOM);
        &pages.bytes(frame.pages[0])[HEADROOM..HEADROOM + length]
    }

    /// The same, to be written.
    pub fn head_mut<'a>(&self, id: FrameId, pages: &'a mut impl Pages) -> &'a mut [u8] {
        let frame = self.frame(id);
        let length = (frame.length as usize).min(PAGE - HEADROOM);
        &mut pages.bytes_mut(frame.pages[0])[HEADROOM..HEADROOM + length]
    }

    /// Copies bytes of a frame from `from` on; of what lies behind its end nothing.
    pub fn read(&self, id: FrameId, pages: &impl Pages, from: usize, to: &mut [u8]) {
        let mut rest = to;
        for Piece { page, offset, length } in self.pieces(id, from) {
            let length = length.min(rest.len());
            let (now, later) = rest.split_at_mut(length);
            now.copy_from_slice(&pages.bytes(page)[offset..offset + length]);
            rest = later;
        }
    }

    /// Writes bytes of a frame from `from` on; what would lie behind its end is not written.
    pub fn write(&self, id: FrameId, pages: &mut impl Pages, from: usize, bytes: &[u8]) {
        let mut rest = bytes;
        for Piece { page, offset, length } in self.pieces(id, from) {
            let length = length.min(rest.len());
            let (now, later) = rest.split_at(length);
            pages.bytes_mut(page)[offset..offset + length].copy_from_slice(now);
            rest = later;
        }
    }

    fn frame(&self, id: FrameId) -> &Frame {
        &self.frames[usize::from(id.0)]
    }

    fn frame_mut(&mut self, id: FrameId) -> &mut Frame {
        &mut self.frames[usize::from(id.0)]
    }
}
