//! Kernels are unpacked whatever they are packed with, and rubbish is refused with a reason.

mod packing;
mod properties;
mod refusals;

use kernel_image::{Compression, unpack};
use packing::{ALL, bzimage, elf, pack};

#[test]
fn an_elf_file_is_taken_as_it_is() {
    let elf = elf(5000);
    let image = unpack(&elf, 0).unwrap();
    assert_eq!(image, elf);
    assert_eq!(image.as_ptr(), elf.as_ptr(), "it is not copied");
}

#[test]
fn every_format_unpacks_to_what_was_packed() {
    for size in [4, 100, 70_000, 9 << 20] {
        let elf = elf(size);
        for format in ALL {
            let packed = pack(format, &elf);
            assert_eq!(Compression::of(&packed), Some(format));
            assert_eq!(unpack(&bzimage(&packed), elf.len()).unwrap(), elf, "{format}, {size} bytes");
        }
    }
}

#[test]
fn a_payload_need_not_be_packed() {
    let elf = elf(5000);
    assert_eq!(unpack(&bzimage(&elf), 0).unwrap(), elf);
}

#[test]
fn code_that_the_filter_for_x86_has_changed_comes_back() {
    // Calls, whose targets the filter makes absolute.
    let mut elf = elf(0);
    (0..10_000u32).for_each(|number| {
        elf.push(0xe8);
        elf.extend((number * 3).to_le_bytes());
    });
    assert_eq!(unpack(&bzimage(&pack(Compression::Xz, &elf)), elf.len()).unwrap(), elf);
}

#[test]
fn a_header_of_gzip_may_have_all_its_parts() {
    let elf = elf(3000);
    let packed = packing::gzip_with_everything(&elf);
    assert_eq!(unpack(&bzimage(&packed), elf.len()).unwrap(), elf);
}
