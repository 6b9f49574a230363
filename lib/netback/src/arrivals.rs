//! What survives of frames that came from outside: from a card, whose sender may never send them again.
//!
//! A guest's frame lies in the guest until it is sent; one that came from a card lies only in this program's pages. If those outlive the
//! program, as they do in a micro-reboot, a successor needs to know no more than which pages have a frame. That stands in a table of one word
//! for each page, which outlives the program as well: written when a frame arrives, and cleared before its page is used for anything else.

use crate::offload::{Checksum, Offload};
use crate::pool::{FRAME_PAGES, HEADROOM, MAX_LENGTH, MAX_PAGES, PAGE, PageId};
use alloc::vec::Vec;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{AcqRel, Release};

/// Where in a word its parts begin: the frame's length, its first page, which of its pages this is, what is known of its checksum, where it
/// has come in, which frame it is in the order of arrival, and a sum of all that.
const FIRST: u32 = 16;
const PLACE: u32 = 28;
const CHECKSUM: u32 = 33;
const SOURCE: u32 = 35;
const ORDER: u32 = 37;
const SUM: u32 = 51;

/// How many numbers there are for the order: after the last comes the first.
const ORDERS: u16 = 1 << (SUM - ORDER);

/// Where a frame has come in: a card, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(u8);

impl Source {
    /// How many there can be.
    pub const COUNT: usize = 1 << (ORDER - SOURCE);

    /// The source `number`, if there can be so many.
    pub const fn new(number: usize) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number as u8)) } else { None }
    }

    /// Its number.
    pub const fn number(self) -> usize {
        self.0 as usize
    }
}

/// A word, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    length: u16,
    first: PageId,
    place: u8,
    checksum: Checksum,
    source: Source,
    order: u16,
}

impl Note {
    fn pack(self) -> u64 {
        let checksum = match self.checksum {
            Checksum::Unknown => 0_u64,
            Checksum::Valid => 1,
            Checksum::Blank => 2,
        };
        let Self { length, first, place, source, order, .. } = self;
        let said = u64::from(length)
            | u64::from(first.0) << FIRST
            | u64::from(place) << PLACE
            | checksum << CHECKSUM
            | u64::from(source.0) << SOURCE
            | u64::from(order) << ORDER;
        said | sum(said) << SUM
    }

    /// What a word says; none if it says nothing, or what nobody has packed.
    fn unpack(word: u64) -> Option<Self> {
        let part = |from: u32, to: u32| word >> from & ((1 << (to - from)) - 1);
        let checksum = match part(CHECKSUM, SOURCE) {
            0 => Checksum::Unknown,
            1 => Checksum::Valid,
            _ => Checksum::Blank,
        };
        let note = Self {
            length: part(0, FIRST) as u16,
            first: PageId(part(FIRST, PLACE) as u16),
            place: part(PLACE, CHECKSUM) as u8,
            checksum,
            source: Source(part(SOURCE, ORDER) as u8),
            order: part(ORDER, SUM) as u16,
        };
        (note.length > 0 && note.pack() == word).then_some(note)
    }
}

/// A frame that a predecessor had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The pages that it lies in, after [`HEADROOM`] bytes.
    pub pages: heapless::Vec<PageId, FRAME_PAGES>,
    /// Its bytes.
    pub length: usize,
    /// What is known of it.
    pub offload: Offload,
}

/// The table. An empty one notes nothing.
#[derive(Debug, Default)]
pub struct Arrivals {
    words: &'static [AtomicU64],
    /// The next frame.
    order: u16,
}

impl Arrivals {
    /// The table in these words: what a predecessor has left there, or zeros. Pages beyond it are not noted.
    pub const fn new(words: &'static [AtomicU64]) -> Self {
        Self { words, order: 0 }
    }

    /// A frame has arrived in these pages.
    pub(crate) fn note(&mut self, source: Source, pages: &[PageId], length: usize, offload: Offload) {
        let Some(&first) = pages.first() else { return };
        let Offload { checksum, .. } = offload;
        // The first page comes last: without it there is no frame.
        for (place, page) in pages.iter().enumerate().rev() {
            let place = place as u8;
            let note = Note { length: length as u16, first, place, checksum, source, order: self.order };
            self.write(*page, note.pack());
        }
        self.order = (self.order + 1) % ORDERS;
    }

