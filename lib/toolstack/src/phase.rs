//! The life of a VM, as a machine of phases.
//!
//! ```text
//!              built           started             asked           stopped, late
//!   Building --------> Starting -------> Running -------> Stopping ------+
//!      ^   \                             ^     \             \           |
//!      |    \ failed                     v      \ stopped     \          |  on_* says
//!      |     \                         Paused    \             \         |  what comes next
//!      |      +-----------------------------------+-------------+--------+
//!      |                                          |                      |
//!      |  cleared                                 v                      v
//!      +----------------------------- Destroying(Rebuild)           Preserved
//!                                     Destroying(Forget) <---------------+
//!                                          | cleared             destroyed by the operator
//!                                          v
//!                                      Forgotten
//! ```
//!
//! A phase is journalled before anything is done in it. So a new life does in each phase what is still to be done, and only
//! where that cannot be told, it begins that part anew: what was being built is destroyed and built again.

use core::fmt;
use core::str::FromStr;
use xlcfg::OnEvent;

/// Where a VM is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its domain is being built, and nobody but root knows of it yet.
    Building,
    /// Its domain is built, and XenStore has its nodes; it is to be started.
    Starting,
    /// It runs.
    Running,
    /// It was stopped for a while.
    Paused,
    /// It was asked to stop.
    Stopping {
        /// How.
        wish: Wish,
        /// Until when it has time, in microseconds since Xen has booted.
        deadline_us: u64,
    },
    /// It has stopped, and is kept to be looked at.
    Preserved {
        /// Why it has stopped.
        reason: StopReason,
    },
    /// What there is of it is being taken away.
    Destroying {
        /// And then?
        then: Then,
    },
    /// There is nothing of it any more; this is never journalled.
    Forgotten,
}

/// What a guest is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To shut down.
    PowerOff,
    /// To begin again.
    Reboot,
}

/// What comes when a VM's domain is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The VM is forgotten.
    Forget,
    /// Its domain is built anew.
    Rebuild,
}

/// Why a guest has stopped: `SHUTDOWN_*` of Xen's `sched.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// It has shut down.
    PowerOff,
    /// It wants to begin again.
    Reboot,
    /// It has suspended itself, which nobody has asked for.
    Suspend,
    /// It has crashed, or done something that makes no sense.
    Crash,
    /// Its watchdog has run out.
    Watchdog,
}

/// What happens to a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its domain is built, and its nodes are written.
    Built,
    /// It cannot be built.
    Failed,
    /// It was started.
    Started,
    /// Its guest has stopped, and this is what its configuration says to that.
    Stopped {
        /// Why.
        reason: StopReason,
        /// What its configuration wants then.
        action: OnEvent,
    },
    /// Its domain is not there any more, though nobody has asked for that.
    Gone,
    /// The operator wants the guest to stop.
    Stop {
        /// How.
        wish: Wish,
        /// Until when it has time.
        deadline_us: u64,
    },
    /// The operator wants it to be stopped for a while.
    Pause,
    /// The operator wants it to go on.
    Unpause,
    /// The operator wants it to be destroyed.
    Destroy,
    /// The guest's time is over.
    Late,
    /// Everything of it is taken away.
    Cleared,
    /// A new life of the toolstack has found it.
    Found,
}

