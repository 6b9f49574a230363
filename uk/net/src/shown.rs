//! What root is shown of a part in the health page.

use libos::uk_abi::health::HealthPage;

/// What root has been shown of a part.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// How much was done, as the part itself counts.
    done: u64,
    /// What the health page says: taken on, and done.
    taken: u64,
    finished: u64,
}

impl Shown {
    /// It has been shown nothing.
    pub const NOTHING: Self = Self { done: 0, taken: 0, finished: 0 };

    /// Shows that so much is open, and so much was done in all. What goes away without being done counts as done.
    pub fn show(&mut self, health: &HealthPage<'_>, part: usize, open: u64, done: u64) {
        let new = done.saturating_sub(core::mem::replace(&mut self.done, done));
        let finished = (self.finished + new).max(self.taken.saturating_sub(open));
        let taken = finished + open;
        health.accept(part, taken - self.taken);
        health.complete(part, finished - self.finished);
        (self.taken, self.finished) = (taken, finished);
    }
}
