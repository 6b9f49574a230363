//! The host: all that root knows, and one turn of what it does.

use crate::books::{self, Books, DomainRecord, MAX_EXTENTS, MonitorRecord, PortsRecord, PreparedRecord};
use crate::broker::Broker;
use crate::channels;
use crate::command::Console;
use crate::component::{Component, Domain, EXTENT_PAGES};
use crate::crash_log;
use crate::devices::quiesce::{self, REGISTER_PAGES};
use crate::devices::{self, Found, Shares};
use crate::events::EventLog;
use crate::life::RepairError;
use crate::loans::{Kept, Lent};
use crate::pace::Pace;
use crate::reports::Reports;
use crate::{micro_reboot, policy, rebuild};
use builder::UkPlan;
use core::sync::atomic::AtomicU64;
use description::{Archive, Console as ConsoleUse, Description};
use heapless::Vec;
use kernel::call::Patience;
use kernel::control::Control;
use kernel::pv::event;
use kernel::window::{SLOTS, Slot};
use kernel::{call, now_us};
use monitor::{
    Action, Actions, ComponentId, ComponentSet, Event, MAX_COMPONENTS, Method, Monitor, Phase, Rung,
};
use static_cell::StaticCell;
use uk_abi::register::{Changing, Register, State};
use xen_abi::event_channel::PortState;
use xen_abi::sched::ShutdownReason;
use xen_abi::virq::Virq;
use xen_abi::{Domid, Mfn, Port};

/// What the register says of a component that cannot be revived.
const HELD: u8 = ShutdownReason::Crash.raw() as u8;

/// The description lives as long as root does.
static DESCRIPTION: StaticCell<Description> = StaticCell::new();

/// All that root knows.
pub struct Host {
    /// Xen.
    pub control: Control,
    /// The boot archive, as Xen loaded it beside root.
    pub archive: Archive<'static>,
    /// The components, in the order of the description.
    pub components: Vec<Component, MAX_COMPONENTS>,
    /// The decision maker.
    pub monitor: Monitor,
    /// What it has decided and what is not done yet.
    pub actions: Actions,
    /// What it reports and what is not noted yet.
    pub reports: Reports,
    /// What a new life of root must know.
    pub books: Books,
    /// The event log.
    pub events: EventLog,
    /// What root keeps for the components.
    pub kept: Kept,
    /// What root does for those who have guests.
    pub broker: Broker,
    /// The operator's console.
    pub console: Console,
    /// Where `VIRQ_DOM_EXC` and `VIRQ_CONSOLE` arrive.
    ports: [Port; 2],
    /// When to look at the components next.
    next_check_us: u64,
    pace: Pace,
}

impl Host {
    /// Reads the boot archive and root's books, and takes over or builds every component.
    ///
    /// # Panics
    /// Where root cannot work at all: without its archive, or with a Xen that it does not know. The recovery
    /// kernel then reboots the host and says why.
    pub fn start() -> Self {
        let started_us = now_us();
        let archive = match Archive::parse(kernel::archive()) {
            Ok(archive) => archive,
            Err(error) => panic!("the boot archive: {error}"),
        };
        let words = books::divide();
        let (mut books, found) = books::open(words.books);
        let is_prepared = books.get::<PreparedRecord>(0).is_ok_and(|record| record.is_some());
        if !is_prepared && let Err(error) = archive.verify_while(call::beat) {
            panic!("the boot archive: {error}");
        }
        let description: &Description = match archive.description() {
            Ok(description) => DESCRIPTION.init(description),
            Err(error) => panic!("the boot archive: {error}"),
        };
        let control = match Control::probe() {
            Ok(control) => control,
            Err(error) => panic!("this Xen speaks none of the interfaces that root knows: {error}"),
        };
        let mut events = EventLog::open(words.events, description.host.console != ConsoleUse::Off);
        let ports = ports(&mut books);
        let (kept, lent) = match Kept::lend(description, archive.as_bytes().len()) {
            Ok(lent) => lent,
            Err(error) => panic!("what the components are lent: {error}"),
        };
        call::set_patience(Patience {
            main_us: description.host.watchdog_us,
            host_s: description.host.host_watchdog_s,
            restarts: description.host.restarts.into(),
            window_us: description.host.restart_window_us,
        });
        if let Err(error) = control.set_weight(Domid::DOM0, description.host.weight) {
            events.note(started_us, "root", format_args!("weight refused msg={error}"));
        }
        let devices = devices::find(description, &control, &mut books, &mut events, !is_prepared);
        // The books have room for this one record.
        let _ = books.put(0, &PreparedRecord);
        let Some(slot) = Slot::take(SLOTS - 1) else { panic!("there is no slot in the window for guests") };
        let monitor = monitor(description, devices.incomplete);
        let mut host = Self {
            control,
            archive,
            pace: Pace::new(&description.host, monitor.calm_period_us()),
            monitor,
            components: components(&archive, description, lent, devices),
            actions: Actions::default(),
            reports: Reports::default(),
            books,
            events,
            broker: Broker::new(description, kept.askers(), words.domains, slot),
            kept,
            console: Console::new(description.host.console == ConsoleUse::Commands),
            ports,
            next_check_us: started_us,
        };
        if !is_prepared {
            host.note_boot();
        }
        if kernel::info().lives > 1 {
            host.take_over();
            crash_log::note_own_death(&mut host, started_us, &found);
        }
        host.tell(Event::Boot);
        host
    }

