//! What is where in a boot archive.

use super::{ArchiveError, ENTRY, HEADER, Kind, MAGIC, MAX_BLOBS, VERSION, directory_crc, u32_at, u64_at};
use crate::{MAX_ENCODED, Name};
use core::ops::Range;
use uk_abi::layout::PAGE_SIZE;

/// Header and directory of a boot archive, checked: all that somebody must see of it who then asks for the parts that it
/// names.
#[derive(Clone, Copy, Debug)]
pub struct Directory<'a> {
    entries: &'a [u8],
    archive_bytes: u64,
}

/// An entry.
pub(super) struct Place {
    pub(super) name: [u8; 16],
    pub(super) kind: Kind,
    pub(super) crc: u32,
    /// Where the blob is in the archive.
    pub(super) bytes: Range<usize>,
}

impl<'a> Directory<'a> {
    /// The most bytes that header and directory take.
    pub const MAX_BYTES: usize = HEADER + MAX_BLOBS * ENTRY;

    /// Reads and checks them; `bytes` are the archive's first ones, which may go on behind them.
    ///
    /// # Errors
    /// All that [`Archive::parse`](super::Archive::parse) answers, but an archive may be cut off behind the directory.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ArchiveError> {
        let header = bytes.first_chunk::<HEADER>().ok_or(ArchiveError::NotAnArchive)?;
        if !header.starts_with(&MAGIC) {
            return Err(ArchiveError::NotAnArchive);
        }
        let version = u32_at(header, 8);
        if version != VERSION {
            return Err(ArchiveError::WrongVersion { found: version });
        }
        let count = u32_at(header, 12);
        if count as usize > MAX_BLOBS {
            return Err(ArchiveError::TooManyBlobs { found: count });
        }
        let end = HEADER + count as usize * ENTRY;
        let archive_bytes = u64_at(header, 16);
        let truncated = ArchiveError::Truncated { needed: archive_bytes, found: bytes.len() };
        let entries = bytes.get(HEADER..end).ok_or(truncated)?;
        if archive_bytes < end as u64 || directory_crc(header, entries) != u32_at(header, 28) {
            return Err(ArchiveError::CorruptDirectory);
        }
        let directory = Self { entries, archive_bytes };
        for index in 0..directory.len() {
            directory.entry(index).ok_or(ArchiveError::BadEntry { index })?;
        }
        Ok(directory)
    }

    /// Bytes of the whole archive.
    pub const fn archive_bytes(&self) -> u64 {
        self.archive_bytes
    }

    /// How many blobs there are.
    pub const fn len(&self) -> usize {
        self.entries.len() / ENTRY
    }

    /// Whether there is no blob.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Which bytes of the archive are the blob of this kind and name.
    pub fn find(&self, kind: Kind, name: &str) -> Option<Range<usize>> {
        let name = Name::new(name).ok()?.padded();
        self.entries().find(|place| place.kind == kind && place.name == name).map(|place| place.bytes)
    }

    /// Which bytes of the archive are the description.
    pub fn description(&self) -> Option<Range<usize>> {
        self.entries().find(|place| place.kind == Kind::Description).map(|place| place.bytes)
    }

    pub(super) fn entries(self) -> impl Iterator<Item = Place> + use<'a> {
        (0..self.len()).map_while(move |index| self.entry(index))
    }

    /// An entry, if it is possible: of a known kind, page-aligned, and within the archive behind the directory.
    fn entry(&self, index: usize) -> Option<Place> {
        let bytes = self.entries.chunks_exact(ENTRY).nth(index)?;
        let name = *bytes.first_chunk()?;
        let kind = Kind::from_code(u32_at(bytes, 16))?;
        let crc = u32_at(bytes, 20);
        let start = usize::try_from(u64_at(bytes, 24)).ok()?;
        let length = usize::try_from(u64_at(bytes, 32)).ok()?;
        let end = start.checked_add(length)?;
        let is_possible = start >= HEADER + self.entries.len()
            && start.is_multiple_of(PAGE_SIZE)
            && end as u64 <= self.archive_bytes
            && (kind != Kind::Description || length <= MAX_ENCODED);
        is_possible.then_some(Place { name, kind, crc, bytes: start..end })
    }
}
