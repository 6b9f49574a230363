//! What was taken and is not answered, in a recovery box.
//!
//! Three moves, each noted before its effect can be seen:
//!
//! 1. [`begin`](Journal::begin) when a request was copied out of a ring, before the device hears of it;
//! 2. [`answering`](Journal::answering) when it is done, with the place in the ring that the answer will have, before the answer
//!    is shown;
//! 3. [`end`](Journal::end) when the answer has been shown.
//!
//! A life that finds the first does the work again, which for a disk's sectors changes nothing. One that finds the second looks
//! at the ring: either the answer has been shown, or it is shown now, in the same place. So nothing is answered twice, and no
//! work is done again whose answer has been seen, after which the guest may have used its pages for something else.
//!
//! How far each ring's requests have been taken is noted too, as a [`Cursor`]: with it, what is missing is noticed.

use crate::Token;
use alloc::vec::Vec;
use core::fmt;
use recovery_box::{OpenReport, PutError, Record, RecoveryBox, TooSmall};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uk_abi::Words;

/// What a journal is kept of.
pub trait Work: Clone + fmt::Debug + Serialize + DeserializeOwned {
    /// What is noted when it is done: enough to show the answer, or to see that it has been shown.
    type Answer: Clone + fmt::Debug + Serialize + DeserializeOwned;
    /// Changes whenever the meaning of the encoded work or answer does.
    const VERSION: u16;
}

/// How far the requests of a ring have been taken: the index behind the last one. It may lag behind what else is noted, by what
/// was taken last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor(u32);

impl Record for Cursor {
    const TYPE: u16 = 2;
    const VERSION: u16 = 1;
}

/// Something that was taken and is not answered, as the life before left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Open<T: Work> {
    /// It has to be done, perhaps again.
    Begun {
        /// What.
        work: T,
        /// How often it had been begun again.
        retries: u8,
    },
    /// It is done; its answer may have been shown or not.
    Answering(T::Answer),
}

/// What is in the box for each.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
enum Entry<T: Work> {
    Begun { order: u64, retries: u8, work: T },
    Answering(T::Answer),
}

impl<T: Work> Record for Entry<T> {
    const TYPE: u16 = 1;
    const VERSION: u16 = T::VERSION;
}

/// The journal cannot be written: what it should have held must not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotNoted {
    /// What the box says.
    pub error: PutError,
}

impl fmt::Display for NotNoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not noted in the journal: {}", self.error)
    }
}

impl core::error::Error for NotNoted {}

/// What was found when a journal was opened.
#[derive(Clone, Debug)]
pub struct Found<T: Work> {
    /// What the box has to say.
    pub report: OpenReport,
    /// Records that cannot be read: what they held is not in `open`, and a [cursor](Journal::cursor) tells who misses it.
    pub unreadable: usize,
    /// What is open: answers first, then work, in the order in which it was begun.
    pub open: Vec<(Token, Open<T>)>,
}

/// The journal: records of at most `PAYLOAD` bytes, in a box of `SLOTS`.
#[derive(Debug)]
pub struct Journal<M, T, const SLOTS: usize, const PAYLOAD: usize> {
    records: RecoveryBox<M, SLOTS, PAYLOAD>,
    free: Vec<Token>,
    order: u64,
    work: core::marker::PhantomData<T>,
}

impl<M: Words, T: Work, const SLOTS: usize, const PAYLOAD: usize> Journal<M, T, SLOTS, PAYLOAD> {
    /// Opens the journal in `words`, with room for the cursors of `rings` rings and, in what remains, for work.
    ///
    /// # Errors
    /// [`TooSmall`].
    pub fn open(words: M, rings: usize) -> Result<(Self, Found<T>), TooSmall> {
        let (mut records, report) = RecoveryBox::open(words)?;
        records.discard_lost();
        let mut journal = Self { records, free: Vec::new(), order: 0, work: core::marker::PhantomData };
        let (open, unreadable) = journal.scan();
        for &key in &unreadable {
            journal.records.remove::<Entry<T>>(key);
        }
        let capacity = SLOTS.saturating_sub(rings) as u16;
        let in_use = |token: &Token| open.iter().any(|(used, _)| used == token);
        journal.free = (0..capacity).rev().map(Token).filter(|token| !in_use(token)).collect();
        Ok((journal, Found { report, unreadable: unreadable.len(), open }))
    }