    fn note_boot(&mut self) {
        let version = kernel::pv::version::xen_version().unwrap_or_default();
        let (major, minor) = version;
        let count = self.components.len();
        self.note("root", format_args!("boot xen={major}.{minor} components={count}"));
    }

    /// Finds the domains that the last life of root left, and checks what is said of them.
    fn take_over(&mut self) {
        for index in 0..self.components.len() {
            let Some(id) = ComponentId::new(index) else { continue };
            let record = self.books.get::<DomainRecord>(index as u32).ok().flatten();
            let component = &mut self.components[index];
            let sound = record.is_some_and(|record| adopt(component, &self.control, &record));
            let saved = self.books.get::<MonitorRecord>(index as u32).ok().flatten();
            let saved = saved.filter(|_| sound || component.domain.is_none()).map(|record| record.0);
            self.tell(Event::Resume { component: id, saved: saved.as_ref() });
            if !sound && self.monitor.phase(id) == Phase::Healthy {
                self.tell(Event::Crashed { component: id });
            }
        }
        for index in 0..self.components.len() {
            channels::tell_peers(&mut self.components, index);
            if ComponentId::new(index).is_some_and(|id| matches!(self.monitor.phase(id), Phase::Held { .. }))
            {
                self.register(index, State::ShutDown { reason: HELD });
            } else if self.components[index].domain.is_some() {
                self.register(index, State::Running);
            }
        }
        self.take_over_guests();
        // A crash between the two lives has rung for nobody.
        self.look_for_crashes();
    }

    /// Notes an event of now.
    pub fn note(&mut self, who: &str, what: core::fmt::Arguments<'_>) {
        self.events.note(now_us(), who, what);
    }

