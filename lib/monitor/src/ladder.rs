//! The ladder of repairs: which rung is next.

use crate::{HoldReason, Limits, PlaneLimit, Window};
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// A rung of the ladder of repairs, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rung {
    /// One part inside the uk is restarted by its shadow.
    PartRestart,
    /// The uk restarts in place: same domain, same memory, same event channels and grant maps.
    MicroReboot,
    /// The domain is destroyed and built again under the same domid.
    Rebuild,
    /// The same for the component and then for all that depends on it, in order.
    Cascade,
    /// The same for every component, in the order of dependencies.
    ControlPlane,
}

impl Rung {
    /// How many rungs there are.
    pub const COUNT: usize = 5;

    /// Every rung, cheapest first.
    pub const ALL: [Self; Self::COUNT] =
        [Self::PartRestart, Self::MicroReboot, Self::Rebuild, Self::Cascade, Self::ControlPlane];

    /// Its name in the event log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PartRestart => "part-restart",
            Self::MicroReboot => "micro-reboot",
            Self::Rebuild => "rebuild",
            Self::Cascade => "cascade",
            Self::ControlPlane => "control-plane",
        }
    }
}

/// By its name.
impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that names no rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchRung;

impl fmt::Display for NoSuchRung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such rung; there are")?;
        Rung::ALL.iter().try_for_each(|rung| write!(f, " {rung}"))
    }
}

impl core::error::Error for NoSuchRung {}

/// By its name.
impl FromStr for Rung {
    type Err = NoSuchRung;

    fn from_str(name: &str) -> Result<Self, NoSuchRung> {
        Self::ALL.into_iter().find(|rung| rung.name() == name).ok_or(NoSuchRung)
    }
}

/// Why a repair climbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Climb {
    /// The rung was tried for this very fault and did not help.
    Failed,
    /// The rung has been used as often as its limit allows within the window.
    TooOften,
}

impl Climb {
    /// Its name in the event log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::TooOften => "too-often",
        }
    }
}

/// What the ladder offers for a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Repair by this rung; a climb is told by the rung it came from.
    Use(Rung, Option<(Rung, Climb)>),
    /// There is nothing left to try.
    Hold(HoldReason),
}

/// What limits a choice, besides the past.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer<'a> {
    /// The component's own limits.
    pub(crate) limits: &'a Limits,
    /// The limit of the topmost rung.
    pub(crate) plane: PlaneLimit,
    /// Rebuilds of the control plane within its window, all culprits together.
    pub(crate) plane_used: u32,
    /// Whether there is a stalled part that can be restarted alone.
    pub(crate) part: bool,
    /// Whether anything depends on the component: otherwise a cascade is a rebuild by another name.
    pub(crate) dependents: bool,
    /// The cheapest rung that makes sense for the fault.
    pub(crate) floor: Rung,
    /// The rung that was tried last for this fault, in vain.
    pub(crate) failed: Option<Rung>,
}

impl Offer<'_> {
    /// Whether a rung makes sense for the fault at all, however often it was used.
    fn has(&self, rung: Rung) -> bool {
        let makes_sense = match rung {
            Rung::PartRestart => self.part,
            Rung::Cascade => self.dependents,
            Rung::MicroReboot | Rung::Rebuild | Rung::ControlPlane => true,
        };
        makes_sense && rung >= self.floor && self.limits.attempts(rung) > 0
    }
}

/// The past of a component: how often each rung was used within the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Ladder {
    used: [Window; Rung::COUNT],
}

impl Ladder {
    /// The next rung: the cheapest above the one that failed that makes sense and has attempts left. But before
    /// others suffer for it, and before it is held, the one that failed is tried again while it has attempts left.
    pub(crate) fn choose(&self, now_us: u64, offer: &Offer<'_>) -> Choice {
        let Offer { limits, plane, failed, .. } = *offer;
        let used = |rung| self.used(rung, now_us, limits, plane);
        if Rung::ALL.into_iter().map(used).sum::<u32>() >= u32::from(limits.hold) {
            return Choice::Hold(HoldReason::TooManyRepairs);
        }
        let mut order = Rung::ALL;
        order.sort_unstable_by_key(|&rung| (rung > Rung::Rebuild, Some(rung) == failed, rung));
        let candidates = || order.into_iter().filter(|&rung| Some(rung) >= failed && offer.has(rung));
        let has_attempts = |&rung: &Rung| used(rung) < u32::from(limits.attempts[rung as usize]);
        let barred = |rung: Rung| rung == Rung::ControlPlane && offer.plane_used >= plane.attempts.into();
        let Some(rung) = candidates().filter(has_attempts).find(|&rung| !barred(rung)) else {
            let by_plane = candidates().filter(has_attempts).any(barred);
            return Choice::Hold(if by_plane { HoldReason::PlaneLimit } else { HoldReason::Exhausted });
        };
        let climb = match failed {
            Some(failed) => (rung > failed).then_some((failed, Climb::Failed)),
            None => candidates().next().filter(|&first| first < rung).map(|first| (first, Climb::TooOften)),
        };
        Choice::Use(rung, climb)
    }

    /// Notes that a rung is used.
    pub(crate) fn record(&mut self, rung: Rung, now_us: u64, limits: &Limits, plane: PlaneLimit) {
        self.used[rung as usize].record(now_us, window_us(rung, limits, plane));
    }

    /// How often a rung was used within its window.
    pub(crate) fn used(&self, rung: Rung, now_us: u64, limits: &Limits, plane: PlaneLimit) -> u32 {
        self.used[rung as usize].count(now_us, window_us(rung, limits, plane))
    }

    /// Forgets the past, except for rebuilds of the control plane, which everybody felt.
    pub(crate) fn forget(&mut self) {
        self.used[..Rung::ControlPlane as usize].fill(Window::default());
    }

    /// Takes back what cannot be, after a restart.
    pub(crate) fn not_after(&mut self, now_us: u64, limits: &Limits, plane: PlaneLimit) {
        for rung in Rung::ALL {
            self.used[rung as usize].not_after(now_us, window_us(rung, limits, plane));
        }
    }
}

/// The window in which the uses of a rung are counted.
fn window_us(rung: Rung, limits: &Limits, plane: PlaneLimit) -> u64 {
    if rung == Rung::ControlPlane { plane.window_us } else { limits.window_us }
}
