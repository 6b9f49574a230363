//! The plan of a small unikernel, and every reason to refuse one.

use crate::support::{
    elf_writer::{self, PT_INTERP, PT_NOTE, Part, R, W, X},
    expect::assert_sound,
};
use builder::{
    ElfError, ElfImage, MachineRange, PfnRange, PlanError, UkParams, UkPlan,
    elf_image::{Note, Permission},
    page_table::Level,
};
use uk_abi::layout::{BAR_WINDOW_VA, GRANT_WINDOW_VA, KEPT_WINDOW_VA, RAM_BASE, SHARED_INFO_VA};
use xen_abi::{Mfn, Pfn};

const PAGE: u64 = 4096;

/// 4 MiB, as a plain unikernel has.
const PLAIN: UkParams =
    UkParams { memory_pages: 1024, stack_pages: 16, log_pages: 4, kept_pages: 8, ..defaults() };

const fn defaults() -> UkParams<'static> {
    UkParams {
        memory_pages: 0,
        stack_pages: 0,
        log_pages: 0,
        kept_pages: 0,
        grant_window_pages: 512,
        dma_pages: 0,
        devices: 0,
        bars: &[],
    }
}

/// Code of 2.5 pages, constants of 10 bytes, data of 100 bytes with a bss of 3 pages in all.
fn parts() -> Vec<Part> {
    vec![
        Part::load(R | X, RAM_BASE, vec![0x90; 10_240], 10_240),
        Part::load(R, RAM_BASE + 3 * PAGE, vec![1; 10], 10),
        Part::load(R | W, RAM_BASE + 4 * PAGE, vec![2; 100], 3 * PAGE),
    ]
}

fn image() -> Vec<u8> {
    elf_writer::write(RAM_BASE + 0x10, &parts())
}

/// The image with one part changed.
fn image_with(index: usize, change: impl FnOnce(&mut Part)) -> Vec<u8> {
    let mut parts = parts();
    change(&mut parts[index]);
    elf_writer::write(RAM_BASE + 0x10, &parts)
}

fn range(start: u64, pages: u64) -> PfnRange {
    PfnRange { start: Pfn(start), pages }
}

/// The error that a plan of `image` ends in, as text and as value.
#[track_caller]
fn refused(image: &[u8], params: &UkParams) -> (PlanError, String) {
    let error = UkPlan::new(image, params).expect_err("a plan was made");
    let text = error.to_string();
    (error, text)
}

macro_rules! assert_refused {
    ($image:expr, $params:expr, $pattern:pat, $text:expr) => {
        let (error, text) = refused($image, $params);
        assert!(matches!(error, $pattern), "{error:?}");
        assert!(text.contains($text), "{text}");
    };
}

#[test]
fn a_plain_uk_is_laid_out_as_the_layout_says() {
    let image = image();
    let plan = UkPlan::new(&image, &PLAIN).unwrap();
    let areas = plan.areas();
    assert_eq!(areas.image, range(0, 7));
    // L4, L3, L2, and L1s: two for 4 MiB, one for the fixed pages, one for the grant window, one for what is kept.
    assert_eq!(areas.page_tables, range(7, 8));
    assert_eq!(areas.stack, range(15, 16));
    assert_eq!(areas.boot_info, range(31, 1));
    assert_eq!(areas.health, range(32, 1));
    assert_eq!(areas.log, range(33, 4));
    assert_eq!(areas.kept_map, range(37, 1));
    assert_eq!(areas.p2m, range(38, 2));
    assert_eq!(areas.heap, range(40, 984));
    assert!(areas.dma.is_empty());
    assert_eq!(plan.entry().0, RAM_BASE + 0x10);
    assert_eq!(plan.stack_top().0, RAM_BASE + 31 * PAGE);
    assert_eq!(plan.root_table(), Pfn(7));
    assert_sound(&plan, &PLAIN);
}

