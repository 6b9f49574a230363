//! What the system description says about a component, as far as the monitor is concerned.

use crate::{ComponentId, ComponentSet, GraphError, Rung};
use core::fmt;
use serde::{Deserialize, Serialize};

/// Where on the ladder the repair of a stalled part starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Granularity {
    /// With a restart of that part inside the uk: for uks that have shadows.
    Fine,
    /// With a micro-reboot of the whole uk.
    Coarse,
}

impl Granularity {
    /// Each by its name in the system description.
    pub const NAMES: [(&'static str, Self); 2] = [("fine", Self::Fine), ("coarse", Self::Coarse)];
}

/// The limits of repair within a sliding window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limits {
    /// Repairs by each rung within the window; one more goes to the next rung. 0 leaves a rung out.
    pub attempts: [u8; Rung::COUNT],
    /// The length of the window in microseconds. The rung [`Rung::ControlPlane`] is counted in the window of
    /// [`PlaneLimit`] instead.
    pub window_us: u64,
    /// Repairs by all rungs together within the window; instead of one more the component is held: left down and
    /// reported, until the operator releases it.
    pub hold: u8,
}

impl Limits {
    /// Three cheap tries, since most faults are transient; then two from a clean domain; then what depends on the
    /// component, in case the damage has spread; then everything, once. The window is long enough for a component
    /// that hangs in every one of its ten boots to use up its half second each time.
    pub const DEFAULT: Self = Self { attempts: [3, 3, 2, 1, 1], window_us: 10_000_000, hold: 10 };

    /// Repairs by one rung within the window.
    pub const fn attempts(&self, rung: Rung) -> u8 {
        self.attempts[rung as usize]
    }
}

/// How often the whole control plane may be rebuilt, whoever was the culprit: it is felt by everybody, so it is
/// limited for all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlaneLimit {
    /// Rebuilds of everything within the window; instead of one more the culprit is held.
    pub attempts: u8,
    /// The length of the window in microseconds.
    pub window_us: u64,
}

impl PlaneLimit {
    /// Twice in ten minutes: whatever two fresh starts of everything did not cure, a third will not.
    pub const DEFAULT: Self = Self { attempts: 2, window_us: 600_000_000 };
}

/// What the monitor has to know of a component. Times are in microseconds.
///
/// ```
/// # use monitor::{ComponentSet, Policy};
/// let needs_nothing = Policy { heartbeat_deadline_us: 20_000, ..Policy::DEFAULT };
/// # assert!(needs_nothing.needs.is_empty());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// The components that must be healthy before this one is started or repaired.
    pub needs: ComponentSet,
    /// Silent for so long, it hangs, unless it had no CPU time to speak in.
    pub heartbeat_deadline_us: u64,
    /// From its start to its first beat.
    pub boot_deadline_us: u64,
    /// With work waiting and none done for so long, a part of it stalls.
    pub stall_deadline_us: u64,
    /// From ordering a repair to the answer, the wait for other repairs included. A repair that is not answered by
    /// then has failed.
    pub repair_deadline_us: u64,
    /// Silent for so long, it is repaired even if all it lacked was CPU time.
    pub starved_deadline_us: u64,
    /// So much CPU time is enough to beat in. One that is late and has had less is starved, not hung.
    pub enough_cpu_us: u64,
    /// How often it must have been looked at in vain, at least, before its silence is too long, or its work has waited too
    /// long. Of the time between two looks no more than the part of the deadline counts that this leaves.
    pub looks: u8,
    /// Whether useful work counts as a beat, so that a busy component needs no beats besides.
    pub work_is_beat: bool,
    /// Where the repair of a stalled part starts.
    pub granularity: Granularity,
    /// How often it is repaired before something stronger is tried, or it is given up.
    pub limits: Limits,
    /// Whether it is started by [`Event::Boot`](crate::Event::Boot); otherwise an operator does.
    pub autostart: bool,
}

