//! Digests: 64 bits that name a piece of state and change with any bit of it.
//!
//! They are xxh3 with a seed, which replicas share. A node's digest is bound to its path, so that a record that is
//! found under another path does not fit. Sums of digests (wrapping) name sets: the order of adding does not matter,
//! and a change costs one subtraction and one addition.

use xxhash_rust::xxh3::xxh3_64_with_seed;
use zerocopy::IntoBytes as _;

use crate::record::Record;

/// The seed of all digests of one store and its replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(pub u64);

impl Key {
    /// A path's hash: the key of the index.
    pub(crate) fn path(self, path: &[u8]) -> u64 {
        xxh3_64_with_seed(path, self.0)
    }

    /// A node's own digest: of when it was born and last changed, its path and its record.
    pub(crate) fn node(self, birth: u64, generation: u64, record: &Record) -> u64 {
        let seed = (self.0 ^ birth.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .rotate_left(23)
            .wrapping_add(generation.wrapping_mul(0xd6e8_feb8_6659_fd93));
        xxh3_64_with_seed(record.as_bytes(), seed)
    }

    /// The digest of some numbers, bound to what they are.
    pub(crate) fn numbers(self, purpose: u64, numbers: &[u64]) -> u64 {
        self.bytes(purpose, numbers.as_bytes())
    }

    /// The digest of any other bytes, bound to what they are.
    pub(crate) fn bytes(self, purpose: u64, bytes: &[u8]) -> u64 {
        xxh3_64_with_seed(bytes, self.0.rotate_left(32) ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}
