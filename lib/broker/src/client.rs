//! The asker's end.

use crate::layout::{
    ANSWER, ANSWER_HEAD, ANSWERED, ASKED, CHECK, DATA, HEAD, MAX_ANSWER, MAX_DATA, MAX_REQUEST, REQUEST,
    SLOTS, WORDS, check, head, slot,
};
use crate::{Outcome, Refusal, Request};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use thiserror::Error;
use uk_abi::Words;

/// Why something cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AskError {
    /// As many requests as there are slots are under way, or their answers not taken.
    #[error("{SLOTS} requests are under way, there is no room for more")]
    Busy,
    /// More data than go with a request.
    #[error("{length} bytes are to go with a request, at most {MAX_DATA} can")]
    TooLong {
        /// How many.
        length: usize,
    },
}

/// A request that is under way. Its slot is in use until the answer is [taken](Client::take).
#[derive(Debug, PartialEq, Eq)]
#[must_use = "its slot is in use until its answer is taken"]
pub struct Ticket {
    slot: usize,
}

/// What this life has in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Nothing; an earlier life may still have a request there.
    None,
    /// A request whose answer somebody will take.
    Awaited,
    /// A request whose answer nobody wants.
    Abandoned,
}

/// The asker's end of its slots. To be opened once in a life.
#[derive(Debug)]
pub struct Client<W> {
    words: W,
    uses: [Use; SLOTS],
    last: u64,
}

impl<W: Words> Client<W> {
    /// The slots in `words`, and in them whatever an earlier life has asked for; none if the words are fewer than
    /// [`WORDS`].
    pub fn open(words: W) -> Option<Self> {
        if words.count() < WORDS {
            return None;
        }
        let mut client = Self { words, uses: [Use::None; SLOTS], last: 0 };
        // A number that an earlier life has damaged is as good as any other: those that follow are higher.
        let numbers = (0..SLOTS).flat_map(|slot| [ASKED, ANSWERED].map(|word| (slot, word)));
        client.last = numbers.map(|(slot, word)| client.load(slot, word)).max().unwrap_or(0);
        Some(client)
    }

    /// Whether all that earlier lives have asked for is answered. Before that, what they have asked for may still
    /// happen.
    pub fn is_settled(&self) -> bool {
        (0..SLOTS).filter(|slot| self.uses[*slot] == Use::None).all(|slot| self.is_answered(slot))
    }

    /// Whether all that has been asked for is answered.
    pub fn is_quiet(&self) -> bool {
        (0..SLOTS).all(|slot| self.is_answered(slot))
    }

    /// How much more can be asked for now.
    pub fn room(&self) -> usize {
        (0..SLOTS).filter(|slot| self.is_free(*slot)).count()
    }

    /// Asks for `request`, with `data`. Root must be told afterwards, by its doorbell: once is enough for all that was
    /// asked for since the last time.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn ask(&mut self, request: &Request, data: &[u8]) -> Result<Ticket, AskError> {
        if data.len() > MAX_DATA {
            return Err(AskError::TooLong { length: data.len() });
        }
        let index = self.free_slot().ok_or(AskError::Busy)?;
        let number = self.last.wrapping_add(1);
        let at = slot(index);
        self.store_bytes(at + DATA, data);
        let mut bytes = [0; MAX_REQUEST];
        // Tests show that every request fits.
        let used = postcard::to_slice(request, &mut bytes).map_or(0, |used| used.len());
        let head = head(used, data.len());
        self.store_bytes(at + REQUEST, &bytes[..used]);
        self.words.store(at + HEAD, head, Relaxed);
        self.words.store(at + CHECK, check(number, head, &bytes[..used]), Relaxed);
        self.words.store(at + ASKED, number, Release);
        self.last = number;
        self.uses[index] = Use::Awaited;
        Ok(Ticket { slot: index })
    }

    /// Whether a request is answered.
    pub fn is_ready(&self, ticket: &Ticket) -> bool {
        self.is_answered(ticket.slot)
    }

    /// Takes the answer to a request.
    ///
    /// # Errors
    /// The ticket itself, while there is no answer yet.
    pub fn take(&mut self, ticket: Ticket) -> Result<Outcome, Ticket> {
        if !self.is_answered(ticket.slot) {
            return Err(ticket);
        }
        self.uses[ticket.slot] = Use::None;
        let at = slot(ticket.slot);
        let length = (self.words.load(at + ANSWER_HEAD, Relaxed) as usize).min(MAX_ANSWER);
        let mut bytes = [0; MAX_ANSWER];
        for (index, bytes) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate().take(length.div_ceil(8)) {
            *bytes = self.words.load(at + ANSWER + index, Relaxed).to_le_bytes();
        }
        // Root says what can be understood; what is damaged on this side may have any cause.
        Ok(postcard::from_bytes(&bytes[..length]).unwrap_or(Err(Refusal::Malformed)))
    }

    /// Gives up waiting: the request is carried out all the same, and its slot is free when it is answered.
    pub fn abandon(&mut self, ticket: Ticket) {
        self.uses[ticket.slot] = Use::Abandoned;
    }

    fn free_slot(&self) -> Option<usize> {
        (0..SLOTS).find(|slot| self.is_free(*slot))
    }

    fn is_free(&self, slot: usize) -> bool {
        self.uses[slot] != Use::Awaited && self.is_answered(slot)
    }

    fn is_answered(&self, slot: usize) -> bool {
        self.load(slot, ASKED) == self.load(slot, ANSWERED)
    }

    fn load(&self, index: usize, word: usize) -> u64 {
        self.words.load(slot(index) + word, Acquire)
    }

    fn store_bytes(&self, at: usize, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for (index, word) in words.iter().enumerate() {
            self.words.store(at + index, u64::from_le_bytes(*word), Relaxed);
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.words.store(at + words.len(), u64::from_le_bytes(last), Relaxed);
        }
    }
}
