#![no_std]
//! The recovery box: records that outlive the program that wrote them.
//!
//! A program that may be reset at any instruction puts here what its next incarnation must know, *before* the
//! effect is visible to anybody. The memory is a range of words that the reset keeps. What is found there is
//! checked, never trusted.
//!
//! ```text
//! header A | header B | slot 0 A | slot 0 B | slot 1 A | slot 1 B | ...         format version, slots, payload size
//!
//! copy:  type | version | key      sequence | bytes      checksum        payload (postcard), padded to words
//!        16     16        32       48         16         64 bits         PAYLOAD bytes at most
//! ```
//!
//! **Two copies, always written A first.** A reset tears at most one of them, and the other holds the value
//! as it was before or as it shall be. At rest both are the same, so that one that is damaged is mended from
//! the other. Hence one rule to read a slot: A if its checksum is right, else B if its is, else the record is
//! lost, and reported.
//!
//! **A put costs the record, not the box.** Where each record is stands in an index in ordinary memory, made
//! anew by [`RecoveryBox::open`].
//!
//! **A record says what it is.** [`Record::TYPE`] and [`Record::VERSION`] stand in each record, and a program
//! that expects another version gets an error instead of a value. The checksum covers slot, type, version,
//! key and sequence too: a copy in the wrong place is as bad as a torn one.
//!
//! All slots of a box have the same size. A program with small and large records divides its pages into two
//! boxes.

mod error;
mod header;
mod index;
mod slot;

pub use error::{Lost, OpenReport, Origin, PutError, ReadError, Scrubbed, TooSmall};

use core::sync::atomic::{Ordering, fence};
use index::{Index, SlotState};
use serde::{Serialize, de::DeserializeOwned};
use slot::{Header, Slots};
use uk_abi::Words;

/// A type whose values can be put into a box.
pub trait Record: Serialize + DeserializeOwned {
    /// Tells the type from the others in the box; not 0.
    const TYPE: u16;
    /// Changes whenever the meaning of the encoded bytes does.
    const VERSION: u16;
}

/// A record that was found by [`RecoveryBox::iter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<T> {
    /// The key it was put under.
    pub key: u32,
    /// Grows with every put into the box: the order in which records were written.
    pub sequence: u64,
    /// The value, or why there is none.
    pub value: Result<T, ReadError>,
}

/// A box of at most `SLOTS` records, each of at most `PAYLOAD` bytes when encoded (a multiple of 8).
///
/// There must be only one for the same memory. It takes 16 bytes of ordinary memory for each slot.
#[derive(Debug)]
pub struct RecoveryBox<W, const SLOTS: usize, const PAYLOAD: usize> {
    slots: Slots<W, SLOTS, PAYLOAD>,
    index: Index<SLOTS>,
    sequence: u64,
    scrub_next: usize,
}

impl<W: Words, const SLOTS: usize, const PAYLOAD: usize> RecoveryBox<W, SLOTS, PAYLOAD> {
    /// Words of memory that such a box takes.
    pub const WORDS: usize = header::WORDS + SLOTS * Slots::<W, SLOTS, PAYLOAD>::SLOT_WORDS;

    /// Opens the box in `words`: keeps what is sound, mends what can be mended, and says what it found.
    ///
    /// Memory in which nothing makes sense, and a box of another shape, are formatted. Any content is fine.
    pub fn open(words: W) -> Result<(Self, OpenReport), TooSmall> {
        let found = words.count();
        if found < Self::WORDS {
            return Err(TooSmall { needed: Self::WORDS, found });
        }
        let header = header::read::<SLOTS, PAYLOAD>(&words);
        let mut opened =
            RecoveryBox { slots: Slots::new(words), index: Index::new(), sequence: 0, scrub_next: 0 };
        let report = opened.load(header);
        Ok((opened, report))
    }

    /// Fills the index from the slots, or formats them.
    fn load(&mut self, (header, differs): (header::Found, bool)) -> OpenReport {
        let has_record = |slot| self.slots.find(slot).is_some_and(|found| !found.header.is_free());
        let origin = match header {
            header::Found::Ours => Origin::Kept,
            header::Found::Other { slots, payload } => Origin::OtherShape { slots, payload },
            _ if (0..SLOTS).any(has_record) => Origin::Salvaged,
            header::Found::Blank => Origin::Fresh,
            header::Found::Rubbish => Origin::Rubbish,
        };
        let mut report = OpenReport::new(origin);
        report.mended = (differs && origin == Origin::Kept) as usize;
        // From the last to the first, so that the first is the first to be used.
        for slot in (0..SLOTS).rev() {
            match origin {
                Origin::Kept | Origin::Salvaged => self.load_slot(slot, &mut report),
                _ => self.free(slot),
            }
        }
        // The header comes last, so that a format that was interrupted is begun again.
        header::write::<SLOTS, PAYLOAD>(&self.slots.words);
        report
    }

    fn load_slot(&mut self, slot: usize, report: &mut OpenReport) {
        let Some(found) = self.slots.mend(slot) else {
            report.lost += 1;
            return;
        };
        report.mended += found.mended as usize;
        self.sequence = self.sequence.max(found.header.sequence);
        let id = found.header.id();
        if found.header.is_free() {
            self.index.set_free(slot);
        } else if let Some(other) = self.index.find(id) {
            // No reset leaves two; whatever did, the later one counts.
            report.duplicates += 1;
            if self.slots.find(other).is_some_and(|other| other.header.sequence > found.header.sequence) {
                self.free(slot);
            } else {
                self.index.remove(id);
                self.free(other);
                self.index.insert(slot, id);
            }
        } else {
            report.records += 1;
            self.index.insert(slot, id);
        }
    }

