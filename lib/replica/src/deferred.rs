//! Deferred messages: what a client that does not read has not got yet, beyond what its session holds.
//!
//! They are part of the replicated state. Each has a number; a session counts how many it has taken, and so whoever
//! takes over knows which of them are still to be delivered.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use xxhash_rust::xxh3::xxh3_64;

/// The queue of one client.
#[derive(Clone, Debug, Default)]
struct Queue {
    /// The number of the first message.
    first: u64,
    messages: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// How often each content is among the messages, by its checksum: a queue can be long.
    contents: BTreeMap<u64, u32>,
}

impl Queue {
    fn push(&mut self, message: &[u8]) {
        self.bytes += message.len();
        *self.contents.entry(xxh3_64(message)).or_default() += 1;
        self.messages.push_back(message.into());
    }

    /// Drops the first message. Returns whether there was one.
    fn pop(&mut self) -> bool {
        let Some(message) = self.messages.pop_front() else { return false };
        self.first += 1;
        self.bytes -= message.len();
        let content = xxh3_64(&message);
        if let Some(count) = self.contents.get_mut(&content) {
            *count -= 1;
            if *count == 0 {
                self.contents.remove(&content);
            }
        }
        true
    }
}

/// The deferred messages of all clients.
#[derive(Clone, Debug, Default)]
pub struct Deferred {
    queues: BTreeMap<u32, Queue>,
}

impl Deferred {
    /// Whether nothing waits for this client.
    pub fn is_empty(&self, connection: u32) -> bool {
        !self.queues.contains_key(&connection)
    }

    /// Bytes that wait for this client.
    pub fn bytes(&self, connection: u32) -> usize {
        self.queues.get(&connection).map_or(0, |queue| queue.bytes)
    }

    /// Whether an equal message waits for this client already.
    pub fn holds(&self, connection: u32, message: &[u8]) -> bool {
        let queue = self.queues.get(&connection);
        queue.is_some_and(|queue| queue.contents.contains_key(&xxh3_64(message)))
    }

    /// The number that the next message of this client gets, if it has taken `taken` so far.
    pub fn next_number(&self, connection: u32, taken: u64) -> u64 {
        self.queues.get(&connection).map_or(taken, |queue| queue.first + queue.messages.len() as u64)
    }

    /// Adds a message with its number. One that is known is ignored; a gap says that all before it were taken.
    pub fn push(&mut self, connection: u32, number: u64, message: &[u8]) {
        let queue =
            self.queues.entry(connection).or_insert_with(|| Queue { first: number, ..Queue::default() });
        let next = queue.first + queue.messages.len() as u64;
        if number > next {
            *queue = Queue { first: number, ..Queue::default() };
        }
        if number >= next {
            queue.push(message);
        }
    }

    /// The first message of this client.
    pub fn front(&self, connection: u32) -> Option<&[u8]> {
        self.queues.get(&connection)?.messages.front().map(|message| &**message)
    }

    /// Drops the messages that the client has taken: those with numbers less than `taken`.
    pub fn drop_taken(&mut self, connection: u32, taken: u64) {
        let Some(queue) = self.queues.get_mut(&connection) else { return };
        while queue.first < taken && queue.pop() {}
        if queue.messages.is_empty() {
            self.queues.remove(&connection);
        }
    }

    /// Drops everything for this client.
    pub fn forget(&mut self, connection: u32) {
        self.queues.remove(&connection);
    }

    /// The first message at or after this place, with its connection and number.
    pub fn at_or_after(&self, connection: u32, number: u64) -> Option<(u32, u64, &[u8])> {
        for (id, queue) in self.queues.range(connection..) {
            let from = if *id == connection { number.saturating_sub(queue.first) } else { 0 };
            if let Some(message) = queue.messages.get(from as usize) {
                return Some((*id, queue.first + from, message));
            }
        }
        None
    }

    /// The clients for which something waits.
    pub fn connections(&self) -> impl Iterator<Item = u32> {
        self.queues.keys().copied()
    }
}
