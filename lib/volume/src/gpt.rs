//! GUID partition tables (UEFI 2.10, 5.3): a header with a checksum, an array of entries with another, and both again at the disk's
//! end.
//!
//! A table is whatever somebody has written to the disk: a guest, if the whole disk is its. So every number is checked against the
//! disk before it is used, and what is read is bounded.

use crate::SECTOR;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use gpt_disk_types::{Crc32, GptHeader, GptPartitionEntry};

pub use gpt_disk_types::Guid;

/// Bytes of the header that have a meaning.
const HEADER: usize = size_of::<GptHeader>();

/// Where the header's own checksum is in it.
const CHECKSUM: Range<usize> = 16..20;

/// Bytes of the array at most: four times what all tools make.
const MAX_ARRAY: u64 = 64 * 1024;

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its place in the table, from 1.
    pub number: u32,
    /// Its name, as far as it is text.
    pub label: String,
    /// What tells it from all others.
    pub guid: Guid,
    /// Its first sector of 512 bytes.
    pub first: u64,
    /// How many such sectors it has.
    pub sectors: u64,
}

/// Why there is no table to be read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// The disk has no block where the header should be, or its blocks are of no size that disks have.
    Disk {
        /// Its blocks.
        blocks: u64,
        /// Their bytes.
        block_size: u32,
    },
    /// The block does not begin as a header does.
    Signature,
    /// A length in the header is not what it can be.
    Length {
        /// Of what.
        what: &'static str,
        /// What it says.
        found: u64,
    },
    /// A checksum is wrong.
    Checksum {
        /// Of what.
        what: &'static str,
        /// What the table says.
        expected: u32,
        /// What it is.
        found: u32,
    },
    /// A block number in the header is not on the disk, or not where it can be.
    Block {
        /// Of what.
        what: &'static str,
        /// What it says.
        found: u64,
    },
    /// A partition is not within what the header says is usable, or shares blocks with another.
    Partition {
        /// Its number.
        number: u32,
        /// Its first block.
        first: u64,
        /// Its last block.
        last: u64,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk { blocks, block_size } => {
                write!(f, "a disk of {blocks} blocks of {block_size} bytes has no partition table")
            }
            Self::Signature => f.write_str("there is no header of a partition table"),
            Self::Length { what, found } => write!(f, "the {what} cannot be {found}"),
            Self::Checksum { what, expected, found } => {
                write!(f, "the {what} has the checksum {found:#x}, and says {expected:#x}")
            }
            Self::Block { what, found } => write!(f, "the {what} cannot be block {found}"),
            Self::Partition { number, first, last } => {
                write!(f, "partition {number} cannot be blocks {first} to {last}")
            }
        }
    }
}

impl core::error::Error for TableError {}

/// A disk, as far as its table is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Disk {
    blocks: u64,
    block_size: u32,
}

impl Disk {
    const fn sectors_in_block(self) -> u64 {
        (self.block_size / SECTOR) as u64
    }

    /// Sectors of 512 bytes.
    const fn sectors(self, blocks: Range<u64>) -> Range<u64> {
        blocks.start * self.sectors_in_block()..blocks.end * self.sectors_in_block()
    }
}

/// A header that makes sense on its disk.
#[derive(Clone, Copy, Debug)]
struct Header {
    array: u64,
    entries: u32,
    entry_size: u32,
    array_checksum: u32,
    usable: (u64, u64),
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Header,
    Array(Header),
}

/// The search for a disk's partitions, which asks for a few sectors at a time: the table at the beginning first, and if that is no
/// good the one at the end.
#[derive(Clone, Debug)]
pub struct Search {
    disk: Disk,
    stage: Stage,
    /// Why the table at the beginning is no good.
    primary: Option<TableError>,
}

/// What has become of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read the sectors that are [wanted](Search::wanted) now.
    Read,
    /// These are the partitions, by the table at the beginning, or by that at the end, because of what is wrong with the other.
    Found(Vec<Partition>, Option<TableError>),
    /// There is no table: what is wrong with the one at the beginning, and with the one at the end.
    Nothing(TableError, TableError),
}

impl Search {
    /// The search on a disk of so many sectors of 512 bytes, whose own blocks have `block_size` bytes.
    ///
    /// # Errors
    /// [`TableError::Disk`].
    pub fn new(sectors: u64, block_size: u32) -> Result<Self, TableError> {
        let sound = block_size.is_power_of_two() && (SECTOR..=4096).contains(&block_size);
        let blocks = if sound { sectors / u64::from(block_size / SECTOR) } else { 0 };
        let disk = Disk { blocks, block_size };
        // The protective MBR, the header, an array of one block, a partition of one, and the same again.
        if blocks < 6 {
            return Err(TableError::Disk { blocks, block_size });
        }
        Ok(Self { disk, stage: Stage::Header, primary: None })
    }

    /// The sectors that it wants to see: at most 64 KiB, and all on the disk.
    pub fn wanted(&self) -> Range<u64> {
        let blocks = match self.stage {
            Stage::Header => self.at()..self.at() + 1,
            Stage::Array(header) => header.array..header.array + array_blocks(&header, self.disk),
        };
        self.disk.sectors(blocks)
    }

    /// The block of the header that is looked at.
    fn at(&self) -> u64 {
        if self.primary.is_none() { 1 } else { self.disk.blocks - 1 }
    }

