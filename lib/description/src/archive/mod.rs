//! The boot archive: the one module that Xen hands to root, with everything root needs in it.
//!
//! A header and a directory are followed by the blobs, each at the start of a page, so that root can map a blob's pages
//! one by one. The first blob is the description. All numbers are little-endian:
//!
//! ```text
//! 0   [u8; 8]  "RVMMBOOT"
//! 8   u32      version
//! 12  u32      how many blobs (n)
//! 16  u64      bytes of the whole archive, a multiple of 4096
//! 24  u32      zero
//! 28  u32      CRC-32 of the bytes before, and of the directory
//! 32  n times: [u8; 16] name, u32 kind, u32 CRC-32, u64 offset, u64 bytes
//! ```
//!
//! The archive comes from the boot medium and lies in memory that a fault of root could write to, so the reader
//! believes nothing: every offset is checked, and every read is bounded.

mod directory;
mod error;
mod kind;
#[cfg(feature = "std")]
mod writer;

pub use directory::Directory;
pub use error::ArchiveError;
pub use kind::Kind;
#[cfg(feature = "std")]
pub use writer::ArchiveWriter;

use crate::{Description, Symbols};
use crc::{CRC_32_ISO_HDLC, Crc, Table};

/// The most blobs in an archive: image and symbols of each component, the same of root, kernel, ramdisk and configuration
/// of each guest, and the description.
pub const MAX_BLOBS: usize = 2 * crate::MAX_COMPONENTS + 3 * crate::MAX_GUESTS + 3;

const MAGIC: [u8; 8] = *b"RVMMBOOT";
const VERSION: u32 = 1;
const HEADER: usize = 32;
const ENTRY: usize = 40;

/// Sixteen bytes at a time: root checks megabytes before the first uk runs.
static CRC32: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// A boot archive, of which header and directory have been checked.
#[derive(Clone, Copy, Debug)]
pub struct Archive<'a> {
    bytes: &'a [u8],
    directory: Directory<'a>,
}

/// An entry of the directory, with its blob.
struct Entry<'a> {
    kind: Kind,
    crc: u32,
    blob: &'a [u8],
}

impl<'a> Archive<'a> {
    /// Reads and checks header and directory, which takes the same short time for any archive. The blobs' own
    /// checksums are for [`verify`](Self::verify).
    ///
    /// What follows the archive in `bytes` is ignored: boot loaders round modules up.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ArchiveError> {
        let directory = Directory::parse(bytes)?;
        let needed = directory.archive_bytes();
        let truncated = ArchiveError::Truncated { needed, found: bytes.len() };
        let whole = usize::try_from(needed).ok().and_then(|needed| bytes.get(..needed)).ok_or(truncated)?;
        Ok(Self { bytes: whole, directory })
    }

    /// Checks every blob against its checksum: once after power-on, and whenever a blob is in doubt.
    pub fn verify(&self) -> Result<(), ArchiveError> {
        self.verify_while(|| ())
    }

    /// The same, with a call of `alive` for each MiB or less: for whoever has to show that it lives.
    pub fn verify_while(&self, mut alive: impl FnMut()) -> Result<(), ArchiveError> {
        for (index, entry) in self.entries().enumerate() {
            let mut digest = CRC32.digest();
            for part in entry.blob.chunks(1 << 20) {
                digest.update(part);
                alive();
            }
            if digest.finalize() != entry.crc {
                return Err(ArchiveError::CorruptBlob { kind: entry.kind, index });
            }
        }
        Ok(())
    }

    /// The description, checked and decoded.
    pub fn description(&self) -> Result<Description, ArchiveError> {
        let mut description = Description::default();
        self.read_description(&mut description)?;
        Ok(description)
    }

    /// The description, checked and decoded in place, for whoever has a small stack.
    pub fn read_description(&self, description: &mut Description) -> Result<(), ArchiveError> {
        let found = self.entries().enumerate().find(|(_, entry)| entry.kind == Kind::Description);
        let (index, entry) = found.ok_or(ArchiveError::Missing { kind: Kind::Description, name: None })?;
        if CRC32.checksum(entry.blob) != entry.crc {
            return Err(ArchiveError::CorruptBlob { kind: entry.kind, index });
        }
        description.decode_from(entry.blob).map_err(ArchiveError::Description)
    }

    /// The first image that a component asks for and the archive has not.
    pub fn missing_image(&self, description: &Description) -> Option<ArchiveError> {
        let absent = description.components.iter().find(|c| self.image(&c.image).is_none())?;
        Some(ArchiveError::Missing { kind: Kind::Image, name: Some(absent.image.clone()) })
    }

    /// The ELF image of this name, not checked: see [`verify`](Self::verify).
    pub fn image(&self, name: &str) -> Option<&'a [u8]> {
        self.blob(Kind::Image, name)
    }

    /// The symbol table of this name, if there is a usable one.
    pub fn symbols(&self, name: &str) -> Option<Symbols<'a>> {
        self.blob(Kind::Symbols, name).and_then(|blob| Symbols::parse(blob).ok())
    }

    /// The kernel of the guest of this name, not checked.
    pub fn kernel(&self, guest: &str) -> Option<&'a [u8]> {
        self.blob(Kind::Kernel, guest)
    }

    /// The initial ramdisk of the guest of this name, not checked.
    pub fn ramdisk(&self, guest: &str) -> Option<&'a [u8]> {
        self.blob(Kind::Ramdisk, guest)
    }

    /// The configuration of the guest of this name, not checked.
    pub fn config(&self, guest: &str) -> Option<&'a [u8]> {
        self.blob(Kind::Config, guest)
    }

    /// All of its bytes.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many blobs there are.
    pub fn len(&self) -> usize {
        self.directory.len()
    }

    /// Whether there is no blob.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn blob(&self, kind: Kind, name: &str) -> Option<&'a [u8]> {
        self.bytes.get(self.directory.find(kind, name)?)
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'a>> {
        self.directory.entries().map_while(|place| {
            let blob = self.bytes.get(place.bytes)?;
            Some(Entry { kind: place.kind, crc: place.crc, blob })
        })
    }
}

/// The checksum of the header, but for the word that holds it, and of the directory.
fn directory_crc(header: &[u8; HEADER], directory: &[u8]) -> u32 {
    let mut digest = CRC32.digest();
    digest.update(&header[..HEADER - 4]);
    digest.update(directory);
    digest.finalize()
}

/// The number at a place that the caller knows to be there.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_le_bytes(*word))
}

/// The number at a place that the caller knows to be there.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word))
}