    /// The frame in these pages is no more.
    pub(crate) fn forget(&self, pages: &[PageId]) {
        pages.iter().for_each(|page| self.write(*page, 0));
    }

    fn write(&self, page: PageId, word: u64) {
        if let Some(place) = self.words.get(usize::from(page.0)) {
            place.store(word, Release);
        }
    }

    /// The frames that are noted and where they came in, in the order in which they came; and no longer noted then.
    pub(crate) fn take(&mut self) -> Vec<(Source, Found)> {
        let notes: Vec<(PageId, Note)> = (0..)
            .map(PageId)
            .zip(self.words)
            .filter_map(|(page, word)| Some((page, Note::unpack(word.swap(0, AcqRel))?)))
            .collect();
        let is_first = |(page, note): &&(PageId, Note)| note.place == 0 && note.first == *page;
        let mut firsts: Vec<Note> = notes.iter().filter(is_first).map(|(_, note)| *note).collect();
        let since = firsts.first().map_or(0, |note| note.order);
        // They are fewer than half of all numbers, so that it is known which of two came first.
        firsts.sort_by_key(|note| (note.order + ORDERS / 2 + ORDERS - since) % ORDERS);
        let found = |first: Note| {
            let page = |place| {
                let wanted = Note { place, ..first };
                notes.iter().find(|(_, note)| *note == wanted).map(|(page, _)| *page)
            };
            let length = usize::from(first.length);
            let pages: Option<heapless::Vec<PageId, FRAME_PAGES>> =
                (0..(HEADROOM + length).div_ceil(PAGE) as u8).map(page).collect();
            let offload = Offload { checksum: first.checksum, segments: None };
            Some((first.source, Found { pages: pages?, length, offload }))
        };
        firsts.into_iter().filter_map(found).collect()
    }
}

/// A sum of a note, which zeros do not have.
const fn sum(said: u64) -> u64 {
    (said ^ said >> 13 ^ said >> 26 ^ said >> 39 ^ 0x15a5) & 0x1fff
}

const _: () = assert!(MAX_LENGTH < 1 << FIRST && MAX_PAGES <= 1 << (PLACE - FIRST));
const _: () = assert!(FRAME_PAGES < 1 << (CHECKSUM - PLACE) && SUM + 13 == 64);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;

    fn table() -> &'static [AtomicU64] {
        Box::leak((0..32).map(|_| AtomicU64::new(0)).collect())
    }

    #[test]
    fn a_successor_finds_what_was_noted_and_not_forgotten() {
        let words = table();
        let mut arrivals = Arrivals { words, order: ORDERS - 1 };
        let valid = Offload { checksum: Checksum::Valid, segments: None };
        let [first, last] = [0, Source::COUNT - 1].map(|number| Source::new(number).unwrap());
        arrivals.note(last, &[PageId(9), PageId(2)], 5000, valid);
        arrivals.note(first, &[PageId(7)], 60, Offload::NONE);
        arrivals.note(first, &[PageId(3)], 61, Offload::NONE);
        arrivals.forget(&[PageId(7)]);
        let mut successor = Arrivals::new(words);
        let found = successor.take();
        let pages: Vec<(Source, &[PageId])> =
            found.iter().map(|(source, found)| (*source, &found.pages[..])).collect();
        assert_eq!(pages, [(last, &[PageId(9), PageId(2)][..]), (first, &[PageId(3)])]);
        assert_eq!((found[0].1.length, found[0].1.offload), (5000, valid));
        assert_eq!(successor.take(), []);
    }

    #[test]
    fn what_is_damaged_is_no_frame() {
        for bit in 0..u64::BITS {
            let words = table();
            Arrivals::new(words).note(Source(1), &[PageId(4)], 1500, Offload::NONE);
            words[4].fetch_xor(1 << bit, AcqRel);
            assert_eq!(Arrivals::new(words).take(), []);
        }
    }
}
