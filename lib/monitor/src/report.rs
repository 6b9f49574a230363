//! What the monitor says: the words of the event log.
//!
//! Every item of [`Report`] is one line of the log; [`Report::line`] writes it as `event key=value ...`.

use crate::{Climb, ComponentId, ComponentSet, Rung};
use core::fmt;
use serde::{Deserialize, Serialize};

/// How a component failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Fault {
    /// It crashed.
    Crash,
    /// It was silent for too long, though it had CPU time or did not want any.
    Hang,
    /// It had no CPU time for so long that even boosting did not help.
    Starved,
    /// Work is waiting at one of its parts and none is done.
    Stall {
        /// The part: its place in [`Observation::progress`](crate::Observation::progress).
        part: u8,
    },
    /// What it must keep sound is not: counters that run backwards, records with wrong checksums.
    Corrupt,
}

impl Fault {
    /// Its name in the event log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Hang => "hang",
            Self::Starved => "starved",
            Self::Stall { .. } => "stall",
            Self::Corrupt => "corrupt",
        }
    }
}

/// Why a repair came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Failure {
    /// It could not be carried out.
    Refused,
    /// The component failed again before its first sign of life.
    Failed(Fault),
    /// The stalled part did not move again.
    NoProgress,
    /// Nobody answered whether it was carried out.
    Unanswered,
    /// Root restarted meanwhile.
    Interrupted,
}

impl Failure {
    /// Its name in the event log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Failed(fault) => fault.name(),
            Self::NoProgress => "no-progress",
            Self::Unanswered => "unanswered",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Why a component is repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// It is started for the first time.
    Boot,
    /// It failed.
    Fault(Fault),
    /// It was repaired for a reason outside of it, and that failed.
    Failure(Failure),
    /// It is rebuilt along with another, whose fault needed that.
    Behind(ComponentId),
    /// An operator said so.
    Operator,
}

impl Cause {
    /// Whether the component itself is the reason, so that success and failure are entries in its own ladder.
    pub(crate) fn is_own(self) -> bool {
        !matches!(self, Self::Boot | Self::Behind(_))
    }

    /// Its name in the event log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Fault(fault) => fault.name(),
            Self::Failure(failure) => failure.name(),
            Self::Behind(_) => "behind",
            Self::Operator => "operator",
        }
    }
}

/// What is done to one component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Method {
    /// Ask the uk to restart one of its parts.
    RestartPart {
        /// The part: its place in [`Observation::progress`](crate::Observation::progress).
        part: u8,
    },
    /// Restart the uk in place.
    MicroReboot,
    /// Destroy the domain, if there is one, and build it.
    Rebuild,
}

/// An order to repair one component. The answer gives it back: see
/// [`Event::RepairDone`](crate::Event::RepairDone).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Repair {
    /// Who is repaired.
    pub component: ComponentId,
    /// Counts the orders for this component. An order ends the ones before it, answered or not.
    pub attempt: u32,
    /// The rung that this is part of.
    pub rung: Rung,
    /// What to do.
    pub method: Method,
    /// Why.
    pub cause: Cause,
    /// When it was ordered, in microseconds.
    pub ordered_us: u64,
    /// When the reason for it was found, in microseconds.
    pub since_us: u64,
}

/// Why a component is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HoldReason {
    /// It is not started by itself.
    NotStarted,
    /// Every rung has been used as often as its limit allows, or has failed.
    Exhausted,
    /// It was repaired as often as the limit over all rungs allows.
    TooManyRepairs,
    /// All that is left is to rebuild the control plane, and that was done too often already, whoever needed it.
    PlaneLimit,
}

impl HoldReason {
    /// Its name in the event log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotStarted => "not-started",
            Self::Exhausted => "exhausted",
            Self::TooManyRepairs => "too-many-repairs",
            Self::PlaneLimit => "plane-limit",
        }
    }
}

