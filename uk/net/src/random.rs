//! Numbers that nobody outside can guess: a stock virtual CPU has no instruction for them, so they come from how long things take.

use libos::clock;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Times that are looked at. Each is good for a bit or two.
const SAMPLES: u64 = 128;

/// A random number.
pub fn number() -> u64 {
    (0..SAMPLES).fold(0, |sum, _| xxh3_64_with_seed(&clock::now_ns().to_le_bytes(), sum))
}
