//! Words that nobody writes: when they have changed, neither can root's other data be trusted.

use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SONG: u64 = 0x5ca1_ab1e_0ddb_a115;

/// Among the data that the image brings.
static IN_DATA: AtomicU64 = AtomicU64::new(SONG);

/// Among the data that start as zero.
static IN_BSS: AtomicU64 = AtomicU64::new(0);

/// Ends this life of root if a canary is dead.
///
/// # Panics
/// That is how it ends.
pub fn check() {
    // Black boxes, or the compiler would know what nobody writes.
    let found = (black_box(&IN_DATA).load(Relaxed), black_box(&IN_BSS).load(Relaxed));
    assert!(found == (SONG, 0), "root's data were overwritten: the canaries are {found:#x?}");
}
