//! The guests that start with the host.
//!
//! Root builds them one after the other from what the boot archive has, a few steps in each turn, so that it goes on
//! watching the components meanwhile; and it prints what they write to their consoles, as Xen prints what a domain
//! says. Where the host has a XenStore, each guest has a ring to it, of which the register tells. A guest outlives root's
//! own restarts; one that was half built then is built anew.

mod console;

use crate::broker::{Hands, WORK_PAGES};
use broker::Answer::Created;
use broker::{Outcome, Prepared, Refusal};
use builder::steps::Create;
use builder::{Build, Extent, GuestParams, GuestPlan, Step};
use console::{Console, PAGES};
use description::{Archive, Guest as Described, Source};
use heapless::Vec;
use kernel::control::Control;
use kernel::pv::event;
use kernel::window::Slot;
use kernel::{call, now_us};
use static_cell::StaticCell;
use uk_abi::register::Ring;
use xen_abi::domctl::{CreateDomain, TscMode};
use xen_abi::errno::Errno;
use xen_abi::event_channel::PortState;
use xen_abi::grant_table::RESERVED_XENSTORE;
use xen_abi::{Domid, Port};

use crate::books::{Books, GuestRecord};
use crate::events::EventLog;

/// Guests that root starts at most.
pub const MAX_STARTED: usize = 4;

/// Steps of a build in one turn: a MiB of memory is written in 16.
const STEPS: usize = 8;

/// Extents that are noted of a guest's memory: 1 GiB, if Xen has whole 2 MiB.
const EXTENTS: usize = 512;

static PLANS: [StaticCell<GuestPlan<'static>>; MAX_STARTED] = [const { StaticCell::new() }; MAX_STARTED];
static ROOM: [StaticCell<[Extent; EXTENTS]>; MAX_STARTED] = [const { StaticCell::new() }; MAX_STARTED];

/// The guests.
pub struct Guests {
    described: &'static [Described],
    archive: Archive<'static>,
    /// The number of the first one's domain.
    first: u16,
    /// Who serves their rings to XenStore.
    store: Option<Domid>,
    /// How many are built, or have failed to be.
    tried: usize,
    building: Option<Building>,
    consoles: Vec<Console, MAX_STARTED>,
}

/// A guest that is being built.
struct Building {
    build: Build<'static>,
    plan: &'static GuestPlan<'static>,
    started_us: u64,
}

/// A guest that runs, as the register is to have it.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    /// Its domain.
    pub domid: Domid,
    /// Its ring to XenStore, if there is one.
    pub ring: Option<Ring>,
}

/// Why there is no guest: the text of an error that is not kept.
type Reason = heapless::String<112>;

impl Guests {
    /// The guests of `described`, whose domains are numbered from `first` on, and whose XenStore is the domain `store`.
    pub fn new(
        described: &'static [Described],
        archive: Archive<'static>,
        first: u16,
        store: Option<Domid>,
    ) -> Self {
        Self { described, archive, first, store, tried: 0, building: None, consoles: Vec::new() }
    }

    /// Numbers of domains that are theirs.
    pub fn numbers(&self) -> u16 {
        self.described.len().min(MAX_STARTED) as u16
    }

    /// Whether there is something to do at once.
    pub fn is_busy(&self) -> bool {
        self.building.is_some() || self.tried < self.described.len().min(MAX_STARTED)
    }

    /// Takes a few steps of building, and prints what guests have written. Answers which guest runs now, if one more
    /// does.
    pub fn turn(
        &mut self,
        control: &Control,
        slot: &mut Slot,
        books: &mut Books,
        events: &mut EventLog,
    ) -> Option<Started> {
        self.consoles.iter_mut().for_each(|console| console.print(slot));
        if !self.is_busy() {
            return None;
        }
        let done = match self.building.take() {
            Some(building) => self.go_on(building, control, slot, books, events),
            None => match self.adopt(slot, books) {
                Some(started) => Ok(Some(started)),
                None => self.begin(control, slot).map(|()| None),
            },
        };
        done.unwrap_or_else(|reason| {
            let guest = &self.described[self.tried];
            events.note(now_us(), &guest.name, format_args!("guest state=failed msg={reason}"));
            // What there is of it; nothing, where it was not even created.
            let _ = control.destroy(self.domid());
            self.tried += 1;
            None
        })
    }

    fn domid(&self) -> Domid {
        Domid(self.first + self.tried as u16)
    }

    /// The page of the slot for the console of the guest whose turn it is.
    fn console_page(&self) -> usize {
        WORK_PAGES + self.tried
    }

    /// Listens again to a guest that an earlier life of root has started, if there is one: if root is still bound to it.
    fn adopt(&mut self, slot: &Slot, books: &Books) -> Option<Started> {
        let record = books.get::<GuestRecord>(self.tried as u32).ok().flatten()?;
        let (domid, port) = (self.domid(), Port(record.port));
        let is_bound = event::status(Domid::SELF, port).is_ok_and(
            |status| matches!(status.state(), Some(PortState::Interdomain(bound, _)) if bound == domid),
        );
        if !is_bound || slot.frame(self.console_page()).is_none() {
            return None;
        }
        self.listen(Console::adopt(domid, port, self.console_page()));
        Some(Started { domid, ring: record.ring() })
    }

