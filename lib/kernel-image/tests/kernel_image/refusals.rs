//! What is refused, and what is said about it.

use kernel_image::{Compression, KernelImageError, unpack};

use crate::packing::{ALL, PAYLOAD, bzimage, elf, pack};

/// The most that any image here may unpack to.
const MOST: usize = 1 << 20;

fn refused(file: &[u8]) -> KernelImageError {
    unpack(file, MOST).unwrap_err()
}

#[test]
fn other_files_are_named_by_what_is_in_them() {
    let error = refused(b"#!/bin/sh\nexit 1\n");
    assert_eq!(error, KernelImageError::NotAKernel { size: 17, offset: 0x202, found: [0; 4] });
    assert_eq!(
        error.to_string(),
        "neither an ELF file nor a Linux bzImage: the file of 17 bytes has [00, 00, 00, 00] at offset 0x202"
    );
    assert!(matches!(refused(&[]), KernelImageError::NotAKernel { size: 0, .. }));
}

#[test]
fn a_boot_protocol_without_payloads_is_too_old() {
    let mut file = bzimage(&elf(100));
    file[0x206..0x208].copy_from_slice(&0x0207_u16.to_le_bytes());
    assert_eq!(refused(&file).to_string(), "boot protocol 2.08 or later is wanted, this bzImage has 2.07");
}

#[test]
fn a_payload_outside_the_file_is_refused_with_its_place() {
    let whole = bzimage(&pack(Compression::Gzip, &elf(1000)));
    for kept in [0x206, 0x208, 0x24b, 0x250, PAYLOAD, PAYLOAD + 10] {
        let error = refused(&whole[..kept]);
        assert!(matches!(error, KernelImageError::Payload { size, .. } if size == kept), "{kept}: {error}");
    }
    for field in [0x248, 0x24c] {
        let mut file = whole.clone();
        file[field..field + 4].fill(0xff);
        assert!(matches!(refused(&file), KernelImageError::Payload { .. }));
    }
}

#[test]
fn a_payload_in_another_format_is_refused_with_its_start() {
    let error = refused(&bzimage(b"BZh91AY&SY"));
    assert_eq!(error, KernelImageError::Compression { found: *b"BZh9" });
    assert_eq!(refused(&bzimage(&[])), KernelImageError::Compression { found: [0; 4] });
}

#[test]
fn an_image_that_would_be_too_large_is_refused_before_it_is_unpacked() {
    let elf = elf(MOST + 1);
    for format in ALL {
        let error = refused(&bzimage(&pack(format, &elf)));
        assert_eq!(error, KernelImageError::TooLarge { size: MOST + 1, most: MOST });
    }
}

#[test]
fn a_size_that_is_not_what_comes_out_is_refused() {
    let elf = elf(10_000);
    for format in ALL {
        let mut packed = pack(format, &elf);
        let end = packed.len();
        for (stated, is_expected) in [
            (9_999u32, (|e| matches!(e, KernelImageError::Damaged { .. })) as fn(&KernelImageError) -> bool),
            (10_001, |e| matches!(e, KernelImageError::Size { stated: 10_001, found: 10_000, .. })),
        ] {
            packed[end - 4..].copy_from_slice(&stated.to_le_bytes());
            let error = refused(&bzimage(&packed));
            assert!(is_expected(&error), "{format}, {stated} stated: {error}");
        }
    }
}

#[test]
fn a_payload_that_ends_early_is_refused() {
    let elf = elf(10_000);
    for format in ALL {
        let packed = pack(format, &elf);
        for kept in [6, packed.len() / 2, packed.len() - 5] {
            let mut cut = packed[..kept].to_vec();
            cut.extend(&packed[packed.len() - 4..]);
            let error = refused(&bzimage(&cut));
            let expected = matches!(
                error,
                KernelImageError::Damaged { compression, .. } | KernelImageError::Size { compression, .. }
                    if compression == format
            );
            assert!(expected, "{format}, {kept} of {} bytes: {error}", packed.len());
        }
    }
}

#[test]
fn what_has_a_checksum_is_checked() {
    let elf = elf(10_000);
    // The last bytes: gzip's CRC-32 before the size; xz's is deeper inside, before index and footer.
    let mut packed = pack(Compression::Gzip, &elf);
    let place = packed.len() - 8;
    packed[place] ^= 1;
    assert_eq!(refused(&bzimage(&packed)).to_string(), "the gzip payload is damaged: its CRC-32 is wrong");
}

#[test]
fn what_is_no_elf_file_inside_is_refused() {
    for format in ALL {
        let error = refused(&bzimage(&pack(format, b"not a kernel at all")));
        assert_eq!(error, KernelImageError::NotElf { found: *b"not " });
    }
}
