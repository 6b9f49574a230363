//! The plans of small guests, in every form that a kernel can ask for.

use builder::{GuestParams, GuestPlan, KernelNotes, steps::TableSizes};
use xen_abi::{Domid, Pfn, domctl::TscMode, elfnote::ElfNote, version::Features};

use crate::support::{
    elf_writer::{R, W, X},
    guest::Guest,
    kernel::{INIT_P2M, Kernel, VIRT_BASE, load},
    xen,
};

/// 16 MiB and a bit of everything.
pub(crate) fn params() -> GuestParams<'static> {
    GuestParams {
        command_line: b"console=hvc0 panic=1",
        initrd: &[0x5a; 10_000],
        memory_pages: 4096,
        most_pages: 8192,
        vcpus: 2,
        handle: *b"a guest's handle",
        tsc: TscMode::NeverEmulate,
        tables: TableSizes { grant_frames: 7, ..TableSizes::default() },
        store: Some(Domid(1)),
        console: Domid(4),
    }
}

/// Builds a guest and checks everything that its kernel relies on.
#[track_caller]
fn assert_sound(kernel: &Kernel, params: &GuestParams) {
    let file = kernel.file();
    let plan = GuestPlan::new(&file, params).unwrap();
    let domain = xen::build(&plan);
    Guest::start(&domain).assert_sound(kernel, params);
}

#[test]
fn linux_finds_everything_where_it_looks_for_it() {
    let kernel = Kernel::linux();
    assert_sound(&kernel, &params());
    assert_sound(&kernel, &GuestParams { initrd: b"", command_line: b"", ..params() });
}

#[test]
fn a_kernel_without_further_wishes_has_everything_in_one_mapping() {
    let mut kernel = Kernel::linux();
    kernel.remove(ElfNote::InitP2m);
    kernel.remove(ElfNote::ModStartPfn);
    assert_sound(&kernel, &params());
    kernel.set(ElfNote::InitP2m, INIT_P2M);
    assert_sound(&kernel, &params());
}

#[test]
fn a_kernel_may_have_its_base_anywhere() {
    assert_sound(&Kernel::linux().moved(VIRT_BASE, 0x400_0000), &params());
    assert_sound(&Kernel::linux().moved(0xffff_8880_0000_0000, 0), &params());
    // In the lower half, where the base is no multiple of 4 MiB.
    let mut low = Kernel::linux().moved(0x30_0000, 0x30_0000);
    assert_sound(&low, &params());
    low.remove(ElfNote::InitP2m);
    assert_sound(&low, &params());
}

#[test]
fn a_hypercall_page_is_filled_where_the_kernel_has_it() {
    let mut kernel = Kernel::linux();
    kernel.set(ElfNote::HypercallPage, VIRT_BASE + 0x10_2000);
    assert_sound(&kernel, &params());
}

#[test]
fn loads_need_no_page_boundaries() {
    let mut kernel = Kernel::bare(vec![
        load(R | X, 0x10_0123, vec![1; 5000], 5001),
        load(R | W, 0x10_0123 + 5001, vec![2; 3], 70_000),
        load(R, 0x9_ffff, vec![3], 1),
    ]);
    assert_sound(&kernel, &params());
    kernel.set(ElfNote::InitP2m, INIT_P2M);
    assert_sound(&kernel, &params());
}

#[test]
fn memory_of_any_size_is_given_from_large_pieces_to_small_ones() {
    for memory_pages in [2048, 2049, 4095, 5000] {
        let params = GuestParams { memory_pages, initrd: b"", ..params() };
        assert_sound(&Kernel::linux(), &params);
    }
}

