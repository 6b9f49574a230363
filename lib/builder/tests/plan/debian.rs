//! Plans of Debian's own kernels, packed in every way that its releases pack them.
//!
//! `GUEST_KERNELS` lists folders with `vmlinuz-*` files, separated as in `PATH`. Without it, the folders of what
//! `./x test fetch` has unpacked are used.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use builder::{GuestParams, GuestPlan};
use xen_abi::version::Features;

use crate::{
    guest_plan::params,
    support::{guest::Guest, kernel::VIRT_BASE, xen},
};

/// The largest image that a kernel may unpack to.
const MOST: usize = 256 << 20;

fn kernels() -> Vec<PathBuf> {
    let folders: Vec<_> = match env::var_os("GUEST_KERNELS") {
        Some(list) => env::split_paths(&list).collect(),
        None => {
            let debian = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/debian");
            ["bookworm/guest", "bookworm/kernel", "trixie/guest"]
                .map(|kernel| debian.join(kernel).join("boot"))
                .into()
        }
    };
    let files = folders.iter().flat_map(|folder| {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| {
            panic!("{}: {error}. `./x test fetch` gets kernels, or set GUEST_KERNELS.", folder.display())
        });
        entries.map(|entry| entry.unwrap().path())
    });
    files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("vmlinuz-")).collect()
}

#[test]
fn debians_kernels_find_everything_where_they_look_for_it() {
    let kernels = kernels();
    assert!(!kernels.is_empty(), "no vmlinuz-* in the folders");
    for path in kernels {
        let file = fs::read(&path).unwrap();
        let image =
            kernel_image::unpack(&file, MOST).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let pages = (128 << 20) / 4096;
        let params = GuestParams { memory_pages: pages, most_pages: pages, ..params() };
        let plan =
            GuestPlan::new(&image, &params).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let notes = plan.notes();
        assert_eq!(notes.guest_os, b"linux");
        assert_eq!(notes.virt_base, Some(VIRT_BASE));
        assert!(notes.init_p2m.is_some() && notes.mod_start_pfn && notes.suspend_cancel);
        assert!(notes.supported.contains(Features::WRITABLE_PAGE_TABLES), "{notes:?}");
        assert!(notes.phys32_entry.is_some());
        let domain = xen::build(&plan);
        let guest = Guest::start(&domain);
        assert_eq!(guest.start_info.nr_pages, pages);
        // The whole kernel is there, and its first instruction is where the vCPU starts.
        for piece in plan.pieces().filter(|piece| piece.bytes != params.initrd) {
            let found = guest.read(VIRT_BASE + piece.offset, piece.bytes.len());
            assert!(found == piece.bytes, "{}: {piece:?}", path.display());
        }
    }
}
