//! The disks with their drivers, and the volumes on them: what the backend gives its commands to.
//!
//! A driver's code may crash without the rest: that is noticed here, and from then on nothing is submitted until
//! [`Storage::restart`].

use crate::memory::Memory;
use alloc::boxed::Box;
use alloc::vec::Vec;
use blkback::device::{self, Busy, Command, CommandId, Completion, Device};
use blkback::geometry::{Discard, Geometry};
use blkback::{VbdId, device::Outcome};
use core::fmt;
use libos::block::{self, Driver, Facts, Span};
use libos::contain::{Crashed, contain};
use libos::fault;
use libos::interrupt::Interrupt;
use libos::time::{Duration, Instant};
use libos::uk_abi::device_info::DeviceInfo;
use libos::virtio::DeviceError;
use shadow::Patience;
use volume::{Extent, Layout, SECTOR};

/// Why the drivers have to be restarted.
#[derive(Clone, Copy, Debug)]
pub enum DriverFault {
    /// Its code has crashed.
    Crashed(Crashed),
    /// The device works no more, or says what cannot be.
    Stopped,
    /// It has finished what it was not given, or has failed at everything lately.
    Wrong,
    /// Root says that it stalls.
    Stalls,
    /// It has had something, and has finished nothing.
    Hangs {
        /// At so many looks in a row.
        looks: u32,
    },
}

impl DriverFault {
    /// Whether it did nothing any more, rather than something wrong.
    pub fn is_hang(self) -> bool {
        matches!(self, Self::Stalls | Self::Hangs { .. })
    }
}

impl fmt::Display for DriverFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crashed(crashed) => crashed.fmt(f),
            Self::Stopped => f.write_str("the device has stopped"),
            Self::Wrong => f.write_str("it has answered what it was not asked, or failed at everything"),
            Self::Stalls => f.write_str("root says that it stalls"),
            Self::Hangs { looks } => write!(f, "it has finished nothing at {looks} looks in a row"),
        }
    }
}

/// A disk and its driver.
struct Drive {
    info: &'static DeviceInfo,
    driver: Box<dyn Driver>,
    facts: Facts,
}

/// How a driver is to fail next: for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Not at all.
    None,
    /// By a trap.
    Crash,
    /// By doing nothing any more.
    Hang,
}

/// From one look of the probe to the next: a period of the heart.
pub const PROBE_PERIOD: Duration = Duration::from_millis(5);

/// With what devices are trusted that are not known yet, in looks: the least that any is, sixty milliseconds, if none of the looks is late;
/// and while a flush is under way, which takes as long as the medium has to write.
const PATIENCE: u32 = Patience::LEAST;
const FLUSH_PATIENCE: u32 = 20;

/// What devices are doing while nothing ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Doing {
    /// They read and write.
    #[default]
    Quick,
    /// They flush, among other things.
    Flush,
}

/// What the probe has seen of the devices.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// How many commands had ended by its last look.
    ended: u64,
    /// Whether the devices were asked since then what has ended.
    was_asked: bool,
    /// At how many looks in a row something was under way, and nothing had ended; and what, at the last of them.
    looks: u32,
    doing: Doing,
    /// For how many nothing may end, by what they do.
    patience: [Patience; 2],
}

impl Default for Seen {
    fn default() -> Self {
        let patience = [PATIENCE, FLUSH_PATIENCE].map(Patience::new);
        Self { ended: 0, was_asked: false, looks: 0, doing: Doing::Quick, patience }
    }
}

impl Seen {
    /// The patience with what is being done.
    fn patience(&mut self) -> &mut Patience {
        &mut self.patience[self.doing as usize]
    }
}

/// What was done, for who watches: units of work taken on and completed since the last look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// Taken on.
    pub taken: u64,
    /// Completed.
    pub done: u64,
}

/// All disks.
pub struct Storage {
    drives: Vec<Drive>,
    /// Where the volume of each frontend is.
    volumes: Vec<Option<Extent>>,
    memory: Memory,
    /// For the length of a call, kept for its memory.
    spans: Vec<Span>,
    /// The flushes that the devices have.
    flushes: Vec<CommandId>,
    under_way: usize,
    /// How many commands have ended, ever.
    ended: u64,
    /// What the probe has seen.
    seen: Seen,
    /// How the command ended that is not the backend's.
    aside: Option<block::Outcome>,
    aside_is_under_way: bool,
    work: Work,
    fault: Option<DriverFault>,
    /// How the driver is to fail.
    pub harm: Harm,
}

