//! Disks, whatever drives them: commands in, completions out, many at a time.

use crate::interrupt::Interrupt;
use crate::nvme::Nvme;
use crate::virtio::{DeviceError, Disk};
use alloc::boxed::Box;
use uk_abi::device_info::{DeviceInfo, IrqKind};

mod page;
pub use page::{DmaPage, Span};

/// Bytes in a sector, the unit of addresses.
pub const SECTOR: u32 = 512;

/// How a disk forgets sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discard {
    /// The unit in which it does, in bytes.
    pub granularity: u32,
    /// The most sectors at a time.
    pub max_sectors: u64,
}

/// What a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its size, in sectors of 512 bytes.
    pub sectors: u64,
    /// The unit in which it reads and writes, in bytes.
    pub sector_size: u32,
    /// The unit in which it does so best, in bytes.
    pub physical_sector_size: u32,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// Whether what is written may be lost with the power until it is flushed.
    pub has_cache: bool,
    /// How it forgets sectors, if it can.
    pub discard: Option<Discard>,
    /// The most spans that a command can have.
    pub max_spans: usize,
    /// Whether spans may begin and end anywhere; else all but the first begin, and all but the last end, where a page does.
    pub takes_gaps: bool,
}

/// What a disk shall do.
#[derive(Clone, Copy, Debug)]
pub enum Command<'a> {
    /// Read, from this sector on, into these.
    Read(u64, &'a [Span]),
    /// Write, from this sector on, from these.
    Write(u64, &'a [Span]),
    /// Let everything whose completion was reported be on the medium.
    Flush,
    /// Forget so many sectors, from this one on.
    Discard(u64, u64),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// The device works, and cannot do this: a bad sector.
    Failed,
    /// The device does not know how to do this.
    Unsupported,
    /// It was called off, and may or may not have been done.
    Aborted,
}

/// There is no room for the command now; there may be after the next completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// The driver of a disk, with the device in its hands: dropped, it resets the device first.
///
/// A driver believes the device as little as it must: whatever that says leads to an outcome or a [stop](Driver::is_stopped), and
/// never to a wrong place in memory.
pub trait Driver {
    /// What the disk is.
    fn facts(&self) -> &Facts;

    /// Looks at the size of the disk, which may grow while it works: as many sectors as [`facts`](Driver::facts) says from then on. Disks
    /// of which this driver does not know how to ask keep the size that they had when it was set up.
    fn look_at_size(&mut self) {}

    /// Takes on a command under a name. The device hears of it at the next [`kick`](Driver::kick). Commands that are under way
    /// together are in no order.
    ///
    /// # Errors
    /// [`Busy`].
    fn submit(&mut self, name: u64, command: &Command<'_>) -> Result<(), Busy>;

    /// Tells the device of what it has not been told of.
    fn kick(&mut self);

    /// The next command that has ended, if there is one, and how. The device need not interrupt for it: see [`arm`](Driver::arm).
    fn completion(&mut self) -> Option<(u64, Outcome)>;

    /// Has the device interrupt for the next command that ends. Returns whether one has ended meanwhile, for which it may not:
    /// whoever has seen `false` may sleep.
    fn arm(&mut self) -> bool;

    /// Answers the interrupt of a device that holds its line until then.
    fn acknowledge(&mut self);

    /// Whether the device works no more, or has said what cannot be, and must be reset.
    fn is_stopped(&self) -> bool;
}

/// Resets `device` and sets it up; none if there is no driver for it. Its interrupt goes to whoever has an [`Interrupt`] of it.
///
/// # Errors
/// [`DeviceError`].
pub fn drive(device: &'static DeviceInfo) -> Option<Result<Box<dyn Driver>, DeviceError>> {
    let virtio = Disk::new(device).map(|disk| disk.map(|disk| Box::new(disk) as Box<dyn Driver>));
    virtio.or_else(|| Nvme::new(device).map(|disk| disk.map(|disk| Box::new(disk) as Box<dyn Driver>)))
}

/// Ends an interrupt of `driver`'s device, which its interrupt has told of.
pub fn acknowledge(driver: &mut dyn Driver, interrupt: &Interrupt) {
    if interrupt.kind() == IrqKind::Intx {
        driver.acknowledge();
        interrupt.done();
    }
}