    /// What is open, as [`Found::open`] has it, and the keys of what cannot be read. New work comes after all that is found.
    fn scan(&mut self) -> (Vec<(Token, Open<T>)>, Vec<u32>) {
        let (mut begun, mut open, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
        for entry in self.records.iter::<Entry<T>>() {
            let token = u16::try_from(entry.key).ok().filter(|&key| usize::from(key) < SLOTS).map(Token);
            match (token, entry.value) {
                (Some(token), Ok(Entry::Begun { order, retries, work })) => {
                    begun.push((order, token, Open::Begun { work, retries }));
                }
                (Some(token), Ok(Entry::Answering(answer))) => open.push((token, Open::Answering(answer))),
                (None, _) | (_, Err(_)) => unreadable.push(entry.key),
            }
        }
        begun.sort_unstable_by_key(|&(order, ..)| order);
        self.order = self.order.max(begun.last().map_or(0, |&(order, ..)| order + 1));
        open.extend(begun.into_iter().map(|(_, token, work)| (token, work)));
        (open, unreadable)
    }

    /// What is open now, as [`Found::open`] has it: for a part of this life that has to begin anew.
    pub fn open_work(&mut self) -> Vec<(Token, Open<T>)> {
        self.scan().0
    }

    /// Whether there is room for more work.
    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Notes that work was taken, and gives it a token; none if there is no room.
    ///
    /// # Errors
    /// [`NotNoted`].
    pub fn begin(&mut self, work: &T) -> Result<Option<Token>, NotNoted> {
        let Some(token) = self.free.pop() else {
            return Ok(None);
        };
        let entry = Entry::Begun { order: self.order, retries: 0, work: work.clone() };
        self.order += 1;
        match self.records.put(u32::from(token.0), &entry) {
            Ok(()) => Ok(Some(token)),
            Err(error) => {
                self.free.push(token);
                Err(NotNoted { error })
            }
        }
    }

    /// Notes that the work is about to be begun again, for the `retries`th time.
    pub fn retry(&mut self, token: Token, retries: u8) {
        let key = u32::from(token.0);
        if let Ok(Some(Entry::<T>::Begun { order, work, .. })) = self.records.get(key) {
            // It replaces a record of the same size.
            let _ = self.records.put(key, &Entry::Begun { order, retries, work });
        }
    }

    /// Notes that the work is done and about to be answered.
    ///
    /// # Errors
    /// [`NotNoted`].
    pub fn answering(&mut self, token: Token, answer: &T::Answer) -> Result<(), NotNoted> {
        let entry = Entry::<T>::Answering(answer.clone());
        self.records.put(u32::from(token.0), &entry).map_err(|error| NotNoted { error })
    }

    /// Notes that the answer has been shown, or that nobody waits for it any more; the token can be given to other work.
    pub fn end(&mut self, token: Token) {
        if self.records.remove::<Entry<T>>(u32::from(token.0)) {
            self.free.push(token);
        }
    }

    /// How far the requests of a ring have been taken, if that is known.
    pub fn cursor(&self, ring: u32) -> Option<u32> {
        self.records.get(ring).ok().flatten().map(|Cursor(consumed)| consumed)
    }

    /// Notes how far the requests of a ring have been taken: before any of them is answered.
    ///
    /// # Errors
    /// [`NotNoted`].
    pub fn set_cursor(&mut self, ring: u32, consumed: u32) -> Result<(), NotNoted> {
        self.records.put(ring, &Cursor(consumed)).map_err(|error| NotNoted { error })
    }

    /// Forgets a ring that is no longer connected.
    pub fn forget_cursor(&mut self, ring: u32) {
        self.records.remove::<Cursor>(ring);
    }

    /// Checks one record, the next in turn, and mends it if it can be mended. To be called when there is nothing better to do.
    pub fn scrub_step(&mut self) -> recovery_box::Scrubbed {
        self.records.scrub_step()
    }
}
