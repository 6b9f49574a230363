//! Numbered blocks: each word depends on the block's number and on its own place.

/// Bytes in a block.
pub const BLOCK: usize = 4096;

/// The word at `place` of block `number`: mixed, so that no two blocks agree in any word.
fn word(number: u64, place: u64) -> u64 {
    (number << 16 ^ place).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number
}

/// Fills `block` as block `number`.
pub fn fill(block: &mut [u8], number: u64) {
    for (bytes, place) in block.chunks_exact_mut(8).zip(0..) {
        bytes.copy_from_slice(&word(number, place).to_le_bytes());
    }
}

/// How many words of `block` are not those of block `number`.
pub fn differences(block: &[u8], number: u64) -> usize {
    let words = block.chunks_exact(8).zip(0..);
    words.filter(|(bytes, place)| **bytes != word(number, *place).to_le_bytes()).count()
}
