//! Which frames a guest has been given.

use xen_abi::{Mfn, Pfn};

/// Pages of a guest whose frames follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The first page.
    pub first: Pfn,
    /// Its frame.
    pub frame: Mfn,
    /// How many pages.
    pub pages: u64,
}

/// The extents of a guest, from page 0 on and without a gap, in room that the caller gives. A guest of whole 2 MiB
/// needs room for one extent for each of them at most, unless Xen's memory is so fragmented that it has none of them.
#[derive(Debug)]
pub struct Extents<'a> {
    room: &'a mut [Extent],
    used: usize,
}

impl<'a> Extents<'a> {
    /// None yet, and `room` for some.
    pub fn new(room: &'a mut [Extent]) -> Self {
        Self { room, used: 0 }
    }

    /// Adds `pages` pages behind the last one. Answers whether there was room.
    #[must_use]
    pub fn push(&mut self, frame: Mfn, pages: u64) -> bool {
        let first = Pfn(self.pages());
        if let Some(last) = self.room[..self.used].last_mut()
            && last.frame.0.checked_add(last.pages) == Some(frame.0)
        {
            last.pages += pages;
            return true;
        }
        let Some(free) = self.room.get_mut(self.used) else { return false };
        *free = Extent { first, frame, pages };
        self.used += 1;
        true
    }

    /// The extents, in order.
    pub fn as_slice(&self) -> &[Extent] {
        &self.room[..self.used]
    }

    /// How many extents there is room for.
    pub fn room(&self) -> usize {
        self.room.len()
    }

    /// How many pages there are.
    pub fn pages(&self) -> u64 {
        self.as_slice().last().map_or(0, |last| last.first.0 + last.pages)
    }

    /// The frame of a page; [`Mfn::INVALID`] for a page that there is not.
    pub fn frame(&self, pfn: Pfn) -> Mfn {
        self.run(pfn).map_or(Mfn::INVALID, |(frame, _)| frame)
    }

    /// The frame of a page, and how many pages from it on have frames that follow each other.
    pub fn run(&self, pfn: Pfn) -> Option<(Mfn, u64)> {
        let extents = self.as_slice();
        let behind = extents.partition_point(|extent| extent.first <= pfn);
        let extent = extents.get(behind.checked_sub(1)?)?;
        let offset = pfn - extent.first;
        (offset < extent.pages).then(|| (extent.frame + offset, extent.pages - offset))
    }
}