impl Policy {
    /// A component that needs nothing.
    pub const DEFAULT: Self = Self {
        needs: ComponentSet::EMPTY,
        // Twice the longest gap seen between two beats, 5 ms apart, of a healthy uk under software emulation.
        heartbeat_deadline_us: 20_000,
        // A uk boots in a few milliseconds; under emulation a device's reset on a busy host takes far longer.
        boot_deadline_us: 500_000,
        // A disk may rightly take tens of milliseconds for one request.
        stall_deadline_us: 100_000,
        // Thirty rebuilds of 15 ms each can wait before it, on a host that is slow ten times over.
        repair_deadline_us: 5_000_000,
        // A second without service is bad enough to try a repair, even where it will not help.
        starved_deadline_us: 1_000_000,
        // A beat takes microseconds; hundreds of times that are no accident of scheduling.
        enough_cpu_us: 2_000,
        // Root looks at least so often within any deadline, unless the host is overloaded: an emulated one on a machine
        // with other work runs for some milliseconds at a time, and stands still for tens of them in between.
        looks: 5,
        work_is_beat: true,
        granularity: Granularity::Coarse,
        limits: Limits::DEFAULT,
        autostart: true,
    };

    /// The most that counts, against a deadline, of the time between two looks.
    pub(crate) fn most_charge_us(&self, deadline_us: u64) -> u64 {
        // Never nothing: watched time must pass.
        deadline_us.div_ceil(self.looks.max(1).into())
    }

    /// Finds what cannot work in the policy of `component`.
    pub(crate) fn check(&self, component: ComponentId) -> Result<(), PolicyError> {
        let durations = [
            ("heartbeat_deadline_us", self.heartbeat_deadline_us),
            ("boot_deadline_us", self.boot_deadline_us),
            ("stall_deadline_us", self.stall_deadline_us),
            ("repair_deadline_us", self.repair_deadline_us),
            ("enough_cpu_us", self.enough_cpu_us),
            ("limits.window_us", self.limits.window_us),
        ];
        if let Some((field, _)) = durations.into_iter().find(|&(_, duration)| duration == 0) {
            return Err(PolicyError::Zero { component, field });
        }
        let shorter = self.heartbeat_deadline_us.min(self.boot_deadline_us);
        if self.enough_cpu_us > shorter / 2 {
            return Err(PolicyError::NeverHung {
                component,
                asked_us: self.enough_cpu_us,
                most_us: shorter / 2,
            });
        }
        let longer = self.heartbeat_deadline_us.max(self.boot_deadline_us);
        if self.starved_deadline_us < longer {
            return Err(PolicyError::StarvesEarly {
                component,
                asked_us: self.starved_deadline_us,
                least_us: longer,
            });
        }
        Ok(())
    }
}

/// Policies that no monitor can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyError {
    /// No component, or more than the monitor has room for.
    Count {
        /// How many policies were given.
        found: usize,
        /// How many there can be.
        most: usize,
    },
    /// A duration of nothing.
    Zero {
        /// Whose it is.
        component: ComponentId,
        /// The field of [`Policy`].
        field: &'static str,
    },
    /// A hung component cannot burn so much CPU time before its deadline, so it would always pass for a starved one.
    NeverHung {
        /// Whose it is.
        component: ComponentId,
        /// What [`Policy::enough_cpu_us`] asks for.
        asked_us: u64,
        /// Half of the shorter one of the deadlines of heartbeat and boot: it may be measured from there on.
        most_us: u64,
    },
    /// It would be repaired for starving before it is known to be late.
    StarvesEarly {
        /// Whose it is.
        component: ComponentId,
        /// What [`Policy::starved_deadline_us`] asks for.
        asked_us: u64,
        /// The longer one of the deadlines of heartbeat and boot.
        least_us: u64,
    },
    /// The window of [`PlaneLimit`] has no length.
    NoPlaneWindow,
    /// What needs what cannot be brought into an order.
    Graph(GraphError),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { found, most } => write!(f, "{found} components, there can be 1 to {most}"),
            Self::Zero { component, field } => write!(f, "component {}: {field} is 0", component.index()),
            Self::NeverHung { component, asked_us, most_us } => write!(
                f,
                "component {}: enough_cpu_us is {asked_us}, at most {most_us} can tell hanging from starving",
                component.index()
            ),
            Self::StarvesEarly { component, asked_us, least_us } => write!(
                f,
                "component {}: starved_deadline_us is {asked_us}, it is late only after {least_us}",
                component.index()
            ),
            Self::NoPlaneWindow => write!(f, "the window for rebuilding the control plane is 0"),
            Self::Graph(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for PolicyError {}

impl From<GraphError> for PolicyError {
    fn from(error: GraphError) -> Self {
        Self::Graph(error)
    }
}
