//! Detection: who is stuck.
//!
//! One rule for every level: there is work, and for longer than the deadline none of it was done. Where work and progress
//! are read from differs, and none of it is what the suspect says of itself where that can be avoided: a driver's
//! progress is what its shadow has seen come back; a backend's is its private counters against the shared ones, which
//! guests write. The whole unikernel is watched by root, which reads the same counters and its heartbeat.

use core::mem::offset_of;
use core::sync::atomic::Ordering::Relaxed;
use ring::Page;
use xen_abi::ring::Header;

/// How many requests a frontend has shown and a backend has not answered: the one from the ring's page, where the guest
/// writes it, the other as the backend's private counter says. A guest that lies looks busy, and harms itself.
pub fn open_requests(page: &Page, answered: u32) -> u32 {
    const REQ_PROD: usize = offset_of!(Header, req_prod) / size_of::<u32>();
    page[REQ_PROD].load(Relaxed).wrapping_sub(answered)
}

/// One look at a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Whether work waits to be done.
    pub has_work: bool,
    /// How much was done, ever. Any change is progress.
    pub done: u64,
}

/// A part that is stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// For how long nothing was done, in microseconds.
    pub for_us: u64,
}

/// The book on one part.
#[derive(Clone, Debug, Default)]
pub struct Book {
    last: Option<(Look, u64)>,
}

impl Book {
    /// A book without an entry.
    pub const fn new() -> Self {
        Self { last: None }
    }

    /// Takes in a look; says whether the part has been stuck for `deadline_us` or longer.
    pub fn see(&mut self, now_us: u64, look: Look, deadline_us: u64) -> Option<Stuck> {
        match self.last {
            Some((last, since_us)) if last.has_work && look.has_work && last.done == look.done => {
                let for_us = now_us.saturating_sub(since_us);
                (for_us >= deadline_us).then_some(Stuck { for_us })
            }
            _ => {
                self.last = Some((look, now_us));
                None
            }
        }
    }

    /// When the part will have been stuck for `deadline_us`, if nothing is done until then.
    pub fn due_us(&self, deadline_us: u64) -> Option<u64> {
        self.last.filter(|(look, _)| look.has_work).map(|(_, since_us)| since_us + deadline_us)
    }

    /// The part was repaired: what was seen before does not count.
    pub const fn repaired(&mut self) {
        self.last = None;
    }
}
