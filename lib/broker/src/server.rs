//! Root's end.

use crate::layout::{
    ANSWER, ANSWER_HEAD, ANSWERED, ASKED, CHECK, DATA, DATA_WORDS, HEAD, MAX_ANSWER, MAX_REQUEST, REQUEST,
    SLOTS, TAKEN, WORDS, check, lengths, slot,
};
use crate::{Outcome, Refusal, Request};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use uk_abi::Words;

/// Root's end of one asker's slots. It remembers nothing: a new life of root goes on with what the memory says.
#[derive(Clone, Copy, Debug)]
pub struct Server<W> {
    words: W,
}

/// A request that has been taken and is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    slot: usize,
    number: u64,
    /// What is asked for, or why it is not to be carried out.
    pub request: Result<Request, Refusal>,
    /// How many bytes of data came with it.
    pub length: usize,
}

impl<W: Words> Server<W> {
    /// The slots in `words`; none if these are fewer than [`WORDS`].
    pub fn new(words: W) -> Option<Self> {
        (words.count() >= WORDS).then_some(Self { words })
    }

    /// Whether there is a request.
    pub fn is_asked(&self) -> bool {
        self.oldest().is_some()
    }

    /// Takes the request that was asked first. Its data, or as much of them as there is room for, are copied to `data`.
    ///
    /// Each word is read once; whatever the asker does meanwhile, what is answered here stays as it is.
    pub fn take(&self, data: &mut [u64; DATA_WORDS]) -> Option<Asked> {
        let (slot, number) = self.oldest()?;
        let was_taken = self.load(slot, TAKEN) == number;
        self.words.store(self::slot(slot) + TAKEN, number, Release);
        let (request, length) = self.read(slot, number, data);
        let request = match request {
            Ok(request) if was_taken && !request.is_repeatable() => Err(Refusal::Interrupted),
            request => request,
        };
        Some(Asked { slot, number, request, length })
    }

    /// Answers a request.
    pub fn answer(&self, asked: &Asked, outcome: &Outcome) {
        let at = self::slot(asked.slot);
        let mut bytes = [0; MAX_ANSWER];
        // Tests show that every answer fits.
        let length = postcard::to_slice(outcome, &mut bytes).map_or(0, |used| used.len());
        let (words, _) = bytes.as_chunks();
        for (index, word) in words.iter().enumerate().take(length.div_ceil(8)) {
            self.words.store(at + ANSWER + index, u64::from_le_bytes(*word), Relaxed);
        }
        self.words.store(at + ANSWER_HEAD, length as u64, Relaxed);
        self.words.store(at + ANSWERED, asked.number, Release);
    }

    /// The slot with the lowest number that is not answered.
    fn oldest(&self) -> Option<(usize, u64)> {
        let numbers = (0..SLOTS).map(|slot| (slot, self.load(slot, ASKED)));
        numbers.filter(|(slot, asked)| self.load(*slot, ANSWERED) != *asked).min_by_key(|(_, asked)| *asked)
    }

    fn read(
        &self,
        slot: usize,
        number: u64,
        data: &mut [u64; DATA_WORDS],
    ) -> (Result<Request, Refusal>, usize) {
        let malformed = (Err(Refusal::Malformed), 0);
        let head = self.load(slot, HEAD);
        let Some((length, data_length)) = lengths(head) else { return malformed };
        let mut bytes = [0; MAX_REQUEST];
        for (index, bytes) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate().take(length.div_ceil(8)) {
            *bytes = self.load(slot, REQUEST + index).to_le_bytes();
        }
        let bytes = &bytes[..length];
        if self.load(slot, CHECK) != check(number, head, bytes) {
            return malformed;
        }
        let Ok((request, [])) = postcard::take_from_bytes(bytes) else { return malformed };
        let at = self::slot(slot) + DATA;
        for (index, word) in data.iter_mut().enumerate().take(data_length.div_ceil(8)) {
            *word = self.words.load(at + index, Relaxed);
        }
        (Ok(request), data_length)
    }

    fn load(&self, slot: usize, word: usize) -> u64 {
        self.words.load(self::slot(slot) + word, Acquire)
    }
}
