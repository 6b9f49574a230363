//! A host's secret, and what comes from it.

use blake2::Blake2sMac256;
use blake2::digest::{FixedOutput, KeyInit, Update};
use core::fmt;
use core::str::FromStr;
use snow::params::DHChoice;
use snow::resolvers::{CryptoResolver, DefaultResolver};

/// Bytes of a secret, a key and a token.
pub const KEY: usize = 32;

/// The one number that everything secret of a host's API comes from. Whoever has it is the host's administrator.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; KEY]);

/// What a client knows a host by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; KEY]);

/// What a client shows to be let in.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; KEY]);

/// What one receiver of notifications knows the host by, and nobody else.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey([u8; KEY]);

/// What shows that whoever has written something has the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature([u8; KEY]);

/// A text that is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} characters that are not {} hexadecimal digits", 2 * KEY)]
pub struct NotAKey {
    /// How long it is.
    pub found: usize,
}

impl Secret {
    /// The secret of these bytes, which nobody can guess.
    pub const fn new(bytes: [u8; KEY]) -> Self {
        Self(bytes)
    }

    /// The key by which clients know the host.
    pub fn public_key(&self) -> PublicKey {
        let mut public = [0; KEY];
        // The crate is built with this curve.
        if let Some(mut curve) = DefaultResolver.resolve_dh(&DHChoice::Curve25519) {
            curve.set(&self.private_key());
            public.copy_from_slice(curve.pubkey());
        }
        PublicKey(public)
    }

    /// The token of whoever may do what `role` may.
    pub fn token(&self, role: &str) -> Token {
        Token(self.derive("token", role.as_bytes()))
    }

    /// The key for what is sent to the receiver with this address, as it was written.
    pub fn signing_key(&self, address: &str) -> SigningKey {
        SigningKey(self.derive("hook", address.as_bytes()))
    }

    /// The key that never leaves the host.
    pub(crate) fn private_key(&self) -> [u8; KEY] {
        self.derive("key", &[])
    }

    /// Something for one purpose, which tells nothing about the secret, nor about what is for others.
    pub(crate) fn derive(&self, purpose: &str, what: &[u8]) -> [u8; KEY] {
        keyed_hash(&self.0, purpose, what)
    }
}

/// BLAKE2s with a key, over the length of `purpose`, `purpose` and `what`.
pub(crate) fn keyed_hash(key: &[u8; KEY], purpose: &str, what: &[u8]) -> [u8; KEY] {
    let mut hash = Blake2sMac256::new(key.into());
    hash.update(&[purpose.len() as u8]);
    hash.update(purpose.as_bytes());
    hash.update(what);
    hash.finalize_fixed().into()
}

impl PublicKey {
    /// The key of these bytes.
    pub const fn new(bytes: [u8; KEY]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn bytes(&self) -> &[u8; KEY] {
        &self.0
    }
}

impl Token {
    /// Its bytes: to be compared in constant time.
    pub const fn bytes(&self) -> &[u8; KEY] {
        &self.0
    }
}

impl SigningKey {
    /// The signature of a message: keyed BLAKE2s with 32 bytes (RFC 7693), over the message and nothing else, as every library has it.
    pub fn sign(&self, message: &[u8]) -> Signature {
        let mut hash = Blake2sMac256::new((&self.0).into());
        hash.update(message);
        Signature(hash.finalize_fixed().into())
    }
}

/// Neither a secret nor a token nor a key is ever shown by accident.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

macro_rules! hexadecimal {
    ($($name:ident)*) => {$(
        impl FromStr for $name {
            type Err = NotAKey;

            fn from_str(text: &str) -> Result<Self, NotAKey> {
                read(text).map(Self).ok_or(NotAKey { found: text.chars().count() })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    )*};
}

hexadecimal!(Secret PublicKey Token SigningKey Signature);

fn read(text: &str) -> Option<[u8; KEY]> {
    let digits = text.as_bytes();
    let mut bytes = [0; KEY];
    if digits.len() != 2 * KEY {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = (digit(0)? << 4 | digit(1)?) as u8;
    }
    Some(bytes)
}
