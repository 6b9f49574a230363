//! The decision maker: events in, actions out.

use crate::heartbeat::{Book, Rules, Verdict};
use crate::phase::Signal;
use crate::saved::{Episode, Order};
use crate::{
    Action, Actions, Cause, ComponentId, ComponentSet, Event, Failure, Fault, Granularity, Graph, HoldReason,
    MAX_COMPONENTS, Method, Observation, Phase, PlaneLimit, Policy, PolicyError, Repair, Report, Rung, Saved,
};
use heapless::Vec;

/// All that is known of one component.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Watched {
    pub(crate) policy: Policy,
    pub(crate) saved: Saved,
    pub(crate) book: Book,
}

impl Watched {
    /// The cheapest rung that makes sense for a fault.
    fn floor(&self, fault: Fault) -> Rung {
        match (fault, self.policy.granularity) {
            (Fault::Stall { .. }, Granularity::Fine) => Rung::PartRestart,
            _ => Rung::MicroReboot,
        }
    }
}

/// The decision maker for up to `N` components.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Monitor<const N: usize = MAX_COMPONENTS> {
    pub(crate) watched: Vec<Watched, N>,
    pub(crate) graph: Graph<N>,
    pub(crate) plane: PlaneLimit,
    /// The latest time that was seen.
    pub(crate) now_us: u64,
    pub(crate) healthy: ComponentSet,
    pub(crate) held: ComponentSet,
    /// Those that wait for their turn to be repaired.
    pub(crate) awaiting: ComponentSet,
    /// Those that are on their way from one lasting phase to another.
    busy: ComponentSet,
    /// Who was healthy when it was reported that nobody is busy; `None` while somebody is.
    settled: Option<ComponentSet>,
    changed: ComponentSet,
}

/// What its host has to find room for once, at build time: all of it is in here.
const _: () = assert!(size_of::<Monitor>() <= 40 * 1024);

impl<const N: usize> Monitor<N> {
    /// A monitor for as many components as there are policies, none of which is started yet.
    pub fn new(policies: &[Policy], plane: PlaneLimit) -> Result<Self, PolicyError> {
        let most = N.min(MAX_COMPONENTS);
        if policies.is_empty() || policies.len() > most {
            return Err(PolicyError::Count { found: policies.len(), most });
        }
        if plane.window_us == 0 {
            return Err(PolicyError::NoPlaneWindow);
        }
        let mut watched = Vec::new();
        let mut needs = Vec::<ComponentSet, N>::new();
        for (component, &policy) in ComponentId::first(most).zip(policies) {
            policy.check(component)?;
            needs.extend([policy.needs]);
            watched.extend([Watched { policy, saved: Saved::default(), book: Book::default() }]);
        }
        Ok(Self {
            watched,
            graph: Graph::new(&needs)?,
            plane,
            now_us: 0,
            healthy: ComponentSet::EMPTY,
            held: ComponentSet::EMPTY,
            awaiting: ComponentSet::EMPTY,
            busy: ComponentSet::first(policies.len()),
            settled: None,
            changed: ComponentSet::EMPTY,
        })
    }

    /// Takes note of an event and says what is to be done about it.
    ///
    /// Times need not be exact: one that lies before a time seen earlier (the clocks of two processors may differ) is
    /// taken for that time.
    pub fn handle(&mut self, now_us: u64, event: Event<'_>, actions: &mut Actions) {
        self.now_us = self.now_us.max(now_us);
        if let Some(component) = event.component().filter(|component| component.index() >= self.watched.len())
        {
            return actions.report(Report::Unknown { component });
        }
        match event {
            Event::Boot => self.boot(actions),
            Event::Observed { component, observation } => self.observe(component, &observation, actions),
            Event::Crashed { component } => self.fault(component, Fault::Crash, actions),
            Event::Corrupted { component } => self.fault(component, Fault::Corrupt, actions),
            Event::RepairDone(repair) => self.answer(repair, true, actions),
            Event::RepairFailed(repair) => self.answer(repair, false, actions),
            Event::Tick => self.give_up_unanswered(actions),
            // Nothing is decided before all are known: limits count what everybody did.
            Event::Resume { component, saved } => return self.resume(component, saved, actions),
            Event::OperatorRestart { component, rung } => self.operator_restart(component, rung, actions),
            Event::OperatorRelease { component } => self.operator_release(component, actions),
        }
        self.dispatch(actions);
        self.settle(actions);
    }

