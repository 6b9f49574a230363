//! Fields of a stream that may be anything.

use core::fmt;

/// Why a stream cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamError {
    /// How many bytes of the stream stand before the record in question.
    pub offset: u64,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The first bytes are not those of such a stream.
    Preamble,
    /// A version that is not known.
    Version(u32),
    /// The body is longer than anything can be.
    Length(u32),
    /// The body ends before its fields do.
    Truncated,
    /// The stream ends before its last record.
    Unfinished,
    /// There are bytes after the last record.
    Surplus,
    /// A connection of a type that is not known.
    ConnectionType(u16),
    /// A number of a connection that is 0 or taken.
    ConnectionNumber(u32),
    /// A watch or transaction of a connection that has not been named.
    UnknownConnection(u32),
    /// A string without its NUL, or with one in its middle.
    Text,
    /// A path that is not well-formed.
    Path,
    /// A node whose parent has not come before.
    Orphan,
    /// A node that has come before.
    Twice,
    /// A permission with a letter that is not known.
    Permission(u8),
    /// A node without permissions, or with an owner that cannot be one.
    Owner,
    /// A domain number that no domain can have.
    Domid(u16),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the record at byte {} cannot be loaded: ", self.offset)?;
        match self.problem {
            Problem::Preamble => f.write_str("this is not a XenStore stream"),
            Problem::Version(version) => write!(f, "version {version} is not known"),
            Problem::Length(length) => write!(f, "{length} bytes are more than a record can have"),
            Problem::Truncated => f.write_str("its fields do not fit into it"),
            Problem::Unfinished => f.write_str("the stream ends before its last record"),
            Problem::Surplus => f.write_str("there are bytes after the last record"),
            Problem::ConnectionType(kind) => write!(f, "there are no connections of type {kind}"),
            Problem::ConnectionNumber(number) => write!(f, "a connection cannot have number {number}"),
            Problem::UnknownConnection(number) => write!(f, "there is no connection {number}"),
            Problem::Text => f.write_str("a string is not terminated as it should be"),
            Problem::Path => f.write_str("the path is malformed"),
            Problem::Orphan => f.write_str("the node's parent is missing"),
            Problem::Twice => f.write_str("the node has come before"),
            Problem::Permission(letter) => write!(f, "there is no permission {letter:#04x}"),
            Problem::Owner => f.write_str("the node has no owner"),
            Problem::Domid(domid) => write!(f, "there can be no domain {domid}"),
        }
    }
}

impl core::error::Error for StreamError {}

/// A record's body, field by field.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    big_endian: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8], big_endian: bool) -> Self {
        Self { rest: body, big_endian }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Problem::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Problem> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Problem> {
        let bytes = self.array()?;
        Ok(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    pub(super) fn u32(&mut self) -> Result<u32, Problem> {
        let bytes = self.array()?;
        Ok(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Problem> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Problem::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A string of so many bytes, the last of which is its only NUL.
    pub(super) fn text(&mut self, length: usize) -> Result<&'a [u8], Problem> {
        crate::wire::one_string(self.bytes(length)?).ok_or(Problem::Text)
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }
}
