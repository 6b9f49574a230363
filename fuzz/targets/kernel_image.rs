//! A guest's kernel that somebody has made up: as it is, and as the payload of a proper bzImage.
#![no_main]

use kernel_image::unpack;
use libfuzzer_sys::fuzz_target;
use rvmm_fuzz::byte;

/// The most that a kernel may unpack to, here.
const MOST: usize = 1 << 20;
/// How payloads begin, by format: gzip, xz, zstd, lz4.
const MAGICS: [&[u8]; 4] = [b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"\x02\x21\x4c\x18"];
/// The setup code of the smallest bzImage: the boot sector, and one more.
const SETUP: usize = 1024;

fuzz_target!(|bytes: &[u8]| {
    let _ = unpack(bytes, MOST);
    let mut payload = bytes;
    let magic = MAGICS[usize::from(byte(&mut payload)) % MAGICS.len()];
    if let Ok(kernel) = unpack(&bzimage(&[magic, payload].concat()), MOST) {
        assert!(kernel.len() <= MOST);
    }
});

/// A bzImage with this payload.
fn bzimage(payload: &[u8]) -> Vec<u8> {
    let mut file = vec![0; SETUP];
    file[0x1f1] = 1;
    file[0x202..0x206].copy_from_slice(b"HdrS");
    file[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
    file[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    file.extend_from_slice(payload);
    file
}