/// The name of a command that is not the backend's, whose names have a token below the highest in them.
const ASIDE: u64 = u64::MAX;

impl Storage {
    /// Sets up all disks among `devices`.
    ///
    /// # Errors
    /// [`DeviceError`], of the first that cannot be driven.
    pub fn new(
        devices: impl Iterator<Item = &'static DeviceInfo>,
        memory: Memory,
    ) -> Result<(Self, Vec<Interrupt>), DeviceError> {
        let (mut drives, mut interrupts) = (Vec::new(), Vec::new());
        for info in devices {
            let Some(driver) = block::drive(info) else { continue };
            let driver = driver?;
            let facts = *driver.facts();
            interrupts.push(Interrupt::of(info)?);
            drives.push(Drive { info, driver, facts });
        }
        let storage = Self {
            drives,
            volumes: Vec::new(),
            memory,
            spans: Vec::new(),
            flushes: Vec::new(),
            under_way: 0,
            ended: 0,
            seen: Seen::default(),
            aside: None,
            aside_is_under_way: false,
            work: Work::default(),
            fault: None,
            harm: Harm::None,
        };
        Ok((storage, interrupts))
    }

    /// What the disks are.
    pub fn facts(&self) -> impl ExactSizeIterator<Item = &Facts> {
        self.drives.iter().map(|drive| &drive.facts)
    }

    /// Says where the volume of a frontend is.
    pub fn set_volume(&mut self, id: VbdId, extent: Extent) {
        let place = usize::from(id.0);
        if self.volumes.len() <= place {
            self.volumes.resize(place + 1, None);
        }
        self.volumes[place] = Some(extent);
    }

    /// Looks at how large the disks are now.
    pub fn look_at_sizes(&mut self) {
        if self.fault.is_some() || self.harm == Harm::Hang {
            return;
        }
        for drive in &mut self.drives {
            let Drive { driver, facts, .. } = drive;
            match contain(|| driver.look_at_size()) {
                Ok(()) => *facts = *driver.facts(),
                Err(crashed) => self.fault = Some(DriverFault::Crashed(crashed)),
            }
        }
    }

    /// Where a volume is now: a whole disk, which no partition begins where it does, is as large as the disk has become.
    pub fn now(&self, extent: &Extent) -> Extent {
        let disk = self.drives.get(usize::from(extent.disk.0)).filter(|_| extent.first == 0);
        Extent { sectors: disk.map_or(extent.sectors, |drive| drive.facts.sectors), ..*extent }
    }

    /// What a frontend with this volume is told of it.
    pub fn geometry(&self, extent: &Extent, reads: bool) -> Option<Geometry> {
        let facts = &self.drives.get(usize::from(extent.disk.0))?.facts;
        let unit = u64::from(facts.physical_sector_size / SECTOR);
        let first_byte = extent.first * u64::from(SECTOR);
        Some(Geometry {
            sectors: extent.sectors / unit * unit,
            sector_size: facts.sector_size,
            physical_sector_size: facts.physical_sector_size,
            read_only: reads || facts.read_only,
            cdrom: false,
            has_cache: facts.has_cache,
            discard: facts.discard.map(|discard| Discard {
                granularity: discard.granularity,
                alignment: first_byte.next_multiple_of(discard.granularity.into()).wrapping_sub(first_byte)
                    as u32,
                secure: false,
            }),
        })
    }

