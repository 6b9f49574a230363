//! What the fuzzed programs share: bytes as the memory that two sides use, and beginnings of frames.

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

/// Addresses of two guests.
pub const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];

/// How frames begin that the first guest, 10.0.0.1 and fe80::1, sends to the second: TCP over IPv4 and over IPv6, UDP, ARP, and a
/// neighbour of IPv6 behind an extension header.
pub const FRAMES: [&[u8]; 5] = [
    b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0\x45\0\x05\xdc\0\0\0\0\x40\x06\0\0\x0a\0\0\x01\x0a\0\0\x02\
      \0\x50\0\x51\0\0\0\x01\0\0\0\0\x50\x18\x10\0\0\0\0\0",
    b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x86\xdd\x60\0\0\0\x05\xdc\x06\x40\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\
      \xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\x50\0\x51\0\0\0\x01\0\0\0\0\x50\x18\x10\0\0\0\0\0",
    b"\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x01\x08\0\x45\0\x05\xdc\0\0\0\0\x40\x11\0\0\x0a\0\0\x01\x0a\0\0\x02\
      \0\x44\0\x43\0\x20\0\0",
    b"\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x01\x08\x06\0\x01\x08\0\x06\x04\0\x01\x02\0\0\0\0\x01\x0a\0\0\x01\
      \0\0\0\0\0\0\x0a\0\0\x02",
    b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x86\xdd\x60\0\0\0\0\x28\0\xff\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\
      \xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\x3a\0\0\0\0\0\0\0\x88\0\0\0\x60\0\0\0\
      \xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x01",
];
