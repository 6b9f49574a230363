//! Partition tables for tests: as tools write them, and sealed anew after something in them was changed.

use crate::SECTOR;
use crate::gpt::Guid;
use alloc::vec;
use alloc::vec::Vec;
use bytemuck::bytes_of;
use gpt_disk_types::{
    Crc32, GptHeader, GptPartitionEntry, GptPartitionName, GptPartitionType, Lba, LbaLe, U32Le,
};

/// Entries of a table, as all tools make it.
const ENTRIES: u32 = 128;

/// Blocks of 512 bytes of a table: the header, and the entries.
const BLOCKS: u64 = 1 + (ENTRIES as u64 * size_of::<GptPartitionEntry>() as u64) / SECTOR as u64;

/// The first sectors of a disk of so many sectors of 512 bytes, which has these partitions, by first sector, count and name; and the
/// last ones, with the same table again. The GUID of each partition has its number in every byte.
pub fn table(sectors: u64, partitions: &[(u64, u64, &str)]) -> (Vec<u8>, Vec<u8>) {
    let mut entries = vec![0; ENTRIES as usize * size_of::<GptPartitionEntry>()];
    let room = entries.chunks_exact_mut(size_of::<GptPartitionEntry>());
    for ((number, &(first, count, label)), bytes) in (1..).zip(partitions).zip(room) {
        let mut name = GptPartitionName([0; 72]);
        for (place, unit) in label.encode_utf16().take(36).enumerate() {
            name.0[2 * place..2 * place + 2].copy_from_slice(&unit.to_le_bytes());
        }
        bytes.copy_from_slice(bytes_of(&GptPartitionEntry {
            partition_type_guid: GptPartitionType::BASIC_DATA,
            unique_partition_guid: Guid::from_bytes([number; 16]),
            starting_lba: LbaLe::from(Lba(first)),
            ending_lba: LbaLe::from(Lba(first + count - 1)),
            attributes: Default::default(),
            name,
        }));
    }
    let header = |at, other, array| GptHeader {
        my_lba: LbaLe::from(Lba(at)),
        alternate_lba: LbaLe::from(Lba(other)),
        first_usable_lba: LbaLe::from(Lba(1 + BLOCKS)),
        last_usable_lba: LbaLe::from(Lba(sectors - BLOCKS - 1)),
        partition_entry_lba: LbaLe::from(Lba(array)),
        number_of_partition_entries: U32Le::from_u32(ENTRIES),
        ..GptHeader::default()
    };
    let block = |header: GptHeader| {
        let mut block = bytes_of(&header).to_vec();
        block.resize(SECTOR as usize, 0);
        seal(&mut block, &entries);
        block
    };
    let (last, array) = (sectors - 1, sectors - BLOCKS);
    let first = [vec![0; SECTOR as usize], block(header(1, last, 2)), entries.clone()].concat();
    let end = [entries.clone(), block(header(last, 1, array))].concat();
    (first, end)
}

/// Makes the checksums in a header right: its own, and that of the entries.
pub fn seal(header: &mut [u8], entries: &[u8]) {
    let crc = crc::Crc::<u32>::new(&Crc32::ALGORITHM);
    header[88..92].copy_from_slice(&crc.checksum(entries).to_le_bytes());
    header[16..20].fill(0);
    let size = u32::from_le_bytes([header[12], header[13], header[14], header[15]]) as usize;
    let size = size.min(header.len());
    let sum = crc.checksum(&header[..size]);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
}
