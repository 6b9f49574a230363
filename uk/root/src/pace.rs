//! How often root looks at the components, and for how long Xen leaves a domain the processor: seldom and long while all is well, since each
//! look and each change of domains takes something away from guests.

use description::Host;

/// How seldom to look at the components at most, in microseconds: what they log, guests' consoles among it, waits for that. It is the period of
/// the quickest hearts, at whose multiples root is up with everybody else.
const CALM_PERIOD_US: u64 = 5_000;

/// For how long Xen leaves a domain the processor if nobody says otherwise, in microseconds.
const XENS_SLICE_US: u32 = 1_000;

/// The pace of root's work.
#[derive(Debug)]
pub struct Pace {
    close_period_us: u64,
    calm_period_us: u64,
    calm_slice_us: Option<u32>,
    /// What Xen was told last.
    slice_us: Option<u32>,
}

impl Pace {
    /// The pace of a host whose components can do with a look every `calm_period_us` while all is well.
    pub fn new(host: &Host, calm_period_us: u64) -> Self {
        Self {
            close_period_us: host.check_period_us,
            calm_period_us: calm_period_us.min(CALM_PERIOD_US).max(host.check_period_us),
            calm_slice_us: host.slice_us,
            slice_us: None,
        }
    }

    /// When to look next, closely or not. That is at multiples of the period, as unikernels beat: who has the processor is interrupted once for
    /// all.
    pub const fn next_look_us(&self, now_us: u64, closely: bool) -> u64 {
        let period_us = if closely { self.close_period_us } else { self.calm_period_us };
        (now_us / period_us + 1) * period_us
    }

    /// Says nothing of slices from now on: Xen does not listen.
    pub const fn leave_slice(&mut self) {
        self.calm_slice_us = None;
    }

    /// What Xen is to be told of its slice now, in microseconds, if that is anything new.
    pub fn new_slice_us(&mut self, is_uneasy: bool) -> Option<u32> {
        let calm_us = self.calm_slice_us?;
        let slice_us = if is_uneasy { XENS_SLICE_US.min(calm_us) } else { calm_us };
        (self.slice_us.replace(slice_us) != Some(slice_us)).then_some(slice_us)
    }
}