/// Something that happened. Times and durations are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// A component failed.
    Fault {
        /// Who.
        component: ComponentId,
        /// How.
        fault: Fault,
        /// When it was last known to live.
        alive_us: u64,
        /// When this was found.
        detected_us: u64,
    },
    /// A component is late for want of CPU time, and is boosted.
    Boost {
        /// Who.
        component: ComponentId,
        /// When it was last known to live.
        alive_us: u64,
        /// The CPU time that it had since.
        cpu_us: u64,
    },
    /// A component cannot be repaired yet.
    Waiting {
        /// Who.
        component: ComponentId,
        /// One that it needs and that is not healthy.
        on: ComponentId,
    },
    /// A stronger rung is needed.
    Escalate {
        /// For whom.
        component: ComponentId,
        /// The rung that would have been the choice.
        from: Rung,
        /// The rung that is the choice.
        to: Rung,
        /// Why.
        climb: Climb,
    },
    /// The whole control plane is going to be rebuilt.
    RebuildAll {
        /// Whose fault needs it.
        component: ComponentId,
        /// Why.
        cause: Cause,
    },
    /// A repair was ordered.
    Repair(Repair),
    /// A repair came to nothing.
    RepairFailed {
        /// The repair.
        repair: Repair,
        /// Why.
        failure: Failure,
    },
    /// A repair has led to the first sign of life.
    Repaired {
        /// The repair.
        repair: Repair,
        /// From the order of the repair.
        took_us: u64,
        /// From when its reason was found.
        since_fault_us: u64,
    },
    /// A component is given up until an operator releases it.
    Hold {
        /// Who.
        component: ComponentId,
        /// Why.
        reason: HoldReason,
    },
    /// A healthy component was to be rebuilt, and runs on instead: what it needs is held, so it could not be started.
    Spare {
        /// Who.
        component: ComponentId,
        /// One that it needs and that is held.
        on: ComponentId,
    },
    /// An operator has released a component that was held.
    Release {
        /// Who.
        component: ComponentId,
    },
    /// Root has restarted and takes a component over again.
    Resume {
        /// Who.
        component: ComponentId,
        /// Whether its record was there and made sense; otherwise it is watched as if it had been healthy.
        known: bool,
    },
    /// There is nothing more to do: all are healthy or held, or wait for one that is held.
    Settled {
        /// Those at work.
        healthy: ComponentSet,
        /// Those held.
        held: ComponentSet,
        /// Those waiting.
        waiting: ComponentSet,
    },
    /// An event named a component that does not exist.
    Unknown {
        /// The component.
        component: ComponentId,
    },
}

impl Report {
    /// Whom it is about; `None` where it is about all.
    pub fn component(&self) -> Option<ComponentId> {
        match *self {
            Self::Fault { component, .. }
            | Self::Boost { component, .. }
            | Self::Waiting { component, .. }
            | Self::Escalate { component, .. }
            | Self::RebuildAll { component, .. }
            | Self::Hold { component, .. }
            | Self::Spare { component, .. }
            | Self::Release { component }
            | Self::Resume { component, .. }
            | Self::Unknown { component } => Some(component),
            Self::Repair(repair) | Self::RepairFailed { repair, .. } | Self::Repaired { repair, .. } => {
                Some(repair.component)
            }
            Self::Settled { .. } => None,
        }
    }

    /// The report as `event key=value ...`, with `name` for the components besides the one it is about.
    pub fn line<'a, F: Fn(ComponentId) -> &'a str>(&self, name: F) -> Line<F> {
        Line { report: *self, name }
    }
}

/// A report as a line of the event log.
#[derive(Clone, Copy, Debug)]
pub struct Line<F> {
    report: Report,
    name: F,
}

impl<'a, F: Fn(ComponentId) -> &'a str> Line<F> {
    fn repair(&self, f: &mut fmt::Formatter<'_>, event: &str, repair: Repair) -> fmt::Result {
        write!(f, "{event} rung={} cause={}", repair.rung.name(), repair.cause.name())?;
        if let Method::RestartPart { part } = repair.method {
            write!(f, " part={part}")?;
        }
        if let Cause::Behind(culprit) = repair.cause {
            write!(f, " culprit={}", (self.name)(culprit))?;
        }
        write!(f, " attempt={}", repair.attempt)
    }
}

impl<'a, F: Fn(ComponentId) -> &'a str> fmt::Display for Line<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.report {
            Report::Fault { fault, alive_us, detected_us, .. } => {
                write!(f, "fault kind={} alive_us={alive_us} detected_us={detected_us}", fault.name())?;
                match fault {
                    Fault::Stall { part } => write!(f, " part={part}"),
                    Fault::Crash | Fault::Hang | Fault::Starved | Fault::Corrupt => Ok(()),
                }
            }
            Report::Boost { alive_us, cpu_us, .. } => write!(f, "boost alive_us={alive_us} cpu_us={cpu_us}"),
            Report::Waiting { on, .. } => write!(f, "waiting on={}", (self.name)(on)),
            Report::Escalate { from, to, climb, .. } => {
                write!(f, "escalate from={} to={} reason={}", from.name(), to.name(), climb.name())
            }
            Report::RebuildAll { cause, .. } => write!(f, "rebuild-all cause={}", cause.name()),
            Report::Repair(repair) => self.repair(f, "repair", repair),
            Report::RepairFailed { repair, failure } => {
                self.repair(f, "repair-failed", repair)?;
                write!(f, " reason={}", failure.name())
            }
            Report::Repaired { repair, took_us, since_fault_us } => {
                self.repair(f, "repaired", repair)?;
                write!(f, " took_us={took_us} since_fault_us={since_fault_us}")
            }
            Report::Hold { reason, .. } => write!(f, "hold reason={}", reason.name()),
            Report::Spare { on, .. } => write!(f, "spare held={}", (self.name)(on)),
            Report::Release { .. } => write!(f, "release"),
            Report::Resume { known, .. } => write!(f, "resume known={known}"),
            Report::Settled { healthy, held, waiting } => {
                let event = if held.union(waiting).is_empty() { "ready" } else { "settled" };
                write!(f, "{event} healthy={} held={} waiting={}", healthy.len(), held.len(), waiting.len())
            }
            Report::Unknown { component } => write!(f, "unknown component={}", component.index()),
        }
    }
}
