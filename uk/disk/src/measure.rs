//! What a disk does for its driver, with nobody in between: what guests see is held against it.
//!
//! The patterns, and the lines that tell of them, are those of the program that measures in guests.

use crate::plain::Disk;
use alloc::vec::Vec;
use core::ops::Range;
use libos::block::{Command, DmaPage, SECTOR, Span};
use libos::clock;
use libos::xen_abi::PAGE_SIZE;

/// Pages of a command that is one of a row, and how many such make a MiB.
const ROW_PAGES: usize = 16;
const ROW_COMMANDS: usize = (1 << 20) / (ROW_PAGES * PAGE_SIZE as usize);

/// Commands under way at most.
const DEPTH: usize = 32;

/// How long each pattern is measured at a time.
const PERIOD_US: u64 = 1_000_000;

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pattern {
    Read,
    Write,
    Mixed,
    Fsync,
    ReadRow,
    WriteRow,
}

impl Pattern {
    const ALL: [(Pattern, &'static str); 6] = [
        (Self::Read, "read"),
        (Self::Write, "write"),
        (Self::Mixed, "mixed"),
        (Self::Fsync, "fsync"),
        (Self::ReadRow, "read-row"),
        (Self::WriteRow, "write-row"),
    ];

    fn is_row(self) -> bool {
        matches!(self, Self::ReadRow | Self::WriteRow)
    }
}

/// Measures every pattern on these sectors, so many times each, and logs what came of it.
///
/// # Panics
/// If there is too little DMA memory, or the disk fails.
pub async fn run(mut disk: Disk, sectors: Range<u64>, runs: usize) {
    let pages: Vec<_> = (0..ROW_PAGES * ROW_COMMANDS).map_while(|_| DmaPage::new()).collect();
    let spans: Vec<_> = pages.iter().filter_map(|page| page.span(0, PAGE_SIZE as u32)).collect();
    assert!(spans.len() == ROW_PAGES * ROW_COMMANDS, "there is too little DMA memory");
    for (pattern, name) in Pattern::ALL {
        for depth in [1, DEPTH] {
            for _ in 0..runs {
                let (took_us, mut times) = measure(&mut disk, &sectors, &spans, pattern, depth).await;
                times.sort_unstable();
                let at =
                    |part: usize| times.get((times.len() * part / 1000).min(times.len().max(1) - 1)).copied();
                log::info!(
                    "measured pattern={name} depth={depth} operations={} took_us={took_us} p50={} p99={} p999={} max={}",
                    times.len(),
                    at(500).unwrap_or(0),
                    at(990).unwrap_or(0),
                    at(999).unwrap_or(0),
                    at(1000).unwrap_or(0),
                );
            }
        }
    }
    log::info!("measured all");
}

/// Does it for a period; answers how long that was, and how long each operation took, in microseconds.
async fn measure(
    disk: &mut Disk,
    sectors: &Range<u64>,
    spans: &[Span],
    pattern: Pattern,
    depth: usize,
) -> (u64, Vec<u32>) {
    // One MiB after the other is made of smaller commands, all of one MiB under way together.
    let (depth, pages) = if pattern.is_row() { (ROW_COMMANDS, ROW_PAGES) } else { (depth, 1) };
    let unit = (pages * PAGE_SIZE as usize) as u64 / u64::from(SECTOR);
    let places = (sectors.end - sectors.start) / unit;
    let (mut random, mut next) = (0x2545_f491_4f6c_dd1d_u64, 0);
    let mut times = Vec::new();
    let mut begun = [0; DEPTH];
    let mut under_way = 0;
    let started_us = clock::now_us();
    let mut free: Vec<usize> = (0..depth).collect();
    loop {
        let now_us = clock::now_us();
        if now_us < started_us + PERIOD_US {
            while let Some(slot) = free.pop() {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                next += 1;
                let place = if pattern.is_row() { next } else { random } % places;
                let (sector, data) = (sectors.start + place * unit, &spans[slot * pages..(slot + 1) * pages]);
                let command = match pattern {
                    Pattern::Mixed if random >> 32 & 15 == 0 => Command::Flush,
                    Pattern::Mixed if random >> 36 & 1 == 0 => Command::Read(sector, data),
                    Pattern::Read | Pattern::ReadRow => Command::Read(sector, data),
                    Pattern::Write | Pattern::WriteRow | Pattern::Fsync | Pattern::Mixed => {
                        Command::Write(sector, data)
                    }
                };
                if disk.driver.submit(slot as u64, &command).is_err() {
                    free.push(slot);
                    break;
                }
                (begun[slot], under_way) = (now_us, under_way + 1);
            }
            disk.driver.kick();
        } else if under_way == 0 {
            break;
        }
        let mut any = false;
        while let Some((slot, _)) = disk.driver.completion() {
            (under_way, any) = (under_way - 1, true);
            let slot = slot as usize;
            if pattern == Pattern::Fsync && slot < DEPTH {
                // The same operation goes on with a flush, by a name of its own.
                if disk.driver.submit((slot + DEPTH) as u64, &Command::Flush).is_ok() {
                    under_way += 1;
                    disk.driver.kick();
                    continue;
                }
            }
            let slot = slot % DEPTH;
            times.push((clock::now_us() - begun[slot]) as u32);
            free.push(slot);
        }
        if !any {
            disk.wait().await;
        }
    }
    let took_us = clock::now_us() - started_us;
    if pattern.is_row() {
        // A MiB took as long as the commands that it is made of, which were under way together.
        let whole = times.chunks_exact(ROW_COMMANDS).map(|parts| parts.iter().copied().max().unwrap_or(0));
        times = whole.collect();
    }
    (took_us, times)
}
