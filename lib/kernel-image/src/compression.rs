//! The formats that kernels are compressed with.
//!
//! The kernel's build appends the unpacked size to every payload, as 4 bytes, least significant first; gzip's own
//! format has it there anyway. So the size is known before anything is unpacked.

mod gzip;
mod lz4;
mod xz;
mod zstd;

use alloc::vec::Vec;
use core::fmt;

use crate::KernelImageError;
use crate::error::start_of;

/// The most memory that a format's window may take, in bytes, besides the unpacked image. Kernels are compressed with
/// up to 128 MiB.
pub const MAX_WINDOW: usize = 128 << 20;

/// Bytes of the size at the end.
const SIZE_BYTES: usize = 4;

/// How a payload is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// The xz format, with the filter for x86 code.
    Xz,
    /// RFC 8878.
    Zstd,
    /// The legacy frame of lz4, which is what kernels use.
    Lz4,
}

impl Compression {
    /// What each format starts with.
    const MAGICS: [(&'static [u8], Self); 4] = [
        (b"\x1f\x8b", Self::Gzip),
        (b"\xfd7zXZ\0", Self::Xz),
        (b"\x28\xb5\x2f\xfd", Self::Zstd),
        (&lz4::MAGIC, Self::Lz4),
    ];

    /// The format that `payload` starts as.
    pub fn of(payload: &[u8]) -> Option<Self> {
        Self::MAGICS.iter().find(|(magic, _)| payload.starts_with(magic)).map(|(_, format)| *format)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        })
    }
}

/// What a decompressor did.
enum Failure {
    /// It found something wrong.
    Damaged(&'static str),
    /// It went on past the end of the room that it was given.
    Overflow,
}

/// Unpacks `payload`, which ends with the unpacked size, to at most `most` bytes.
///
/// # Errors
/// See [`KernelImageError`].
pub fn unpack(payload: &[u8], most: usize) -> Result<Vec<u8>, KernelImageError> {
    let format = Compression::of(payload);
    let compression = format.ok_or(KernelImageError::Compression { found: start_of(payload) })?;
    let Some((packed, size)) = payload.split_last_chunk::<SIZE_BYTES>() else {
        return Err(KernelImageError::Damaged { compression, reason: "it ends where its size should stand" });
    };
    let size = u32::from_le_bytes(*size) as usize;
    if size > most {
        return Err(KernelImageError::TooLarge { size, most });
    }
    let mut image = Vec::new();
    image.try_reserve_exact(size).map_err(|_| KernelImageError::Memory { size })?;
    image.resize(size, 0);
    let answer = match compression {
        Compression::Gzip => gzip::unpack(payload, &mut image),
        Compression::Xz => xz::unpack(packed, &mut image),
        Compression::Zstd => zstd::unpack(packed, &mut image),
        Compression::Lz4 => lz4::unpack(packed, &mut image),
    };
    match answer {
        Ok(found) if found == size => Ok(image),
        Ok(found) => Err(KernelImageError::Size { compression, stated: size, found }),
        Err(Failure::Overflow) => {
            Err(KernelImageError::Damaged { compression, reason: "it unpacks to more than it states" })
        }
        Err(Failure::Damaged(reason)) => Err(KernelImageError::Damaged { compression, reason }),
    }
}
