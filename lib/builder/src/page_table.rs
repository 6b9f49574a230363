//! Page tables for given spans of virtual addresses: how many are needed, which page is which, what stands in each.
//!
//! The tables lie in consecutive pages, the L4 first, then all L3s, L2s and L1s, each level in the order of the
//! addresses it covers. So a table's page follows from its place in that order, and nothing need be stored.

use core::ops::Range;

use heapless::Vec;
use thiserror::Error;
use xen_abi::{
    Mfn, PAGE_SHIFT, Pfn, VirtAddr,
    mmu::{PTES_PER_TABLE, Pte, PteFlags},
};

use crate::PfnRange;

/// The most spans that one set of tables maps.
pub const MAX_SPANS: usize = 5;

/// Bits of an address that choose an entry of a table.
const INDEX_BITS: u32 = 9;

/// Bits of a page number in 48-bit virtual addresses.
const VPN_BITS: u32 = 4 * INDEX_BITS;

/// What every mapping of a page says: that it is there, for ring 3, where a PV kernel runs; and accessed and dirty, so
/// that the processor never has to write to a table of ours.
pub(crate) const MAPPED: PteFlags =
    PteFlags::PRESENT.union(PteFlags::USER).union(PteFlags::ACCESSED).union(PteFlags::DIRTY);

/// What an entry that points to another table says: the tables restrict nothing, their leaves do.
const TABLE_FLAGS: PteFlags =
    PteFlags::PRESENT.union(PteFlags::WRITABLE).union(PteFlags::USER).union(PteFlags::ACCESSED);

/// The level of a page table; an L1 maps pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Maps 512 pages, 2 MiB.
    L1 = 1,
    /// Maps 1 GiB.
    L2,
    /// Maps 512 GiB.
    L3,
    /// Maps everything: the root, which cr3 names.
    L4,
}

impl Level {
    /// All levels, from the root down.
    const DOWN: [Self; 4] = [Self::L4, Self::L3, Self::L2, Self::L1];

    /// The level of the tables that this one points to; none for an L1.
    const fn below(self) -> Option<Self> {
        match self {
            Self::L4 => Some(Self::L3),
            Self::L3 => Some(Self::L2),
            Self::L2 => Some(Self::L1),
            Self::L1 => None,
        }
    }

    /// Bits of a page number that vary inside one table of this level.
    const fn bits(self) -> u32 {
        INDEX_BITS * self as u32
    }
}

/// Pages that are to have tables, whether or not each of them is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first address.
    pub start: VirtAddr,
    /// How many pages; a span of none needs no table.
    pub pages: u64,
}

/// Why spans cannot be mapped by one set of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SpanError {
    /// There are too many.
    #[error("at most {MAX_SPANS} spans are handled, there are {found}")]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// A span starts before the end of the one before it, or runs over the end of the address space.
    #[error("the span of {pages} pages from {start:#x} overlaps another or the end of the address space")]
    Place {
        /// Where it starts.
        start: u64,
        /// How many pages it has.
        pages: u64,
    },
}

/// A page that holds a page table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TablePage {
    /// The page.
    pub pfn: Pfn,
    /// What kind of table it is.
    pub level: Level,
    /// The first address that it covers.
    pub start: VirtAddr,
}

impl TablePage {
    /// The content of the table. `find` names the page of the table of a level that covers an address, `frame_of` the
    /// machine frame of a page, `leaf` what an address shows.
    pub fn fill(
        &self,
        find: impl Fn(Level, VirtAddr) -> Option<Pfn>,
        frame_of: impl Fn(Pfn) -> Mfn,
        leaf: impl Fn(VirtAddr) -> Option<Leaf>,
        out: &mut [u64; PTES_PER_TABLE],
    ) {
        let first = page_number(self.start);
        let step = self.level.bits() - INDEX_BITS;
        for (entry, index) in out.iter_mut().zip(0..) {
            let covered = address(first + (index << step));
            let target = match self.level.below() {
                Some(below) => {
                    find(below, covered).map(|pfn| Leaf { frame: frame_of(pfn), flags: TABLE_FLAGS })
                }
                None => leaf(covered),
            };
            *entry = target.map_or(Pte::EMPTY, |leaf| Pte::new(leaf.frame, leaf.flags)).0;
        }
    }
}

/// What a page of virtual addresses shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The machine frame.
    pub frame: Mfn,
    /// How it may be used.
    pub flags: PteFlags,
}

