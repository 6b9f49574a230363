//! Writing numbered blocks and reading them back.

use crate::pattern::{self, BLOCK};
use crate::plain::{Disk, Failed};
use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;
use libos::block::{DmaPage, SECTOR, Span};
use libos::recovery_box::Record;
use libos::time::{Duration, Timer};
use libos::uk_abi::health::HealthPage;
use libos::{Records, Uk, fault};
use serde::{Deserialize, Serialize};

/// Root watches this part for progress: requests to the disk.
const REQUESTS: usize = 0;

/// Words of the service area, for whoever tests this.
mod word {
    /// Number of the last block that was read back as it was written.
    pub const LAST: usize = 0;
    /// Blocks that this life has written and read back.
    pub const GOOD: usize = 1;
    /// Blocks that were not read back as they had just been written, in all lives: each has ended one.
    pub const BAD: usize = 2;
    /// Blocks of earlier lives that this one has looked at.
    pub const INHERITED: usize = 3;
    /// Blocks of earlier lives that were not what they should be, in all lives: lost writes.
    pub const LOST: usize = 4;
}

const SECTORS: u64 = BLOCK as u64 / SECTOR as u64;

/// Blocks of earlier lives that a life looks at.
const INHERITED_MAX: u64 = 16;

/// Between two blocks, so that others get the CPU.
const PAUSE: Duration = Duration::from_millis(1);

/// How far the test has come. There is one record, under key 0.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Sequence {
    /// The last block that was read back as it was written; blocks count from 1.
    last: u64,
    /// Blocks that were not.
    bad: u64,
    /// Blocks that a later life did not find.
    lost: u64,
}

impl Record for Sequence {
    const TYPE: u16 = 1;
    const VERSION: u16 = 1;
}

/// The self-test of a disk.
pub struct SelfTest {
    disk: Disk,
    /// The block on its way.
    page: DmaPage,
    /// Sectors that may be written to.
    scratch: Range<u64>,
    records: Records<4, 32>,
    sequence: Sequence,
    health: HealthPage<'static>,
}

impl SelfTest {
    /// A test that goes on where the last life has ended.
    ///
    /// # Panics
    /// If the description gives no room for the recovery box, or for a single block in memory or in the scratch area.
    pub fn new(uk: &Uk, disk: Disk, scratch: Range<u64>) -> Self {
        assert!(scratch.end - scratch.start >= SECTORS, "the scratch area has no room for a block");
        let (records, found) = match uk.recovery_box() {
            Ok(opened) => opened,
            Err(error) => panic!("{error}"),
        };
        let sequence: Sequence = records.get(0).ok().flatten().unwrap_or_default();
        log::info!("goes on after block {}, box: {found}", sequence.last);
        let Some(page) = DmaPage::new() else { panic!("there is no DMA memory for a block") };
        Self { disk, page, scratch, records, sequence, health: uk.health() }
    }

    /// Tests without end.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn run(&mut self) -> Failed {
        match self.inherit().await {
            Ok(()) => {}
            Err(error) => return error,
        }
        let mut good = 0;
        loop {
            if let Err(error) = self.one().await {
                return error;
            }
            good += 1;
            self.health.set_service(word::GOOD, good);
            Timer::after(PAUSE).await;
        }
    }

    /// Looks at what earlier lives have written.
    async fn inherit(&mut self) -> Result<(), Failed> {
        let last = self.sequence.last;
        // The next block, which may be half written, has taken the place of the oldest.
        let kept = (self.blocks() - 1).min(INHERITED_MAX).min(last);
        for number in last - kept + 1..=last {
            if self.differences(number).await? > 0 {
                log::error!("block {number} of an earlier life is lost");
                self.sequence.lost += 1;
                self.save();
            }
        }
        self.health.set_service(word::INHERITED, kept);
        self.health.set_service(word::BAD, self.sequence.bad);
        self.health.set_service(word::LOST, self.sequence.lost);
        Ok(())
    }

    /// Writes the next block and reads it back.
    ///
    /// # Panics
    /// If it is not what was written: this life ends, and the disk is reset.
    async fn one(&mut self) -> Result<(), Failed> {
        let number = self.sequence.last + 1;
        let sector = self.sector(number);
        self.health.accept(REQUESTS, 1);
        let mut block = [0; BLOCK];
        pattern::fill(&mut block, number);
        for (word, bytes) in self.page.iter().zip(block.as_chunks().0) {
            word.store(u64::from_le_bytes(*bytes), Relaxed);
        }
        self.disk.write(sector, self.span()).await?;
        self.health.complete(REQUESTS, 1);
        let differences = self.differences(number).await?;
        if differences > 0 {
            self.sequence.bad += 1;
            self.save();
            panic!("block {number} at sector {sector} has come back with {differences} wrong words");
        }
        self.sequence.last = number;
        self.health.set_service(word::LAST, number);
        self.save();
        Ok(())
    }

    /// Reads block `number`; answers how many of its words are not what they should be.
    async fn differences(&mut self, number: u64) -> Result<usize, Failed> {
        let sector = self.sector(number);
        self.health.accept(REQUESTS, 1);
        while fault::work_is_stuck() {
            Timer::after(PAUSE).await;
        }
        // What the disk does not write there must not look as if it had.
        self.page.iter().for_each(|word| word.store(0, Relaxed));
        self.disk.read(sector, self.span()).await?;
        let mut block = [0; BLOCK];
        for (word, bytes) in self.page.iter().zip(block.as_chunks_mut().0) {
            *bytes = word.load(Relaxed).to_le_bytes();
        }
        let differences = pattern::differences(&block, number);
        self.health.complete(REQUESTS, 1);
        Ok(differences)
    }

    /// The block in the page.
    fn span(&self) -> Span {
        match self.page.span(0, BLOCK as u32) {
            Some(span) => span,
            None => panic!("a block is larger than a page"),
        }
    }

    /// Blocks that there is room for.
    fn blocks(&self) -> u64 {
        (self.scratch.end - self.scratch.start) / SECTORS
    }

    fn sector(&self, number: u64) -> u64 {
        self.scratch.start + number % self.blocks() * SECTORS
    }

    fn save(&mut self) {
        // The box has room for this one record.
        let _ = self.records.put(0, &self.sequence);
    }
}