    /// Goes on to the next guest.
    fn listen(&mut self, console: Console) {
        // There is a console for each guest that root starts.
        let _ = self.consoles.push(console);
        self.tried += 1;
    }

    fn begin(&mut self, control: &Control, slot: &mut Slot) -> Result<(), Reason> {
        // What an earlier life of root has left of it; mostly nothing.
        let (work, console) = ((0, WORK_PAGES), (self.console_page(), 1));
        for (at, pages) in [work, console] {
            slot.unmap(at, pages).map_err(|error| reason(&error))?;
        }
        let _ = control.destroy(self.domid());
        let guest = &self.described[self.tried];
        let Source::Kernel { cmdline, memory_pages, vcpus, .. } = &guest.source else {
            return Err(reason(&"root reads no configuration"));
        };
        let kernel =
            self.archive.kernel(&guest.name).ok_or(reason(&"the boot archive has no kernel for it"))?;
        let params = GuestParams {
            command_line: cmdline.as_bytes(),
            initrd: self.archive.ramdisk(&guest.name).unwrap_or_default(),
            memory_pages: u64::from(*memory_pages),
            most_pages: u64::from(*memory_pages),
            vcpus: u32::from(*vcpus),
            tsc: TscMode::NeverEmulate,
            store: self.store,
            console: Domid::DOM0,
            ..GuestParams::default()
        };
        let plan: &_ =
            PLANS[self.tried].init(GuestPlan::new(kernel, &params).map_err(|error| reason(&error))?);
        let room = ROOM[self.tried].init([Extent::default(); EXTENTS]);
        self.building = Some(Building { build: Build::new(plan, room), plan, started_us: now_us() });
        Ok(())
    }

    fn go_on(
        &mut self,
        mut building: Building,
        control: &Control,
        slot: &mut Slot,
        books: &mut Books,
        events: &mut EventLog,
    ) -> Result<Option<Started>, Reason> {
        let domid = self.domid();
        for _ in 0..STEPS {
            call::beat();
            let Some(step) = building.build.step() else {
                return self.finish(&building, slot, books, events).map(Some);
            };
            let name = step.name();
            let place = |bytes: &[u8]| {
                let offset =
                    (bytes.as_ptr() as usize).checked_sub(self.archive.as_bytes().as_ptr() as usize)?;
                (offset + bytes.len() <= self.archive.as_bytes().len()).then_some(offset as u64)
            };
            let prepared = Prepared::new(&step, domid, 256, place);
            let mut hands = Hands { control, slot: &mut *slot, archive: self.archive.as_bytes() };
            let outcome = match step {
                Step::Create(create) => create_domain(control, domid, &create),
                _ => hands.carry_out(&prepared.request, prepared.data),
            };
            let answer = outcome.map_err(|error| reason(&format_args!("step {name}: {error}")))?;
            let answer = answer.to_step().ok_or(reason(&"no answer to a step"))?;
            building.build.answer(answer).map_err(|error| reason(&error))?;
        }
        self.building = Some(building);
        Ok(None)
    }

    /// Listens to the console of the guest that has just been started.
    fn finish(
        &mut self,
        building: &Building,
        slot: &mut Slot,
        books: &mut Books,
        events: &mut EventLog,
    ) -> Result<Started, Reason> {
        let domid = self.domid();
        let port = building.build.connections().console;
        let frame = building.build.extents().frame(building.plan.areas().console);
        let page = self.console_page();
        let console = Console::connect(domid, port, frame, slot, page).map_err(|error| reason(&error))?;
        let ring = self.store.map(|_| Ring {
            frame: building.build.extents().frame(building.plan.areas().store).0,
            reference: RESERVED_XENSTORE.0,
            port: building.build.connections().store.0,
        });
        // The books have room for a record of each guest.
        let _ = books.put(self.tried as u32, &GuestRecord::new(console.port(), ring));
        let guest = &self.described[self.tried];
        let took = now_us() - building.started_us;
        let pages = building.plan.params().memory_pages;
        events.note(
            now_us(),
            &guest.name,
            format_args!("guest state=started domid={} pages={pages} took_us={took}", domid.0),
        );
        self.listen(console);
        Ok(Started { domid, ring })
    }
}

fn create_domain(control: &Control, domid: Domid, create: &Create) -> Outcome {
    let config = CreateDomain {
        max_vcpus: create.vcpus,
        max_evtchn_port: create.tables.highest_port,
        max_grant_frames: create.tables.grant_frames,
        max_maptrack_frames: create.tables.maptrack_frames,
        ..CreateDomain::PV
    };
    let shared_info = || {
        control.create(domid, &config)?;
        control.set_max_mem(domid, create.memory_kib)?;
        control.set_max_vcpus(domid, create.vcpus)?;
        control.set_tsc(domid, create.tsc)?;
        Ok(control.info(domid)?.ok_or(Errno::Esrch)?.shared_info_frame)
    };
    shared_info().map(|shared_info| Created { domain: domid, shared_info }).map_err(Refusal::xen)
}

const _: () = assert!(WORK_PAGES + MAX_STARTED <= PAGES);

fn reason(error: &dyn core::fmt::Display) -> Reason {
    let mut text = Reason::new();
    // What is too long is cut.
    let _ = core::fmt::write(&mut text, format_args!("{error}"));
    text
}
