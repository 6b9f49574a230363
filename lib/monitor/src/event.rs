//! What the monitor is told, and what it asks for.

use crate::{ComponentId, MAX_COMPONENTS, Observation, Repair, Report, Rung, Saved};
use heapless::Deque;

/// Something that the monitor must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Start what is not running: each component that nothing was said of yet, in the order of needs.
    Boot,
    /// Root looked at a component. It is to look at every component that has a domain, in every turn of its loop.
    Observed {
        /// At whom.
        component: ComponentId,
        /// What it saw.
        observation: Observation<'a>,
    },
    /// A component has crashed: to be said once for each crash. One that is said between an order to repair the
    /// component and its answer is a new crash, and the repair has failed.
    Crashed {
        /// Who.
        component: ComponentId,
    },
    /// A component's own checks have found its data corrupt.
    Corrupted {
        /// Whose.
        component: ComponentId,
    },
    /// A repair was carried out: the component runs from its start, its counters at 0; or its part was told to restart.
    /// It may come at any time after the order. An answer to an order that is no longer the latest changes nothing.
    RepairDone(Repair),
    /// A repair could not be carried out.
    RepairFailed(Repair),
    /// Time has passed: once in every turn of root's loop, after the observations.
    Tick,
    /// Root has restarted in place and found this about a component in its recovery box; `None` where the record was
    /// lost. To be said of every component before anything else; nothing is decided until then. [`Event::Boot`] may
    /// follow.
    Resume {
        /// About whom.
        component: ComponentId,
        /// What [`Monitor::saved`](crate::Monitor::saved) said last.
        saved: Option<&'a Saved>,
    },
    /// An operator wants a component restarted by a certain rung, or by [`Rung::MicroReboot`] instead of a
    /// [`Rung::PartRestart`], which names no part. It counts against no limit, and releases a held component.
    OperatorRestart {
        /// Whom.
        component: ComponentId,
        /// How.
        rung: Rung,
    },
    /// An operator releases a component that is held: its past is forgotten, it is built anew.
    OperatorRelease {
        /// Whom.
        component: ComponentId,
    },
}

impl Event<'_> {
    /// Whom it is about; `None` where it is about all.
    pub fn component(&self) -> Option<ComponentId> {
        match *self {
            Self::Observed { component, .. }
            | Self::Crashed { component }
            | Self::Corrupted { component }
            | Self::Resume { component, .. }
            | Self::OperatorRestart { component, .. }
            | Self::OperatorRelease { component } => Some(component),
            Self::RepairDone(repair) | Self::RepairFailed(repair) => Some(repair.component),
            Self::Boot | Self::Tick => None,
        }
    }
}

/// Something that root shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Carry this repair out and answer by [`Event::RepairDone`] or [`Event::RepairFailed`].
    Repair(Repair),
    /// See to it that the component gets CPU time.
    Boost {
        /// Who.
        component: ComponentId,
    },
    /// Observe the component at once, with a CPU sample.
    Probe {
        /// Whom.
        component: ComponentId,
    },
    /// Stop the component: it is given up, and shall do no harm.
    Hold {
        /// Whom.
        component: ComponentId,
    },
    /// Write this to the event log.
    Report(Report),
}

/// Room for one event to move every component: four actions each.
pub const MAX_ACTIONS: usize = 4 * MAX_COMPONENTS;

/// Actions in the order in which they are to be done.
///
/// A queue, so that root may answer while it works through it:
///
/// ```
/// # use monitor::{Action, Actions, Event, Monitor};
/// # fn root(monitor: &mut Monitor, now_us: impl Fn() -> u64) {
/// let mut actions = Actions::default();
/// monitor.handle(now_us(), Event::Tick, &mut actions);
/// while let Some(action) = actions.pop() {
///     if let Action::Repair(repair) = action {
///         // ... carry it out ...
///         monitor.handle(now_us(), Event::RepairDone(repair), &mut actions);
///     }
/// }
/// # }
/// ```
///
/// A full queue delays repairs until there is room, and loses reports, which it counts.
#[derive(Clone, Debug, Default)]
pub struct Actions {
    queue: Deque<Action, MAX_ACTIONS>,
    lost: u32,
}

impl Actions {
    /// Takes the next action out.
    pub fn pop(&mut self) -> Option<Action> {
        self.queue.pop_front()
    }

    /// How many actions are in the queue.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The actions, without taking them out.
    pub fn iter(&self) -> impl Iterator<Item = &Action> {
        self.queue.iter()
    }

    /// How many actions were lost for want of room since the queue was made.
    pub fn lost(&self) -> u32 {
        self.lost
    }

    /// Whether there is room for `count` actions more.
    pub(crate) fn has_room(&self, count: usize) -> bool {
        self.queue.capacity() - self.queue.len() >= count
    }

    pub(crate) fn push(&mut self, action: Action) {
        self.lost = self.lost.saturating_add(self.queue.push_back(action).is_err().into());
    }

    pub(crate) fn report(&mut self, report: Report) {
        self.push(Action::Report(report));
    }
}
