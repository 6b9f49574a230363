//! Kernel files, made as the kernel's build makes them.

use std::io::Write as _;

use kernel_image::Compression;
use lzma_rust2::{Write as _, XzOptions, XzWriter, filter::FilterType};

pub(crate) const ALL: [Compression; 4] =
    [Compression::Gzip, Compression::Xz, Compression::Zstd, Compression::Lz4];

/// Sectors of setup code.
pub(crate) const SECTORS: u8 = 3;

/// Where the payload starts in every file that is made here.
pub(crate) const PAYLOAD: usize = 512 * (1 + SECTORS as usize) + GAP;

/// Boot code between setup code and payload.
const GAP: usize = 100;

/// What could be an ELF file, of `size` bytes and no less than 4. Half of it repeats itself, half does not.
pub(crate) fn elf(size: usize) -> Vec<u8> {
    let mut bytes = b"\x7fELF".to_vec();
    let mut state = 1u64;
    while bytes.len() < size {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        bytes.push(if bytes.len() % 8192 < 4096 { (state >> 56) as u8 } else { b'0' });
    }
    bytes
}

/// A bzImage around `payload`.
pub(crate) fn bzimage(payload: &[u8]) -> Vec<u8> {
    let mut file = vec![0; PAYLOAD];
    file[0x1f1] = SECTORS;
    file[0x202..0x206].copy_from_slice(b"HdrS");
    file[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes());
    file[0x248..0x24c].copy_from_slice(&(GAP as u32).to_le_bytes());
    file[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    file.extend(payload);
    // What follows the payload is not part of it.
    file.extend([0xcc; 50]);
    file
}

/// `image` packed, with its size behind it.
pub(crate) fn pack(format: Compression, image: &[u8]) -> Vec<u8> {
    let mut packed = match format {
        Compression::Gzip => return gzip(flate2::GzBuilder::new(), image),
        Compression::Xz => xz(image),
        Compression::Zstd => {
            ruzstd::encoding::compress_to_vec(image, ruzstd::encoding::CompressionLevel::Fastest)
        }
        Compression::Lz4 => lz4(image),
    };
    packed.extend((image.len() as u32).to_le_bytes());
    packed
}

pub(crate) fn gzip_with_everything(image: &[u8]) -> Vec<u8> {
    gzip(flate2::GzBuilder::new().extra(*b"xy\x01\0z").filename("vmlinux").comment("a kernel"), image)
}

fn gzip(header: flate2::GzBuilder, image: &[u8]) -> Vec<u8> {
    let mut writer = header.write(Vec::new(), flate2::Compression::default());
    writer.write_all(image).unwrap();
    writer.finish().unwrap()
}

fn xz(image: &[u8]) -> Vec<u8> {
    let mut options = XzOptions::with_preset(1);
    options.prepend_pre_filter(FilterType::BcjX86, 0);
    let mut writer = XzWriter::new(Vec::new(), options).unwrap();
    writer.write_all(image).unwrap();
    writer.finish().unwrap()
}

fn lz4(image: &[u8]) -> Vec<u8> {
    let mut packed = 0x184c_2102_u32.to_le_bytes().to_vec();
    for block in image.chunks(8 << 20) {
        let block = lz4_flex::block::compress(block);
        packed.extend((block.len() as u32).to_le_bytes());
        packed.extend(block);
    }
    packed
}
