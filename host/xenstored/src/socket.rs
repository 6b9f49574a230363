//! A client's socket, as a pair of streams that outlive the process that serves them.
//!
//! ```text
//!   client --> socket --readv--> ring of this connection in shared memory --> requests
//!   client <-- socket <--write-- replies
//! ```
//!
//! The successor of a process that was killed in the midst of it must know exactly how much of either stream has
//! passed. For each direction the kernel keeps a counter that the process could not have taken along:
//!
//! - Input: the socket's peek offset ([`linux::peek_offset`]), which falls by one for each byte that is received, and is
//!   used for nothing else. The bytes themselves are received into shared memory.
//! - Output: what the process has written in all ([`crate::account`]). Before each write the process notes what it is
//!   about to do.
//!
//! Each costs a few stores to memory and not one system call.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, Ordering};

use linux::peek_offset;
use linux::shared::SharedMemory;
use rustix::io::Errno;

use crate::account;

/// Connections that there is room for. The memory is taken up by those that exist.
pub const CONNECTIONS: usize = 1024;

/// Bytes that are received ahead of their execution, for each connection: three of the largest messages, and some
/// hundreds of usual ones.
pub const RING: usize = 16 << 10;

/// Bytes of all connections' memory: a place for the write that is under way, the counters, the rings.
pub const MEMORY: usize = RINGS + CONNECTIONS * RING;

const COUNTERS: usize = 4096;
const RINGS: usize = COUNTERS + CONNECTIONS * PLACE_WORDS * WORD;
const WORD: usize = size_of::<u64>();

/// What the peek offset is set to. Large, for it is set again when half of it is used up.
const FULL: i32 = 1 << 30;

/// Words of the counters of one connection: one line of the cache.
const PLACE_WORDS: usize = 8;
/// The number of the client, 0 for a free place.
const CLIENT: usize = 0;
/// Bytes received when the peek offset was set.
const BASE: usize = 1;
/// While the peek offset is being set anew: bytes received, and one.
const NEXT_BASE: usize = 2;
/// Bytes taken out of the ring.
const CONSUMED: usize = 3;
/// Bytes written to the client.
const PRODUCED: usize = 4;

/// In the first page: the place whose write is under way, and one; 0 for none.
const WRITING: usize = 0;
/// What the process had written before.
const WROTE_BEFORE: usize = 1;
/// What the client had been written before.
const PRODUCED_BEFORE: usize = 2;

/// Makes a socket that was accepted ready to be served: it never blocks, and it counts what is received.
///
/// # Errors
/// What the system says.
pub fn prepare(socket: impl AsFd) -> io::Result<()> {
    let socket = socket.as_fd();
    rustix::io::ioctl_fionbio(socket, true)?;
    peek_offset::set(socket, FULL)
}

/// The memory of all connections.
#[derive(Clone, Copy, Debug)]
pub struct Sockets {
    memory: &'static SharedMemory,
}

/// What became of the write that was under way when the last master died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// There was none.
    None,
    /// There was one, and now it is known how much of it the client got.
    Resolved,
    /// There was one to this client, and nobody knows: it has to be given up.
    Unknown(u32),
}

impl Sockets {
    /// The connections in a memory of [`MEMORY`] bytes.
    pub fn new(memory: &'static SharedMemory) -> Self {
        assert!(memory.len() >= MEMORY, "{} bytes for connections, of {MEMORY}", memory.len());
        Self { memory }
    }

    /// Forgets all connections: their sockets are gone.
    pub fn clear(&self) {
        for place in 0..CONNECTIONS {
            self.word(place, CLIENT).store(0, Release);
        }
        self.first(WRITING).store(0, Release);
    }

    /// After the death of a master that had written `wrote` bytes in all: settles the write that was under way.
    pub fn settle(&self, wrote: Option<u64>) -> Doubt {
        let Some(place) = self.first(WRITING).load(Acquire).checked_sub(1) else { return Doubt::None };
        let place = place as usize % CONNECTIONS;
        let client = self.word(place, CLIENT).load(Acquire) as u32;
        let got = wrote.map(|wrote| wrote.wrapping_sub(self.first(WROTE_BEFORE).load(Relaxed)));
        // More than one write is an account that is wrong: better no answer than a wrong one.
        let doubt = match got.filter(|got| *got <= LARGEST_WRITE as u64) {
            Some(got) => {
                let produced = self.first(PRODUCED_BEFORE).load(Relaxed).wrapping_add(got);
                self.word(place, PRODUCED).store(produced, Release);
                Doubt::Resolved
            }
            None => Doubt::Unknown(client),
        };
        // Last, so that who dies before it leaves it to the next, who comes to the same.
        self.first(WRITING).store(0, Release);
        doubt
    }

    /// Forgets the connections of all but these clients.
    pub fn keep(&self, clients: &BTreeSet<u32>) {
        for place in 0..CONNECTIONS {
            let client = self.word(place, CLIENT);
            if !clients.contains(&(client.load(Acquire) as u32)) {
                client.store(0, Release);
            }
        }
    }

    /// Takes a client's socket over, which was [prepared](prepare): where the last process stopped, if it served it.
    ///
    /// # Errors
    /// [`io::ErrorKind::QuotaExceeded`] if every place is taken, and what the system says.
    pub fn serve(&self, client: u32, socket: OwnedFd) -> io::Result<SocketStream> {
        let find = |wanted: u32| {
            (0..CONNECTIONS).find(|place| self.word(*place, CLIENT).load(Acquire) == u64::from(wanted))
        };
        let place = match find(client) {
            Some(place) => place,
            None => {
                let place = find(0).ok_or(io::ErrorKind::QuotaExceeded)?;
                for counter in [BASE, NEXT_BASE, CONSUMED, PRODUCED] {
                    self.word(place, counter).store(0, Relaxed);
                }
                self.word(place, CLIENT).store(client.into(), Release);
                place
            }
        };
        let mut stream = SocketStream { sockets: *self, place, socket, received: 0, ended: false };
        stream.received = stream.count_received()?;
        Ok(stream)
    }

