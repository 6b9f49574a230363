//! What the tests share: two types of records, and a small box.

use recovery_box::{OpenReport, Record, RecoveryBox};
use serde::{Deserialize, Serialize};
use uk_abi::testing::Mortal;

/// A record of any length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Text(pub(crate) String);

impl Record for Text {
    const TYPE: u16 = 1;
    const VERSION: u16 = 1;
}

/// A record of another type, under keys of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) ring: u16,
    pub(crate) sector: u64,
    pub(crate) write: bool,
}

impl Record for Request {
    const TYPE: u16 = 2;
    const VERSION: u16 = 7;
}

pub(crate) const SLOTS: usize = 6;
pub(crate) const PAYLOAD: usize = 40;

/// A box that is soon full.
pub(crate) type Small<'a> = RecoveryBox<&'a Mortal, SLOTS, PAYLOAD>;

pub(crate) const WORDS: usize = Small::WORDS;

pub(crate) fn open(memory: &Mortal) -> (Small<'_>, OpenReport) {
    RecoveryBox::open(memory).expect("the memory is large enough")
}

pub(crate) fn text(text: &str) -> Text {
    Text(text.to_string())
}

/// Words of the box's header, and of a slot.
pub(crate) const HEADER: usize = 8;
pub(crate) const SLOT: usize = (WORDS - HEADER) / SLOTS;

/// Where a word of copy `copy` of the record in `slot` is, counted from its type.
pub(crate) fn word(slot: usize, copy: usize, word: usize) -> usize {
    HEADER + slot * SLOT + copy * SLOT / 2 + word
}
