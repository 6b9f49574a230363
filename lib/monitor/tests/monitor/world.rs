//! A world for the monitor to watch: components that fail, and a root that does what it is told.

use monitor::{
    Action, Actions, Cause, ComponentId, ComponentSet, CpuSample, Event, Failure, MAX_COMPONENTS, Method,
    Monitor, Observation, Phase, PlaneLimit, Policy, Progress, Repair, Report, Rung,
};

/// The time between two looks of root.
pub(crate) const STEP_US: u64 = 10;

/// A component's record must fit into so many bytes of root's recovery box.
pub(crate) const SAVED_BYTES: usize = 192;

/// A policy under which every deadline passes between two looks and the second next.
pub(crate) const POLICY: Policy = Policy {
    heartbeat_deadline_us: 2 * STEP_US,
    boot_deadline_us: 2 * STEP_US,
    stall_deadline_us: 2 * STEP_US,
    repair_deadline_us: 2 * STEP_US,
    starved_deadline_us: 4 * STEP_US,
    enough_cpu_us: 1,
    looks: 2,
    ..Policy::DEFAULT
};

/// More turns than it can take until all is calm: the few repairs that a component has left, and its deadlines.
const TURNS_TO_PEACE: usize = 100 * MAX_COMPONENTS;

/// What a component really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Body {
    /// There is no domain, or it was stopped.
    Absent,
    /// It will beat before the next look.
    Booting,
    /// It beats.
    Alive,
    /// It beats, and does none of its work.
    Stalled,
    /// It is silent.
    Hung,
    /// It has crashed.
    Dead,
}

/// How a component can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Strike {
    Crash,
    Hang,
    Stall,
}

/// Repairs of one component so far, by their reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tally {
    /// For its own faults.
    pub(crate) own: [u8; Rung::COUNT],
    /// Along with another.
    pub(crate) behind: u8,
    /// At boot.
    pub(crate) boot: u8,
    /// How often root has lost the record of them.
    pub(crate) losses: u8,
}

/// Root and components.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World<const N: usize> {
    pub(crate) monitor: Monitor<N>,
    pub(crate) now_us: u64,
    pub(crate) bodies: Vec<Body>,
    beats: Vec<u64>,
    /// Orders neither answered nor given up.
    pub(crate) orders: Vec<Repair>,
    /// Orders that root forgot; the answer may come late.
    pub(crate) forgotten: Vec<Repair>,
    /// Everything that went wrong by itself: strikes, refusals, forgotten orders, interrupted repairs.
    pub(crate) mishaps: u8,
    /// Who was ever struck, or whose repair failed by itself.
    pub(crate) touched: ComponentSet,
    pub(crate) tally: Vec<Tally>,
    /// Who was reported as held.
    reported: ComponentSet,
    /// The first promise that was broken.
    pub(crate) broken: Option<&'static str>,
}

impl<const N: usize> World<N> {
    /// A world that is being booted.
    pub(crate) fn new(policies: &[Policy], plane: PlaneLimit, see: &mut dyn FnMut(u64, &Action)) -> Self {
        let count = policies.len();
        let mut world = Self {
            monitor: Monitor::new(policies, plane).expect("policies that can be followed"),
            now_us: 0,
            bodies: vec![Body::Absent; count],
            beats: vec![0; count],
            orders: Vec::new(),
            forgotten: Vec::new(),
            mishaps: 0,
            touched: ComponentSet::EMPTY,
            tally: vec![Tally::default(); count],
            reported: ComponentSet::EMPTY,
            broken: None,
        };
        world.tell(Event::Boot, see);
        world
    }

    pub(crate) fn components(&self) -> impl Iterator<Item = ComponentId> + use<N> {
        ComponentId::first(self.bodies.len())
    }

    pub(crate) fn body(&self, component: ComponentId) -> Body {
        self.bodies[component.index()]
    }

    /// Tells the monitor something and does what it says, except for repairs, which are noted as orders.
    pub(crate) fn tell(&mut self, event: Event<'_>, see: &mut dyn FnMut(u64, &Action)) {
        self.tell_unchecked(event, see);
        self.check();
    }

    fn tell_unchecked(&mut self, event: Event<'_>, see: &mut dyn FnMut(u64, &Action)) {
        let mut actions = Actions::default();
        self.monitor.handle(self.now_us, event, &mut actions);
        while let Some(action) = actions.pop() {
            see(self.now_us, &action);
            match action {
                Action::Repair(repair) => self.note_order(repair),
                Action::Hold { component } => self.bodies[component.index()] = Body::Absent,
                Action::Report(Report::Hold { component, .. }) => self.reported.insert(component),
                Action::Report(Report::Release { component }) => self.reported.remove(component),
                Action::Report(Report::RepairFailed { repair, failure: Failure::Unanswered }) => {
                    if let Some(late) = self.orders.iter().position(|order| *order == repair) {
                        self.orders.remove(late);
                        self.mishap(repair.component);
                    }
                }
                Action::Boost { .. } | Action::Probe { .. } | Action::Report(_) => {}
            }
        }
        if actions.lost() > 0 {
            self.broken = Some("more actions than there is room for");
        }
    }

