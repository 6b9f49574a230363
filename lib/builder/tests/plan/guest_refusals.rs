//! Every reason to refuse a guest, and what is said about it.

use builder::{GuestError, GuestParams, GuestPlan, steps::TableSizes};
use xen_abi::{Domid, elfnote::ElfNote, version::Features};

use crate::{
    guest_plan::params,
    support::{
        elf_writer::{R, X},
        kernel::{INIT_P2M, Kernel, VIRT_BASE, load},
    },
};

/// What is wrong with a kernel.
type Change<'a> = &'a dyn Fn(&mut Kernel);

#[track_caller]
fn refused(kernel: &Kernel, params: &GuestParams) -> GuestError {
    GuestPlan::new(&kernel.file(), params).unwrap_err()
}

/// What is said about a kernel with one note changed.
#[track_caller]
fn with_note(change: impl FnOnce(&mut Kernel)) -> String {
    let mut kernel = Kernel::linux();
    change(&mut kernel);
    refused(&kernel, &params()).to_string()
}

#[test]
fn a_file_that_is_no_elf_image_is_refused() {
    let error = GuestPlan::new(b"no kernel", &params()).unwrap_err();
    assert!(matches!(error, GuestError::Elf(_)), "{error}");
}

#[test]
fn a_kernel_without_xens_notes_is_refused() {
    let mut kernel = Kernel::linux();
    kernel.notes.clear();
    let error = refused(&kernel, &params());
    assert!(matches!(error, GuestError::NoPvKernel { has_pvh_entry: false }), "{error}");
    kernel.set(ElfNote::Phys32Entry, 0x10_0000);
    let text = refused(&kernel, &params()).to_string();
    assert!(text.ends_with("(it has one for PVH guests)"), "{text}");
}

#[test]
fn notes_that_ask_for_something_else_are_refused_with_what_they_say() {
    let cases: [(Change, &str); 9] = [
        (
            &|k| k.set_text(ElfNote::XenVersion, "xen-4.0"),
            "XenVersion says \"xen-4.0\", which is not supported",
        ),
        (&|k| k.set_text(ElfNote::Loader, "special\n"), "Loader says \"special\\n\", which is not supported"),
        (&|k| k.remove(ElfNote::XenVersion), "XenVersion says \"\", which is not supported"),
        (&|k| k.remove(ElfNote::VirtBase), "no note VirtBase"),
        (&|k| k.remove(ElfNote::Entry), "no note Entry"),
        (&|k| k.set_bytes(ElfNote::Entry, vec![1; 5]), "Entry has 5 bytes, a number has 4 or 8"),
        (&|k| k.set(ElfNote::Phys32Entry, 1 << 32), "Phys32Entry says 0x100000000, which cannot be"),
        (
            &|k| k.set(ElfNote::HypercallPage, VIRT_BASE + 0x10_2008),
            "says 0xffffffff80102008, which cannot be",
        ),
        (&|k| k.set_text(ElfNote::Features, "dom0|!mind_reading"), "the unknown feature \"mind_reading\""),
    ];
    for (change, expected) in cases {
        let text = with_note(change);
        assert!(text.contains(expected), "{text}");
    }
    let mut kernel = Kernel::linux();
    kernel.set_text(ElfNote::Features, "!auto_translated_physmap|!writable_page_tables");
    let error = refused(&kernel, &params());
    assert!(matches!(error, GuestError::Features { required: Features::AUTO_TRANSLATED_PHYSMAP }), "{error}");
}

#[test]
fn a_long_text_is_cut_in_the_error() {
    let text = with_note(|kernel| kernel.set_text(ElfNote::Loader, &"x".repeat(1000)));
    assert!(text.contains(&"x".repeat(32)) && !text.contains(&"x".repeat(33)), "{text}");
}

#[test]
fn addresses_outside_the_kernel_are_refused() {
    let end = VIRT_BASE + 0x10_d000;
    for (kind, address) in [
        (ElfNote::Entry, VIRT_BASE + 0xf_ffff),
        (ElfNote::Entry, end),
        (ElfNote::Entry, 0),
        (ElfNote::HypercallPage, end),
        (ElfNote::HypercallPage, u64::MAX << 12),
    ] {
        let text = with_note(|kernel| kernel.set(kind, address));
        let expected =
            format!("{kind:?} says {address:#x}, the kernel is at {:#x} to {end:#x}", VIRT_BASE + 0x10_0000);
        assert!(text.contains(&expected), "{text}");
    }
}

#[test]
fn loads_where_there_is_no_memory_or_another_load_are_refused() {
    let text = with_note(|kernel| kernel.set(ElfNote::PaddrOffset, 0x10_0001));
    assert!(
        text.contains("load 0: the physical address 0x100000 is below") && text.contains("0x100001"),
        "{text}"
    );
    let mut kernel = Kernel::linux();
    kernel.parts[1].physical = 0x10_0000 + 9_999;
    let error = refused(&kernel, &params());
    assert!(matches!(error, GuestError::LoadOverlap { first: 0, second: 1, physical: 0x10_270f }), "{error}");
    kernel.parts[1].physical += 1;
    GuestPlan::new(&kernel.file(), &params()).unwrap();
}