    /// Begins a command that is not the backend's, on a disk as a whole. There is one such command at a time.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn submit_aside(&mut self, disk: usize, command: &block::Command<'_>) -> Result<(), Busy> {
        self.aside = None;
        self.submit_as(disk, ASIDE, command)?;
        self.aside_is_under_way = true;
        if matches!(command, block::Command::Flush) {
            self.flushes.push(CommandId(ASIDE));
        }
        self.kick();
        Ok(())
    }

    /// How that command ended, once it has.
    pub fn aside(&mut self) -> Option<block::Outcome> {
        self.aside.take()
    }

    fn submit_as(&mut self, disk: usize, name: u64, command: &block::Command<'_>) -> Result<(), Busy> {
        if self.fault.is_some() {
            return Err(Busy);
        }
        let drive = self.drives.get_mut(disk).ok_or(Busy)?;
        match self.harm {
            Harm::Hang => {}
            _ => {
                let driver = &mut drive.driver;
                let taken = contain(|| driver.submit(name, command));
                match taken {
                    Ok(taken) => taken.map_err(|block::Busy| Busy)?,
                    Err(crashed) => {
                        self.fault = Some(DriverFault::Crashed(crashed));
                        return Err(Busy);
                    }
                }
            }
        }
        self.under_way += 1;
        self.work.taken += 1;
        Ok(())
    }

    /// Tells the devices of what they have not been told of.
    pub fn kick(&mut self) {
        if self.fault.is_some() || self.harm == Harm::Hang {
            return;
        }
        for drive in &mut self.drives {
            if let Err(crashed) = contain(|| drive.driver.kick()) {
                self.fault = Some(DriverFault::Crashed(crashed));
            }
        }
    }

    /// Has the devices interrupt for what ends next. Returns whether something has ended meanwhile.
    pub fn arm(&mut self) -> bool {
        if self.fault.is_some() || self.harm == Harm::Hang {
            return false;
        }
        let drives = &mut self.drives;
        let armed = contain(|| drives.iter_mut().fold(false, |any, drive| any | drive.driver.arm()));
        armed.unwrap_or_else(|crashed| {
            self.fault = Some(DriverFault::Crashed(crashed));
            true
        })
    }

    /// How many commands the devices have, but for flushes, which take as long as the medium has to write.
    pub fn quick_ones(&self) -> usize {
        self.under_way.saturating_sub(self.flushes.len())
    }

    /// How many commands have ended, ever.
    pub fn ended_ever(&self) -> u64 {
        self.ended
    }

    /// Ends the interrupts of devices that hold their lines.
    pub fn acknowledge(&mut self, interrupts: &[Interrupt]) {
        for (drive, interrupt) in self.drives.iter_mut().zip(interrupts) {
            if let Err(crashed) = contain(|| block::acknowledge(&mut *drive.driver, interrupt)) {
                self.fault = Some(DriverFault::Crashed(crashed));
            }
        }
    }

    /// Looks at the devices themselves, and whether they have finished anything since the last look. Returns whether they are to be
    /// asked what has ended: an interrupt may be late, or lost.
    ///
    /// Time is counted in looks, and only those count before which the devices were asked: while nobody here has the processor, no
    /// time passes for them.
    pub fn probe(&mut self) -> bool {
        if self.drives.iter().any(|drive| drive.driver.is_stopped()) {
            self.fault.get_or_insert(DriverFault::Stopped);
            return true;
        }
        let seen = &mut self.seen;
        let was_asked = core::mem::take(&mut seen.was_asked);
        if core::mem::replace(&mut seen.ended, self.ended) != self.ended {
            let looks = core::mem::take(&mut seen.looks);
            seen.patience().took(looks);
        }
        if self.under_way == 0 {
            seen.looks = 0;
            return false;
        }
        seen.looks += u32::from(was_asked);
        seen.doing = if self.flushes.is_empty() { Doing::Quick } else { Doing::Flush };
        let looks = seen.looks;
        if seen.patience().ends_at(looks) {
            self.fault.get_or_insert(DriverFault::Hangs { looks });
        }
        true
    }

    /// Notes that the driver is at fault, for a reason that was found elsewhere.
    pub fn blame(&mut self, fault: DriverFault) {
        self.fault.get_or_insert(fault);
    }

    /// What is wrong with a driver, if something is.
    pub fn fault(&self) -> Option<DriverFault> {
        self.fault
    }

    /// Resets the devices and gives them new drivers. What they had is forgotten.
    ///
    /// # Errors
    /// [`DeviceError`].
    ///
    /// # Panics
    /// If a driver cannot let go of its device.
    pub fn restart(&mut self) -> Result<(), DeviceError> {
        let begun = Instant::now();
        let infos: Vec<_> = self.drives.iter().map(|drive| drive.info).collect();
        let drives = core::mem::take(&mut self.drives);
        if let Err(crashed) = contain(|| drop(drives)) {
            panic!("a driver cannot let go of its device: {crashed}");
        }
        for info in infos {
            let driver = block::drive(info).unwrap_or(Err(DeviceError::Reset))?;
            let facts = *driver.facts();
            self.drives.push(Drive { info, driver, facts });
        }
        self.work.done += core::mem::take(&mut self.under_way) as u64;
        self.flushes.clear();
        if core::mem::take(&mut self.aside_is_under_way) {
            self.aside = Some(block::Outcome::Aborted);
        }
        // Some devices end a reset only when they have done what they were given: the time counts as if they had been looked at.
        let looks = (begun.elapsed().as_micros() / PROBE_PERIOD.as_micros()) as u32;
        if matches!(self.fault, Some(DriverFault::Hangs { .. })) {
            self.seen.patience().ended(looks);
        }
        self.seen.looks = looks;
        (self.fault, self.harm) = (None, Harm::None);
        Ok(())
    }

    /// What was done since the last look.
    pub fn work(&mut self) -> Work {
        core::mem::take(&mut self.work)
    }

    /// The next command that has ended, by its name.
    fn ended(&mut self) -> Option<(u64, block::Outcome)> {
        self.seen.was_asked = true;
        if self.fault.is_some() || self.harm == Harm::Hang {
            return None;
        }
        let (drives, harm) = (&mut self.drives, self.harm);
        let ended = contain(|| {
            if harm == Harm::Crash {
                fault::crash();
            }
            drives.iter_mut().find_map(|drive| drive.driver.completion())
        });
        match ended {
            Ok(ended) => ended,
            Err(crashed) => {
                self.fault = Some(DriverFault::Crashed(crashed));
                None
            }
        }
    }

    /// The next command of the backend's that has ended, by its name.
    fn ended_for_backend(&mut self) -> Option<(u64, block::Outcome)> {
        loop {
            let (name, outcome) = self.ended()?;
            self.under_way = self.under_way.saturating_sub(1);
            self.ended += 1;
            self.work.done += 1;
            self.flushes.retain(|flush| flush.0 != name);
            if name != ASIDE {
                return Some((name, outcome));
            }
            (self.aside, self.aside_is_under_way) = (Some(outcome), false);
        }
    }

    /// Passes over what has ended. Returns whether the devices have nothing any more.
    pub fn drain(&mut self) -> bool {
        while self.ended_for_backend().is_some() {}
        self.under_way == 0
    }
}

