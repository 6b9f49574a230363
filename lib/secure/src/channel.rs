//! Handshake and records.

use crate::keys::{PublicKey, Secret};
use crate::seed::Seed;
use alloc::boxed::Box;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState, TransportState};

/// The protocol, by its name in the specification.
const PROTOCOL: &str = "Noise_NK_25519_ChaChaPoly_BLAKE2s";

/// What both ends must agree on besides: the version of what goes through the channel.
const PROLOGUE: &[u8] = b"R-VMM API 1";

/// Bytes before a record or a message of the handshake: how long it is, the high one first.
pub const LENGTH: usize = 2;

/// Bytes that sealing adds.
const TAG: usize = 16;

/// The most text in a record.
pub const MAX_TEXT: usize = 4096;

/// The most bytes of a record, without its length.
pub const MAX_RECORD: usize = MAX_TEXT + TAG;

/// The other end has not said what it should have: it is no client or no server of this host, or somebody has changed what it
/// said. The connection is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other end does not speak the channel's protocol, or has not the key")]
pub struct Broken;

/// How long the record is that these bytes announce.
///
/// # Errors
/// [`Broken`]: none is so long, or so short.
pub const fn record_length(announced: [u8; LENGTH]) -> Result<usize, Broken> {
    let length = u16::from_be_bytes(announced) as usize;
    if length < TAG || length > MAX_RECORD { Err(Broken) } else { Ok(length) }
}

/// A connection that is being made.
pub struct Handshake(Box<HandshakeState>);

/// A connection that is made.
pub struct Transport(Box<TransportState>);

impl Handshake {
    /// The server's end.
    ///
    /// # Errors
    /// [`Broken`], where the seed is of no use.
    pub fn server(secret: &Secret, seed: Seed) -> Result<Self, Broken> {
        let private = secret.private_key();
        let builder = builder(seed)?.local_private_key(&private).map_err(|_| Broken)?;
        Ok(Self(Box::new(builder.build_responder().map_err(|_| Broken)?)))
    }

    /// The client's end, of a connection to the host with this key.
    ///
    /// # Errors
    /// [`Broken`], where the seed is of no use.
    pub fn client(host: &PublicKey, seed: Seed) -> Result<Self, Broken> {
        let builder = builder(seed)?.remote_public_key(host.bytes()).map_err(|_| Broken)?;
        Ok(Self(Box::new(builder.build_initiator().map_err(|_| Broken)?)))
    }

    /// Whether this end is to say something now.
    pub fn is_my_turn(&self) -> bool {
        self.0.is_my_turn()
    }

    /// Writes this end's message with its length; answers how many bytes both are.
    ///
    /// # Errors
    /// [`Broken`]: it is not this end's turn, or there is no room.
    pub fn write(&mut self, out: &mut [u8]) -> Result<usize, Broken> {
        let (length, message) = out.split_first_chunk_mut::<LENGTH>().ok_or(Broken)?;
        let written = self.0.write_message(&[], message).map_err(|_| Broken)?;
        *length = (written as u16).to_be_bytes();
        Ok(LENGTH + written)
    }

    /// Reads the other end's message, without its length.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn read(&mut self, message: &[u8]) -> Result<(), Broken> {
        // It has no text in it.
        match self.0.read_message(message, &mut []) {
            Ok(0) => Ok(()),
            _ => Err(Broken),
        }
    }

    /// The connection, when both have said what they had to.
    ///
    /// # Errors
    /// [`Broken`]: they have not.
    pub fn finish(self) -> Result<Transport, Broken> {
        Ok(Transport(Box::new(self.0.into_transport_mode().map_err(|_| Broken)?)))
    }
}

impl Transport {
    /// Seals a text of at most [`MAX_TEXT`] bytes into `out`, its length in front; answers how many bytes both are.
    ///
    /// # Errors
    /// [`Broken`]: the text is too long, or there is no room.
    pub fn seal(&mut self, text: &[u8], out: &mut [u8]) -> Result<usize, Broken> {
        if text.len() > MAX_TEXT {
            return Err(Broken);
        }
        let (length, record) = out.split_first_chunk_mut::<LENGTH>().ok_or(Broken)?;
        let written = self.0.write_message(text, record).map_err(|_| Broken)?;
        *length = (written as u16).to_be_bytes();
        Ok(LENGTH + written)
    }

    /// Opens a record, without its length, into `text`; answers how many bytes of text it has.
    ///
    /// # Errors
    /// [`Broken`]: it is not the next that the other end has sealed.
    pub fn open(&mut self, record: &[u8], text: &mut [u8]) -> Result<usize, Broken> {
        self.0.read_message(record, text).map_err(|_| Broken)
    }
}

fn builder<'b>(seed: Seed) -> Result<Builder<'b>, Broken> {
    let params = PROTOCOL.parse().map_err(|_| Broken)?;
    Builder::with_resolver(params, Box::new(Seeded(seed))).prologue(PROLOGUE).map_err(|_| Broken)
}

/// The crate's own ciphers, with numbers from a seed: it knows no source of chance here.
struct Seeded(Seed);

impl CryptoResolver for Seeded {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(self.0.clone()))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}