/// A set of page tables.
#[derive(Clone, Debug)]
pub struct Tables {
    first: Pfn,
    top: Level,
    /// Page numbers, in order and not empty.
    spans: Vec<Range<u64>, MAX_SPANS>,
}

impl Tables {
    /// The tables that `spans` need, in consecutive pages from `first`. The spans come in the order of their
    /// addresses, where those of the upper half come after those of the lower.
    ///
    /// # Errors
    /// When the spans overlap, are out of order, or are too many.
    pub fn new(first: Pfn, spans: &[Span]) -> Result<Self, SpanError> {
        Self::from_top(Level::L4, first, spans)
    }

    /// The same without an L4: tables that another set's L4 points to.
    ///
    /// # Errors
    /// As for [`Tables::new`].
    pub fn without_root(first: Pfn, spans: &[Span]) -> Result<Self, SpanError> {
        Self::from_top(Level::L3, first, spans)
    }

    fn from_top(top: Level, first: Pfn, spans: &[Span]) -> Result<Self, SpanError> {
        let mut checked = Vec::new();
        let mut least = 0;
        for span in spans.iter().filter(|span| span.pages > 0) {
            let start = page_number(span.start);
            let end = start.checked_add(span.pages).filter(|end| *end <= 1 << VPN_BITS);
            let (Some(end), true) = (end, start >= least) else {
                return Err(SpanError::Place { start: span.start.0, pages: span.pages });
            };
            least = end;
            checked.push(start..end).map_err(|_| SpanError::TooMany { found: spans.len() })?;
        }
        Ok(Self { first, top, spans: checked })
    }

    /// The pages of the tables; the first is the L4, which cr3 names, if there is one.
    pub fn pages(&self) -> PfnRange {
        PfnRange { start: self.first, pages: self.levels().map(|level| self.count(level)).sum() }
    }

    /// The levels that there are tables of, from the top down.
    fn levels(&self) -> impl Iterator<Item = Level> + use<> {
        let top = self.top;
        Level::DOWN.into_iter().filter(move |level| *level <= top)
    }

    /// Every table with its page, in the order of the pages.
    pub fn iter(&self) -> impl Iterator<Item = TablePage> + '_ {
        let tables = self.levels().flat_map(|level| {
            self.runs(level).flatten().map(move |number| (level, address(number << level.bits())))
        });
        tables.zip(self.first.0..).map(|((level, start), pfn)| TablePage { pfn: Pfn(pfn), level, start })
    }

    /// The page of the table of `level` that covers `address`, if there is one.
    pub fn find(&self, level: Level, address: VirtAddr) -> Option<Pfn> {
        if level > self.top {
            return None;
        }
        let number = page_number(address) >> level.bits();
        let mut before = self.first.0;
        for run in self.runs(level) {
            if run.contains(&number) {
                // Counted last: most addresses have no table, and whoever fills one asks for all of them.
                let above: u64 = self.levels().filter(|other| *other > level).map(|l| self.count(l)).sum();
                return Some(Pfn(before + above + number - run.start));
            }
            before += run.end - run.start;
        }
        None
    }

    /// The content of `table`. `frame_of` names the machine frame of a page, `leaf` what an address shows.
    pub fn fill(
        &self,
        table: &TablePage,
        frame_of: impl Fn(Pfn) -> Mfn,
        leaf: impl Fn(VirtAddr) -> Option<Leaf>,
        out: &mut [u64; PTES_PER_TABLE],
    ) {
        table.fill(|level, address| self.find(level, address), frame_of, leaf, out);
    }

    fn count(&self, level: Level) -> u64 {
        self.runs(level).map(|run| run.end - run.start).sum()
    }

    /// The numbers of the tables of `level`, where number n covers the n-th piece of the address space of that
    /// level's size. Each span adds those that the spans before it do not need already.
    fn runs(&self, level: Level) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut next = 0;
        self.spans.iter().map(move |span| {
            let end = ((span.end - 1) >> level.bits()) + 1;
            let run = (span.start >> level.bits()).max(next)..end;
            next = end;
            run
        })
    }
}

/// The number of the page that `address` is on, counted through both halves of the address space.
const fn page_number(address: VirtAddr) -> u64 {
    (address.0 >> PAGE_SHIFT) & ((1 << VPN_BITS) - 1)
}

/// The address of a page, whose upper bits repeat bit 47.
const fn address(page_number: u64) -> VirtAddr {
    let unused = u64::BITS - VPN_BITS - PAGE_SHIFT;
    VirtAddr((((page_number << PAGE_SHIFT) << unused) as i64 >> unused) as u64)
}
