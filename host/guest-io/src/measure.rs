//! How many operations a disk does in a second, and how long each takes.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use guest_io::blocks::{BLOCK, Disk, Room};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pattern {
    /// Read blocks at random places.
    Read,
    /// Write blocks at random places.
    Write,
    /// Read or write a block at a random place, and flush now and then.
    Mixed,
    /// Write a block, then flush.
    Fsync,
    /// Read a MiB after the other.
    ReadRow,
    /// Write a MiB after the other.
    WriteRow,
}

/// One in so many operations of [`Pattern::Mixed`] is a flush.
const FLUSH_EVERY: u64 = 16;

#[derive(Args)]
pub struct Options {
    /// The disk
    disk: PathBuf,
    /// What is done
    #[arg(long, value_enum)]
    pattern: Pattern,
    /// How many do so at a time
    #[arg(long, default_value_t = 1)]
    depth: usize,
    /// For how many milliseconds
    #[arg(long, default_value_t = 2000)]
    milliseconds: u64,
    /// Blocks of the disk that are used
    #[arg(long, default_value_t = 8192)]
    blocks: u64,
}

/// Measures, and says what came of it.
pub fn run(options: &Options) -> Result<()> {
    let disk = Disk::open(&options.disk)?;
    let started = Instant::now();
    let end = started + Duration::from_millis(options.milliseconds);
    let times = thread::scope(|scope| {
        let workers: Vec<_> = (0..options.depth)
            .map(|number| {
                scope.spawn({
                    let disk = &disk;
                    move || work(disk, options, number, end)
                })
            })
            .collect();
        let mut times = Vec::new();
        for worker in workers {
            match worker.join() {
                Ok(more) => times.append(&mut more?),
                Err(_) => bail!("a thread has ended itself"),
            }
        }
        Ok(times)
    })?;
    let took = started.elapsed();
    report(options, times, took);
    Ok(())
}

fn work(disk: &Disk, options: &Options, number: usize, end: Instant) -> Result<Vec<Duration>> {
    let row = matches!(options.pattern, Pattern::ReadRow | Pattern::WriteRow);
    let blocks = if row { (1 << 20) / BLOCK as u64 } else { 1 };
    let places = options.blocks / blocks;
    let mut room = Room::new(blocks as usize * BLOCK);
    let mut random = fastrand::Rng::with_seed(number as u64 + 1);
    random.fill(room.bytes());
    let (mut times, mut next) = (Vec::new(), number as u64);
    // An operation begins when the one before has ended: in some guests it takes as long to ask the time as to ask the disk.
    let mut started = Instant::now();
    while started < end {
        let place = if row { next % places } else { random.u64(0..places) };
        next += options.depth as u64;
        match options.pattern {
            Pattern::Read | Pattern::ReadRow => disk.read(place * blocks, room.bytes())?,
            Pattern::Write | Pattern::WriteRow => disk.write(place * blocks, room.bytes())?,
            Pattern::Mixed if random.u64(0..FLUSH_EVERY) == 0 => disk.flush()?,
            Pattern::Mixed if random.bool() => disk.read(place * blocks, room.bytes())?,
            Pattern::Mixed => disk.write(place * blocks, room.bytes())?,
            Pattern::Fsync => {
                disk.write(place * blocks, room.bytes())?;
                disk.flush()?;
            }
        }
        let ended = Instant::now();
        times.push(ended - started);
        started = ended;
    }
    Ok(times)
}

fn report(options: &Options, mut times: Vec<Duration>, took: Duration) {
    times.sort_unstable();
    let at = |part: f64| {
        let place = ((times.len() as f64 * part) as usize).min(times.len().saturating_sub(1));
        times.get(place).map_or(0, |time| time.as_micros())
    };
    let name = options.pattern.to_possible_value();
    println!(
        "guest: measured pattern={} depth={} operations={} took_us={} p50={} p99={} p999={} max={}",
        name.as_ref().map_or("", |name| name.get_name()),
        options.depth,
        times.len(),
        took.as_micros(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
    );
}