impl Device for Storage {
    fn max_pieces(&self) -> usize {
        self.facts().map(|facts| facts.max_spans).min().unwrap_or(1)
    }

    fn takes_gaps(&self) -> bool {
        self.facts().all(|facts| facts.takes_gaps)
    }

    fn submit(&mut self, id: CommandId, volume: device::Volume, command: Command<'_>) -> Result<(), Busy> {
        let extent = self.volumes.get(usize::from(volume.0)).copied().flatten().ok_or(Busy)?;
        let disk = usize::from(extent.disk.0);
        let mut spans = core::mem::take(&mut self.spans);
        spans.clear();
        let place = |sector, sectors| extent.place(sector, sectors).map(|extent| extent.first).ok_or(Busy);
        let bytes = |pieces: &[device::Piece]| pieces.iter().map(|piece| u64::from(piece.bytes)).sum::<u64>();
        let submitted = (|| {
            let command = match command {
                Command::Read { sector, pieces } | Command::Write { sector, pieces } => {
                    let first = place(sector, bytes(pieces) / u64::from(SECTOR))?;
                    for piece in pieces {
                        spans.push(self.memory.span(piece).ok_or(Busy)?);
                    }
                    match command {
                        Command::Write { .. } => block::Command::Write(first, &spans),
                        _ => block::Command::Read(first, &spans),
                    }
                }
                Command::Flush => block::Command::Flush,
                Command::Discard { sector, sectors, .. } => {
                    // Forgetting is a favour: more than the device takes at a time stays as it is.
                    let most = self.drives[disk].facts.discard.map_or(sectors, |discard| discard.max_sectors);
                    let sectors = sectors.min(most);
                    block::Command::Discard(place(sector, sectors)?, sectors)
                }
            };
            self.submit_as(disk, id.0, &command)?;
            if matches!(command, block::Command::Flush) {
                self.flushes.push(id);
            }
            Ok(())
        })();
        self.spans = spans;
        submitted
    }

    fn completion(&mut self) -> Option<Completion> {
        let (name, outcome) = self.ended_for_backend()?;
        let outcome = match outcome {
            block::Outcome::Done => Outcome::Done,
            block::Outcome::Failed => Outcome::Failed,
            block::Outcome::Unsupported => Outcome::Unsupported,
            block::Outcome::Aborted => Outcome::Aborted,
        };
        Some(Completion { command: CommandId(name), outcome })
    }
}
