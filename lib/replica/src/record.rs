//! Records: what one step did, as words of a frame.
//!
//! ```text
//! word 0  digest of the state after the step
//!      1  bytes of items (32) | how many messages (32)
//!      2  how many sessions ended (32) | how many counts of taken messages (32)
//!      3  the request: connection (32) | its length (32); 0 bytes if no request caused the step
//!      4  items, padded to words
//!         messages: connection (32) | deferred (1) | length (31)    number, if deferred    bytes, padded
//!         sessions that ended: connection
//!         counts: connection    how many deferred messages it has taken
//! ```
//!
//! Chunks of a pass are written the same way: they have items and deferred messages.

use alloc::vec::Vec;
use zerocopy::IntoBytes;

const HEADER_WORDS: usize = 4;
const DEFERRED: u32 = 1 << 31;

/// A record that grows. Its memory is used again for the next one.
#[derive(Debug, Default)]
pub struct Builder {
    words: Vec<u64>,
    messages: u32,
    ended: u32,
    taken: u32,
    kept: bool,
}

impl Builder {
    /// Begins a record with the items, as they are encoded.
    ///
    /// The parts are to be added in the order of the methods: messages, sessions that ended, counts.
    pub fn begin(&mut self) {
        self.words.clear();
        self.words.resize(HEADER_WORDS, 0);
        (self.messages, self.ended, self.taken, self.kept) = (0, 0, 0, false);
    }

    /// Adds the encoded items. Once at most, and first.
    pub fn items(&mut self, items: &[u8]) {
        self.kept |= !items.is_empty();
        self.words[1] = (items.len() as u64) << 32;
        push_bytes(&mut self.words, items);
    }

    /// Adds a message to a client, with its number if it has to wait.
    pub fn message(&mut self, connection: u32, deferred: Option<u64>, bytes: &[u8]) {
        self.messages += 1;
        self.kept |= deferred.is_some();
        let flag = if deferred.is_some() { DEFERRED } else { 0 };
        self.words.push(u64::from(connection) << 32 | u64::from(flag | bytes.len() as u32));
        self.words.extend(deferred);
        push_bytes(&mut self.words, bytes);
    }

    /// Adds a session that ended.
    pub fn ended(&mut self, connection: u32) {
        self.ended += 1;
        self.kept = true;
        self.words.push(u64::from(connection));
    }

    /// Adds how many deferred messages a client has taken so far.
    pub fn taken(&mut self, connection: u32, taken: u64) {
        self.taken += 1;
        self.words.extend([u64::from(connection), taken]);
    }

    /// Whether there is something that has to be kept: all but messages that need not wait.
    pub fn must_be_kept(&self) -> bool {
        self.kept
    }

    /// The record: its words, with what it leads to, and the request that caused it.
    pub fn finish(&mut self, digest: u64, request: Option<(u32, usize)>) -> &[u64] {
        self.words[0] = digest;
        self.words[1] |= u64::from(self.messages);
        self.words[2] = u64::from(self.ended) << 32 | u64::from(self.taken);
        self.words[3] = request.map_or(0, |(connection, bytes)| u64::from(connection) << 32 | bytes as u64);
        &self.words
    }

    /// The words so far.
    pub fn len(&self) -> usize {
        self.words.len()
    }
}

fn push_bytes(words: &mut Vec<u64>, bytes: &[u8]) {
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        words.push(u64::from_le_bytes(word));
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        words.push(u64::from_le_bytes(word));
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Header {
    digest: u64,
    messages: u32,
    ended: u32,
    taken: u32,
    request: Option<(u32, usize)>,
}

/// A message in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// To whom it goes.
    pub connection: u32,
    /// Its number among the deferred messages of the connection, if it had to wait.
    pub deferred: Option<u64>,
    /// The message.
    pub bytes: &'a [u8],
}

/// A record, as read from a frame that was sound. What makes no sense reads as nothing.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    header: Header,
    items: &'a [u8],
    /// Messages, ended sessions, counts.
    body: &'a [u64],
}

impl<'a> Record<'a> {
    /// The record in these words; `None` if they are none.
    pub fn read(words: &'a [u64]) -> Option<Self> {
        let (header, rest) = words.split_at_checked(HEADER_WORDS)?;
        let pair = |word: u64| ((word >> 32) as u32, word as u32);
        let (bytes, messages) = pair(header[1]);
        let (ended, taken) = pair(header[2]);
        let (connection, request) = pair(header[3]);
        let (items, body) = rest.split_at_checked((bytes as usize).div_ceil(8))?;
        let header = Header {
            digest: header[0],
            messages,
            ended,
            taken,
            request: (request != 0).then_some((connection, request as usize)),
        };
        Some(Record { header, items: items.as_bytes().get(..bytes as usize)?, body })
    }

    /// The digest of the state after the step.
    pub fn digest(&self) -> u64 {
        self.header.digest
    }

    /// The connection whose request this was, and the request's length in bytes.
    pub fn request(&self) -> Option<(u32, usize)> {
        self.header.request
    }

    /// The items, encoded.
    pub fn items(&self) -> &'a [u8] {
        self.items
    }

    /// The messages, in their order.
    pub fn messages(&self) -> Messages<'a> {
        Messages { left: self.header.messages, rest: self.body }
    }

    fn after_messages(&self) -> &'a [u64] {
        let mut messages = self.messages();
        while messages.next().is_some() {}
        messages.rest
    }

    /// The connections whose sessions ended.
    pub fn ended(&self) -> impl Iterator<Item = u32> + 'a {
        self.after_messages().iter().take(self.header.ended as usize).map(|word| *word as u32)
    }

    /// The connections that have taken deferred messages, and how many in all.
    pub fn taken(&self) -> impl Iterator<Item = (u32, u64)> + 'a {
        let rest = self.after_messages().get(self.header.ended as usize..).unwrap_or_default();
        rest.chunks_exact(2).take(self.header.taken as usize).map(|pair| (pair[0] as u32, pair[1]))
    }
}

/// The messages of a record.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    left: u32,
    rest: &'a [u64],
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (first, mut rest) = self.rest.split_first()?;
        let (connection, length) = ((first >> 32) as u32, *first as u32);
        let mut deferred = None;
        if length & DEFERRED != 0 {
            let (number, after) = rest.split_first()?;
            (deferred, rest) = (Some(*number), after);
        }
        let length = (length & !DEFERRED) as usize;
        let (bytes, rest) = rest.split_at_checked(length.div_ceil(8))?;
        self.rest = rest;
        Some(Message { connection, deferred, bytes: &bytes.as_bytes()[..length] })
    }
}