    fn note_order(&mut self, repair: Repair) {
        let component = repair.component;
        if !self.monitor.graph().needs(component).is_subset(self.monitor.healthy()) {
            self.broken = Some("repaired before what it needs was healthy");
        }
        if self.orders.iter().any(|order| order.component == component) {
            self.broken = Some("two repairs at a time");
        }
        if self.reported.contains(component) {
            self.broken = Some("repaired though it is held");
        }
        let tally = &mut self.tally[component.index()];
        match repair.cause {
            Cause::Boot => tally.boot += 1,
            Cause::Behind(_) => tally.behind += 1,
            Cause::Fault(_) | Cause::Failure(_) => tally.own[repair.rung as usize] += 1,
            Cause::Operator => {}
        }
        self.orders.push(repair);
    }

    fn check(&mut self) {
        let healthy = self.monitor.healthy();
        for component in self.monitor.components() {
            let phase = self.monitor.phase(component);
            let may_go = self.monitor.graph().needs(component).is_subset(healthy);
            if phase == Phase::Down || matches!(phase, Phase::Waiting { .. }) && may_go {
                self.broken = Some("not repaired, though nothing is in the way");
            }
            if healthy.contains(component) != (phase == Phase::Healthy) {
                self.broken = Some("healthy or not, both are said");
            }
            let held = matches!(phase, Phase::Held { .. });
            if held != self.reported.contains(component) {
                self.broken = Some("held and not reported");
            }
        }
    }

    /// Whether a strike would change anything.
    pub(crate) fn can_strike(&self, component: ComponentId, strike: Strike) -> bool {
        match (self.body(component), strike) {
            (Body::Absent | Body::Dead, _) => false,
            (_, Strike::Crash) => true,
            (body, Strike::Hang) => body != Body::Hung,
            (body, Strike::Stall) => body == Body::Alive,
        }
    }

    pub(crate) fn strike(
        &mut self,
        component: ComponentId,
        strike: Strike,
        see: &mut dyn FnMut(u64, &Action),
    ) {
        self.mishap(component);
        self.bodies[component.index()] = match strike {
            Strike::Crash => Body::Dead,
            Strike::Hang => Body::Hung,
            Strike::Stall => Body::Stalled,
        };
        if strike == Strike::Crash {
            self.tell(Event::Crashed { component }, see);
        }
    }

    fn mishap(&mut self, component: ComponentId) {
        self.mishaps = self.mishaps.saturating_add(1);
        self.touched.insert(component);
    }

    /// Carries an order out and answers.
    pub(crate) fn carry_out(&mut self, order: usize, see: &mut dyn FnMut(u64, &Action)) {
        let repair = self.orders.remove(order);
        let index = repair.component.index();
        // What was reported as a crash during the repair is one of the life that the repair begins.
        let crashes = matches!(self.monitor.phase(repair.component), Phase::Repairing { crashed: true, .. });
        match (repair.method, self.bodies[index]) {
            (Method::MicroReboot, Body::Absent) => {
                self.mishap(repair.component);
                return self.tell(Event::RepairFailed(repair), see);
            }
            (Method::RestartPart { .. }, Body::Stalled) => self.bodies[index] = Body::Alive,
            (Method::RestartPart { .. }, _) => {}
            (Method::MicroReboot | Method::Rebuild, _) => {
                self.bodies[index] = if crashes { Body::Dead } else { Body::Booting };
                self.beats[index] = 0;
            }
        }
        self.tell(Event::RepairDone(repair), see);
    }

    /// Fails in the middle of carrying an order out.
    pub(crate) fn refuse(&mut self, order: usize, see: &mut dyn FnMut(u64, &Action)) {
        let repair = self.orders.remove(order);
        self.mishap(repair.component);
        self.leave_half_done(repair);
        self.tell(Event::RepairFailed(repair), see);
    }

    fn leave_half_done(&mut self, repair: Repair) {
        if repair.method == Method::MicroReboot || repair.method == Method::Rebuild {
            self.bodies[repair.component.index()] = Body::Dead;
        }
    }

    /// Forgets an order in the middle of carrying it out.
    pub(crate) fn forget(&mut self, order: usize) {
        let repair = self.orders.remove(order);
        self.mishap(repair.component);
        self.leave_half_done(repair);
        self.forgotten.push(repair);
    }

    /// Answers an order that was forgotten, by saying that it was done.
    pub(crate) fn answer_late(&mut self, forgotten: usize, see: &mut dyn FnMut(u64, &Action)) {
        let repair = self.forgotten.remove(forgotten);
        self.tell(Event::RepairDone(repair), see);
    }

    /// Whether another look of root could change anything.
    pub(crate) fn needs_look(&self) -> bool {
        self.components().any(|component| match self.monitor.phase(component) {
            Phase::Healthy => self.body(component) != Body::Alive && !self.is_excused(component),
            Phase::Starting { .. } => true,
            Phase::Repairing { repair, .. } => !self.orders.contains(&repair),
            Phase::Unstarted | Phase::Down | Phase::Waiting { .. } | Phase::Held { .. } => false,
        })
    }