    /// The name of a component.
    pub fn name(&self, id: ComponentId) -> &'static str {
        self.components.get(id.index()).map_or("?", |component| component.name)
    }

    /// Tells the monitor of an event; what it decides is in [`Host::actions`].
    pub fn tell(&mut self, event: Event<'_>) {
        self.monitor.handle(now_us(), event, &mut self.actions);
    }

    /// One turn: waits for something to do, looks around, does it.
    pub fn turn(&mut self) {
        let mut ports = Vec::<Port, { call::MAX_PORTS }>::new();
        ports.extend(self.ports);
        let doorbells = self.doorbells();
        ports.extend(doorbells.iter().map(|(_, port)| *port));
        // Lines that are not written yet are work, but the least urgent: no waiting then.
        let was_reviving = self.is_reviving();
        let is_done = self.events.is_printed() && self.reports.is_empty() && !self.is_asked();
        let is_idle = was_reviving || is_done;
        let until_us = if is_idle { self.next_check_us } else { now_us() };
        let fired = call::wait(&ports, until_us.saturating_mul(1000).max(1));
        if fired & 1 != 0 {
            self.look_for_crashes();
        }
        for (bit, (index, _)) in doorbells.iter().enumerate() {
            if fired >> (bit + 2) & 1 != 0 {
                self.hear(*index);
            }
        }
        self.do_actions();
        if fired & 2 != 0 {
            self.obey();
        }
        let now = now_us();
        let is_time = now >= self.next_check_us;
        if is_time {
            self.observe_all(now);
            self.tell(Event::Tick);
            self.do_actions();
        }
        let mut is_pressed = false;
        // Who has just been started goes before all paperwork, but not for longer than from one look to the next.
        if !self.is_reviving() || (is_time && was_reviving) {
            self.serve();
            if is_time {
                is_pressed = self.drain_logs(now);
            }
            self.note_reports();
            self.events.print_one();
        }
        if is_time {
            self.set_pace(now, is_pressed);
        }
    }

    /// Says when the components are looked at next, and for how long Xen leaves a domain the processor until then.
    fn set_pace(&mut self, now: u64, is_pressed: bool) {
        let is_uneasy = self.monitor.is_uneasy();
        self.next_check_us = self.pace.next_look_us(now, is_uneasy || is_pressed);
        if let Some(slice_us) = self.pace.new_slice_us(is_uneasy)
            && let Err(error) = self.control.set_slice(slice_us)
        {
            self.pace.leave_slice();
            self.note("root", format_args!("slice refused us={slice_us} msg={error}"));
        }
    }

    /// Does what the monitor has decided.
    pub fn do_actions(&mut self) {
        loop {
            self.save_changes();
            let Some(action) = self.actions.pop() else { break };
            match action {
                Action::Repair(repair) => {
                    let index = repair.component.index();
                    crash_log::collect(&self.components[index], &mut self.reports.crashes);
                    let mut done = self.repair(index, repair.method);
                    if repair.rung >= Rung::Cascade && matches!(done, Err(RepairError::Zombie)) {
                        self.take_down_dependents(repair.component);
                        done = self.repair(index, repair.method);
                    }
                    if let Err(error) = &done {
                        let rung = repair.rung.name();
                        self.note(
                            self.name(repair.component),
                            format_args!("refused rung={rung} msg={error}"),
                        );
                    }
                    self.tell(if done.is_ok() {
                        Event::RepairDone(repair)
                    } else {
                        Event::RepairFailed(repair)
                    });
                }
                Action::Boost { component } => self.boost(component),
                Action::Probe { component } => self.probe(component),
                Action::Hold { component } => {
                    quiesce::silence(&self.components[component.index()]);
                    // A domain that cannot even be paused is dying or gone.
                    let _ = self.control.pause(self.components[component.index()].domid());
                    self.register(component.index(), State::ShutDown { reason: HELD });
                }
                Action::Report(report) => self.report(report),
            }
        }
    }

    /// Destroys the domains of all that depends on `component`, which are to be built anew after it: what they have
    /// mapped of it keeps its old domain from going away.
    fn take_down_dependents(&mut self, component: ComponentId) {
        for dependent in self.monitor.graph().dependents(component).iter() {
            // Refused, its own repair will tell.
            let _ = rebuild::tear_down(&mut self.components[dependent.index()], &self.control);
            // One that has just been built is to be built once more.
            if matches!(self.monitor.phase(dependent), Phase::Healthy | Phase::Starting { .. }) {
                self.tell(Event::Crashed { component: dependent });
            }
        }
    }

    /// Enters into the register what has become of the component at `index`, which keeps its identity whatever is done
    /// to it, and tells who reads that.
    fn register(&self, index: usize, state: State) {
        let domid = self.components[index].domid().0;
        self.change_register(|register| match register.get(domid) {
            Ok(None) => register.built(domid, None),
            // One that a last life was changing is said anew.
            Ok(Some(_)) | Err(Changing) => register.became(domid, state),
        });
    }

    /// Changes the register, and tells who reads it. Answers whether anything has changed.
    pub fn change_register(&self, change: impl FnOnce(&Register<&[AtomicU64]>)) -> bool {
        let Some(register) = self.kept.register() else { return false };
        let before = register.changes();
        change(&register);
        let has_changed = register.changes() != before;
        if has_changed {
            self.components
                .iter()
                .filter(|component| component.lent.has_register())
                .for_each(Component::ring);
        }
        has_changed
    }

    fn repair(&mut self, index: usize, method: Method) -> Result<(), RepairError> {
        let done = self.carry_out(index, method);
        if done.is_ok() {
            self.register(index, State::Running);
        }
        let Self { components, events, .. } = self;
        let name = components[index].name;
        for device in components[index].devices.iter_mut() {
            if core::mem::take(&mut device.ignored_reset) {
                let bdf = device.bdf;
                events.note(
                    now_us(),
                    name,
                    format_args!("device bdf={bdf} reset=function msg=it ignored its own"),
                );
            }
        }
        done
    }

    fn carry_out(&mut self, index: usize, method: Method) -> Result<(), RepairError> {
        let component = &mut self.components[index];
        match method {
            Method::RestartPart { part } => {
                let health = component.health().ok_or(RepairError::NoDomain)?;
                health.request_part_restart(part.into());
                component.ring();
                Ok(())
            }
            Method::MicroReboot => {
                micro_reboot::micro_reboot(component, &self.control)?;
                component.record(&mut self.books, true);
                Ok(())
            }
            Method::Rebuild => {
                // A row of these takes longer than the watchdog waits.
                call::beat();
                rebuild::rebuild(component, &self.control, &mut self.books)?;
                channels::tell_peers(&mut self.components, index);
                let Self { components, events, .. } = self;
                let component = &components[index];
                if component.incarnation == 1 {
                    component
                        .devices
                        .iter()
                        .for_each(|d| events.note(now_us(), component.name, format_args!("{d}")));
                }
                Ok(())
            }
        }
    }

    /// Writes what the monitor must not forget to the books, before root acts on it.
    fn save_changes(&mut self) {
        for id in self.monitor.take_changed().iter() {
            if let Some(saved) = self.monitor.saved(id) {
                // The books have room for a record of each component.
                let _ = self.books.put(id.index() as u32, &MonitorRecord(*saved));
            }
        }
    }
}

