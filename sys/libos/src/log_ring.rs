//! `log` into the ring that root drains.

use crate::{clock, start};
use core::sync::atomic::AtomicU64;
use log::{Level, LevelFilter, Log, Metadata, Record};
use uk_abi::log_ring::{self, LogWriter};

struct Ring;

impl Log for Ring {
    /// What the crate of the drivers tells about each start is for its developers.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn || !metadata.target().starts_with("virtio_drivers")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // A ring that is too small takes nothing: root checks its size when it builds the domain.
        if let Ok(writer) = writer() {
            writer.write(level(record.level()), clock::now_us(), *record.args());
        }
    }

    fn flush(&self) {}
}

/// Has root print a line, which may be lost neither here nor there: the caller tries again later if there is no room for it now, and
/// so this answers false.
pub fn write_if_room(line: core::fmt::Arguments<'_>) -> bool {
    writer().is_ok_and(|writer| writer.write_if_room(log_ring::Level::Info, clock::now_us(), line))
}

/// Another number after each line that was written, in this life and those before it in this domain: so a life that finds the number
/// that another has noted knows that nothing was written since.
pub fn position() -> u64 {
    writer().map_or(0, |writer| writer.position())
}

fn writer() -> Result<LogWriter<&'static [AtomicU64]>, log_ring::RingTooSmall> {
    LogWriter::new(start::words(start::boot_info().log))
}

fn level(level: Level) -> log_ring::Level {
    match level {
        Level::Error => log_ring::Level::Error,
        Level::Warn => log_ring::Level::Warn,
        Level::Info => log_ring::Level::Info,
        Level::Debug => log_ring::Level::Debug,
        Level::Trace => log_ring::Level::Trace,
    }
}

/// Has `log`'s macros write to the ring.
pub(crate) fn init() {
    // It cannot be set twice in a life: the statics are as the image brought them.
    let _ = log::set_logger(&Ring);
    log::set_max_level(LevelFilter::Info);
}