    /// Takes in what the wanted sectors hold.
    pub fn seen(&mut self, bytes: &[u8]) -> Step {
        let seen = match self.stage {
            Stage::Header => header(bytes, self.disk, self.at()).map(|header| {
                self.stage = Stage::Array(header);
                Step::Read
            }),
            Stage::Array(header) => {
                partitions(bytes, &header, self.disk).map(|found| Step::Found(found, self.primary))
            }
        };
        seen.unwrap_or_else(|error| match self.primary {
            None => {
                self.stage = Stage::Header;
                self.primary = Some(error);
                Step::Read
            }
            Some(primary) => Step::Nothing(primary, error),
        })
    }
}

fn array_blocks(header: &Header, disk: Disk) -> u64 {
    (u64::from(header.entries) * u64::from(header.entry_size)).div_ceil(disk.block_size.into())
}

/// The checksum of several pieces of bytes.
fn checksum(pieces: &[&[u8]]) -> u32 {
    let crc = crc::Crc::<u32>::new(&Crc32::ALGORITHM);
    let mut digest = crc.digest();
    pieces.iter().for_each(|piece| digest.update(piece));
    digest.finalize()
}

/// The header in block `at`.
fn header(block: &[u8], disk: Disk, at: u64) -> Result<Header, TableError> {
    let bytes = block.get(..HEADER).ok_or(TableError::Length { what: "block", found: block.len() as u64 })?;
    let header: GptHeader = bytemuck::pod_read_unaligned(bytes);
    if !header.is_signature_valid() {
        return Err(TableError::Signature);
    }
    let size = header.header_size.to_u32();
    let whole = block.get(..size as usize).filter(|whole| whole.len() >= HEADER);
    let whole = whole.ok_or(TableError::Length { what: "header", found: size.into() })?;
    let expected = header.header_crc32.0.to_u32();
    let found = checksum(&[&whole[..CHECKSUM.start], &[0; 4], &whole[CHECKSUM.end..]]);
    if found != expected {
        return Err(TableError::Checksum { what: "header", expected, found });
    }
    let on_disk = |what, block: u64| {
        (block < disk.blocks).then_some(block).ok_or(TableError::Block { what, found: block })
    };
    if header.my_lba.to_u64() != at {
        return Err(TableError::Block { what: "header", found: header.my_lba.to_u64() });
    }
    let usable =
        (header.first_usable_lba.to_u64(), on_disk("last usable block", header.last_usable_lba.to_u64())?);
    if usable.0 > usable.1 || usable.0 < 2 {
        return Err(TableError::Block { what: "first usable block", found: usable.0 });
    }
    let (entries, entry_size) =
        (header.number_of_partition_entries.to_u32(), header.size_of_partition_entry.to_u32());
    let least = size_of::<GptPartitionEntry>() as u32;
    if entry_size < least || !(entry_size / least).is_power_of_two() || !entry_size.is_multiple_of(least) {
        return Err(TableError::Length { what: "size of an entry", found: entry_size.into() });
    }
    let bytes = u64::from(entries) * u64::from(entry_size);
    if bytes == 0 || bytes > MAX_ARRAY {
        return Err(TableError::Length { what: "array of entries", found: bytes });
    }
    let array = on_disk("array of entries", header.partition_entry_lba.to_u64())?;
    let header = Header {
        array,
        entries,
        entry_size,
        array_checksum: header.partition_entry_array_crc32.0.to_u32(),
        usable,
    };
    on_disk("end of the array of entries", array.saturating_add(array_blocks(&header, disk) - 1))?;
    Ok(header)
}

/// The partitions in the array of entries.
fn partitions(array: &[u8], header: &Header, disk: Disk) -> Result<Vec<Partition>, TableError> {
    let bytes = header.entries as usize * header.entry_size as usize;
    let array = array
        .get(..bytes)
        .ok_or(TableError::Length { what: "array of entries", found: array.len() as u64 })?;
    let found = checksum(&[array]);
    if found != header.array_checksum {
        return Err(TableError::Checksum {
            what: "array of entries",
            expected: header.array_checksum,
            found,
        });
    }
    let mut partitions: Vec<Partition> = Vec::new();
    for (number, bytes) in (1..).zip(array.chunks_exact(header.entry_size as usize)) {
        let entry: GptPartitionEntry = bytemuck::pod_read_unaligned(&bytes[..size_of::<GptPartitionEntry>()]);
        if !entry.is_used() {
            continue;
        }
        let (first, last) = (entry.starting_lba.to_u64(), entry.ending_lba.to_u64());
        let within = first >= header.usable.0 && first <= last && last <= header.usable.1;
        let wrong = TableError::Partition { number, first, last };
        let sectors = if within { disk.sectors(first..last + 1) } else { return Err(wrong) };
        let overlaps =
            |other: &Partition| sectors.start < other.first + other.sectors && other.first < sectors.end;
        if partitions.iter().any(overlaps) {
            return Err(wrong);
        }
        partitions.push(Partition {
            number,
            label: { entry.name }.chars().collect(),
            guid: entry.unique_partition_guid,
            first: sectors.start,
            sectors: sectors.end - sectors.start,
        });
    }
    Ok(partitions)
}
