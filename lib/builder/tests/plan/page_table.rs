//! Page tables for spans anywhere in the address space, also those of a stock kernel.

use std::collections::BTreeMap;

use builder::page_table::{Leaf, Level, Span, SpanError, Tables};
use proptest::{collection::vec, prelude::*};
use xen_abi::{Mfn, Pfn, VirtAddr, mmu::PteFlags};

use crate::support::machine::{Machine, PAGE, RW, Reached, frame_of};

/// Where Linux maps itself.
const KERNEL: u64 = 0xffff_ffff_8000_0000;

fn span(start: u64, pages: u64) -> Span {
    Span { start: VirtAddr(start), pages }
}

/// Shows a frame of its own at each page; only some are writable.
fn leaf(address: VirtAddr) -> Option<Leaf> {
    let page = address.0 / PAGE % (1 << 30);
    let flags =
        if page.is_multiple_of(2) { PteFlags::PRESENT } else { PteFlags::PRESENT | PteFlags::WRITABLE };
    Some(Leaf { frame: Mfn((1 << 33) + page), flags })
}

fn walk(tables: &Tables) -> BTreeMap<u64, Reached> {
    let root = tables.pages().start;
    Machine::with_tables(tables.iter(), root, |table, out| tables.fill(table, frame_of, leaf, out)).mappings()
}

fn levels(tables: &Tables) -> Vec<Level> {
    tables.iter().map(|table| table.level).collect()
}

#[test]
fn one_page_needs_a_table_of_each_level() {
    use Level::{L1, L2, L3, L4};
    let tables = Tables::new(Pfn(100), &[span(KERNEL, 1)]).unwrap();
    assert_eq!(levels(&tables), [L4, L3, L2, L1]);
    assert_eq!(tables.pages().start, Pfn(100));
    assert_eq!(tables.pages().pages, 4);
    assert_eq!(tables.find(L1, VirtAddr(KERNEL + 511 * PAGE)), Some(Pfn(103)));
    assert_eq!(tables.find(L1, VirtAddr(KERNEL + 512 * PAGE)), None);
    assert_eq!(tables.find(L3, VirtAddr(0)), None);
}

#[test]
fn neighbours_share_their_tables() {
    // Two halves of a 2 MiB piece share all tables, and a page of the next one adds an L1.
    let spans = [span(KERNEL, 256), span(KERNEL + 256 * PAGE, 256), span(KERNEL + 512 * PAGE, 1)];
    let tables = Tables::new(Pfn(0), &spans).unwrap();
    assert_eq!(tables.pages().pages, 5);
}

#[test]
fn both_halves_hang_from_one_root() {
    let spans = [span(0x20_0000, 3), span(0xffff_8000_0000_0000, 2), span(KERNEL, 600)];
    let tables = Tables::new(Pfn(7), &spans).unwrap();
    let starts: Vec<u64> =
        tables.iter().filter(|table| table.level == Level::L1).map(|table| table.start.0).collect();
    assert_eq!(starts, [0x20_0000, 0xffff_8000_0000_0000, KERNEL, KERNEL + (2 << 20)]);
    let seen = walk(&tables);
    assert_eq!(seen.len(), 4 * 512);
    assert_eq!(seen[&(KERNEL + PAGE)].frame, leaf(VirtAddr(KERNEL + PAGE)).unwrap().frame);
    assert_eq!(seen[&KERNEL].flags & RW, 0);
    assert_eq!(seen[&(KERNEL + PAGE)].flags & RW, RW);
}

#[test]
fn empty_spans_need_nothing() {
    let tables = Tables::new(Pfn(0), &[span(0, 0), span(KERNEL, 1), span(5 * PAGE, 0)]).unwrap();
    assert_eq!(tables.pages().pages, 4);
}

#[test]
fn the_whole_address_space_can_be_counted() {
    let tables = Tables::new(Pfn(0), &[span(0, 1 << 36)]).unwrap();
    assert_eq!(tables.pages().pages, 1 + (1 << 9) + (1 << 18) + (1 << 27));
    assert_eq!(tables.find(Level::L1, VirtAddr(u64::MAX)), Some(Pfn(tables.pages().pages - 1)));
}

#[test]
fn spans_out_of_order_are_refused() {
    let place = |start, pages| SpanError::Place { start, pages };
    let error = |spans: &[Span]| Tables::new(Pfn(0), spans).expect_err("the spans were taken");
    assert_eq!(error(&[span(PAGE, 2), span(2 * PAGE, 1)]), place(2 * PAGE, 1));
    assert_eq!(error(&[span(KERNEL, 1), span(0, 1)]), place(0, 1));
    assert_eq!(error(&[span(0, (1 << 36) + 1)]), place(0, (1 << 36) + 1));
    assert_eq!(error(&[span(PAGE, u64::MAX)]), place(PAGE, u64::MAX));
    assert_eq!(
        error(&[0, 1, 2, 3, 4, 5].map(|index| span(index * PAGE, 1))),
        SpanError::TooMany { found: 6 }
    );
}

proptest! {
    /// A walk reaches exactly the pages of the tables' L1s, which include every page of the spans, and each L1 is
    /// there for the sake of some span.
    #[test]
    fn spans_are_reached_and_nothing_is_wasted(pieces in vec((0..1u64 << 20, 1..2_000u64), 1..4), high: bool) {
        let mut next = if high { KERNEL - (1 << 40) } else { 0 };
        let mut spans = Vec::new();
        for (gap, pages) in pieces {
            spans.push(span(next + gap * PAGE, pages));
            next += (gap + pages) * PAGE;
        }
        let tables = Tables::new(Pfn(3), &spans).unwrap();
        let seen = walk(&tables);
        let wanted = spans.iter().flat_map(|span| (0..span.pages).map(|page| span.start.0 + page * PAGE));
        for address in wanted.clone() {
            prop_assert_eq!(Some(seen[&address].frame), leaf(VirtAddr(address)).map(|leaf| leaf.frame));
        }
        let used: std::collections::BTreeSet<u64> = wanted.map(|address| address >> 21).collect();
        prop_assert_eq!(seen.len(), used.len() * 512);
        for table in tables.iter() {
            prop_assert_eq!(tables.find(table.level, table.start), Some(table.pfn));
        }
    }
}
