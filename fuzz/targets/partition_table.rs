//! A disk whose partition table holds anything. Its checksums are made right, or nothing behind them would be reached.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rvmm_fuzz::{byte, take};
use volume::gpt::Step;
use volume::{SECTOR, Search, testing};

/// Sectors of the disk.
const SECTORS: u64 = 4096;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes;
    let (head, tail) = testing::table(SECTORS, &[(64, 100, "a"), (200, 1000, "b")]);
    let mut disk = vec![0; (SECTORS * u64::from(SECTOR)) as usize];
    disk[..head.len()].copy_from_slice(&head);
    let end = disk.len() - tail.len();
    disk[end..].copy_from_slice(&tail);
    let block_size = if byte(&mut bytes) % 2 == 0 { SECTOR } else { 4096 };
    let is_sealed = byte(&mut bytes) % 4 != 0;
    // Changes to the header at the beginning, to the entries, and to the header at the end.
    let size = block_size as usize;
    for place in [size, 2 * size, disk.len() - size] {
        for _ in 0..byte(&mut bytes) % 16 {
            let at = place + usize::from(byte(&mut bytes));
            let change = take(&mut bytes, 8);
            let end = (at + change.len()).min(disk.len());
            disk[at.min(end)..end].copy_from_slice(&change[..end - at.min(end)]);
        }
    }
    if is_sealed {
        let (header, entries) = disk[size..].split_at_mut(size);
        let count = entries.len().min(128 * 128);
        testing::seal(header, &entries[..count]);
    }
    let Ok(mut search) = Search::new(SECTORS, block_size) else { return };
    for _ in 0..8 {
        let wanted = search.wanted();
        assert!(wanted.end <= SECTORS && wanted.end - wanted.start <= 128 + 8, "it asks for {wanted:?}");
        let range = (wanted.start * u64::from(SECTOR)) as usize..(wanted.end * u64::from(SECTOR)) as usize;
        match search.seen(&disk[range]) {
            Step::Read => {}
            Step::Nothing(..) => return,
            Step::Found(partitions, _) => {
                for (place, one) in partitions.iter().enumerate() {
                    assert!(one.first + one.sectors <= SECTORS, "{one:?} leaves the disk");
                    for other in &partitions[..place] {
                        let apart = one.first >= other.first + other.sectors
                            || other.first >= one.first + one.sectors;
                        assert!(apart, "{one:?} and {other:?} share a sector");
                    }
                }
                return;
            }
        }
    }
    panic!("the search does not end");
});
