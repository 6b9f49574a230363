//! Whose turn it is, and what is done in it.

use crate::decision::Watched;
use crate::heartbeat::Book;
use crate::ladder::{Choice, Offer};
use crate::phase::Signal;
use crate::saved::{Episode, Order};
use crate::{
    Action, Actions, Cause, Climb, ComponentId, Fault, HoldReason, Method, Monitor, Repair, Report, Rung,
};
use heapless::Vec;

/// The most actions that one component's turn can need: a climb, and an order with its report.
const ACTIONS_PER_TURN: usize = 3;

/// What is to be done for a component.
enum Decision {
    /// What was ordered.
    Obey(Order),
    /// What its ladder says, and from which rung it climbed to there.
    Climb(Rung, Option<(Rung, Climb)>),
    /// Nothing more.
    GiveUp(HoldReason),
}

impl<const N: usize> Monitor<N> {
    /// Gives everyone who waits a turn: what others need first, and among equals who has waited longest.
    pub(crate) fn dispatch(&mut self, actions: &mut Actions) {
        self.rebuild_everything_if_needed(actions);
        for component in self.queue() {
            // Those who find no room have their turn with the next event.
            if actions.has_room(ACTIONS_PER_TURN) {
                self.take_turn(component, actions);
            }
        }
    }

    /// Those who wait, in the order of their turns.
    fn queue(&self) -> impl Iterator<Item = ComponentId> + use<N> {
        let since_us = |component: ComponentId| self.watched[component.index()].saved.episode.since_us;
        let mut queue: Vec<(u8, u64, ComponentId), N> =
            self.awaiting.iter().map(|c| (self.graph.rank(c), since_us(c), c)).collect();
        queue.sort_unstable();
        queue.into_iter().map(|(_, _, component)| component)
    }

    /// Looks first for a component that only a rebuild of everything can help, since that makes other repairs idle.
    ///
    /// One is enough: then everybody who waits has an order, and nobody's ladder is asked.
    fn rebuild_everything_if_needed(&mut self, actions: &mut Actions) {
        for component in self.queue() {
            let may_go =
                self.graph.needs(component).is_subset(self.healthy) && actions.has_room(ACTIONS_PER_TURN);
            if may_go && let Decision::Climb(rung @ Rung::ControlPlane, climb) = self.decide(component) {
                let cause = self.watched[component.index()].saved.episode.cause;
                self.climb(component, rung, climb, actions);
                return self.order_everything(component, cause, actions);
            }
        }
    }

    fn take_turn(&mut self, component: ComponentId, actions: &mut Actions) {
        let needs = self.graph.needs(component);
        let episode = self.watched[component.index()].saved.episode;
        if let Some(on) = needs.and(self.held).iter().next().filter(|_| episode.intact) {
            return self.spare(component, on, actions);
        }
        if let Some(on) = needs.without(self.healthy).iter().next() {
            if self.signal(component, Signal::Blocked(on)) {
                actions.report(Report::Waiting { component, on });
            }
            return;
        }
        match self.decide(component) {
            Decision::Obey(order) => self.begin(component, order.rung, order.cause, actions),
            Decision::Climb(rung, climb) => {
                self.climb(component, rung, climb, actions);
                self.begin(component, rung, episode.cause, actions);
            }
            Decision::GiveUp(reason) => {
                self.signal(component, Signal::Hold(reason));
                actions.report(Report::Hold { component, reason });
                actions.push(Action::Hold { component });
            }
        }
    }

    /// What is to be done for a component whose turn it is: what was ordered, or else what its ladder says.
    fn decide(&self, component: ComponentId) -> Decision {
        let Watched { policy, saved, .. } = &self.watched[component.index()];
        let Episode { cause, floor, failed, order, .. } = saved.episode;
        if let Some(order) = order {
            return Decision::Obey(order);
        }
        let offer = Offer {
            limits: &policy.limits,
            plane: self.plane,
            plane_used: self.plane_used(),
            part: matches!(cause, Cause::Fault(Fault::Stall { .. })),
            dependents: !self.graph.dependents(component).is_empty(),
            floor,
            failed,
        };
        match saved.ladder.choose(self.now_us, &offer) {
            Choice::Use(rung, climb) => Decision::Climb(rung, climb),
            Choice::Hold(reason) => Decision::GiveUp(reason),
        }
    }

    /// Puts a rung to a component's account.
    fn climb(
        &mut self,
        component: ComponentId,
        rung: Rung,
        climb: Option<(Rung, Climb)>,
        actions: &mut Actions,
    ) {
        if let Some((from, climb)) = climb {
            actions.report(Report::Escalate { component, from, to: rung, climb });
        }
        let (now_us, plane) = (self.now_us, self.plane);
        let limits = self.watched[component.index()].policy.limits;
        self.saved_mut(component).ladder.record(rung, now_us, &limits, plane);
    }

    /// Lets a component run on that was to be rebuilt.
    fn spare(&mut self, component: ComponentId, on: ComponentId, actions: &mut Actions) {
        actions.report(Report::Spare { component, on });
        self.watched[component.index()].book = Book::adopted(self.now_us);
        self.saved_mut(component).episode = Episode::default();
        self.signal(component, Signal::Spare);
    }

    fn begin(&mut self, component: ComponentId, rung: Rung, cause: Cause, actions: &mut Actions) {
        let ordered_us = self.now_us;
        let saved = self.saved_mut(component);
        saved.episode.order = None;
        saved.episode.intact = false;
        saved.attempts = saved.attempts.wrapping_add(1);
        let (attempt, since_us) = (saved.attempts, saved.episode.since_us);
        let method = match (rung, cause) {
            (Rung::PartRestart, Cause::Fault(Fault::Stall { part })) => Method::RestartPart { part },
            (Rung::PartRestart | Rung::MicroReboot, _) => Method::MicroReboot,
            (Rung::Rebuild | Rung::Cascade | Rung::ControlPlane, _) => Method::Rebuild,
        };
        let repair = Repair { component, attempt, rung, method, cause, ordered_us, since_us };
        self.signal(component, Signal::Begin(repair));
        actions.report(Report::Repair(repair));
        actions.push(Action::Repair(repair));
    }

    /// Rebuilds of the control plane within its window, all culprits together.
    fn plane_used(&self) -> u32 {
        let used = |watched: &Watched| {
            watched.saved.ladder.used(Rung::ControlPlane, self.now_us, &watched.policy.limits, self.plane)
        };
        self.watched.iter().map(used).sum()
    }
}
