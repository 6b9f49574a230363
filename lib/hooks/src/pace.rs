//! When something is sent again that has not arrived.

/// How long to wait after the first failure, in microseconds: a receiver that restarts needs no more.
pub const FIRST_US: u64 = 1_000_000;

/// The longest wait, in microseconds: so long after a receiver has come back it knows of everything, at the latest.
pub const LONGEST_US: u64 = 60_000_000;

/// Waits that double from failure to failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace(u64);

impl Pace {
    /// Nothing has failed.
    pub const fn new() -> Self {
        Self(FIRST_US)
    }

    /// It has failed once more. Answers how many microseconds to wait.
    pub fn fail(&mut self) -> u64 {
        let wait_us = self.0;
        self.0 = (wait_us * 2).min(LONGEST_US);
        wait_us
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}
