//! A client's ring: two rings of bytes with counters, in memory that the server does not own.

use replica::session::Stream;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use uk_abi::testing::Fuse;

/// Bytes of each ring, as in Xen's xs_wire.h.
pub(crate) const RING: usize = 1024;

#[derive(Debug, Default)]
struct Shared {
    requests: RefCell<VecDeque<u8>>,
    consumed: Cell<u32>,
    replies: RefCell<VecDeque<u8>>,
    produced: Cell<u32>,
}

/// Both ends of a ring; clones are the same ring.
#[derive(Clone)]
pub(crate) struct Pipe {
    shared: Rc<Shared>,
    window: usize,
    seen: Vec<u8>,
    fuse: Fuse,
}

/// The server's end refuses: the client has made nonsense of the ring. Tests have no such client here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl Pipe {
    /// A ring of [`RING`] bytes each way, both counters at `start`.
    pub(crate) fn ring(start: u32, fuse: &Fuse) -> Self {
        Self::with_window(RING, start, fuse)
    }

    /// A stream with room for `window` bytes each way.
    pub(crate) fn with_window(window: usize, start: u32, fuse: &Fuse) -> Self {
        let shared = Shared { consumed: Cell::new(start), produced: Cell::new(start), ..Shared::default() };
        Pipe { shared: Rc::new(shared), window, seen: Vec::new(), fuse: fuse.clone() }
    }

    /// The client sends as much as there is room for. Returns how much.
    pub(crate) fn send(&self, bytes: &[u8]) -> usize {
        let mut requests = self.shared.requests.borrow_mut();
        let sent = bytes.len().min(self.window - requests.len());
        requests.extend(&bytes[..sent]);
        sent
    }

    /// The client takes at most `most` bytes of what the server has sent.
    pub(crate) fn receive(&self, most: usize) -> Vec<u8> {
        let mut replies = self.shared.replies.borrow_mut();
        let taken = replies.len().min(most);
        replies.drain(..taken).collect()
    }
}

impl Stream for Pipe {
    type Error = Broken;

    fn window(&self) -> usize {
        self.window
    }

    fn consumed(&self) -> Result<u32, Broken> {
        Ok(self.shared.consumed.get())
    }

    fn peek(&mut self, skip: usize, wanted: usize) -> Result<&[u8], Broken> {
        self.fuse.burn();
        self.seen.clear();
        self.seen.extend(self.shared.requests.borrow().iter().skip(skip).take(wanted));
        Ok(&self.seen)
    }

    fn consume_to(&mut self, position: u32) -> Result<(), Broken> {
        self.fuse.burn();
        let count = position.wrapping_sub(self.shared.consumed.get()) as usize;
        self.shared.requests.borrow_mut().drain(..count);
        self.shared.consumed.set(position);
        self.fuse.burn();
        Ok(())
    }

    fn produced(&self) -> Result<u32, Broken> {
        Ok(self.shared.produced.get())
    }

    fn produce(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        self.fuse.burn();
        let mut replies = self.shared.replies.borrow_mut();
        let taken = bytes.len().min(self.window - replies.len());
        replies.extend(&bytes[..taken]);
        self.shared.produced.set(self.shared.produced.get().wrapping_add(taken as u32));
        drop(replies);
        self.fuse.burn();
        Ok(taken)
    }
}
