//! The backend at work: frontends on one side, disks on the other, and what happens when one of them fails.
//!
//! | what fails | is noticed by | and repaired by |
//! |---|---|---|
//! | a driver | its crash, the device's state, or that nothing is finished | a reset of the device and a new driver |
//! | the backend | its crash, or that it does not run when it is told to | a new backend, made from the journal |
//! | the backend of one disk | requests that wait in its rings and are not taken | what it knows of them, made anew |
//! | the uk | root | root |
//!
//! Nothing here waits: see `run`.

use crate::frontend::{ConnectError, Frontend, is_there};
use crate::memory::Memory;
use crate::records::{Connection, Frontends};
use crate::storage::{DriverFault, Storage};
use crate::vigil::Vigil;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use blkback::device::Volume;
use blkback::keys::Offer;
use blkback::{Blkback, Disk, Limits, Reason, Report, VbdId};
use core::sync::atomic::AtomicU64;
use core::task::{Context, Poll};
use libos::contain::contain;
use libos::grant::MapError;
use libos::interrupt::Interrupt;
use libos::recovery_box::TooSmall;
use libos::uk_abi::boot_info::BootReason;
use libos::uk_abi::health::HealthPage;
use libos::{Uk, clock, fault};
use shadow::{Attempts, Part, Repaired};
use volume::{Extent, Holder};

/// Requests that can be under way, and queues that can be connected, together.
const SLOTS: usize = 320;
const QUEUES: usize = 64;

/// What a frontend is offered. Rings of one page are what Linux asks for; a bounce buffer has room for a request of 1 MiB; and nearly as many
/// pages stay mapped as Linux uses for a ring full of its largest requests, which is as many as a grant window can have.
pub const OFFER: Offer =
    Offer { max_queues: 4, max_ring_page_order: 2, max_indirect_segments: 256, persistent_grants: 960 };

/// When requests have waited in a ring at so many looks, nothing of that disk's is under way, and nothing is answered, its backend
/// hangs. At the first the backend is told to run.
const PATIENCE: u32 = 3;

/// Once in so many looks of the probe, those are looked at, too, which change seldom: the sizes of disks.
const LOOKS_PER_SIZE: u32 = 100;

/// Pages of the rings of one frontend at most.
const RING_PAGES: usize = (OFFER.max_queues as usize) << OFFER.max_ring_page_order;

/// Parts whose progress root watches, by their pairs of counters: commands that the devices have, and requests of guests.
pub mod part {
    /// The drivers.
    pub const DRIVER: usize = 0;
    /// The backend.
    pub const BACKEND: usize = 1;
}

type Words = &'static [AtomicU64];
type Backend = Blkback<'static, Words, SLOTS>;

/// Something that who talks to XenStore has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The frontend is not served any more, for this reason.
    Broken(VbdId, Reason),
    /// Nothing of the frontend's is in use any more.
    Drained(VbdId),
    /// The frontend's volume has another size than it was told.
    Resized(VbdId),
}

/// The backend, the disks and the frontends.
pub struct Service {
    backend: Backend,
    journal: Words,
    pub storage: Storage,
    vigil: Vigil,
    memory: Memory,
    records: Frontends,
    frontends: Vec<Option<Frontend>>,
    /// A new backend is to be made once the devices have finished what they were given by the last one.
    reopening: bool,
    /// The backend runs no more: for tests.
    pub backend_hangs: bool,
    /// The backend is to crash: for tests.
    pub backend_crashes: bool,
    /// How often the backend has run, and had at the probe's last look.
    runs: u64,
    runs_seen: u64,
    /// How often the probe has looked.
    looks: u32,
    reports: Vec<Report>,
    notices: VecDeque<Notice>,
    health: HealthPage<'static>,
    /// What root was told of the backend's requests.
    requests: Requests,
    repairs_parts: bool,
    /// How often drivers and backends were made anew of late.
    drivers: Attempts,
    backends: Attempts,
    /// Whether the backend that is to be replaced hangs, and when that was noticed.
    hangs: bool,
    noticed_us: u64,
}

/// Requests of the backend at a time: those that are open, and how many it has finished ever.
#[derive(Default)]
struct Requests {
    open: u64,
    finished: u64,
}

