//! Who is asked.

use crate::message::{Answer, Question, Reply, Request, decode, encode};
use crate::{MAX_MESSAGE, open};
use alloc::vec;
use alloc::vec::Vec;
use cable::{End, Side};
use core::fmt;
use uk_abi::Words;

/// The end that is asked.
#[derive(Debug)]
pub struct Server<W> {
    end: End<W>,
    buffer: Vec<u8>,
}

/// What has come is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotARequest {
    /// Bytes of what has come.
    pub length: usize,
}

impl fmt::Display for NotARequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a message of {} bytes is no request", self.length)
    }
}

impl core::error::Error for NotARequest {}

/// Something that is asked for, copied out of the shared memory. To be [answered](Server::answer).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    number: u64,
    /// What.
    pub request: Request,
    /// The data that go with it.
    pub data: Vec<u8>,
}

impl<W: Words> Server<W> {
    /// This end in `words`, at the beginning of a life; none if the words are too few. The other end is told of that life, if it still
    /// waits for something: it must get an event.
    pub fn new(words: W, side: Side) -> Option<Self> {
        let server = Self { end: open(words, side)?, buffer: vec![0; MAX_MESSAGE] };
        server.say(&Reply::Begun, &[]);
        Some(server)
    }

    /// The next message, if there is one. Whoever asks for many lets others do something in between: there may be no end of them.
    pub fn take(&mut self) -> Option<Result<Asked, NotARequest>> {
        let length = self.end.receive(&mut self.buffer)?;
        let asked = decode(&self.buffer[..length]);
        Some(asked.ok_or(NotARequest { length }).map(|(Question { number, request }, data)| Asked {
            number,
            request,
            data: data.to_vec(),
        }))
    }

    /// Answers a request, with data. The other end must get an event.
    pub fn answer(&self, asked: &Asked, answer: Answer, data: &[u8]) {
        self.say(&Reply::To(asked.number, answer), data);
    }

    /// Without room it is lost: then nobody takes answers, and so nobody waits for this one.
    fn say(&self, reply: &Reply, data: &[u8]) {
        if let Some(frame) = encode(reply, data) {
            self.end.send(&frame);
        }
    }
}
