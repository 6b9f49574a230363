//! How often a component is repaired before root tries something stronger, or gives up.

use serde::{Deserialize, Serialize};

pub use monitor::Rung;

/// How many rungs the ladder of repairs has.
pub const RUNGS: usize = Rung::COUNT;

/// The limits of repair within a sliding window of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Repairs by each rung within the window; one more goes to the next rung. 0 leaves a rung out.
    pub attempts: [u8; RUNGS],
    /// The length of the window in microseconds.
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
    pub fn attempts(&self, rung: Rung) -> u8 {
        self.attempts[rung as usize]
    }
}
