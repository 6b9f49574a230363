//! The two kinds of streams that the daemon serves: sockets, and the rings of domains.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use replica::session::Stream;
use ring::byte::Broken;
use ring::xenstore::Interface;

use xenstore::wire::{self, Header};

use crate::domains::RingPage;
use crate::socket::{RING, SocketStream};
use crate::trace::{self, Tap};

/// Why a stream is of no more use.
#[derive(Debug)]
pub enum StreamError {
    /// The system says so.
    Io(io::Error),
    /// The indexes of a ring contradict each other.
    Ring(Broken),
    /// What waits for the client was not taken for so long.
    NotTaken(Duration),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Ring(broken) => broken.fmt(f),
            Self::NotTaken(time) => write!(f, "what waits for it was not taken for {time:?}"),
        }
    }
}

impl std::error::Error for StreamError {}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Broken> for StreamError {
    fn from(broken: Broken) -> Self {
        Self::Ring(broken)
    }
}

/// How requests begin whose answers are held back until what they ask for was done: INTRODUCE, after whose answer a
/// domain may use its ring, and CONTROL, which may ask for a live update.
const HELD: [[u8; 4]; 2] =
    [wire::Kind::Introduce.number().to_le_bytes(), wire::Kind::Control.number().to_le_bytes()];

/// A client's streams.
#[derive(Debug)]
pub struct ClientStream {
    kind: Kind,
    /// What was looked at last.
    copy: Vec<u8>,
    /// Whether anything was consumed or produced since [`ClientStream::take_moved`].
    moved: bool,
    /// Whether nothing is handed over for now: see [`ClientStream::let_go`].
    held: bool,
    trace: Tap,
}

#[derive(Debug)]
enum Kind {
    Socket(SocketStream),
    Ring(RingPage),
}

impl ClientStream {
    /// A socket's.
    pub fn socket(socket: SocketStream) -> Self {
        Self {
            kind: Kind::Socket(socket),
            copy: Vec::new(),
            moved: false,
            held: false,
            trace: Tap::default(),
        }
    }

    /// A domain's.
    pub fn ring(page: RingPage) -> Self {
        Self { kind: Kind::Ring(page), copy: Vec::new(), moved: false, held: false, trace: Tap::default() }
    }

    /// The socket, if it is one.
    pub fn as_socket(&mut self) -> Option<&mut SocketStream> {
        match &mut self.kind {
            Kind::Socket(socket) => Some(socket),
            Kind::Ring(_) => None,
        }
    }

    /// The descriptor of the socket, if it is one.
    pub fn socket_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.kind {
            Kind::Socket(socket) => Some(socket.as_fd()),
            Kind::Ring(_) => None,
        }
    }

    /// The page of a domain's ring, if it is one.
    pub fn interface(&self) -> Option<Interface<'_>> {
        match &self.kind {
            Kind::Socket(_) => None,
            Kind::Ring(page) => Some(Interface::new(page.page())),
        }
    }

    /// The socket, to be closed.
    pub fn into_socket(self) -> Option<SocketStream> {
        match self.kind {
            Kind::Socket(socket) => Some(socket),
            Kind::Ring(_) => None,
        }
    }

    /// Whether the other side should be told that an index has moved.
    pub fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Whether answers are held back, because a request was seen that asks for something besides them.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Ends that. Answers whether anything was held back.
    pub fn let_go(&mut self) -> bool {
        std::mem::take(&mut self.held)
    }

    /// Bytes that can be looked at.
    ///
    /// # Errors
    /// The stream is broken.
    pub fn available(&self) -> Result<usize, StreamError> {
        Ok(match &self.kind {
            Kind::Socket(socket) => socket.available(),
            Kind::Ring(page) => Interface::new(page.page()).requests().reader().available()? as usize,
        })
    }
}

impl Stream for ClientStream {
    type Error = StreamError;

    fn window(&self) -> usize {
        match &self.kind {
            Kind::Socket(_) => RING,
            Kind::Ring(page) => Interface::new(page.page()).requests().size() as usize,
        }
    }

    fn consumed(&self) -> Result<u32, StreamError> {
        Ok(match &self.kind {
            Kind::Socket(socket) => socket.consumed() as u32,
            Kind::Ring(page) => Interface::new(page.page()).requests().reader().position(),
        })
    }

    fn peek(&mut self, skip: usize, wanted: usize) -> Result<&[u8], StreamError> {
        match &self.kind {
            Kind::Socket(socket) => {
                self.copy.resize(wanted, 0);
                let length = socket.peek(skip, &mut self.copy);
                self.copy.truncate(length);
            }
            Kind::Ring(page) => {
                let reader = Interface::new(page.page()).requests().reader();
                let available = (reader.available()? as usize).saturating_sub(skip);
                self.copy.resize(wanted.min(available), 0);
                reader.peek(reader.position().wrapping_add(skip as u32), &mut self.copy);
            }
        }
        // A look at a header alone; taking something else for one costs a call and no more.
        if trace::is_on() {
            let position = self.consumed()?.wrapping_add(skip as u32);
            self.trace.seen(position, &self.copy);
        }
        self.held |= self.copy.len() == Header::SIZE && HELD.iter().any(|kind| self.copy[..4] == kind[..]);
        Ok(&self.copy)
    }

    fn consume_to(&mut self, position: u32) -> Result<(), StreamError> {
        match &mut self.kind {
            Kind::Socket(socket) => {
                let consumed = socket.consumed();
                let forward = position.wrapping_sub(consumed as u32);
                socket.consume_to(consumed + u64::from(forward));
            }
            Kind::Ring(page) => Interface::new(page.page()).requests().reader().consume_to(position),
        }
        self.moved = true;
        Ok(())
    }

    fn produced(&self) -> Result<u32, StreamError> {
        Ok(match &self.kind {
            Kind::Socket(socket) => socket.produced() as u32,
            Kind::Ring(page) => Interface::new(page.page()).responses().writer().position(),
        })
    }

    fn produce(&mut self, bytes: &[u8]) -> Result<usize, StreamError> {
        if self.held {
            return Ok(0);
        }
        let length = match &mut self.kind {
            Kind::Socket(socket) => socket.produce(bytes)?,
            Kind::Ring(page) => {
                let writer = Interface::new(page.page()).responses().writer();
                let length = bytes.len().min(writer.free()? as usize);
                let position = writer.position();
                writer.write(position, &bytes[..length]);
                writer.publish(position.wrapping_add(length as u32));
                length
            }
        };
        self.moved |= length > 0;
        if trace::is_on() {
            self.trace.sent(&bytes[..length]);
        }
        Ok(length)
    }
}
