//! What a sound plan looks like from outside, said without the code that makes it.

use std::collections::BTreeMap;

use builder::{
    PfnRange, UkParams, UkPlan,
    elf_image::Permission,
    page_table::{Level, TablePage},
};
use uk_abi::{
    boot_info::{BootInfo, BootReason},
    layout,
};
use xen_abi::{Mfn, Pfn};

use super::machine::{
    ACCESSED, DIRTY, Machine, NX, PAGE, PCD, PWT, RW, Reached, SHARED_INFO, USER, frame_of,
};

const READ: u64 = USER | ACCESSED | DIRTY | NX;
const WRITE: u64 = READ | RW;
const EXECUTE: u64 = USER | ACCESSED | DIRTY;
const REGISTERS: u64 = WRITE | PCD | PWT;

/// Checks everything that holds for every plan.
pub(crate) fn assert_sound(plan: &UkPlan, params: &UkParams) {
    assert_areas_cover_memory(plan, params);
    assert_tables_in_order(plan);
    let mappings = Machine::build(plan).mappings();
    assert_eq!(mappings, expected(plan, params));
    assert_protected(plan, &mappings);
    assert_addresses(plan, &mappings);
    assert_p2m(plan, params);
    assert_described(plan, params);
    assert_starts(plan, &mappings);
}

/// One area after the other, each of the size asked for.
fn assert_areas_cover_memory(plan: &UkPlan, params: &UkParams) {
    let areas = plan.areas();
    let sizes = [
        (areas.image, None),
        (areas.page_tables, None),
        (areas.stack, Some(params.stack_pages)),
        (areas.boot_info, Some(1 + params.devices)),
        (areas.health, Some(1)),
        (areas.log, Some(params.log_pages)),
        (areas.kept_map, Some((params.kept_pages * 32).div_ceil(4096))),
        (areas.p2m, Some((params.memory_pages * 8).div_ceil(4096))),
        (areas.heap, None),
        (areas.dma, Some(params.dma_pages)),
    ];
    let mut next = Pfn(0);
    for (range, size) in sizes {
        assert_eq!(range.start, next, "{areas:?}");
        assert!(size.is_none_or(|size| u64::from(size) == range.pages), "{areas:?}");
        next = range.end();
    }
    assert_eq!(next, Pfn(params.memory_pages.into()));
    assert_eq!(plan.memory_pages(), next.0);
    assert!(areas.heap.pages > 0);
    assert!(areas.dma.is_empty() || areas.dma.start.0 / 512 == (areas.dma.end().0 - 1) / 512);
}

/// Each page of the area is one table; the root comes first.
fn assert_tables_in_order(plan: &UkPlan) {
    let tables: Vec<TablePage> = plan.tables().collect();
    let pages: Vec<Pfn> = tables.iter().map(|table| table.pfn).collect();
    let area: Vec<Pfn> = plan.areas().page_tables.iter().collect();
    assert_eq!(pages, area);
    assert_eq!((tables[0].pfn, tables[0].level), (plan.root_table(), Level::L4));
    assert!(tables[1..].iter().all(|table| table.level != Level::L4));
}

/// Every mapping that there should be.
fn expected(plan: &UkPlan, params: &UkParams) -> BTreeMap<u64, Reached> {
    let mut pages = BTreeMap::new();
    let mut map = |start: u64, range: PfnRange, flags: u64| {
        for (index, pfn) in (0..).zip(range.iter()) {
            pages.insert(start + index * PAGE, Reached { frame: frame_of(pfn), flags });
        }
    };
    let in_ram = |range: PfnRange| layout::RAM_BASE + range.start.0 * PAGE;
    let areas = plan.areas();
    for segment in plan.segments() {
        let flags = match segment.permission {
            Permission::Execute => EXECUTE,
            Permission::Read => READ,
            Permission::Write => WRITE,
        };
        map(in_ram(segment.pages), segment.pages, flags);
    }
    for area in [areas.stack, areas.log, areas.kept_map, areas.heap, areas.dma] {
        map(in_ram(area), area, WRITE);
    }
    map(in_ram(areas.p2m), areas.p2m, READ);
    map(layout::BOOT_INFO_VA, areas.boot_info, READ);
    map(layout::HEALTH_VA, areas.health, WRITE);
    pages.insert(layout::SHARED_INFO_VA, Reached { frame: SHARED_INFO, flags: WRITE });
    let frames = params.bars.iter().flat_map(|bar| (0..bar.pages).map(|index| bar.first.0 + index));
    for (address, frame) in (layout::BAR_WINDOW_VA..).step_by(PAGE as usize).zip(frames) {
        pages.insert(address, Reached { frame: Mfn(frame), flags: REGISTERS });
    }
    pages
}