    /// Whether it works no more because what it needs does not, and cannot be helped before that.
    fn is_excused(&self, component: ComponentId) -> bool {
        let needs = self.monitor.graph().needs(component);
        self.body(component) == Body::Stalled && !needs.is_subset(self.monitor.healthy())
    }

    /// Whether nobody who is well waits to be repaired.
    pub(crate) fn lets_run_who_runs(&self) -> bool {
        self.components().all(|component| {
            self.body(component) != Body::Alive || self.monitor.phase(component) == Phase::Healthy
        })
    }

    /// Whether time has to pass before there is an end to it.
    pub(crate) fn needs_time(&self) -> bool {
        self.components().any(|component| match self.monitor.phase(component) {
            Phase::Healthy => self.is_silent_or_stalled(component) && !self.is_excused(component),
            Phase::Starting { .. } => self.is_silent_or_stalled(component),
            Phase::Repairing { repair, .. } => !self.orders.contains(&repair),
            Phase::Unstarted | Phase::Down | Phase::Waiting { .. } | Phase::Held { .. } => false,
        })
    }

    fn is_silent_or_stalled(&self, component: ComponentId) -> bool {
        matches!(self.body(component), Body::Hung | Body::Stalled)
    }

    /// One turn of root's loop: time passes, root looks at everyone.
    pub(crate) fn look(&mut self, see: &mut dyn FnMut(u64, &Action)) {
        // Where time makes no difference it stands still, which makes fewer states to visit.
        let passes = self.needs_time();
        self.now_us += if passes { STEP_US } else { 0 };
        for component in self.components() {
            let index = component.index();
            match self.bodies[index] {
                Body::Absent | Body::Dead => {
                    let believed = self.monitor.phase(component);
                    if matches!(believed, Phase::Healthy | Phase::Starting { .. }) {
                        self.tell(Event::Crashed { component }, see);
                    }
                    continue;
                }
                Body::Booting => {
                    self.bodies[index] = Body::Alive;
                    self.beats[index] = 1;
                }
                Body::Alive | Body::Stalled => self.beats[index] += u64::from(passes),
                Body::Hung => {}
            }
            let stalled = self.bodies[index] == Body::Stalled;
            let progress = [Progress { waiting: stalled.into(), done: 0 }];
            let cpu = Some(CpuSample { used_us: 0, runnable: false });
            let observation = Observation { cpu, beats: self.beats[index], progress: &progress };
            self.tell(Event::Observed { component, observation }, see);
        }
        self.tell(Event::Tick, see);
    }

    /// Root restarts in place, in the middle of whatever it does, and takes over what it finds.
    pub(crate) fn restart_root(
        &mut self,
        policies: &[Policy],
        plane: PlaneLimit,
        lost: ComponentSet,
        see: &mut dyn FnMut(u64, &Action),
    ) {
        self.mishaps = self.mishaps.saturating_add(1);
        let before = self.monitor.clone();
        self.monitor = Monitor::new(policies, plane).expect("the policies from before");
        self.orders.clear();
        self.forgotten.clear();
        for component in self.components() {
            if let Phase::Repairing { repair, .. } = before.phase(component) {
                self.mishap(component);
                self.leave_half_done(repair);
            }
            if lost.contains(component) {
                self.mishap(component);
                self.tally[component.index()].losses += 1;
            }
            let saved = before.saved(component).filter(|_| !lost.contains(component));
            if saved.is_none() {
                self.reported.remove(component);
            }
            // Until all are known nothing is decided.
            self.tell_unchecked(Event::Resume { component, saved }, see);
        }
        self.tell(Event::Tick, see);
    }

    /// Where everybody stands: what is believed, and what is.
    pub(crate) fn summary(&self) -> Vec<(Phase, Body)> {
        self.components().map(|component| (self.monitor.phase(component), self.body(component))).collect()
    }

    /// Whether all is well, as far as it can be: nobody may say more once nothing fails any more.
    pub(crate) fn is_at_peace(&self) -> bool {
        let held = |component| matches!(self.monitor.phase(component), Phase::Held { .. });
        self.components().all(|component| match self.monitor.phase(component) {
            Phase::Healthy => self.body(component) == Body::Alive || self.is_excused(component),
            Phase::Held { .. } => self.body(component) == Body::Absent && self.reported.contains(component),
            Phase::Waiting { .. } => self.monitor.graph().needs(component).iter().any(held),
            Phase::Unstarted | Phase::Down | Phase::Repairing { .. } | Phase::Starting { .. } => false,
        })
    }

    /// Nothing fails any more: root carries out what it was told and looks, until there is nothing to do.
    pub(crate) fn calm_down(&mut self, see: &mut dyn FnMut(u64, &Action)) {
        for _ in 0..TURNS_TO_PEACE {
            while !self.orders.is_empty() {
                self.carry_out(0, see);
            }
            if !self.needs_look() {
                return;
            }
            self.look(see);
        }
        self.broken = Some("no end of repairs");
    }
}