#[test]
fn areas_follow_each_other_in_the_order_of_the_interface() {
    let file = Kernel::linux().file();
    let (plan, params) = (GuestPlan::new(&file, &params()).unwrap(), params());
    let areas = plan.areas();
    assert_eq!((areas.kernel.start, areas.kernel.end()), (Pfn(0x100), Pfn(0x10d)));
    assert_eq!([areas.start_info, areas.store, areas.console], [Pfn(0x10d), Pfn(0x10e), Pfn(0x10f)]);
    // L4, L3, L2 and an L1 for each 2 MiB of 4.
    assert_eq!((areas.page_tables.start, areas.page_tables.pages), (Pfn(0x110), 5));
    assert_eq!(areas.stack, Pfn(0x115));
    assert_eq!(areas.mapped.end(), Pfn(0x400));
    // Behind the 512 KiB that are left free.
    assert_eq!((areas.initrd.start, areas.initrd.pages), (Pfn(0x196), 3));
    assert_eq!((areas.p2m.start, areas.p2m.pages), (Pfn(0x199), params.memory_pages / 512));
    assert_eq!((areas.p2m_tables.start, areas.p2m_tables.pages), (areas.p2m.end(), 3));
    // Everything in one mapping.
    let mut kernel = Kernel::linux();
    kernel.remove(ElfNote::InitP2m);
    kernel.remove(ElfNote::ModStartPfn);
    let file = kernel.file();
    let plan = GuestPlan::new(&file, &params).unwrap();
    let areas = plan.areas();
    assert_eq!(areas.initrd.start, areas.kernel.end());
    assert_eq!(areas.p2m.start, areas.initrd.end());
    assert_eq!(areas.start_info, areas.p2m.end());
    assert!(areas.p2m_tables.is_empty());
}

#[test]
fn a_ramdisk_goes_below_a_kernel_that_leaves_it_room() {
    let mut kernel = Kernel::linux();
    kernel.parts.iter_mut().for_each(|part| part.physical += 0x3000);
    kernel.set(ElfNote::Entry, VIRT_BASE + 0x10_3000);
    let file = kernel.file();
    let plan = GuestPlan::new(&file, &params()).unwrap();
    assert_eq!((plan.areas().initrd.start, plan.areas().initrd.end()), (Pfn(0x100), Pfn(0x103)));
    assert_sound(&kernel, &params());
    // Nor does it count against the memory behind the kernel then.
    let small = GuestParams { memory_pages: 0x1a0, ..params() };
    assert_sound(&kernel, &GuestParams { initrd: &[1; 0x3000], ..small });
    GuestPlan::new(&file, &GuestParams { initrd: &[1; 0xa000], ..small }).unwrap_err();
    let larger = GuestParams { initrd: &[1; 0x3001], ..params() };
    let plan = GuestPlan::new(&file, &larger).unwrap();
    assert!(plan.areas().initrd.start > plan.areas().stack);
    assert_sound(&kernel, &larger);
}

#[test]
fn a_large_guest_is_planned_without_its_memory() {
    // 256 GiB, whose p2m list has half a GiB: Linux's is outside the mapping, which stays small.
    let memory_pages = 64 << 20;
    let params = GuestParams { memory_pages, most_pages: memory_pages, ..params() };
    let file = Kernel::linux().file();
    let plan = GuestPlan::new(&file, &params).unwrap();
    assert_eq!(plan.areas().mapped.end(), Pfn(0x400));
    assert_eq!(plan.areas().p2m.pages, memory_pages / 512);
    // L1s of the list, L2 and L3.
    assert_eq!(plan.areas().p2m_tables.pages, memory_pages / 512 / 512 + 1 + 1);
}

#[test]
fn notes_are_read_as_they_stand() {
    let mut kernel = Kernel::linux();
    kernel.set(ElfNote::SupportedFeatures, Features::DOM0.bits().into());
    kernel.set_bytes(ElfNote::Phys32Entry, 0x100_0000u32.to_le_bytes().to_vec());
    kernel.set_text(ElfNote::Features, "pae_pgdir_above_4gb|!writable_page_tables|something_new");
    let file = kernel.file();
    let plan = GuestPlan::new(&file, &params()).unwrap();
    let expected = KernelNotes {
        guest_os: b"linux",
        entry: Some(VIRT_BASE + 0x10_0000),
        virt_base: Some(VIRT_BASE),
        init_p2m: Some(INIT_P2M),
        mod_start_pfn: true,
        suspend_cancel: true,
        supported: Features::DOM0 | Features::PAE_PGDIR_ABOVE_4GB | Features::WRITABLE_PAGE_TABLES,
        required: Features::WRITABLE_PAGE_TABLES,
        phys32_entry: Some(0x100_0000),
        xen_version: Some(b"xen-3.0"),
        loader: Some(b"generic"),
        ..KernelNotes::default()
    };
    assert_eq!(*plan.notes(), expected);
}
