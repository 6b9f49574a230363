//! The guests that start with the host.
//!
//! Root builds them one after the other from what the boot archive has, a few steps in each turn, so that it goes on
//! watching the components meanwhile; and it prints what they write to their consoles, as Xen prints what a domain
//! says. Where the host has a XenStore, each guest has a ring to it, of which the register tells. A guest outlives root's
//! own restarts; one that was half built then is built anew.

mod broker;
mod console;

use builder::{Build, Extent, GuestParams, GuestPlan};
use console::{Console, PAGES};
use description::{Archive, Guest as Described, Source};
use heapless::Vec;
use kernel::control::Control;
use kernel::pv::event;
use kernel::window::{SLOTS, Slot};
use kernel::{call, now_us};
use static_cell::StaticCell;
use uk_abi::register::Ring;
use xen_abi::domctl::TscMode;
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
    /// Where root maps their pages: those of a step, then their consoles.
    slot: Slot,
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
    ///
    /// # Panics
    /// Where the last slot of the window is taken: there are too many components.
    pub fn new(
        described: &'static [Described],
        archive: Archive<'static>,
        first: u16,
        store: Option<Domid>,
    ) -> Self {
        let Some(slot) = Slot::take(SLOTS - 1) else { panic!("there is no slot in the window for guests") };
        Self { described, archive, first, store, tried: 0, building: None, slot, consoles: Vec::new() }
    }

    /// Whether there is something to do at once.
    pub fn is_busy(&self) -> bool {
        self.building.is_some() || self.tried < self.described.len().min(MAX_STARTED)
    }

    /// Takes a few steps of building, and prints what guests have written. Answers which guest runs now, if one more
    /// does.
    pub fn turn(&mut self, control: &Control, books: &mut Books, events: &mut EventLog) -> Option<Started> {
        self.consoles.iter_mut().for_each(|console| console.print(&self.slot));
        if !self.is_busy() {
            return None;
        }
        let done = match self.building.take() {
            Some(building) => self.go_on(building, control, books, events),
            None => match self.adopt(books) {
                Some(started) => Ok(Some(started)),
                None => self.begin(control).map(|()| None),
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
        broker::WORK_PAGES + self.tried
    }

    /// Listens again to a guest that an earlier life of root has started, if there is one: if root is still bound to it.
    fn adopt(&mut self, books: &Books) -> Option<Started> {
        let record = books.get::<GuestRecord>(self.tried as u32).ok().flatten()?;
        let (domid, port) = (self.domid(), Port(record.port));
        let is_bound = event::status(Domid::SELF, port).is_ok_and(
            |status| matches!(status.state(), Some(PortState::Interdomain(bound, _)) if bound == domid),
        );
        if !is_bound || self.slot.frame(self.console_page()).is_none() {
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

    fn begin(&mut self, control: &Control) -> Result<(), Reason> {
        // What an earlier life of root has left of it; mostly nothing.
        let (work, console) = ((0, broker::WORK_PAGES), (self.console_page(), 1));
        for (at, pages) in [work, console] {
            self.slot.unmap(at, pages).map_err(|error| reason(&error))?;
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
        books: &mut Books,
        events: &mut EventLog,
    ) -> Result<Option<Started>, Reason> {
        let domid = self.domid();
        for _ in 0..STEPS {
            call::beat();
            let Some(step) = building.build.step() else {
                return self.finish(&building, books, events).map(Some);
            };
            let name = step.name();
            let outcome = broker::carry_out(&step, domid, control, &mut self.slot)
                .map_err(|error| reason(&format_args!("step {name}: {error}")))?;
            building.build.answer(outcome.answer()).map_err(|error| reason(&error))?;
        }
        self.building = Some(building);
        Ok(None)
    }

    /// Listens to the console of the guest that has just been started.
    fn finish(
        &mut self,
        building: &Building,
        books: &mut Books,
        events: &mut EventLog,
    ) -> Result<Started, Reason> {
        let domid = self.domid();
        let port = building.build.connections().console;
        let frame = building.build.extents().frame(building.plan.areas().console);
        let page = self.console_page();
        let console =
            Console::connect(domid, port, frame, &mut self.slot, page).map_err(|error| reason(&error))?;
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

const _: () = assert!(broker::WORK_PAGES + MAX_STARTED <= PAGES);

fn reason(error: &dyn core::fmt::Display) -> Reason {
    let mut text = Reason::new();
    // What is too long is cut.
    let _ = core::fmt::write(&mut text, format_args!("{error}"));
    text
}
