//! What must be known of a component after root itself has restarted.

use crate::ladder::Ladder;
use crate::{Cause, ComponentId, Phase, Rung};
use serde::{Deserialize, Serialize};

/// A rebuild that was decided for a reason outside of the component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) rung: Rung,
    pub(crate) cause: Cause,
}

/// From the moment a component has to be repaired until it lives again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Episode {
    /// When it began.
    pub(crate) since_us: u64,
    /// Why.
    pub(crate) cause: Cause,
    /// The cheapest rung that makes sense.
    pub(crate) floor: Rung,
    /// The rung that was tried last, in vain.
    pub(crate) failed: Option<Rung>,
    /// What is to be done next, whatever the ladder says.
    pub(crate) order: Option<Order>,
    /// Whether the component was healthy when that was ordered and has not been touched since.
    pub(crate) intact: bool,
}

impl Default for Episode {
    fn default() -> Self {
        Self {
            since_us: 0,
            cause: Cause::Boot,
            floor: Rung::MicroReboot,
            failed: None,
            order: None,
            intact: false,
        }
    }
}

/// What outlives a restart of root: for root to keep in its recovery box, one record for each component, and to give
/// back by [`Event::Resume`](crate::Event::Resume).
///
/// It is checked there, never trusted. The heartbeat book is not part of it: it begins anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Saved {
    pub(crate) phase: Phase,
    pub(crate) episode: Episode,
    pub(crate) ladder: Ladder,
    /// Orders so far.
    pub(crate) attempts: u32,
}

impl Saved {
    /// Where the component stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether this can be a record of `component`, one of the first `count`.
    pub(crate) fn is_of(&self, component: ComponentId, count: usize) -> bool {
        let exists = |cause| !matches!(cause, Cause::Behind(culprit) if culprit.index() >= count);
        let repair = self.phase.repair();
        repair.is_none_or(|repair| repair.component == component && exists(repair.cause))
            && exists(self.episode.cause)
            && self.episode.order.is_none_or(|order| exists(order.cause))
    }
}
