//! Why a file is not a kernel that can be unpacked.

use thiserror::Error;

use crate::Compression;

/// Why a file is not a kernel that can be unpacked. Sizes and offsets are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KernelImageError {
    /// Neither an ELF file nor a bzImage.
    #[error(
        "neither an ELF file nor a Linux bzImage: the file of {size} bytes has {found:02x?} at offset {offset:#x}"
    )]
    NotAKernel {
        /// The size of the file.
        size: usize,
        /// Where a bzImage has its mark.
        offset: usize,
        /// What is there.
        found: Start,
    },
    /// A bzImage from before payloads could be found.
    #[error("boot protocol 2.08 or later is wanted, this bzImage has {}.{:02}", .found >> 8, .found & 0xff)]
    Protocol {
        /// The version, major number in the upper byte.
        found: u16,
    },
    /// The payload is not all in the file.
    #[error("the payload, {length:#x} bytes at {offset:#x}, does not lie inside the file of {size:#x} bytes")]
    Payload {
        /// Where it starts in the file.
        offset: u64,
        /// Its length.
        length: u64,
        /// The size of the file.
        size: usize,
    },
    /// The payload is in no known format.
    #[error("the payload is no ELF file, gzip, xz, zstd or lz4: it starts with {found:02x?}")]
    Compression {
        /// Its first bytes.
        found: Start,
    },
    /// The unpacked image would be too large.
    #[error("the unpacked image has {size} bytes, at most {most} are allowed")]
    TooLarge {
        /// The size that the file states.
        size: usize,
        /// The most that is allowed.
        most: usize,
    },
    /// There is no memory for the unpacked image.
    #[error("no memory for the unpacked image of {size} bytes")]
    Memory {
        /// Its size.
        size: usize,
    },
    /// The payload does not unpack.
    #[error("the {compression} payload is damaged: {reason}")]
    Damaged {
        /// The format.
        compression: Compression,
        /// What the decompressor said.
        reason: &'static str,
    },
    /// The payload unpacks to another size than the file states.
    #[error("the {compression} payload unpacks to {found} bytes, the file states {stated}")]
    Size {
        /// The format.
        compression: Compression,
        /// The size that the file states.
        stated: usize,
        /// How many bytes came out.
        found: usize,
    },
    /// What was unpacked is not an ELF file.
    #[error("the unpacked payload is no ELF file: it starts with {found:02x?}")]
    NotElf {
        /// Its first bytes.
        found: Start,
    },
}

/// The first bytes of something, zeros where it ends earlier.
pub type Start = [u8; 4];

/// The first bytes of `bytes`.
pub(crate) fn start_of(bytes: &[u8]) -> Start {
    core::array::from_fn(|index| bytes.get(index).copied().unwrap_or(0))
}
