//! Decision: what is done about a part that fails. Policies are data, of the system description.

use serde::{Deserialize, Serialize};
use shadow::Attempts;

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// A card's driver.
    Driver,
    /// The guests' backend.
    Netback,
}

/// What is made anew. Each leaves everything else as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Repair {
    /// The driver; frames wait.
    Driver,
    /// The guests' devices; the driver goes on.
    Netback,
    /// The driver, but after a while, and until then its card is given up: frames for it are lost. What fails on and on beside others that
    /// work is not the unikernel, and must not take them with it.
    Later,
    /// The whole unikernel, by root.
    Unikernel,
}

/// How much is made anew for a part that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Granularity {
    /// That part.
    #[default]
    Fine,
    /// Everything.
    Coarse,
}

/// A policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How much is made anew.
    pub granularity: Granularity,
    /// A frame that a driver has had for so long without sending any, in microseconds, shows that it hangs.
    pub driver_deadline_us: u64,
    /// Requests that wait for so long, in microseconds, while a backend takes none, show that it hangs.
    pub netback_deadline_us: u64,
    /// How often a part is made anew within the window before everything is.
    pub attempts: u8,
    /// The window, in microseconds.
    pub window_us: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            granularity: Granularity::Fine,
            // A card sends a thousand frames in this time, and an emulated one a few dozen. It leaves 2 ms of 10 for what is to be
            // sent to come.
            driver_deadline_us: 8_000,
            // It has nobody to wait for: a turn takes less than one.
            netback_deadline_us: 5_000,
            attempts: Attempts::MOST,
            window_us: Attempts::WINDOW_US,
        }
    }
}

/// The decisions about one part.
#[derive(Clone, Debug)]
pub struct Decision {
    policy: Policy,
    /// What the part is.
    level: Level,
    recent: Attempts,
}

impl Decision {
    /// None were made.
    pub const fn new(policy: Policy, level: Level) -> Self {
        Self { policy, level, recent: Attempts::NONE }
    }

    /// How long the part may have work and do none of it, in microseconds.
    pub const fn deadline_us(&self) -> u64 {
        match self.level {
            Level::Driver => self.policy.driver_deadline_us,
            Level::Netback => self.policy.netback_deadline_us,
        }
    }

    /// What is to be done about the part, which has failed, while others of its kind work or not.
    pub fn decide(&mut self, now_us: u64, others_work: bool) -> Repair {
        if self.policy.granularity == Granularity::Coarse {
            return Repair::Unikernel;
        }
        let Policy { attempts, window_us, .. } = self.policy;
        match (self.level, self.recent.another(now_us, attempts, window_us)) {
            (Level::Driver, true) => Repair::Driver,
            (Level::Netback, true) => Repair::Netback,
            (Level::Driver, false) if others_work => Repair::Later,
            (Level::Driver | Level::Netback, false) => Repair::Unikernel,
        }
    }
}