/// W^X, no page table within reach, nothing at null, and nothing mapped on both sides of the stack.
fn assert_protected(plan: &UkPlan, mappings: &BTreeMap<u64, Reached>) {
    let tables: Vec<_> = plan.areas().page_tables.iter().map(frame_of).collect();
    for (address, reached) in mappings {
        assert!(*address >= layout::RAM_BASE, "{address:#x}");
        assert!(reached.flags & RW == 0 || reached.flags & NX != 0, "{address:#x} breaks W^X");
        assert!(!tables.contains(&reached.frame), "{address:#x} shows a page table");
    }
    let stack = plan.areas().stack;
    let below = plan.stack_top().0 - stack.pages * PAGE - PAGE;
    assert!(!mappings.contains_key(&below), "no guard below the stack");
    assert!(!mappings.contains_key(&plan.stack_top().0), "no guard above the stack");
}

/// `address_of` and the tables agree, for every page of the memory.
fn assert_addresses(plan: &UkPlan, mappings: &BTreeMap<u64, Reached>) {
    for pfn in (0..plan.memory_pages()).map(Pfn) {
        let shown = plan.address_of(pfn).map(|address| mappings[&address.0].frame);
        match shown {
            Some(frame) => assert_eq!(frame, frame_of(pfn)),
            None => assert!(pfn < plan.areas().stack.start, "{pfn:?} is nowhere"),
        }
    }
    assert_eq!(plan.address_of(Pfn(plan.memory_pages())), None);
}

/// The list has the frame of every page, and says of the rest that there is none.
fn assert_p2m(plan: &UkPlan, params: &UkParams) {
    let mut list = Vec::new();
    for index in 0..plan.areas().p2m.pages {
        let mut page = [0; 512];
        plan.fill_p2m(index, frame_of, &mut page);
        list.extend(page);
    }
    let (frames, rest) = list.split_at(params.memory_pages as usize);
    assert!((0..).zip(frames).all(|(pfn, frame)| *frame == frame_of(Pfn(pfn)).0));
    assert!(rest.iter().all(|frame| *frame == u64::MAX));
}

/// The unikernel will accept what the plan tells it.
fn assert_described(plan: &UkPlan, params: &UkParams) {
    let mut info = BootInfo::new("test", "", BootReason::First);
    plan.describe(&mut info);
    assert_eq!(info.validate(), Ok(()));
    assert_eq!(info.stack.end(), plan.stack_top().0);
    assert_eq!(info.grant_window.pages, u64::from(params.grant_window_pages));
    assert_eq!(info.kept.pages, u64::from(params.kept_pages));
    assert_eq!(info.ram_pages, u64::from(params.memory_pages));
}

/// The vCPU starts in code, on a stack that it can write to.
fn assert_starts(plan: &UkPlan, mappings: &BTreeMap<u64, Reached>) {
    let page = |address: u64| mappings[&(address & !(PAGE - 1))];
    assert_eq!(page(plan.entry().0).flags, EXECUTE);
    assert_eq!(page(plan.stack_top().0 - 8).flags, WRITE);
    assert_eq!(plan.stack_top().0 % PAGE, 0);
}
