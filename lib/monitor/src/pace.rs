//! How often to look at the components: each look takes the processor away from guests.

use crate::{Monitor, Phase, Policy};

/// One look in so many parts of a deadline is enough while all is well.
const CALM_LOOKS: u64 = 4;

impl<const N: usize> Monitor<N> {
    /// How often to look while nobody is [uneasy](Self::is_uneasy), in microseconds: by then nobody's silence has gone far.
    pub fn calm_period_us(&self) -> u64 {
        let shortest = |policy: &Policy| policy.heartbeat_deadline_us.min(policy.stall_deadline_us);
        let deadline_us = self.watched.iter().map(|watched| shortest(&watched.policy)).min();
        deadline_us.unwrap_or(u64::MAX).div_ceil(CALM_LOOKS)
    }

    /// Whether to look as often as can be: somebody is on the way up, or has been silent, or has left work undone, for as much of its deadline
    /// as one look can count.
    pub fn is_uneasy(&self) -> bool {
        self.watched.iter().any(|watched| match watched.saved.phase {
            Phase::Healthy => {
                let policy = &watched.policy;
                watched.book.silent_us() >= policy.most_charge_us(policy.heartbeat_deadline_us)
                    || watched.book.stuck_us() >= policy.most_charge_us(policy.stall_deadline_us)
            }
            phase => !phase.is_settled(),
        })
    }
}
