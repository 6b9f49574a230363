//! The channel of the management API: encrypted and authenticated, without sockets or clocks of its own.
//!
//! It is the Noise protocol `Noise_NK_25519_ChaChaPoly_BLAKE2s` (noiseprotocol.org, revision 34), from the crate `snow`. The
//! client knows the server's public key and nothing else of it: no certificate runs out, nobody else vouches for it, and
//! whoever has not the private key cannot answer the first message. Who the *client* is says the token that goes with each
//! request, through the channel.
//!
//! ```text
//!   client                                   server
//!     -> e, es      2 bytes length, 48        both ends have the same keys when
//!     <- e, ee      2 bytes length, 48        the second message has arrived
//!     <-> records   2 bytes length, text of at most 4 KiB, sealed
//! ```
//!
//! Everything secret of a host comes from one number of 32 bytes, its [`Secret`]: the private key, and a [`Token`] for each
//! role. What a client is given, the public key and one token, says nothing about the others; nor does the [`SigningKey`] that
//! somebody knows notifications by, which do not go through the channel.
//!
//! | file | subject |
//! |---|---|
//! | `keys` | secret, public key, tokens, and what notifications are signed with |
//! | `seed` | numbers that nobody can guess |
//! | `channel` | handshake and records |

#![no_std]

extern crate alloc;

mod channel;
mod keys;
mod seed;

pub use channel::{Broken, Handshake, LENGTH, MAX_RECORD, MAX_TEXT, Transport, record_length};
pub use keys::{KEY, NotAKey, PublicKey, Secret, Signature, SigningKey, Token};
pub use seed::Seed;
