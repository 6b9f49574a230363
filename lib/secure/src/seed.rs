//! Numbers that nobody can guess, from a seed.

use crate::keys::{KEY, Secret, keyed_hash};
use snow::types::Random;

/// What a handshake's numbers come from. Each handshake has one of its own.
#[derive(Clone)]
pub struct Seed {
    key: [u8; KEY],
    drawn: u64,
}

impl Seed {
    /// The seed of bytes that nobody can guess, as an operating system gives them.
    pub const fn new(bytes: [u8; KEY]) -> Self {
        Self { key: bytes, drawn: 0 }
    }

    /// The seed of a host that has no source of chance but its secret: `once` must never be the same twice, and what chance
    /// there is goes into it too. Whoever does not know the secret cannot guess the seed, even where he can guess `once`.
    pub fn of(secret: &Secret, once: &[u8]) -> Self {
        Self::new(secret.derive("seed", once))
    }

    /// The next bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(KEY) {
            self.drawn += 1;
            chunk.copy_from_slice(&keyed_hash(&self.key, "draw", &self.drawn.to_le_bytes())[..chunk.len()]);
        }
    }
}

impl Random for Seed {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), snow::Error> {
        self.fill(bytes);
        Ok(())
    }
}