    /// Makes a slot that is in no chain of the index free.
    fn free(&mut self, slot: usize) {
        self.write_free(slot);
        self.index.set_free(slot);
    }

    fn write_free(&mut self, slot: usize) {
        self.sequence += 1;
        self.slots.write(slot, &Header { sequence: self.sequence, ..Header::FREE }, &[]);
    }

    /// Puts `value` under `key`, in place of what was there. When this returns, the value survives a reset; a
    /// reset before that leaves the old value or the new one. Stores that follow become visible after it.
    ///
    /// # Errors
    /// The box is full, or the value does not fit in a slot: then the box is as it was.
    pub fn put<T: Record>(&mut self, key: u32, value: &T) -> Result<(), PutError> {
        const { assert!(T::TYPE != 0, "type 0 marks free slots") };
        let mut payload = [0; PAYLOAD];
        let payload = postcard::to_slice(value, &mut payload).map_err(|error| match error {
            postcard::Error::SerializeBufferFull => PutError::TooLarge { max: PAYLOAD },
            _ => PutError::NotEncodable,
        })?;
        let id = (T::TYPE, key);
        let known = self.index.find(id);
        let slot = known.or_else(|| self.index.first_free()).ok_or(PutError::Full { slots: SLOTS })?;
        self.sequence += 1;
        let header = Header {
            type_id: T::TYPE,
            version: T::VERSION,
            key,
            sequence: self.sequence,
            bytes: payload.len() as u16,
        };
        self.slots.write(slot, &header, payload);
        if known.is_none() {
            self.index.insert(slot, id);
        }
        fence(Ordering::Release);
        Ok(())
    }

    /// The value under `key`; `None` if there is none.
    ///
    /// # Errors
    /// There is a record, but it is damaged beyond mending, or of another version of the type.
    pub fn get<T: Record>(&self, key: u32) -> Result<Option<T>, ReadError> {
        self.index.find((T::TYPE, key)).map(|slot| self.read(slot, key).1).transpose()
    }

    /// Reads the record in `slot`, which the index says has this type and key.
    fn read<T: Record>(&self, slot: usize, key: u32) -> (u64, Result<T, ReadError>) {
        let found = self.slots.find(slot).filter(|found| found.header.id() == (T::TYPE, key));
        let Some(found) = found else {
            return (0, Err(ReadError::Damaged));
        };
        let value = match found.header.version {
            version if version != T::VERSION => Err(ReadError::Version { asked: T::VERSION, found: version }),
            _ => match postcard::take_from_bytes(found.payload()) {
                Ok((value, [])) => Ok(value),
                _ => Err(ReadError::Malformed),
            },
        };
        (found.header.sequence, value)
    }

    /// Removes the record under `key`, of whatever version, damaged or not. Returns whether there was one.
    pub fn remove<T: Record>(&mut self, key: u32) -> bool {
        let Some(slot) = self.index.remove((T::TYPE, key)) else {
            return false;
        };
        self.free(slot);
        fence(Ordering::Release);
        true
    }

    /// All records of a type, in the order of their slots, also those that cannot be read.
    pub fn iter<T: Record>(&self) -> impl Iterator<Item = Entry<T>> {
        self.index.used().filter(|(_, (type_id, _))| *type_id == T::TYPE).map(|(slot, (_, key))| {
            let (sequence, value) = self.read(slot, key);
            Entry { key, sequence, value }
        })
    }

    /// How many records there are, of all types.
    pub fn len(&self) -> usize {
        self.index.used().count()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.index.used().next().is_none()
    }

    /// Checks one slot, the next in turn, and mends it if it can be mended. To be called when there is
    /// nothing better to do.
    pub fn scrub_step(&mut self) -> Scrubbed {
        let slot = self.scrub_next;
        self.scrub_next = (slot + 1) % SLOTS;
        let found = self.slots.mend(slot);
        match self.index.state(slot) {
            SlotState::Lost => Scrubbed::Lost(self.lost_slot(slot)),
            SlotState::Used(id) => match found.filter(|found| found.header.id() == id) {
                Some(found) => Scrubbed::of(found.mended),
                None => Scrubbed::Lost(Lost { slot, record: Some(id) }),
            },
            SlotState::Free => match found.filter(|found| found.header.is_free()) {
                Some(found) => Scrubbed::of(found.mended),
                None => {
                    self.write_free(slot);
                    Scrubbed::Mended
                }
            },
        }
    }

    /// The slots whose records were lost before the box was opened. They stay as they are, and are reported
    /// by each open, until [`discard_lost`](Self::discard_lost).
    pub fn lost(&self) -> impl Iterator<Item = Lost> {
        self.index.lost().map(|slot| self.lost_slot(slot))
    }

    fn lost_slot(&self, slot: usize) -> Lost {
        Lost { slot, record: self.slots.presumed_id(slot) }
    }

    /// Makes the slots of lost records usable again, once their loss has been dealt with. Returns how many
    /// there were.
    pub fn discard_lost(&mut self) -> usize {
        let lost = self.index.lost().count();
        for slot in 0..SLOTS {
            if self.index.state(slot) == SlotState::Lost {
                self.free(slot);
            }
        }
        lost
    }
}