#[test]
fn segments_are_bytes_and_then_zeros() {
    let image = image();
    let plan = UkPlan::new(&image, &PLAIN).unwrap();
    let segments: Vec<_> = plan.segments().collect();
    assert_eq!(segments.len(), 3);
    assert_eq!(segments[0].pages, range(0, 3));
    assert_eq!(segments[0].permission, Permission::Execute);
    assert_eq!(segments[1].pages, range(3, 1));
    assert_eq!(segments[1].permission, Permission::Read);
    assert_eq!(segments[2].pages, range(4, 3));
    assert_eq!(segments[2].permission, Permission::Write);
    assert_eq!(segments[2].zeros(), 3 * PAGE - 100);

    let code: Vec<_> = segments[0].content().map(|(pfn, bytes)| (pfn, bytes.len())).collect();
    assert_eq!(code, [(Pfn(0), 4096), (Pfn(1), 4096), (Pfn(2), 2048)]);
    let data: Vec<_> = segments[2].content().collect();
    assert_eq!(data, [(Pfn(4), &[2; 100][..]), (Pfn(5), &[]), (Pfn(6), &[])]);
}

#[test]
fn registers_are_mapped_one_device_after_the_other() {
    let bars = [
        MachineRange { first: Mfn(0xfeb00), pages: 4 },
        MachineRange { first: Mfn(0xc0000), pages: 600 },
        MachineRange { first: Mfn(0xfec00), pages: 1 },
    ];
    let params = UkParams { bars: &bars, devices: 2, ..PLAIN };
    let image = image();
    let plan = UkPlan::new(&image, &params).unwrap();
    assert_eq!(plan.bar_address(0).unwrap().0, BAR_WINDOW_VA);
    assert_eq!(plan.bar_address(1).unwrap().0, BAR_WINDOW_VA + 4 * PAGE);
    assert_eq!(plan.bar_address(2).unwrap().0, BAR_WINDOW_VA + 604 * PAGE);
    assert_eq!(plan.bar_address(3), None);
    assert_eq!(plan.areas().boot_info.pages, 3);
    assert_sound(&plan, &params);
}

#[test]
fn windows_have_l1_tables_of_their_own() {
    let bars = [MachineRange { first: Mfn(0xfeb00), pages: 1 }];
    let params = UkParams { bars: &bars, ..PLAIN };
    let image = image();
    let plan = UkPlan::new(&image, &params).unwrap();
    let starts: Vec<u64> =
        plan.tables().filter(|table| table.level == Level::L1).map(|table| table.start.0).collect();
    let windows = [SHARED_INFO_VA, GRANT_WINDOW_VA, BAR_WINDOW_VA, KEPT_WINDOW_VA];
    assert_eq!(starts, [&[RAM_BASE, RAM_BASE + (2 << 20)][..], &windows].concat());
}

#[test]
fn dma_memory_is_inside_the_last_extent() {
    let params = UkParams { memory_pages: 2048, dma_pages: 100, ..PLAIN };
    let image = image();
    let plan = UkPlan::new(&image, &params).unwrap();
    assert_eq!(plan.areas().dma, range(1948, 100));
    assert_eq!(plan.areas().heap.end(), Pfn(1948));
    assert_sound(&plan, &params);
}

#[test]
fn gaps_between_loads_are_not_mapped() {
    let image = image_with(2, |data| data.address += 5 * PAGE);
    let plan = UkPlan::new(&image, &PLAIN).unwrap();
    assert_eq!(plan.areas().image, range(0, 12));
    assert_eq!(plan.address_of(Pfn(3)).unwrap().0, RAM_BASE + 3 * PAGE);
    assert_eq!(plan.address_of(Pfn(4)), None);
    assert_sound(&plan, &PLAIN);
}

#[test]
fn empty_loads_are_left_out() {
    let mut parts = parts();
    parts.insert(1, Part::load(R, 0, vec![], 0));
    let image = elf_writer::write(RAM_BASE, &parts);
    let plan = UkPlan::new(&image, &PLAIN).unwrap();
    assert_eq!(plan.segments().count(), 3);
    assert_sound(&plan, &PLAIN);
}