/// Words of the service area, for whoever tests this.
mod word {
    /// Restarts of drivers, and of backends, in this life.
    pub const DRIVERS: usize = 0;
    pub const BACKENDS: usize = 1;
}

impl Service {
    /// Sets everything up, and goes on with the frontends that the last life has left connected, if they are still there.
    ///
    /// # Panics
    /// If the description gives too little memory of some kind, or a disk cannot be driven.
    pub fn new(uk: &Uk) -> (Self, Vec<Interrupt>) {
        let needed = Backend::WORDS + Frontends::WORDS;
        let words = uk.recovery_words();
        if words.len() < needed {
            panic!("a recovery box of {} words, {needed} are needed", words.len());
        }
        let (journal, known) = words.split_at(Backend::WORDS);
        let Some(memory) = Memory::new() else { panic!("there is too little DMA memory") };
        let (storage, interrupts) = match Storage::new(uk.devices(), memory.clone()) {
            Ok(made) => made,
            Err(error) => panic!("a disk cannot be driven: {error}"),
        };
        let (backend, records) = match (open(journal), Frontends::open(known)) {
            (Ok(backend), Ok(records)) => (backend, records),
            (Err(error), _) | (_, Err(error)) => panic!("{error}"),
        };
        let mut service = Self {
            backend,
            journal,
            storage,
            vigil: Vigil::default(),
            memory,
            records,
            frontends: Vec::new(),
            reopening: false,
            backend_hangs: false,
            backend_crashes: false,
            runs: 0,
            runs_seen: 0,
            looks: 0,
            reports: Vec::new(),
            notices: VecDeque::new(),
            health: uk.health(),
            requests: Requests::default(),
            repairs_parts: uk.info().repairs_parts(),
            drivers: Attempts::NONE,
            backends: Attempts::NONE,
            hangs: false,
            noticed_us: 0,
        };
        service.frontends.resize_with(crate::records::FRONTENDS, || None);
        if uk.boot_reason() == BootReason::MicroReboot {
            service.resume();
        }
        service.backend.driver_ready(&mut service.memory);
        (service, interrupts)
    }

    /// Connects the frontends that the last life has left connected. Who is not there any more is left to XenStore.
    fn resume(&mut self) {
        let known: Vec<_> = self.records.all().filter(|(_, connection)| is_there(connection)).collect();
        let guests: Vec<_> = known.iter().map(|(_, connection)| connection.guest()).collect();
        self.memory.forget_unknown(|guest| guests.contains(&guest));
        for (id, connection) in known {
            let holder = connection.holder;
            match self.attach(id, connection) {
                Ok(()) => log::info!("{holder} goes on"),
                Err(error) => log::error!("{holder}: {error}"),
            }
        }
    }

