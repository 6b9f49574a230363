//! The header of a message: `struct xsd_sockmsg`.

/// What precedes each payload: four 32-bit words in the machine's byte order (little-endian here).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// What is asked or answered: a [`Kind`](super::Kind)'s number, or anything at all from a hostile client.
    pub kind: u32,
    /// The client's number of the request; the answer carries the same.
    pub request: u32,
    /// The transaction that the request belongs to, 0 for none; the answer carries the same.
    pub transaction: u32,
    /// The payload's length in bytes.
    pub length: u32,
}

impl Header {
    /// A header's length in bytes.
    pub const SIZE: usize = 16;

    /// Reads a header from its bytes.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Self {
        let word = |i: usize| u32::from_le_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
        Self { kind: word(0), request: word(4), transaction: word(8), length: word(12) }
    }

    /// The header's bytes.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        for (place, word) in
            bytes.chunks_exact_mut(4).zip([self.kind, self.request, self.transaction, self.length])
        {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}