    fn first(&self, word: usize) -> &'static AtomicU64 {
        &self.memory.words()[word]
    }

    fn word(&self, place: usize, word: usize) -> &'static AtomicU64 {
        &self.memory.words()[COUNTERS / WORD + place * PLACE_WORDS + word]
    }
}

/// The longest single write: what a session may have to say at once is less.
const LARGEST_WRITE: usize = 1 << 20;

/// A client's socket.
#[derive(Debug)]
pub struct SocketStream {
    sockets: Sockets,
    place: usize,
    socket: OwnedFd,
    /// Bytes received since the connection began.
    received: u64,
    ended: bool,
}

impl SocketStream {
    /// Receives what has arrived, as far as there is room. Answers whether there may be more.
    ///
    /// # Errors
    /// What the system says; the connection is of no more use then.
    pub fn receive(&mut self) -> io::Result<bool> {
        let free = RING - self.available();
        if free == 0 || self.ended {
            return Ok(false);
        }
        let start = self.received as usize % RING;
        let (before_end, wrapped) = (free.min(RING - start), free.saturating_sub(RING - start));
        let ring = RINGS + self.place * RING;
        let ranges = [ring + start..ring + start + before_end, ring..ring + wrapped];
        match self.sockets.memory.read_from(self.socket.as_fd(), ranges) {
            Ok(0) => self.ended = true,
            Ok(length) => {
                self.received += length as u64;
                self.keep_counter_high()?;
                return Ok(length == free);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            // The client closed its end with something unread in it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.ended = true,
            Err(error) => return Err(error),
        }
        Ok(false)
    }

    /// Whether the client has closed its end. What it sent before can still be there.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Bytes that were received and not consumed.
    pub fn available(&self) -> usize {
        (self.received - self.counter(CONSUMED).load(Relaxed)) as usize
    }

    /// Bytes consumed since the connection began.
    pub fn consumed(&self) -> u64 {
        self.counter(CONSUMED).load(Relaxed)
    }

    /// Copies received bytes, from `skip` behind the consumed ones on. Answers how many there were.
    pub fn peek(&self, skip: usize, bytes: &mut [u8]) -> usize {
        let count = self.available().saturating_sub(skip).min(bytes.len());
        let words = &self.sockets.memory.words()[(RINGS + self.place * RING) / WORD..][..RING / WORD];
        let mut at = (self.consumed() as usize + skip) % RING;
        let mut rest = &mut bytes[..count];
        while !rest.is_empty() {
            let word = words[at / WORD].load(Relaxed).to_ne_bytes();
            let part = &word[at % WORD..];
            let length = part.len().min(rest.len());
            let (now, later) = rest.split_at_mut(length);
            now.copy_from_slice(&part[..length]);
            (rest, at) = (later, (at + length) % RING);
        }
        count
    }

    /// Gives the room of everything before `position` back.
    pub fn consume_to(&mut self, position: u64) {
        self.counter(CONSUMED).store(position.min(self.received), Release);
    }

    /// Bytes written to the client since the connection began.
    pub fn produced(&self) -> u64 {
        self.counter(PRODUCED).load(Relaxed)
    }

    /// Writes to the client what it has room for. Answers how much that was.
    ///
    /// # Errors
    /// What the system says; the connection is of no more use then.
    pub fn produce(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(LARGEST_WRITE)];
        let produced = self.produced();
        let first = |word| self.sockets.first(word);
        first(WROTE_BEFORE).store(account::written(), Relaxed);
        first(PRODUCED_BEFORE).store(produced, Relaxed);
        first(WRITING).store(self.place as u64 + 1, Ordering::SeqCst);
        let written = rustix::io::write(&self.socket, bytes);
        if let Ok(length) = written {
            account::wrote(length);
            self.counter(PRODUCED).store(produced + length as u64, Release);
        }
        first(WRITING).store(0, Ordering::SeqCst);
        match written {
            Ok(length) => Ok(length),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the connection's place back; its socket is closed.
    pub fn close(self) {
        self.counter(CLIENT).store(0, Release);
    }

    fn counter(&self, counter: usize) -> &'static AtomicU64 {
        self.sockets.word(self.place, counter)
    }

    /// What was received since the connection began, as the kernel has counted it.
    fn count_received(&self) -> io::Result<u64> {
        let left = peek_offset::get(self.socket.as_fd())?;
        // A process that died while it set the offset anew has left word of it. Nothing is received meanwhile, so that
        // the offset tells by its value whether it got to that.
        let next = self.counter(NEXT_BASE).load(Acquire).checked_sub(1);
        if let Some(next) = next.filter(|_| left == FULL) {
            self.counter(BASE).store(next, Release);
        }
        self.counter(NEXT_BASE).store(0, Release);
        Ok(self.counter(BASE).load(Acquire) + (FULL - left) as u64)
    }

    /// Sets the peek offset anew before it reaches zero, where it would stop.
    fn keep_counter_high(&self) -> io::Result<()> {
        if self.received - self.counter(BASE).load(Relaxed) < FULL as u64 / 2 {
            return Ok(());
        }
        self.counter(NEXT_BASE).store(self.received + 1, Ordering::SeqCst);
        peek_offset::set(self.socket.as_fd(), FULL)?;
        self.counter(BASE).store(self.received, Ordering::SeqCst);
        self.counter(NEXT_BASE).store(0, Ordering::SeqCst);
        Ok(())
    }
}

impl AsFd for SocketStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
