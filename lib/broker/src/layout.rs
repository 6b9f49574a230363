//! How requests and answers lie in memory.
//!
//! ```text
//! slot:  page 0    word 0      asked: the number of the last request. Written last, by the asker
//!                       1      taken: the number of the request that root has begun with
//!                       2      answered: the number of the last that root has answered. Written last, by root
//!                       3      of the request: bytes (16) | bytes of its data (32)
//!                       4      checksum of its number, word 3 and its bytes
//!                       8..    the request, in postcard
//!                      64      of the answer: bytes
//!                      72..    the answer, in postcard
//!        pages 1..16           data
//! ```
//!
//! Numbers count all requests of an asker, from 1 and over all slots: the order in which they were asked. A slot is free
//! when both numbers are the same. So pages of zeros are slots without requests.
//!
//! The checksum is for an asker that is broken, not for one that is hostile: what it destroys is then not taken for a
//! request that it did not make. Data have none. They are the contents of a guest that is being built.

use builder::steps::MAX_BYTES;
use uk_abi::layout::PAGE_SIZE;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Requests that can be under way at once: enough that root finds the next one when it has done one.
pub const SLOTS: usize = 8;

/// The most bytes of data that go with a request.
pub const MAX_DATA: usize = MAX_BYTES;

/// Pages of all slots.
pub const PAGES: usize = SLOTS * SLOT_PAGES;

/// Words of all slots.
pub const WORDS: usize = PAGES * PAGE_WORDS;

/// Words of the data of a slot.
pub const DATA_WORDS: usize = MAX_DATA / 8;

/// The most bytes of a request. Tests hold all of them against it.
pub const MAX_REQUEST: usize = 8 * (ANSWER_HEAD - REQUEST);

/// The most bytes of an answer.
pub const MAX_ANSWER: usize = 256;

const _: () = assert!(PAGES == uk_abi::layout::BROKER_PAGES);

const PAGE_WORDS: usize = PAGE_SIZE / 8;
const SLOT_PAGES: usize = 1 + MAX_DATA / PAGE_SIZE;

pub(crate) const ASKED: usize = 0;
pub(crate) const TAKEN: usize = 1;
pub(crate) const ANSWERED: usize = 2;
pub(crate) const HEAD: usize = 3;
pub(crate) const CHECK: usize = 4;
pub(crate) const REQUEST: usize = 8;
pub(crate) const ANSWER_HEAD: usize = 64;
pub(crate) const ANSWER: usize = 72;
pub(crate) const DATA: usize = PAGE_WORDS;

/// The word at which a slot begins.
pub(crate) const fn slot(index: usize) -> usize {
    index * SLOT_PAGES * PAGE_WORDS
}

/// How long a request and its data are, in one word.
pub(crate) const fn head(request: usize, data: usize) -> u64 {
    (data as u64) << 16 | request as u64
}

/// The two lengths in such a word, if both are possible.
pub(crate) fn lengths(head: u64) -> Option<(usize, usize)> {
    let (request, data) = ((head & 0xffff) as usize, (head >> 16) as usize);
    (request <= MAX_REQUEST && data <= MAX_DATA).then_some((request, data))
}

/// The checksum of a request.
pub(crate) fn check(number: u64, head: u64, request: &[u8]) -> u64 {
    xxh3_64_with_seed(request, number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ head)
}
