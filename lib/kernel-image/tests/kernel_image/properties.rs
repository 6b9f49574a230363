//! Whatever the file: an image or a reason, never a panic, never more than was allowed.

use kernel_image::{KernelImageError, unpack};
use proptest::{collection::vec, prelude::*, sample::Index};

use crate::packing::{ALL, bzimage, elf, pack};

const MOST: usize = 1 << 16;

/// Sound files.
fn kernels() -> impl Strategy<Value = Vec<u8>> {
    (prop::sample::select(ALL.to_vec()), 4..20_000usize)
        .prop_map(|(format, size)| bzimage(&pack(format, &elf(size))))
}

proptest! {
    #[test]
    fn damaged_kernels_are_refused_or_unpack_within_bounds(
        file in kernels(),
        flips in vec((any::<Index>(), any::<u8>()), 1..8),
    ) {
        let mut file = file;
        for (place, byte) in flips {
            let place = place.index(file.len());
            file[place] = byte;
        }
        if let Ok(image) = unpack(&file, MOST) {
            prop_assert!(image.len() <= MOST);
            prop_assert!(image.starts_with(b"\x7fELF"));
        }
    }

    #[test]
    fn payloads_of_rubbish_are_refused(
        format in prop::sample::select(ALL.to_vec()),
        rubbish in vec(any::<u8>(), 0..2000),
        size in 0..100_000u32,
    ) {
        let mut payload = pack(format, &elf(0));
        payload.truncate(10);
        payload.extend(rubbish);
        payload.extend(size.to_le_bytes());
        // An image could come out, but not by chance.
        prop_assert!(unpack(&bzimage(&payload), MOST).is_err());
    }

    #[test]
    fn any_header_is_sound_or_refused(header in vec(any::<u8>(), 0..700)) {
        let mut file = header;
        if file.len() > 0x208 {
            file[0x202..0x206].copy_from_slice(b"HdrS");
        }
        let refused = unpack(&file, MOST).is_err_and(|error| !matches!(error, KernelImageError::Memory { .. }));
        prop_assert!(refused);
    }
}
