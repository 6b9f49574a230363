//! The states of a component, and the one function that says how they follow each other.

use crate::{ComponentId, HoldReason, Repair};
use serde::{Deserialize, Serialize};

/// Where a component stands.
///
/// | from | to | when |
/// |---|---|---|
/// | Unstarted, Healthy, Held | Down | it shall be started, or started anew |
/// | Healthy | Down | it has failed |
/// | Down | Waiting | what it needs is not healthy |
/// | Down, Waiting | Repairing | it is its turn |
/// | Down, Waiting | Held | there is nothing left to try |
/// | Down, Waiting | Healthy | it was well, and what it needs is held: it runs on |
/// | Repairing | Starting | the repair was carried out |
/// | Repairing, Starting | Down | the repair has failed |
/// | Starting | Healthy | its first sign of life |
/// | Unstarted | Held | it is not started by itself |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Nobody has asked for it yet.
    #[default]
    Unstarted,
    /// It has to be repaired; its turn comes at once.
    Down,
    /// It has to be repaired once what it needs is healthy.
    Waiting {
        /// One of those that it needs and that are not healthy.
        on: ComponentId,
    },
    /// A repair has been ordered and not been answered.
    Repairing {
        /// The repair.
        repair: Repair,
        /// Whether it has crashed meanwhile: the repair has failed, whatever the answer will be.
        crashed: bool,
    },
    /// The repair has been carried out; the first sign of life is awaited.
    Starting {
        /// The repair.
        repair: Repair,
        /// Since when, in microseconds.
        since_us: u64,
    },
    /// It is at work.
    Healthy,
    /// It is left alone until an operator releases it.
    Held {
        /// Why.
        reason: HoldReason,
    },
}

/// What moves a component from one phase to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// It shall be started, or started anew, for a reason outside of it.
    Order,
    /// It has failed.
    Fault,
    /// What it needs is not healthy.
    Blocked(ComponentId),
    /// A repair is ordered.
    Begin(Repair),
    /// The repair was carried out, at this time in microseconds.
    Done(u64),
    /// The repair came to nothing, or nothing came of it.
    Failed,
    /// It shows its first sign of life.
    Alive,
    /// There is nothing left to try.
    Hold(HoldReason),
    /// It is left as it is, which is well.
    Spare,
}

impl Phase {
    /// The phase after a signal; `None` where the signal changes nothing.
    pub(crate) fn after(self, signal: Signal) -> Option<Self> {
        Some(match (self, signal) {
            // A repair that is on its way is waited for: there is never more than one.
            (Self::Unstarted | Self::Healthy | Self::Held { .. }, Signal::Order) => Self::Down,
            (Self::Repairing { repair, crashed: false }, Signal::Fault) => {
                Self::Repairing { repair, crashed: true }
            }
            (Self::Healthy, Signal::Fault) => Self::Down,
            (Self::Down | Self::Waiting { .. }, Signal::Blocked(on)) if self != (Self::Waiting { on }) => {
                Self::Waiting { on }
            }
            (Self::Down | Self::Waiting { .. }, Signal::Begin(repair)) => {
                Self::Repairing { repair, crashed: false }
            }
            (Self::Unstarted | Self::Down | Self::Waiting { .. }, Signal::Hold(reason)) => {
                Self::Held { reason }
            }
            (Self::Repairing { repair, crashed: false }, Signal::Done(since_us)) => {
                Self::Starting { repair, since_us }
            }
            (Self::Repairing { .. } | Self::Starting { .. }, Signal::Failed) => Self::Down,
            (Self::Starting { .. }, Signal::Alive) => Self::Healthy,
            (Self::Down | Self::Waiting { .. }, Signal::Spare) => Self::Healthy,
            _ => return None,
        })
    }

    /// The repair that has not succeeded yet.
    pub(crate) fn repair(&self) -> Option<Repair> {
        match *self {
            Self::Repairing { repair, .. } | Self::Starting { repair, .. } => Some(repair),
            Self::Unstarted | Self::Down | Self::Waiting { .. } | Self::Healthy | Self::Held { .. } => None,
        }
    }

    /// Whether it waits for its turn to be repaired.
    pub(crate) fn awaits_repair(&self) -> bool {
        matches!(self, Self::Down | Self::Waiting { .. })
    }

    /// Whether it stays so until something else happens.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self, Self::Waiting { .. } | Self::Healthy | Self::Held { .. })
    }

    /// Whether it has no part in what happens to others.
    pub(crate) fn is_out(self) -> bool {
        matches!(self, Self::Unstarted | Self::Held { .. })
    }

    /// Its name in the event log.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unstarted => "unstarted",
            Self::Down => "down",
            Self::Waiting { .. } => "waiting",
            Self::Repairing { .. } => "repairing",
            Self::Starting { .. } => "starting",
            Self::Healthy => "healthy",
            Self::Held { .. } => "held",
        }
    }
}
