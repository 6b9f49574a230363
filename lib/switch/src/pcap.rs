//! A port's frames as a capture file, for Wireshark and its kin (libpcap's format, with times in microseconds).
//!
//! Only headers are made here: a file is [`FILE_HEADER`], and then for each frame a [`record_header`] and its bytes.

/// The most bytes of a frame that a record has.
pub const SNAPLEN: u32 = 65535;

/// Bytes before a frame.
pub const RECORD_HEADER: usize = 16;

/// Ethernet, in libpcap's list of link types.
const LINKTYPE_ETHERNET: u32 = 1;

/// What a capture file starts with.
pub const FILE_HEADER: [u8; 24] = {
    let words = [0xa1b2_c3d4, 2 | 4 << 16, 0, 0, SNAPLEN, LINKTYPE_ETHERNET];
    let mut bytes = [0; 24];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = (words[at / 4] >> (at % 4 * 8)) as u8;
        at += 1;
    }
    bytes
};

/// What stands before the bytes of a frame of `length` bytes, of which `kept` follow, that passed at `time_us`
/// (microseconds since any moment).
pub fn record_header(time_us: u64, kept: usize, length: usize) -> [u8; RECORD_HEADER] {
    let words = [(time_us / 1_000_000) as u32, (time_us % 1_000_000) as u32, kept as u32, length as u32];
    let mut bytes = [0; RECORD_HEADER];
    for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}
