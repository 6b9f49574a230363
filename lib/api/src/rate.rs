//! How often somebody may ask.

use crate::limits::{BURST, REQUESTS_PER_S};

const US_PER_REQUEST: u64 = 1_000_000 / REQUESTS_PER_S as u64;

/// Leave for requests, which comes back with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// When the bucket would be full, were nothing asked any more.
    full_at_us: u64,
}

impl Bucket {
    /// A full one.
    pub const fn new() -> Self {
        Self { full_at_us: 0 }
    }

    /// Takes leave for one request. Answers how many microseconds the client has to wait first; 0 if it may go on.
    pub fn take(&mut self, now_us: u64) -> u64 {
        let full_at_us = self.full_at_us.max(now_us) + US_PER_REQUEST;
        let wait_us = (full_at_us - now_us).saturating_sub(u64::from(BURST) * US_PER_REQUEST);
        if wait_us == 0 {
            self.full_at_us = full_at_us;
        }
        wait_us
    }
}

impl Default for Bucket {
    fn default() -> Self {
        Self::new()
    }
}
