//! Items from bytes that may be anything.

use core::fmt;

use xen_abi::Domid;

use super::{DomainFacts, Item, flag, tag};
use crate::path;
use crate::quota::{Quota, Quotas};
use crate::record::RecordView;
use crate::{ConnectionId, Peer};

/// Why bytes are not an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemError {
    /// They end too early.
    Truncated,
    /// There is more than the item.
    Surplus,
    /// There is no such kind of item.
    Kind(u8),
    /// A field of an item of this kind has a value that it cannot have.
    Value(u8),
}

impl fmt::Display for ItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("an item ends too early"),
            Self::Surplus => f.write_str("an item has more bytes than fields"),
            Self::Kind(kind) => write!(f, "there is no item of kind {kind}"),
            Self::Value(kind) => write!(f, "a field of an item of kind {kind} is out of range"),
        }
    }
}

impl core::error::Error for ItemError {}

/// A list of encoded items, from anywhere: it may be damaged.
#[derive(Clone, Copy, Debug)]
pub struct ItemList<'a> {
    rest: &'a [u8],
}

impl<'a> ItemList<'a> {
    /// The list in these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for ItemList<'a> {
    type Item = Result<Item<'a>, ItemError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let split = self.rest.split_first_chunk::<4>().and_then(|(length, rest)| {
            let length = u32::from_le_bytes(*length) as usize;
            rest.split_at_checked(length)
        });
        let Some((item, rest)) = split else {
            self.rest = &[];
            return Some(Err(ItemError::Truncated));
        };
        self.rest = rest;
        Some(Item::decode(item))
    }
}

/// What is left to decode.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], ItemError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(ItemError::Truncated)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn byte(&mut self) -> Result<u8, ItemError> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, ItemError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, ItemError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, ItemError> {
        self.array().map(u64::from_le_bytes)
    }

    fn connection(&mut self) -> Result<ConnectionId, ItemError> {
        self.u32().map(ConnectionId)
    }

    fn domid(&mut self) -> Result<Domid, ItemError> {
        self.u16().map(Domid)
    }

    fn sized(&mut self) -> Result<&'a [u8], ItemError> {
        let length = usize::from(self.u16()?);
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(ItemError::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }
}

/// Whether this can be the path of a node: well-formed, however long, or special.
fn is_node_path(path: &[u8]) -> bool {
    path::is_valid(path, usize::from(u16::MAX))
        || path == path::INTRODUCE_DOMAIN
        || path == path::RELEASE_DOMAIN
}

/// Whether this can be the path of a watch.
fn is_watch_path(path: &[u8]) -> bool {
    path::is_special(path) && !path.contains(&0) || path::is_valid(path, usize::from(u16::MAX))
}

impl<'a> Item<'a> {
    /// Reads an item from exactly its bytes.
    ///
    /// # Errors
    /// The bytes are no item.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, ItemError> {
        let mut reader = Reader(bytes);
        let kind = reader.byte()?;
        let item = decode_fields(kind, &mut reader)?;
        if reader.0.is_empty() { Ok(item) } else { Err(ItemError::Surplus) }
    }
}

fn decode_fields<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<Item<'a>, ItemError> {
    let wrong = ItemError::Value(kind);
    Ok(match kind {
        tag::NODE => {
            let (birth, generation, path) = (reader.u64()?, reader.u64()?, reader.sized()?);
            let record = RecordView::from_bytes(reader.rest()).ok_or(wrong)?;
            if !is_node_path(path) || generation == u64::MAX || birth > generation {
                return Err(wrong);
            }
            Item::Node { path, birth, generation, record }
        }
        tag::REMOVE_TREE => {
            let (generation, path) = (reader.u64()?, reader.rest());
            if !is_node_path(path) || path == path::ROOT || generation == u64::MAX {
                return Err(wrong);
            }
            Item::RemoveTree { path, generation }
        }
        tag::CONNECTION => {
            let (id, flags, domid) = (reader.connection()?, reader.byte()?, reader.domid()?);
            let peer = match flags {
                0 => Peer::Socket { read_only: false },
                flag::READ_ONLY => Peer::Socket { read_only: true },
                flag::RING => Peer::Domain(domid),
                _ => return Err(wrong),
            };
            Item::Connection { id, peer }
        }
        tag::CONNECTION_GONE => Item::ConnectionGone { id: reader.connection()? },
        tag::WATCH => {
            let (connection, generation, flags) = (reader.connection()?, reader.u64()?, reader.byte()?);
            let depth = reader.u32()?;
            let (path, token) = (reader.sized()?, reader.rest());
            let known = flag::RELATIVE | flag::HAS_DEPTH;
            if !is_watch_path(path) || token.contains(&0) || flags & !known != 0 || generation == u64::MAX {
                return Err(wrong);
            }
            Item::Watch {
                connection,
                path,
                token,
                depth: (flags & flag::HAS_DEPTH != 0).then_some(depth),
                relative: flags & flag::RELATIVE != 0,
                generation,
            }
        }
        tag::UNWATCH => {
            Item::Unwatch { connection: reader.connection()?, path: reader.sized()?, token: reader.rest() }
        }
        tag::DOMAIN => {
            let (domid, generation, flags) = (reader.domid()?, reader.u64()?, reader.byte()?);
            let (gfn, port, target) = (reader.u64()?, reader.u32()?, reader.domid()?);
            if generation == u64::MAX {
                return Err(wrong);
            }
            let facts = DomainFacts {
                generation,
                introduced: flags & flag::INTRODUCED != 0,
                shutdown: flags & flag::SHUTDOWN != 0,
                gfn,
                port,
                target: (flags & flag::HAS_TARGET != 0).then_some(target),
            };
            Item::Domain { domid, facts }
        }
        tag::DOMAIN_GONE => Item::DomainGone { domid: reader.domid()? },
        tag::TRANSACTION_OPEN => {
            Item::TransactionOpen { connection: reader.connection()?, id: reader.u32()? }
        }
        tag::TRANSACTION_CLOSED => {
            Item::TransactionClosed { connection: reader.connection()?, id: reader.u32()? }
        }
        tag::QUOTAS => {
            let mut values = [0; Quota::COUNT];
            for value in &mut values {
                *value = reader.u32()?;
            }
            Item::Quotas(Quotas::from_values(values))
        }
        _ => return Err(ItemError::Kind(kind)),
    })
}
