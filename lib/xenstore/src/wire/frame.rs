//! Finding messages in a stream of bytes.

use core::fmt;

use super::{Header, Kind, PAYLOAD_MAX};

/// One whole message, borrowed from the bytes in which it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its header, whose length is the payload's.
    pub header: Header,
    /// Its payload.
    pub payload: &'a [u8],
}

impl Message<'_> {
    /// How many bytes of the stream it takes.
    pub fn size(&self) -> usize {
        Header::SIZE + self.payload.len()
    }

    /// What it asks or answers; none if the protocol has no such kind.
    pub fn kind(&self) -> Option<Kind> {
        Kind::from_number(self.header.kind)
    }
}

/// What stands at the beginning of a stream's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// Not yet a whole message: at least so many bytes more are needed.
    NeedMore(usize),
    /// A whole message.
    Message(Message<'a>),
    /// A message that may not be. What follows in the stream has no meaning: the connection is lost.
    Broken(Broken),
}

/// A header that announces more payload than the protocol allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The length it announces, in bytes, which is over [`PAYLOAD_MAX`].
    pub length: u32,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a message of {} bytes of payload, {PAYLOAD_MAX} allowed", self.length)
    }
}

impl core::error::Error for Broken {}

/// Looks at the beginning of a stream's bytes for a message.
pub fn decode(bytes: &[u8]) -> Decoded<'_> {
    let Some((header, rest)) = bytes.split_first_chunk::<{ Header::SIZE }>() else {
        return Decoded::NeedMore(Header::SIZE - bytes.len());
    };
    let header = Header::decode(header);
    let length = header.length as usize;
    if length > PAYLOAD_MAX {
        return Decoded::Broken(Broken { length: header.length });
    }
    match rest.get(..length) {
        Some(payload) => Decoded::Message(Message { header, payload }),
        None => Decoded::NeedMore(length - rest.len()),
    }
}
