//! Holding back domains whose writes disturb others' transactions.
//!
//! Each unprivileged domain has credit, which grows with time, the slower the more domains there are. A change that
//! may force somebody's transaction to start again costs [`COST`]; a domain in debt is not served until it is out of
//! it. What a domain does not use goes into a common reserve, from which others are helped out of their debts. All
//! numbers are those of the C daemon: 200 changes a second shared by all, 10 at once, and 1000 from the reserve.
//!
//! The host tells the time, in milliseconds from any beginning, and how many changes there were
//! ([`Effects::disturbances`](crate::Effects)).

use alloc::collections::BTreeMap;

use xen_abi::Domid;

/// What a change costs.
pub const COST: i64 = 1000;
/// How much credit all domains together gain in a second.
const RATE: i64 = 200 * COST;
/// How much credit a domain can save up.
const BURST: i64 = 10 * COST;
/// How much the reserve can hold.
const RESERVE: i64 = 1000 * COST;
/// How far new domains may overdraw the reserve.
const OVERDRAFT: i64 = 5 * BURST;

/// A domain's credit, as it was at some time.
#[derive(Clone, Copy, Debug)]
struct Credit {
    credit: i64,
    at: u64,
}

/// The credit of all domains that are held to it.
#[derive(Clone, Debug, Default)]
pub struct Fairness {
    domains: BTreeMap<Domid, Credit>,
    reserve: i64,
}

/// Moves as much as there is above `floor` and as fits below `ceiling`.
fn transfer(from: &mut i64, floor: i64, to: &mut i64, ceiling: i64) {
    let amount = (*from - floor).min(ceiling - *to).max(0);
    *from -= amount;
    *to += amount;
}

impl Fairness {
    /// Nobody yet, and nothing in the reserve.
    pub fn new() -> Self {
        Self::default()
    }

    /// A domain is served from now on.
    pub fn join(&mut self, domid: Domid, now: u64) {
        let mut new = Credit { credit: 0, at: now };
        transfer(&mut self.reserve, -OVERDRAFT, &mut new.credit, BURST);
        self.domains.insert(domid, new);
    }

    /// A domain is no longer served.
    pub fn leave(&mut self, domid: Domid) {
        if let Some(mut gone) = self.domains.remove(&domid) {
            transfer(&mut gone.credit, 0, &mut self.reserve, BURST);
        }
    }

    /// A domain has made so many changes.
    pub fn charge(&mut self, domid: Domid, changes: u32, now: u64) {
        self.update(domid, now);
        if let Some(domain) = self.domains.get_mut(&domid) {
            domain.credit -= COST * i64::from(changes);
        }
    }

    /// How many milliseconds a domain has to wait until it is served again; 0 if it need not.
    pub fn wait(&mut self, domid: Domid, now: u64) -> u64 {
        self.update(domid, now);
        let debt = self.domains.get(&domid).map_or(0, |domain| (-domain.credit).max(0)) as u64;
        (debt * 1000 * self.domains.len() as u64).div_ceil(RATE as u64)
    }

    /// Gives a domain what it has gained since.
    fn update(&mut self, domid: Domid, now: u64) {
        let sharers = self.domains.len() as i64;
        let Some(domain) = self.domains.get_mut(&domid) else { return };
        // A time that is too long to matter is cut so that nothing can overflow.
        let elapsed = now.saturating_sub(domain.at).min(1_000_000_000) as i64;
        let gained = elapsed * RATE / (1000 * sharers);
        if gained > 0 {
            domain.credit += gained;
            domain.at = now;
        }
        transfer(&mut self.reserve, 0, &mut domain.credit, 0);
        let mut surplus = 0;
        transfer(&mut domain.credit, BURST, &mut surplus, i64::MAX);
        transfer(&mut surplus, 0, &mut self.reserve, RESERVE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Domid = Domid(1);
    const TWO: Domid = Domid(2);

    #[test]
    fn whoever_disturbs_much_waits() {
        let mut fairness = Fairness::new();
        fairness.join(ONE, 0);
        fairness.charge(ONE, 10, 0);
        assert_eq!(fairness.wait(ONE, 0), 0, "ten at once are free");
        fairness.charge(ONE, 1, 0);
        assert_eq!(fairness.wait(ONE, 0), 5, "alone, a domain may make 200 changes a second");
        assert_eq!(fairness.wait(ONE, 4), 1);
        assert_eq!(fairness.wait(ONE, 5), 0);
    }

    #[test]
    fn domains_share() {
        let mut fairness = Fairness::new();
        fairness.join(ONE, 0);
        fairness.join(TWO, 0);
        fairness.charge(ONE, 30, 0);
        assert_eq!(fairness.wait(ONE, 0), 200, "twenty changes of debt, at a hundred a second");
        assert_eq!(fairness.wait(TWO, 0), 0, "the other is not held back");
        fairness.leave(TWO);
        assert_eq!(fairness.wait(ONE, 0), 100, "alone again, it is out of debt in half the time");
    }

    #[test]
    fn what_is_not_used_helps_others_out() {
        let mut fairness = Fairness::new();
        fairness.join(ONE, 0);
        assert_eq!(fairness.wait(ONE, 1_000_000), 0);
        fairness.join(TWO, 1_000_000);
        fairness.charge(TWO, 900, 1_000_000);
        assert_eq!(fairness.wait(TWO, 1_000_000), 0, "the reserve holds enough for this");
        fairness.charge(TWO, 900, 1_000_000);
        assert!(fairness.wait(TWO, 1_000_000) > 1000, "but not for this");
    }

    #[test]
    fn whoever_is_not_held_to_it_never_waits() {
        let mut fairness = Fairness::new();
        fairness.charge(Domid::DOM0, 1_000_000, 0);
        assert_eq!(fairness.wait(Domid::DOM0, 0), 0);
    }
}
