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
    ] {
        health.set_service(place, value);
    }
}
