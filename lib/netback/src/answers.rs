//! What must survive about a ring: the responses that are being written.
//!
//! Requests are answered in their order, so a ring's memory is itself the log of what is open: everything from the last
//! response on. The one moment at which that is not true is while responses are written over requests and not yet
//! shown. So responses are noted first, a batch at a time, and then written. If they have not been shown, a successor
//! writes the noted batch again, into the same slots, and shows it; then it takes everything behind it anew. No slot is lost, none is answered twice, and no
//! request is read whose slot already holds half a response.

use crate::keep::{Keep, RingName};
use heapless::Vec;
use recovery_box::Record;
use ring::request::{Backend, Overrun, Position, Protocol, Ring};
use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, IntoBytes};

/// Words in one batch: 32 responses of two words.
pub const BATCH_WORDS: usize = 64;

/// The batch of responses that was written last, or is being written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    first: u32,
    words: Vec<u32, BATCH_WORDS>,
}

impl Record for Answers {
    const TYPE: u16 = 0x4e41;
    const VERSION: u16 = 1;
}

impl Answers {
    /// The most encoded bytes: a varint of a word has at most five.
    pub const MAX_BYTES: usize = (5 + 2 + 5 * BATCH_WORDS).next_multiple_of(8);

    /// No response, in a ring of which everything before `first` is answered.
    pub const fn after(first: u32) -> Self {
        Self { first, words: Vec::new() }
    }

    /// The index of the first response.
    pub const fn first(&self) -> u32 {
        self.first
    }

    /// How many responses of a protocol a batch has room for.
    pub const fn room<P: Protocol>() -> usize {
        BATCH_WORDS / words_of::<P>()
    }

    /// How many responses there are.
    pub fn count<P: Protocol>(&self) -> u32 {
        (self.words.len() / words_of::<P>()) as u32
    }

    /// Adds a response. Whether there was room.
    pub fn push<P: Protocol>(&mut self, response: &P::Response) -> bool {
        let bytes = response.as_bytes();
        if self.words.len() + words_of::<P>() > BATCH_WORDS {
            return false;
        }
        let words =
            bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        self.words.extend(words);
        true
    }

    /// Begins in the ring of a frontend that has just connected, and keeps how far it is there.
    ///
    /// # Errors
    /// [`Overrun`]: the frontend's index is out of reach from there.
    pub fn connect<'a, P: Protocol>(
        ring: Ring<'a, P>,
        name: RingName,
        keep: &mut impl Keep,
    ) -> Result<Backend<'a, P>, Overrun> {
        let backend = Backend::attach(ring)?;
        keep.keep(name, &Self::after(backend.position().answered));
        Ok(backend)
    }

    /// Goes on in a ring where an earlier backend was, of which `kept` survived. The frontend is to be sent an event, in
    /// case the earlier backend died before it did.
    ///
    /// If nothing survived, the ring itself is believed. It may be one batch behind then, the one that was being
    /// written.
    ///
    /// # Errors
    /// [`Overrun`]: the frontend's index is out of reach from there.
    pub fn resume<'a, P: Protocol>(
        kept: Option<&Self>,
        ring: Ring<'a, P>,
    ) -> Result<Backend<'a, P>, Overrun> {
        let Some(kept) = kept else {
            return Backend::attach(ring);
        };
        let end = kept.first.wrapping_add(kept.count::<P>());
        if ring.shown() == end {
            // The frontend may have put new requests where the responses were.
            return Backend::resume(ring, Position { consumed: end, answered: end });
        }
        let mut backend = Backend::resume(ring, Position { consumed: end, answered: kept.first })?;
        kept.write(&mut backend);
        Ok(backend)
    }

    /// Writes the responses and shows them. Whether the frontend wants an event for that.
    pub(crate) fn write<P: Protocol>(&self, backend: &mut Backend<'_, P>) -> bool {
        for words in self.words.chunks_exact(words_of::<P>()) {
            let written =
                P::Response::read_from_bytes(words.as_bytes()).map(|response| backend.respond(&response));
            debug_assert!(matches!(written, Ok(Ok(()))), "a response of this protocol to what was taken");
        }
        backend.publish()
    }
}

/// Words of a response.
const fn words_of<P: Protocol>() -> usize {
    size_of::<P::Response>() / size_of::<u32>()
}
