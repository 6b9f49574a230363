//! The disks' partition tables, read when the uk starts, beside whatever else it does.

use crate::aside;
use crate::service::Service;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;
use libos::block::{Command, DmaPage};
use libos::xen_abi::PAGE_SIZE;
use volume::gpt::Step;
use volume::{Partition, SECTOR, Search};

/// The disks: of each its size in sectors and its partitions.
pub struct Disks(Vec<(u64, Vec<Partition>)>);

impl Disks {
    /// Reads the tables of all disks.
    pub async fn read(service: &RefCell<Service>) -> Self {
        let facts: Vec<_> =
            service.borrow().storage.facts().map(|facts| (facts.sectors, facts.sector_size)).collect();
        let mut disks = Vec::new();
        for (disk, (sectors, sector_size)) in facts.into_iter().enumerate() {
            let partitions = partitions(service, disk, sectors, sector_size).await;
            for Partition { number, label, guid, first, sectors } in &partitions {
                log::info!("disk{disk}/p{number}: {sectors} sectors from {first}, {label:?}, {guid}");
            }
            disks.push((sectors, partitions));
        }
        Self(disks)
    }

    /// Of each disk its size and its partitions.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u64, &[Partition])> {
        self.0.iter().map(|(sectors, partitions)| (*sectors, &partitions[..]))
    }
}

async fn partitions(
    service: &RefCell<Service>,
    disk: usize,
    sectors: u64,
    sector_size: u32,
) -> Vec<Partition> {
    let mut search = match Search::new(sectors, sector_size) {
        Ok(search) => search,
        Err(error) => {
            log::info!("disk{disk}: {error}");
            return Vec::new();
        }
    };
    loop {
        let Some(bytes) = read(service, disk, search.wanted()).await else {
            log::warn!("disk{disk}: its partition table cannot be read");
            return Vec::new();
        };
        match search.seen(&bytes) {
            Step::Read => {}
            Step::Found(partitions, damage) => {
                if let Some(damage) = damage {
                    log::warn!(
                        "disk{disk}: the partition table at its end is used: at the beginning {damage}"
                    );
                }
                return partitions;
            }
            Step::Nothing(error, _) => {
                log::info!("disk{disk}: {error}");
                return Vec::new();
            }
        }
    }
}

/// What these sectors hold; none if they cannot be read.
async fn read(service: &RefCell<Service>, disk: usize, sectors: Range<u64>) -> Option<Vec<u8>> {
    const AT_ONCE: u64 = PAGE_SIZE / SECTOR as u64;
    let page = DmaPage::new()?;
    let mut bytes = Vec::new();
    let mut sector = sectors.start;
    while sector < sectors.end {
        let count = (sectors.end - sector).min(AT_ONCE);
        let length = count as u32 * SECTOR;
        let span = page.span(0, length)?;
        if !aside::carry_out(service, disk, &Command::Read(sector, &[span])).await {
            return None;
        }
        let words = page.iter().flat_map(|word| word.load(Relaxed).to_le_bytes());
        bytes.extend(words.take(length as usize));
        sector += count;
    }
    Some(bytes)
}
