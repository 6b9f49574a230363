//! What the fuzzed programs share: bytes as the memory that two sides use.

use std::sync::atomic::AtomicU64;

/// Memory of `count` words that begins with `bytes`; the rest is zero.
pub fn words(bytes: &[u8], count: usize) -> Vec<AtomicU64> {
    let mut words: Vec<u64> = bytes.chunks(8).map(word).collect();
    words.resize(count, 0);
    words.into_iter().map(AtomicU64::new).collect()
}

fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// Takes a byte from the front; zero when nothing is left.
pub fn byte(bytes: &mut &[u8]) -> u8 {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    *bytes = rest;
    *first
}

/// Takes up to `count` bytes from the front.
pub fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count.min(bytes.len()));
    *bytes = rest;
    taken
}