#[test]
fn places_that_a_guest_cannot_have_are_refused() {
    for virt_base in [
        VIRT_BASE + 8,
        // Xen's own.
        0xffff_8000_0000_0000,
        0xffff_87ff_ffff_f000,
        0xffff_7fff_ffff_f000,
        // No addresses, or running out of them.
        0x0000_8000_0000_0000,
        0x0000_7fff_ffff_f000,
        0xffff_ffff_ff00_0000 + 0xe0_0000,
    ] {
        let kernel = Kernel::linux().moved(virt_base, 0);
        let error = refused(&kernel, &params());
        let found = matches!(error, GuestError::Place { what: "guest", address, .. } if address == virt_base);
        assert!(found, "{virt_base:#x}: {error}");
    }
    for p2m in [INIT_P2M + 1, 0xffff_8000_0000_0000, VIRT_BASE, 0xffff_ffff_ffff_f000, 0x0001_0000_0000_0000]
    {
        let mut kernel = Kernel::linux();
        kernel.set(ElfNote::InitP2m, p2m);
        let error = refused(&kernel, &params());
        let found =
            matches!(error, GuestError::Place { what: "p2m list", address, pages: 8 } if address == p2m);
        assert!(found, "{p2m:#x}: {error}");
    }
}

#[test]
fn too_little_memory_is_refused_with_what_is_needed() {
    let file = Kernel::linux().file();
    let refused = |memory_pages, initrd: &[u8]| {
        GuestPlan::new(&file, &GuestParams { memory_pages, initrd, ..params() }).unwrap_err()
    };
    for memory in [0, 1, 0x10c, 0x10d, 0x112, 0x196] {
        let error = refused(memory, b"");
        let found =
            matches!(error, GuestError::TooLittleMemory { needed, initrd_pages: 0, .. } if needed > memory);
        assert!(found, "{memory}: {error}");
    }
    // What is named as needed grows a little with the memory itself, and then is enough.
    let accepted =
        |memory_pages| GuestPlan::new(&file, &GuestParams { memory_pages, initrd: b"", ..params() }).is_ok();
    let needed = |memory| match refused(memory, b"") {
        GuestError::TooLittleMemory { needed, .. } => needed,
        other => panic!("{other}"),
    };
    let mut enough = 0x196;
    while !accepted(enough) {
        let named = needed(enough);
        assert!(named > enough);
        enough = named;
    }
    assert!(!accepted(enough - 1));
    let ramdisk = vec![0; 16 << 20];
    let text = refused(4096, &ramdisk).to_string();
    assert!(text.contains("a ramdisk of 4096 pages") && text.ends_with("the guest has 4096"), "{text}");
}

#[test]
fn a_kernel_at_the_end_of_the_world_needs_more_memory_than_there_is() {
    for physical in [1 << 40, (u64::MAX >> 1) & !0xfff, u64::MAX - 0xffff] {
        let mut kernel = Kernel::bare(vec![load(R | X, 0x10_0000, vec![1; 100], 0x1000)]);
        kernel.parts[0].physical = physical;
        let error = refused(&kernel, &params());
        assert!(matches!(error, GuestError::TooLittleMemory { .. }), "{physical:#x}: {error}");
    }
}

#[test]
fn parameters_that_cannot_be_had_are_refused() {
    let kernel = Kernel::linux();
    let text = |params: GuestParams| refused(&kernel, &params).to_string();
    let long = [b'x'; 1024];
    let cases = [
        (GuestParams { vcpus: 0, ..params() }, "1 to 8 vCPUs are possible, 0 were asked for"),
        (GuestParams { vcpus: 9, ..params() }, "9 were asked for"),
        (GuestParams { command_line: &long, ..params() }, "the command line has 1024 bytes, at most 1023"),
        (GuestParams { command_line: b"ro\0rw", ..params() }, "the command line has a NUL at byte 2"),
        (GuestParams { most_pages: 1 << 29, ..params() }, "536870912 pages of memory were asked for"),
        (GuestParams { most_pages: 4095, ..params() }, "to have 4096 pages of memory and no more than 4095"),
        (
            GuestParams { tables: TableSizes { grant_frames: 0, ..TableSizes::default() }, ..params() },
            "a grant table of 0 pages was asked for",
        ),
        (
            GuestParams { store: Some(Domid::SELF), ..params() },
            "cannot serve a guest: that number is reserved",
        ),
        (
            GuestParams { console: Domid::INVALID, ..params() },
            "cannot serve a guest: that number is reserved",
        ),
    ];
    for (params, expected) in cases {
        let found = text(params);
        assert!(found.contains(expected), "{found}");
    }
    GuestPlan::new(&kernel.file(), &GuestParams { command_line: &long[1..], ..params() }).unwrap();
}