/// The components of the description, each with its plan and its part of the window.
fn components(
    archive: &Archive<'static>,
    description: &'static Description,
    lent: Vec<Lent, MAX_COMPONENTS>,
    found: Found,
) -> Vec<Component, MAX_COMPONENTS> {
    let mut components = Vec::new();
    let mut shares = Shares::new(found.devices);
    for ((index, described), lent) in description.components.iter().enumerate().zip(lent) {
        let name = described.name.as_str();
        let Some(image) = archive.image(&described.image) else {
            panic!("{name}: the boot archive has no image {}", described.image)
        };
        let (devices, bars) = shares.next(index);
        let plan = match UkPlan::new(image, &Component::params(described, lent.pages, devices.len(), bars)) {
            Ok(plan) => plan,
            Err(error) => panic!("{name}: {error}"),
        };
        if plan.areas().heap.start.0 as usize >= REGISTER_PAGES || plan.memory_pages() % EXTENT_PAGES != 0 {
            panic!("{name}: its memory must be whole extents of 2 MiB, and all but its heap fit 8 MiB");
        }
        if plan.memory_pages() > MAX_EXTENTS as u64 * EXTENT_PAGES {
            panic!("{name}: root keeps books on {MAX_EXTENTS} extents of 2 MiB for a component, not more");
        }
        let Some(slot) = Slot::take(index) else { panic!("{name}: there is no slot {index} in the window") };
        let mut component = Component::new(index, name, described, plan, slot, devices, lent);
        component.incomplete = ComponentId::new(index).is_some_and(|id| found.incomplete.contains(id));
        component.place_registers();
        // The description has no more components than this has room for.
        let _ = components.push(component);
    }
    components
}

/// The decision maker. An `incomplete` component is not started; an operator who tries it is told why.
fn monitor(description: &Description, incomplete: ComponentSet) -> Monitor {
    let mut policies: Vec<_, MAX_COMPONENTS> = description.components.iter().map(policy::of).collect();
    incomplete.iter().for_each(|id| policies[id.index()].autostart = false);
    match Monitor::new(&policies, policy::of_plane(&description.host)) {
        Ok(monitor) => monitor,
        Err(error) => panic!("the system description: {error}"),
    }
}

/// Root's event channels: those of its last life where they are still what they were.
fn ports(books: &mut Books) -> [Port; 2] {
    let virqs = [Virq::DomExc, Virq::Console];
    if let Ok(Some(record)) = books.get::<PortsRecord>(0) {
        let is = |port: Port, virq: Virq| {
            event::status(Domid::SELF, port).is_ok_and(|s| s.state() == Some(PortState::Virq(virq.raw())))
        };
        let ports = record.ports();
        if is(ports[0], virqs[0]) && is(ports[1], virqs[1]) {
            return ports;
        }
    }
    let ports = virqs.map(|virq| match event::bind_virq(virq) {
        Ok(port) => port,
        Err(error) => panic!("{virq:?} cannot be bound: {error}"),
    });
    // The books have room for this one record.
    let _ = books.put(0, &PortsRecord { dom_exc: ports[0].0, console: ports[1].0 });
    ports
}

/// Takes the domain that `record` describes over, if Xen and root's page tables agree with it.
fn adopt(component: &mut Component, control: &Control, record: &DomainRecord) -> bool {
    component.incarnation = record.incarnation;
    let Ok(Some(info)) = control.info(component.domid()) else { return false };
    let domain = Domain {
        extents: record.extents.iter().map(|first| Mfn(*first)).collect(),
        doorbell: Port(record.doorbell),
        doorbell_there: Port(record.doorbell_there),
        shared_info: info.shared_info_frame,
        built: record.built,
        // Known again after the next repair.
        tables_digest: 0,
    };
    let mapped = |page: usize, frame: Mfn| component.slot.frame(page) == Some(frame);
    let sound = record.complete
        && (0..component.mapped_pages()).all(|page| mapped(page, domain.frame(xen_abi::Pfn(page as u64))))
        && mapped(component.shared_info_page(), domain.shared_info)
        && event::status(Domid::SELF, domain.doorbell).is_ok_and(|status| {
            status.state() == Some(PortState::Interdomain(component.domid(), domain.doorbell_there))
        })
        && component.adopt_ports(record.built, &record.offered);
    if sound {
        component.domain = Some(domain);
    }
    sound
}