#[test]
fn notes_are_read_with_their_owner() {
    let mut parts = parts();
    let notes = [elf_writer::note(b"Xen", 6, b"linux"), elf_writer::note(b"R-VMM", 1, &[7; 8])].concat();
    parts.push(Part::other(PT_NOTE, notes));
    let file = elf_writer::write(RAM_BASE, &parts);
    let image = ElfImage::parse(&file).unwrap();
    let found: Vec<Note> = image.notes().collect();
    let wanted =
        [Note { name: b"Xen", kind: 6, value: b"linux" }, Note { name: b"R-VMM", kind: 1, value: &[7; 8] }];
    assert_eq!(found, wanted);
}

#[test]
fn files_that_are_no_images_are_refused() {
    let sound = image();
    let with = |offset: usize, bytes: &[u8]| {
        let mut file = sound.clone();
        file[offset..offset + bytes.len()].copy_from_slice(bytes);
        file
    };
    assert_refused!(b"", &PLAIN, PlanError::Elf(ElfError::Format(_)), "not a sound ELF file");
    assert_refused!(&with(0, b"#!"), &PLAIN, PlanError::Elf(ElfError::Format(_)), "not a sound ELF file");
    assert_refused!(&with(18, &[40]), &PLAIN, PlanError::Elf(ElfError::Machine { found: 40 }), "found 40");
    assert_refused!(&with(16, &[3]), &PLAIN, PlanError::Elf(ElfError::Type { found: 3 }), "found 3");
    let no_loads = elf_writer::write(0, &[]);
    assert_refused!(&no_loads, &PLAIN, PlanError::Elf(ElfError::NoLoads), "no PT_LOAD");
    let dynamic = image_with(1, |part| part.kind = PT_INTERP);
    assert_refused!(&dynamic, &PLAIN, PlanError::Elf(ElfError::Interpreter), "dynamic linker");
    let many = elf_writer::write(0, &[&parts()[..], &parts()[..], &parts()[..]].concat());
    assert_refused!(&many, &PLAIN, PlanError::Elf(ElfError::TooManyLoads { most: 8 }), "at most 8");
}