    /// Connects a frontend, and takes up what an earlier life has left open of it if it is the same as then.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(&mut self, mut connection: Connection) -> Result<VbdId, ConnectError> {
        let holder = connection.holder;
        let id = self.records.number(holder).ok_or(ConnectError::Full)?;
        match self.records.all().find(|(known, _)| *known == id) {
            // What an earlier life has told it is what it knows.
            Some((_, known)) if known.is_same(&connection) => connection = known,
            _ => self.backend.forget(id),
        }
        self.records.note(id, &connection);
        self.attach(id, connection)?;
        Ok(id)
    }

    fn attach(&mut self, id: VbdId, connection: Connection) -> Result<(), ConnectError> {
        let extent = self.storage.now(&connection.extent);
        let geometry = self.storage.geometry(&extent, connection.reads).ok_or(ConnectError::NoDisk)?;
        let disk = Disk {
            guest: connection.guest(),
            volume: Volume(id.0),
            geometry,
            offer: OFFER,
            persistent: connection.link.persistent,
        };
        self.storage.set_volume(id, extent);
        let mut frontend = Frontend::new(connection.clone(), disk, &self.memory);
        if let Err(ConnectError::Map(MapError::WindowFull { .. })) = frontend {
            // A ring has to be mapped; a page of data can be copied.
            self.backend.spare(RING_PAGES, &mut self.memory);
            frontend = Frontend::new(connection, disk, &self.memory);
        }
        let frontend = frontend?;
        if !self.reopening {
            self.backend.connect(id, disk, &frontend.rings).map_err(ConnectError::Ring)?;
        }
        self.frontends[usize::from(id.0)] = Some(frontend);
        Ok(())
    }

    /// Who is connected, under which number.
    pub fn connected(&self, holder: Holder) -> Option<VbdId> {
        self.all().find(|(_, frontend)| frontend.connection.holder == holder).map(|(id, _)| id)
    }

    /// All that are connected.
    pub fn connections(&self) -> impl Iterator<Item = (VbdId, &Connection)> {
        self.all().map(|(id, frontend)| (id, &frontend.connection))
    }

    fn all(&self) -> impl Iterator<Item = (VbdId, &Frontend)> {
        let numbered = (0..).map(VbdId).zip(&self.frontends);
        numbered.filter_map(|(id, frontend)| Some((id, frontend.as_ref()?)))
    }

    /// Takes nothing more from a frontend. A notice says when nothing of its is in use.
    pub fn disconnect(&mut self, id: VbdId) {
        self.backend.disconnect(id);
    }

    /// Has frontends whose volumes have another size than they were told be told, and serves them accordingly.
    fn see_sizes(&mut self) {
        self.storage.look_at_sizes();
        for (id, frontend) in (0..).map(VbdId).zip(&mut self.frontends) {
            let Some(Frontend { connection, disk, .. }) = frontend else { continue };
            let extent = self.storage.now(&connection.extent);
            let geometry = self.storage.geometry(&extent, connection.reads);
            if extent != connection.extent
                && let Some(geometry) = geometry
            {
                disk.geometry = geometry;
                self.storage.set_volume(id, extent);
                self.backend.resize(id, geometry);
                if !self.notices.contains(&Notice::Resized(id)) {
                    self.notices.push_back(Notice::Resized(id));
                }
            }
        }
    }

    /// Notes that the frontend was told where its volume is now.
    pub fn told_size(&mut self, id: VbdId, extent: Extent) {
        if let Some(frontend) = &mut self.frontends[usize::from(id.0)] {
            frontend.connection.extent = extent;
            self.records.note(id, &frontend.connection);
        }
    }

    /// Where a volume is now.
    pub fn now(&self, extent: &Extent) -> Extent {
        self.storage.now(extent)
    }

    /// What a frontend with this volume is told of it.
    pub fn geometry(&self, extent: &Extent, reads: bool) -> Option<blkback::geometry::Geometry> {
        self.storage.geometry(extent, reads)
    }

    /// The next notice.
    pub fn notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Does what can be done now. Returns whether it should be called again soon.
    pub fn turn(&mut self, interrupts: &[Interrupt]) -> bool {
        self.storage.acknowledge(interrupts);
        if self.storage.fault().is_some() {
            self.repair_driver();
        }
        if self.reopening {
            if !self.storage.drain() {
                return false;
            }
            self.reopen();
        }
        if self.backend_hangs {
            return false;
        }
        let Self { backend, storage, memory, reports, .. } = self;
        let crashes = core::mem::take(&mut self.backend_crashes);
        let ran = contain(|| {
            if crashes {
                fault::crash();
            }
            backend.run(clock::now_us(), storage, memory, &mut |report| reports.push(report))
        });
        self.storage.kick();
        self.runs += 1;
        let again = match ran {
            Ok(again) => again,
            Err(crashed) => {
                self.replace_backend(false, format_args!("{crashed}"));
                true
            }
        };
        self.hear_reports();
        self.tell_root();
        again || self.storage.fault().is_some()
    }

    fn hear_reports(&mut self) {
        for report in core::mem::take(&mut self.reports) {
            match report {
                Report::Notify { vbd, queue } => {
                    let frontend = self.frontends[usize::from(vbd.0)].as_ref();
                    if let Some(event) = frontend.and_then(|frontend| frontend.events.get(queue)) {
                        // Refused where the guest is just going.
                        let _ = event.notify();
                    }
                }
                Report::Broken { vbd, reason } => self.notices.push_back(Notice::Broken(vbd, reason)),
                Report::Drained { vbd } => {
                    if let Some(frontend) = self.frontends[usize::from(vbd.0)].take() {
                        let guest = frontend.connection.guest();
                        frontend.close();
                        self.memory.forget(guest);
                    }
                    self.records.forget(vbd);
                    self.notices.push_back(Notice::Drained(vbd));
                }
                Report::Failed { vbd, code, sector } => {
                    log::warn!("{}: operation {code} at sector {sector} has failed", self.name(vbd));
                }
                Report::GivenUp { vbd, code, sector } => {
                    log::error!("{}: operation {code} at sector {sector} kills the driver", self.name(vbd));
                }
                Report::DriverAtFault => self.storage.blame(DriverFault::Wrong),
            }
        }
    }

    fn name(&self, vbd: VbdId) -> Holder {
        let frontend = self.frontends[usize::from(vbd.0)].as_ref();
        frontend.map_or(Holder { domid: 0, device: 0 }, |frontend| frontend.connection.holder)
    }

    /// Counts for root: what the devices have, and what guests wait for.
    fn tell_root(&mut self) {
        let work = self.storage.work();
        self.health.accept(part::DRIVER, work.taken);
        self.health.complete(part::DRIVER, work.done);
        let shadow = self.backend.shadow();
        let (open, finished) = ((shadow.running() + shadow.waiting()) as u64, shadow.progress());
        let done = finished.saturating_sub(self.requests.finished);
        // What is withdrawn, or was its last backend's, is completed as far as root is concerned.
        let (before, now) = (self.requests.open, open + done);
        self.health.accept(part::BACKEND, now.saturating_sub(before));
        self.health.complete(part::BACKEND, done + before.saturating_sub(now));
        self.requests = Requests { open, finished };
    }

    /// Whether to look at the devices again, after everybody else who can run. If not, they interrupt for what ends next.
    pub fn stays_awake(&mut self) -> bool {
        let goes_on = self.vigil.goes_on(self.storage.ended_ever(), self.storage.quick_ones());
        if goes_on {
            libos::give_way();
        }
        goes_on || self.storage.arm()
    }

    /// Wakes `context` at the next event of any frontend; ready if there was one.
    pub fn poll_events(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut any = Poll::Pending;
        for event in self.all().flat_map(|(_, frontend)| &frontend.events) {
            if event.poll(context).is_ready() {
                any = Poll::Ready(());
            }
        }
        any
    }

    /// Looks whether drivers and backend do what they should, from outside. Returns whether the backend is to run.
    pub fn probe(&mut self) -> bool {
        let mut wanted = self.storage.probe() | self.storage.fault().is_some() | self.reopening;
        self.looks = self.looks.wrapping_add(1);
        if self.looks.is_multiple_of(LOOKS_PER_SIZE) {
            self.see_sizes();
            wanted |= self.has_notice();
        }
        let has_run = self.runs != core::mem::replace(&mut self.runs_seen, self.runs);
        let mut silent = Vec::new();
        for (id, frontend) in (0..).map(VbdId).zip(&mut self.frontends) {
            let Some(frontend) = frontend else { continue };
            let waits = frontend.waits();
            wanted |= waits > 0;
            // Every turn of this loop was told to run, and what is under way waits for the device, or for room.
            if waits >= PATIENCE {
                silent.push(id);
            }
        }
        if !silent.is_empty() && !has_run && !self.reopening {
            self.replace_backend(true, format_args!("it does not run"));
            return true;
        }
        let has_room = self.backend.shadow().running() + self.backend.shadow().waiting() < SLOTS - QUEUES;
        silent.retain(|id| has_room && self.backend.open_requests(*id) == 0 && !self.reopening);
        for id in silent {
            self.restart_rings(id);
        }
        wanted
    }

    /// Makes anew what the backend knows of one disk's rings.
    fn restart_rings(&mut self, id: VbdId) {
        log::warn!("{}: its requests are not taken; its rings are looked at anew", self.name(id));
        if let Err(reason) = self.backend.restart(id) {
            self.notices.push_back(Notice::Broken(id, reason));
        }
        if let Some(frontend) = &mut self.frontends[usize::from(id.0)] {
            frontend.seen.waits = 0;
        }
    }

    /// Resets the devices and has new drivers do what the last ones had not finished.
    ///
    /// # Panics
    /// If that fails or was in vain too often, or the description wants no part repaired alone: root repairs the uk then.
    pub fn repair_driver(&mut self) {
        let Some(why) = self.storage.fault() else { return };
        let detected_us = clock::now_us();
        if !self.repairs_parts || !may_again(&mut self.drivers, detected_us) {
            panic!("the driver has failed: {why}");
        }
        log::warn!("the driver has failed: {why}");
        self.backend.driver_failed();
        if let Err(error) = self.storage.restart() {
            panic!("the driver has failed: {why}; it cannot be restarted: {error}");
        }
        self.backend.driver_ready(&mut self.memory);
        let count = self.health.service(word::DRIVERS) + 1;
        self.health.set_service(word::DRIVERS, count);
        self.tell_repaired(Part::Driver, why.is_hang(), detected_us);
    }

    /// Says in the log that a part was made anew, and forgets the fault that was injected.
    fn tell_repaired(&self, part: Part, is_hang: bool, detected_us: u64) {
        let injected_us = self.health.injected_at_us();
        let repaired = Repaired { part, is_hang, injected_us, detected_us, repaired_us: clock::now_us() };
        log::warn!("{repaired}");
        self.health.set_injected_at_us(0);
    }

    /// Gives the backend up, which has crashed or hangs. Its place is taken by a new one when the devices have finished what they
    /// have.
    ///
    /// # Panics
    /// If that was in vain too often, the description wants no part repaired alone, or what is left of the old one cannot be taken
    /// away: root repairs the uk then.
    pub fn replace_backend(&mut self, hangs: bool, why: core::fmt::Arguments<'_>) {
        (self.hangs, self.noticed_us) = (hangs, clock::now_us());
        if !self.repairs_parts || !may_again(&mut self.backends, self.noticed_us) {
            panic!("the backend has failed: {why}");
        }
        log::warn!("the backend has failed: {why}");
        (self.reopening, self.backend_hangs) = (true, false);
    }

    /// Makes a new backend from the journal.
    fn reopen(&mut self) {
        let backend = match open(self.journal) {
            Ok(backend) => backend,
            Err(error) => panic!("{error}"),
        };
        let old = core::mem::replace(&mut self.backend, backend);
        if let Err(crashed) = contain(|| drop(old)) {
            panic!("what the backend has left cannot be taken away: {crashed}");
        }
        self.memory.begin_anew();
        self.requests.finished = 0;
        for place in 0..self.frontends.len() {
            let id = VbdId(place as u16);
            let Some(frontend) = &mut self.frontends[place] else { continue };
            frontend.seen.waits = 0;
            if let Err(reason) = self.backend.connect(id, frontend.disk, &frontend.rings) {
                self.notices.push_back(Notice::Broken(id, reason));
            }
        }
        self.backend.driver_ready(&mut self.memory);
        self.reopening = false;
        self.health.set_service(word::BACKENDS, self.health.service(word::BACKENDS) + 1);
        self.tell_repaired(Part::Backend, self.hangs, self.noticed_us);
    }

    /// Restarts the drivers because root says that they stall.
    pub fn restart_driver(&mut self) {
        self.storage.blame(DriverFault::Stalls);
        self.repair_driver();
    }

    /// Whether there is a notice.
    pub fn has_notice(&self) -> bool {
        !self.notices.is_empty()
    }
}

/// Whether a part may be made anew alone once more. Work that kills the driver in every life of the uk is given up before this says no
/// twice ([`Limits::give_up_after`]).
fn may_again(attempts: &mut Attempts, now_us: u64) -> bool {
    attempts.another(now_us, Attempts::MOST, Attempts::WINDOW_US)
}

fn open(journal: Words) -> Result<Backend, TooSmall> {
    let (backend, report) = Backend::open(journal, QUEUES, Limits::default())?;
    if !report.is_sound() {
        log::warn!("journal: {report}");
    }
    Ok(backend)
}
