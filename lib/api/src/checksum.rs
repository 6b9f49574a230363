//! What tells whether content is what it should be: SHA-256, which `sha256sum` computes too.

use alloc::format;
use alloc::string::String;
use sha2::{Digest, Sha256};

/// The checksum of bytes that come one after the other.
#[derive(Clone, Debug, Default)]
pub struct Checksum(Sha256);

impl Checksum {
    /// That of these bytes.
    pub fn of(bytes: &[u8]) -> String {
        let mut checksum = Self::default();
        checksum.add(bytes);
        checksum.finish()
    }

    /// Takes in some more.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// That of all, in 64 hexadecimal digits.
    pub fn finish(self) -> String {
        self.0.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }
}
