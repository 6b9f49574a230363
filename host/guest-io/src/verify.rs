//! Blocks at random places are written, read again and compared, by many at a time, each with blocks of its own.

use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use guest_io::blocks::{BLOCK, Disk, Room, difference, fill};

/// The most blocks in a row.
const ROW: u64 = 16;

/// How often it is said how far it is.
const REPORT: Duration = Duration::from_millis(500);

#[derive(Args)]
pub struct Options {
    /// The disk
    disk: PathBuf,
    /// The first block
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many blocks
    #[arg(long, default_value_t = 4096)]
    blocks: u64,
    /// How many do so at a time
    #[arg(long, default_value_t = 1)]
    depth: u64,
    /// For how many seconds; for ever if 0
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// One in so many operations is a flush
    #[arg(long, default_value_t = 16)]
    flush: u64,
    /// Where chance begins
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What was done since the last report.
#[derive(Default)]
struct Done {
    operations: u64,
    longest: Duration,
}

/// Does so for the time that was asked for, then reads everything once more.
pub fn run(options: &Options) -> Result<()> {
    let disk = Disk::open(&options.disk)?;
    let end = (options.seconds > 0).then(|| Instant::now() + Duration::from_secs(options.seconds));
    let done = Mutex::new(Done::default());
    let share = options.blocks / options.depth;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..options.depth)
            .map(|number| {
                let mut worker = Worker {
                    disk: &disk,
                    first: options.first + number * share,
                    versions: vec![0; share as usize],
                    random: fastrand::Rng::with_seed(options.seed * 1000 + number),
                    room: Room::new(ROW as usize * BLOCK),
                    done: &done,
                    flush: options.flush,
                };
                scope.spawn(move || worker.work(end))
            })
            .collect();
        let mut total = 0;
        while workers.iter().all(|worker| !worker.is_finished()) {
            thread::sleep(REPORT);
            let Done { operations, longest } = std::mem::take(&mut *lock(&done));
            total += operations;
            println!("guest: verified {total} longest_us={}", longest.as_micros());
        }
        for worker in workers {
            match worker.join() {
                Ok(result) => result?,
                Err(_) => bail!("a thread has ended itself"),
            }
        }
        println!("guest: verify done {total}");
        Ok(())
    })
}

fn lock(done: &Mutex<Done>) -> std::sync::MutexGuard<'_, Done> {
    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

struct Worker<'a> {
    disk: &'a Disk,
    first: u64,
    /// Of each block, how often it was written.
    versions: Vec<u64>,
    random: fastrand::Rng,
    room: Room,
    done: &'a Mutex<Done>,
    flush: u64,
}

impl Worker<'_> {
    fn work(&mut self, end: Option<Instant>) -> Result<()> {
        while end.is_none_or(|end| Instant::now() < end) {
            let started = Instant::now();
            if self.random.u64(0..self.flush) == 0 {
                self.disk.flush()?;
            } else {
                let from = self.random.u64(0..self.versions.len() as u64);
                let count = self.random.u64(1..=ROW).min(self.versions.len() as u64 - from);
                if self.random.bool() { self.write(from, count)? } else { self.read(from, count)? }
            }
            let took = started.elapsed();
            let mut done = lock(self.done);
            done.operations += 1;
            done.longest = done.longest.max(took);
        }
        for from in 0..self.versions.len() as u64 {
            self.read(from, 1)?;
        }
        Ok(())
    }

    fn write(&mut self, from: u64, count: u64) -> Result<()> {
        let bytes = &mut self.room.bytes()[..count as usize * BLOCK];
        for (place, block) in (from..).zip(bytes.chunks_exact_mut(BLOCK)) {
            let version = &mut self.versions[place as usize];
            *version += 1;
            fill(block, self.first + place, *version);
        }
        self.disk.write(self.first + from, bytes)
    }

    fn read(&mut self, from: u64, count: u64) -> Result<()> {
        let bytes = &mut self.room.bytes()[..count as usize * BLOCK];
        self.disk.read(self.first + from, bytes)?;
        for (place, block) in (from..).zip(bytes.chunks_exact(BLOCK)) {
            let version = self.versions[place as usize];
            if version > 0
                && let Some(word) = difference(block, self.first + place, version)
            {
                bail!("block {} is not version {version} from word {word} on", self.first + place);
            }
        }
        Ok(())
    }
}