    /// The components.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = ComponentId> + Clone + use<N> {
        ComponentId::first(self.watched.len())
    }

    /// Where a component stands; [`Phase::Unstarted`] for one that does not exist.
    pub fn phase(&self, component: ComponentId) -> Phase {
        self.watched.get(component.index()).map_or(Phase::Unstarted, |watched| watched.saved.phase)
    }

    /// Those that are at work.
    pub fn healthy(&self) -> ComponentSet {
        self.healthy
    }

    /// The dependency graph.
    pub fn graph(&self) -> &Graph<N> {
        &self.graph
    }

    /// What of a component must outlive a restart of root; `None` for one that does not exist.
    pub fn saved(&self, component: ComponentId) -> Option<&Saved> {
        self.watched.get(component.index()).map(|watched| &watched.saved)
    }

    /// The components of which [`saved`](Self::saved) may have changed since the last call. Root writes them to its
    /// recovery box before it carries any action out, so that an attempt is counted even if root dies of it.
    pub fn take_changed(&mut self) -> ComponentSet {
        core::mem::take(&mut self.changed)
    }

    fn boot(&mut self, actions: &mut Actions) {
        for component in self.those_in(|phase| phase == Phase::Unstarted).iter() {
            if self.watched[component.index()].policy.autostart {
                self.order(component, Order { rung: Rung::Rebuild, cause: Cause::Boot });
            } else {
                let reason = HoldReason::NotStarted;
                self.signal(component, Signal::Hold(reason));
                actions.report(Report::Hold { component, reason });
            }
        }
    }

    fn resume(&mut self, component: ComponentId, saved: Option<&Saved>, actions: &mut Actions) {
        if self.phase(component) != Phase::Unstarted {
            return;
        }
        let (now_us, plane, count) = (self.now_us, self.plane, self.watched.len());
        let saved = saved.copied().filter(|saved| saved.is_of(component, count));
        actions.report(Report::Resume { component, known: saved.is_some() });
        let watched = &mut self.watched[component.index()];
        watched.book = Book::adopted(now_us);
        watched.saved = saved.unwrap_or(Saved { phase: Phase::Healthy, ..Saved::default() });
        watched.saved.ladder.not_after(now_us, &watched.policy.limits, plane);
        watched.saved.episode.since_us = watched.saved.episode.since_us.min(now_us);
        let phase = match watched.saved.phase {
            Phase::Waiting { .. } => Phase::Down,
            Phase::Starting { repair, .. } => Phase::Starting { repair, since_us: now_us },
            phase => phase,
        };
        self.set_phase(component, phase);
        if let Phase::Repairing { repair, .. } = phase {
            self.failed(repair, Failure::Interrupted, actions);
        }
    }

    fn observe(&mut self, component: ComponentId, seen: &Observation<'_>, actions: &mut Actions) {
        let now_us = self.now_us;
        let needs_are_healthy = self.graph.needs(component).is_subset(self.healthy);
        let Watched { policy, saved, book } = &mut self.watched[component.index()];
        let phase = saved.phase;
        let (deadline_us, excused) = match phase {
            Phase::Healthy => (policy.heartbeat_deadline_us, !needs_are_healthy),
            Phase::Starting { repair: Repair { method: Method::RestartPart { .. }, .. }, .. } => {
                (policy.heartbeat_deadline_us, true)
            }
            Phase::Starting { .. } => (policy.boot_deadline_us, true),
            Phase::Unstarted
            | Phase::Down
            | Phase::Waiting { .. }
            | Phase::Repairing { .. }
            | Phase::Held { .. } => return,
        };
        let verdict = book.observe(now_us, seen, Rules { policy, deadline_us, excused });
        match verdict {
            Verdict::Alive | Verdict::Quiet => {}
            Verdict::Probe => actions.push(Action::Probe { component }),
            Verdict::Starved { cpu_us } => {
                actions.report(Report::Boost { component, alive_us: book.alive_us(), cpu_us });
                actions.push(Action::Boost { component });
            }
            Verdict::Failed(fault) => return self.fault(component, fault, actions),
        }
        let Phase::Starting { repair, since_us } = phase else { return };
        match repair.method {
            Method::MicroReboot | Method::Rebuild if verdict == Verdict::Alive => self.alive(repair, actions),
            Method::MicroReboot | Method::Rebuild => {}
            Method::RestartPart { part } if book.part_moves(part) => self.alive(repair, actions),
            Method::RestartPart { .. } if now_us.saturating_sub(since_us) >= policy.boot_deadline_us => {
                self.failed(repair, Failure::NoProgress, actions);
            }
            Method::RestartPart { .. } => {}
        }
    }

    /// A component has failed, which may be known already.
    fn fault(&mut self, component: ComponentId, fault: Fault, actions: &mut Actions) {
        let detected_us = self.now_us;
        let watched = &self.watched[component.index()];
        let report = Report::Fault { component, fault, alive_us: watched.book.alive_us(), detected_us };
        let Episode { cause, intact, .. } = watched.saved.episode;
        let floor = watched.floor(fault);
        match watched.saved.phase {
            Phase::Healthy => {
                actions.report(report);
                let cause = Cause::Fault(fault);
                self.saved_mut(component).episode =
                    Episode { since_us: detected_us, cause, floor, ..Episode::default() };
                self.signal(component, Signal::Fault);
            }
            Phase::Repairing { crashed: false, .. } => {
                actions.report(report);
                self.signal(component, Signal::Fault);
            }
            Phase::Starting { repair, .. } => {
                actions.report(report);
                self.failed(repair, Failure::Failed(fault), actions);
            }
            // It was to be rebuilt with others, or only a part of it was ill: it ran on until now.
            Phase::Down | Phase::Waiting { .. }
                if intact || matches!(cause, Cause::Fault(Fault::Stall { .. })) =>
            {
                actions.report(report);
                let episode = &mut self.saved_mut(component).episode;
                episode.cause = Cause::Fault(fault);
                episode.floor = episode.floor.max(floor);
                episode.intact = false;
            }
            Phase::Unstarted
            | Phase::Down
            | Phase::Waiting { .. }
            | Phase::Repairing { .. }
            | Phase::Held { .. } => {}
        }
    }

    fn answer(&mut self, answered: Repair, done: bool, actions: &mut Actions) {
        let component = answered.component;
        let now_us = self.now_us;
        let Phase::Repairing { repair, crashed } = self.phase(component) else { return };
        if repair != answered {
            return;
        }
        let watched = &mut self.watched[component.index()];
        if crashed {
            self.failed(repair, Failure::Failed(Fault::Crash), actions);
        } else if !done {
            self.failed(repair, Failure::Refused, actions);
        } else {
            match repair.method {
                Method::RestartPart { part } => watched.book.restart_part(part),
                Method::MicroReboot | Method::Rebuild => watched.book = Book::started(now_us),
            }
            self.signal(component, Signal::Done(now_us));
        }
    }

    fn give_up_unanswered(&mut self, actions: &mut Actions) {
        for component in self.components() {
            let deadline_us = self.watched[component.index()].policy.repair_deadline_us;
            if let Phase::Repairing { repair, .. } = self.phase(component)
                && self.now_us.saturating_sub(repair.ordered_us) >= deadline_us
            {
                self.failed(repair, Failure::Unanswered, actions);
            }
        }
    }

    /// A repair has led to a sign of life.
    fn alive(&mut self, repair: Repair, actions: &mut Actions) {
        let component = repair.component;
        let took_us = self.now_us.saturating_sub(repair.ordered_us);
        let since_fault_us = self.now_us.saturating_sub(repair.since_us);
        actions.report(Report::Repaired { repair, took_us, since_fault_us });
        let ended = core::mem::take(&mut self.saved_mut(component).episode);
        self.signal(component, Signal::Alive);
        // What came up while it was being repaired.
        ended.order.into_iter().for_each(|order| self.order(component, order));
        if repair.rung == Rung::Cascade && repair.cause.is_own() {
            let dependents = self.graph.dependents(component).without(self.those_in(Phase::is_out));
            for dependent in dependents.iter() {
                self.order(dependent, Order { rung: Rung::Cascade, cause: Cause::Behind(component) });
            }
        }
    }

    /// A repair has come to nothing.
    fn failed(&mut self, repair: Repair, failure: Failure, actions: &mut Actions) {
        let component = repair.component;
        actions.report(Report::RepairFailed { repair, failure });
        let fault_floor = match failure {
            Failure::Failed(fault) => {
                Some((Cause::Fault(fault), self.watched[component.index()].floor(fault)))
            }
            _ => None,
        };
        let episode = &mut self.saved_mut(component).episode;
        if repair.cause.is_own() {
            episode.failed = Some(repair.rung);
        } else {
            // What was half built for another's sake has to be built, now at the expense of its own limits.
            episode.cause = Cause::Failure(failure);
            episode.floor = Rung::Rebuild;
            episode.failed = None;
        }
        if let Some((cause, floor)) = fault_floor {
            episode.cause = cause;
            episode.floor = episode.floor.max(floor);
        }
        self.signal(component, Signal::Failed);
    }

    fn operator_restart(&mut self, component: ComponentId, rung: Rung, actions: &mut Actions) {
        if matches!(self.phase(component), Phase::Held { .. }) {
            actions.report(Report::Release { component });
        }
        match rung {
            Rung::ControlPlane => self.order_everything(component, Cause::Operator, actions),
            _ => self.order(component, Order { rung: rung.max(Rung::MicroReboot), cause: Cause::Operator }),
        }
    }

    fn operator_release(&mut self, component: ComponentId, actions: &mut Actions) {
        if matches!(self.phase(component), Phase::Held { .. }) {
            actions.report(Report::Release { component });
            self.saved_mut(component).ladder.forget();
            self.order(component, Order { rung: Rung::Rebuild, cause: Cause::Operator });
        }
    }

    /// The components in certain phases.
    fn those_in(&self, is: impl Fn(Phase) -> bool) -> ComponentSet {
        self.components().filter(|&component| is(self.phase(component))).collect()
    }

    /// Has a component repaired for a reason outside of it. Of two such orders the stronger one is kept.
    fn order(&mut self, component: ComponentId, order: Order) {
        let since_us = self.now_us;
        let saved = self.saved_mut(component);
        if matches!(saved.phase, Phase::Unstarted | Phase::Healthy | Phase::Held { .. }) {
            let intact = saved.phase == Phase::Healthy;
            saved.episode = Episode { since_us, cause: order.cause, intact, ..Episode::default() };
        }
        let weaker = saved.episode.order.is_none_or(|earlier| earlier.rung <= order.rung);
        if weaker {
            saved.episode.order = Some(order);
        }
        self.signal(component, Signal::Order);
    }

    /// Has the whole control plane rebuilt because of one component.
    pub(crate) fn order_everything(&mut self, culprit: ComponentId, cause: Cause, actions: &mut Actions) {
        let rung = Rung::ControlPlane;
        actions.report(Report::RebuildAll { component: culprit, cause });
        self.order(culprit, Order { rung, cause });
        let mut others = ComponentSet::first(self.watched.len()).without(self.those_in(Phase::is_out));
        others.remove(culprit);
        for other in others.iter() {
            self.order(other, Order { rung, cause: Cause::Behind(culprit) });
        }
    }

    fn settle(&mut self, actions: &mut Actions) {
        let settled = self.busy.is_empty().then_some(self.healthy);
        if settled.is_some() && settled != self.settled {
            let Self { healthy, held, awaiting: waiting, .. } = *self;
            actions.report(Report::Settled { healthy, held, waiting });
        }
        self.settled = settled;
    }

    pub(crate) fn saved_mut(&mut self, component: ComponentId) -> &mut Saved {
        self.changed.insert(component);
        &mut self.watched[component.index()].saved
    }

    /// Moves a component to its next phase; whether the signal changed anything.
    pub(crate) fn signal(&mut self, component: ComponentId, signal: Signal) -> bool {
        let next = self.phase(component).after(signal);
        next.into_iter().for_each(|phase| self.set_phase(component, phase));
        next.is_some()
    }

    fn set_phase(&mut self, component: ComponentId, phase: Phase) {
        self.saved_mut(component).phase = phase;
        let put = |set: &mut ComponentSet, is_in: bool| {
            if is_in { set.insert(component) } else { set.remove(component) }
        };
        put(&mut self.healthy, phase == Phase::Healthy);
        put(&mut self.held, matches!(phase, Phase::Held { .. }));
        put(&mut self.awaiting, phase.awaits_repair());
        put(&mut self.busy, !phase.is_settled());
    }
}
