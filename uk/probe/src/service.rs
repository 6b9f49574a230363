//! The figures that a probe shows in the service area of its health page, by their places there.

use crate::journal::Found;
use libos::uk_abi::health::HealthPage;

/// Lives that its recovery box knows of, this one included.
pub const LIVES: usize = 0;
/// Records that it found in its recovery box at this start.
pub const RECORDS: usize = 1;
/// Records that it found torn or damaged, and mended.
pub const MENDED: usize = 2;
/// Records that it found missing, lost or wrong.
pub const WRONG: usize = 3;
/// Units of work done in all lives.
pub const WORK: usize = 4;
/// Self-checks passed in this life.
pub const PASSED: usize = 5;
/// Self-checks failed in this life.
pub const FAILED: usize = 6;
/// Rings of its doorbell that it has heard in this life.
pub const RINGS: usize = 7;
/// Lives of this domain that the page which it shares with itself has seen.
pub const LOOPS: usize = 8;
/// Looks at a neighbour's page that showed what they must.
pub const LOOKS: usize = 9;
/// Looks at a neighbour's page that were refused, or showed something else.
pub const REFUSALS: usize = 10;
/// The neighbour's life that wrote its page.
pub const NEIGHBOUR: usize = 11;

/// Shows what was found in the recovery box.
pub fn show_found(health: &HealthPage<'_>, found: &Found) {
    for (place, value) in [
        (LIVES, found.life),
        (RECORDS, found.opened.records as u64),
        (MENDED, found.opened.mended as u64),
        (WRONG, found.wrong),
        (WORK, found.work),
        (PASSED, 0),
        (FAILED, 0),
        (RINGS, 0),
        (LOOKS, 0),
        (REFUSALS, 0),
    ] {
        health.set_service(place, value);
    }
}