impl Phase {
    /// The phase after `event`; none if that means nothing here.
    pub fn after(self, event: Event) -> Option<Self> {
        use Event as E;
        use OnEvent as On;
        use Phase as P;
        let destroying = |then| Some(P::Destroying { then });
        match (self, event) {
            (P::Destroying { then: Then::Forget }, E::Cleared) => Some(P::Forgotten),
            (P::Destroying { then: Then::Rebuild }, E::Cleared) => Some(P::Building),
            (P::Destroying { then: Then::Forget } | P::Forgotten, _) => None,
            (_, E::Destroy) => destroying(Then::Forget),
            (P::Destroying { .. }, _) => None,

            (P::Building, E::Built) => Some(P::Starting),
            (P::Building | P::Starting, E::Failed) => destroying(Then::Forget),
            // Nobody knows how far it has come.
            (P::Building, E::Found) => destroying(Then::Rebuild),
            (P::Building, _) => None,
            (P::Starting, E::Started) => Some(P::Running),
            (_, E::Gone) => destroying(Then::Forget),
            (P::Preserved { .. }, _) => None,

            (_, E::Stopped { action: On::Destroy, .. }) => destroying(Then::Forget),
            (_, E::Stopped { action: On::Restart, .. }) => destroying(Then::Rebuild),
            (_, E::Stopped { reason, action: On::Preserve | On::RenameRestart }) => {
                Some(P::Preserved { reason })
            }

            (P::Running | P::Stopping { .. }, E::Stop { wish, deadline_us }) => {
                Some(P::Stopping { wish, deadline_us })
            }
            (P::Running, E::Pause) => Some(P::Paused),
            (P::Paused, E::Unpause) => Some(P::Running),
            (P::Stopping { wish: Wish::PowerOff, .. }, E::Late) => destroying(Then::Forget),
            (P::Stopping { wish: Wish::Reboot, .. }, E::Late) => destroying(Then::Rebuild),
            _ => None,
        }
    }

    /// Whether its domain is there, with all its nodes.
    pub const fn has_domain(self) -> bool {
        !matches!(self, Self::Building | Self::Destroying { .. } | Self::Forgotten)
    }
}

impl StopReason {
    /// Each by its name in the journal.
    const NAMES: [(&'static str, Self); 5] = [
        ("poweroff", Self::PowerOff),
        ("reboot", Self::Reboot),
        ("suspend", Self::Suspend),
        ("crash", Self::Crash),
        ("watchdog", Self::Watchdog),
    ];

    /// The reason with Xen's number; one that Xen does not have is a crash.
    pub const fn from_xen(number: u8) -> Self {
        match number {
            0 => Self::PowerOff,
            1 => Self::Reboot,
            2 => Self::Suspend,
            4 => Self::Watchdog,
            _ => Self::Crash,
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAMES.iter().find(|(_, reason)| reason == self).map_or("", |(name, _)| name))
    }
}

/// As the journal has it.
impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Building => f.write_str("building"),
            Self::Starting => f.write_str("starting"),
            Self::Running => f.write_str("running"),
            Self::Paused => f.write_str("paused"),
            Self::Stopping { wish: Wish::PowerOff, deadline_us } => {
                write!(f, "stopping poweroff {deadline_us}")
            }
            Self::Stopping { wish: Wish::Reboot, deadline_us } => write!(f, "stopping reboot {deadline_us}"),
            Self::Preserved { reason } => write!(f, "preserved {reason}"),
            Self::Destroying { then: Then::Forget } => f.write_str("destroying forget"),
            Self::Destroying { then: Then::Rebuild } => f.write_str("destroying rebuild"),
            Self::Forgotten => f.write_str("forgotten"),
        }
    }
}

/// Not a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPhase;

impl FromStr for Phase {
    type Err = NoPhase;

    fn from_str(text: &str) -> Result<Self, NoPhase> {
        let mut words = text.split(' ');
        let words = [(); 4].map(|()| words.next());
        let stopping = |wish, deadline: &str| {
            Ok(Self::Stopping { wish, deadline_us: deadline.parse().map_err(|_| NoPhase)? })
        };
        match words {
            [Some("building"), None, ..] => Ok(Self::Building),
            [Some("starting"), None, ..] => Ok(Self::Starting),
            [Some("running"), None, ..] => Ok(Self::Running),
            [Some("paused"), None, ..] => Ok(Self::Paused),
            [Some("stopping"), Some("poweroff"), Some(deadline), None] => stopping(Wish::PowerOff, deadline),
            [Some("stopping"), Some("reboot"), Some(deadline), None] => stopping(Wish::Reboot, deadline),
            [Some("preserved"), Some(name), None, _] => {
                let reason = StopReason::NAMES.iter().find(|(known, _)| *known == name);
                reason.map(|(_, reason)| Self::Preserved { reason: *reason }).ok_or(NoPhase)
            }
            [Some("destroying"), Some("forget"), None, _] => Ok(Self::Destroying { then: Then::Forget }),
            [Some("destroying"), Some("rebuild"), None, _] => Ok(Self::Destroying { then: Then::Rebuild }),
            _ => Err(NoPhase),
        }
    }
}