#[test]
fn a_32_bit_file_is_refused() {
    // The class alone makes the header shorter; all zeros after the identification say "no tables".
    let mut file = vec![0; 64];
    file[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
    file[20] = 1; // e_version
    assert_refused!(&file, &PLAIN, PlanError::Elf(ElfError::Class), "32-bit");
}

#[test]
fn loads_that_make_no_sense_are_refused() {
    let mut cut = image();
    cut.pop();
    assert_refused!(&cut, &PLAIN, PlanError::Elf(ElfError::LoadBytes { index: 2, .. }), "load 2");
    let small = image_with(1, |part| part.size = 9);
    assert_refused!(&small, &PLAIN, PlanError::Elf(ElfError::LoadSize { index: 1, .. }), "0xa bytes");
    let wrapping = image_with(2, |part| part.size = u64::MAX - 0x1000);
    assert_refused!(&wrapping, &PLAIN, PlanError::Elf(ElfError::LoadAddress { index: 2, .. }), "run over");
    for flags in [0, W, X, R | W | X, R | 8] {
        let image = image_with(0, |part| part.flags = flags);
        let text = format!("found flags {flags:#x}");
        assert_refused!(&image, &PLAIN, PlanError::LoadFlags { index: 0, .. }, &text);
    }
}

#[test]
fn loads_that_do_not_fit_the_layout_are_refused() {
    let elsewhere = image_with(0, |part| part.address = 0x40_0000);
    assert_refused!(
        &elsewhere,
        &PLAIN,
        PlanError::ImageBase { found: 0x40_0000, .. },
        "it starts at 0x400000"
    );
    let unaligned = image_with(1, |part| part.address += 16);
    assert_refused!(&unaligned, &PLAIN, PlanError::LoadAlignment { index: 1, .. }, "0x203010");
    let shared = image_with(1, |part| part.address -= PAGE);
    assert_refused!(&shared, &PLAIN, PlanError::LoadOverlap { index: 1, .. }, "end at 0x203000");
    let below = image_with(1, |part| part.address = 0);
    assert_refused!(&below, &PLAIN, PlanError::LoadOverlap { index: 1, .. }, "starts at 0x0");
    let large = image_with(2, |part| part.size = 1 << 40);
    assert_refused!(&large, &PLAIN, PlanError::Limit { asked: 0x1000_0004, .. }, "268435460 were asked");
    let last_page = image_with(2, |part| part.address = u64::MAX - PAGE + 1);
    assert_refused!(&last_page, &PLAIN, PlanError::Elf(ElfError::LoadAddress { index: 2, .. }), "run over");
    let larger = image_with(2, |part| part.size = 1020 * PAGE);
    assert_refused!(&larger, &PLAIN, PlanError::Memory { memory_pages: 1024, .. }, "the memory has 1024");
    for entry in [0, RAM_BASE - 1, RAM_BASE + 10_240, RAM_BASE + 3 * PAGE, u64::MAX] {
        let image = elf_writer::write(entry, &parts());
        assert_refused!(&image, &PLAIN, PlanError::Entry { .. }, &format!("entry point {entry:#x}"));
    }
}

#[test]
fn parameters_that_cannot_be_had_are_refused() {
    let image = image();
    let bars =
        |first, pages| [MachineRange { first: Mfn(first), pages }, MachineRange { first: Mfn(1), pages: 1 }];
    let params = UkParams { memory_pages: 38, ..PLAIN };
    assert_refused!(
        &image,
        &params,
        PlanError::Memory { needed: 39, memory_pages: 38 },
        "39 pages are needed"
    );
    let params = UkParams { memory_pages: u32::MAX, ..PLAIN };
    assert_refused!(&image, &params, PlanError::Limit { most: 0x2_fe00, .. }, "4294967295 were asked");
    let params = UkParams { memory_pages: 1000, dma_pages: 1, ..PLAIN };
    assert_refused!(&image, &params, PlanError::DmaMemory { memory_pages: 1000 }, "it has 1000 pages");
    let params = UkParams { dma_pages: 513, ..PLAIN };
    assert_refused!(&image, &params, PlanError::Limit { asked: 513, most: 512, .. }, "pages of DMA memory");
    let params = UkParams { stack_pages: 0, ..PLAIN };
    assert_refused!(&image, &params, PlanError::Empty { area: "stack" }, "the stack needs");
    let params = UkParams { log_pages: 0, ..PLAIN };
    assert_refused!(&image, &params, PlanError::Empty { area: "log ring" }, "the log ring needs");
    let params = UkParams { devices: 5, ..PLAIN };
    assert_refused!(&image, &params, PlanError::Limit { asked: 5, most: 4, .. }, "at most 4 devices");
    let params = UkParams { grant_window_pages: 1025, ..PLAIN };
    assert_refused!(&image, &params, PlanError::Limit { asked: 1025, most: 1024, .. }, "1025 were asked");
    let params = UkParams { kept_pages: 41_985, ..PLAIN };
    assert_refused!(
        &image,
        &params,
        PlanError::Limit { asked: 41_985, most: 41_984, .. },
        "pages kept by root"
    );
    let params = UkParams { bars: &bars(0xfe000, 1024), ..PLAIN };
    assert_refused!(&image, &params, PlanError::Limit { asked: 1025, most: 1024, .. }, "1025 were asked");
    let params = UkParams { bars: &bars((1 << 40) - 1, 2), ..PLAIN };
    assert_refused!(&image, &params, PlanError::BarFrames { index: 0, .. }, "no machine addresses");
    let params = UkParams { bars: &bars(u64::MAX, u64::MAX), ..PLAIN };
    assert_refused!(&image, &params, PlanError::BarFrames { index: 0, .. }, "no machine addresses");
}
