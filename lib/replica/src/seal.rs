//! Sealed words: single words of shared memory that show when a bit of them was flipped.
//!
//! 48 bits of value and 16 of checksum, a CRC: it finds every change of up to three bits. For what must change
//! in one store, so that a second word for the checksum would come too late: positions, epochs, states.

/// The largest value.
pub const VALUE_MAX: u64 = (1 << 48) - 1;

/// CRC-16 with polynomial 0x1021, two bits at a time over the six bytes of the value.
const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// The word that stands for `value`, of which it keeps 48 bits, in the role `tag`: a word that was written for
/// another role does not open.
pub const fn seal(tag: u8, value: u64) -> u64 {
    value << 16 | crc(tag, value) as u64
}

/// The value of a word, if it is sound.
pub const fn open(tag: u8, word: u64) -> Option<u64> {
    let value = word >> 16;
    if crc(tag, value) == word as u16 { Some(value) } else { None }
}

const fn crc(tag: u8, value: u64) -> u16 {
    // The start value keeps a word of zeros, which is what fresh memory holds, from being sound.
    let mut crc = 0xffff ^ tag as u16;
    let mut byte = 0;
    while byte < 6 {
        let index = (crc >> 8) as u8 ^ (value >> (40 - 8 * byte)) as u8;
        crc = crc << 8 ^ TABLE[index as usize];
        byte += 1;
    }
    crc
}
