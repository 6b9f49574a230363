//! Items as bytes.

use alloc::vec::Vec;

use super::{Item, ItemList, flag, tag};
use crate::Peer;

/// A growing list of encoded items, each with its length before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Items {
    bytes: Vec<u8>,
}

impl Items {
    /// An empty list.
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Forgets all items, not the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The list's bytes: what goes into a log or to a replica.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The list, to read.
    pub fn list(&self) -> ItemList<'_> {
        ItemList::new(&self.bytes)
    }

    /// Adds an item.
    pub fn push(&mut self, item: &Item<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        item.encode(&mut self.bytes);
        let length = (self.bytes.len() - start - 4) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }
}

fn sized(bytes: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
    into.extend_from_slice(bytes);
}

/// A flag's bit, if it is set.
const fn bit(flag: u8, set: bool) -> u8 {
    if set { flag } else { 0 }
}

impl Item<'_> {
    /// Adds the item's bytes to what is there, without the length that stands before it in a list.
    pub fn encode(&self, into: &mut Vec<u8>) {
        match *self {
            Item::Node { path, birth, generation, record } => {
                into.push(tag::NODE);
                into.extend_from_slice(&birth.to_le_bytes());
                into.extend_from_slice(&generation.to_le_bytes());
                sized(path, into);
                into.extend_from_slice(record.as_bytes());
            }
            Item::RemoveTree { path, generation } => {
                into.push(tag::REMOVE_TREE);
                into.extend_from_slice(&generation.to_le_bytes());
                into.extend_from_slice(path);
            }
            Item::Connection { id, peer } => {
                into.push(tag::CONNECTION);
                into.extend_from_slice(&id.0.to_le_bytes());
                let (flags, domid) = match peer {
                    Peer::Socket { read_only } => (bit(flag::READ_ONLY, read_only), 0),
                    Peer::Domain(domid) => (flag::RING, domid.0),
                };
                into.push(flags);
                into.extend_from_slice(&domid.to_le_bytes());
            }
            Item::ConnectionGone { id } => {
                into.push(tag::CONNECTION_GONE);
                into.extend_from_slice(&id.0.to_le_bytes());
            }
            Item::Watch { connection, path, token, depth, relative, generation } => {
                into.push(tag::WATCH);
                into.extend_from_slice(&connection.0.to_le_bytes());
                into.extend_from_slice(&generation.to_le_bytes());
                into.push(bit(flag::RELATIVE, relative) | bit(flag::HAS_DEPTH, depth.is_some()));
                into.extend_from_slice(&depth.unwrap_or(0).to_le_bytes());
                sized(path, into);
                into.extend_from_slice(token);
            }
            Item::Unwatch { connection, path, token } => {
                into.push(tag::UNWATCH);
                into.extend_from_slice(&connection.0.to_le_bytes());
                sized(path, into);
                into.extend_from_slice(token);
            }
            Item::Domain { domid, facts } => {
                into.push(tag::DOMAIN);
                into.extend_from_slice(&domid.0.to_le_bytes());
                into.extend_from_slice(&facts.generation.to_le_bytes());
                into.push(
                    bit(flag::INTRODUCED, facts.introduced)
                        | bit(flag::SHUTDOWN, facts.shutdown)
                        | bit(flag::HAS_TARGET, facts.target.is_some()),
                );
                into.extend_from_slice(&facts.gfn.to_le_bytes());
                into.extend_from_slice(&facts.port.to_le_bytes());
                into.extend_from_slice(&facts.target.map_or(0, |target| target.0).to_le_bytes());
            }
            Item::DomainGone { domid } => {
                into.push(tag::DOMAIN_GONE);
                into.extend_from_slice(&domid.0.to_le_bytes());
            }
            Item::TransactionOpen { connection, id } => {
                into.push(tag::TRANSACTION_OPEN);
                into.extend_from_slice(&connection.0.to_le_bytes());
                into.extend_from_slice(&id.to_le_bytes());
            }
            Item::TransactionClosed { connection, id } => {
                into.push(tag::TRANSACTION_CLOSED);
                into.extend_from_slice(&connection.0.to_le_bytes());
                into.extend_from_slice(&id.to_le_bytes());
            }
            Item::Quotas(quotas) => {
                into.push(tag::QUOTAS);
                for value in quotas.values() {
                    into.extend_from_slice(&value.to_le_bytes());
                }
            }
        }
    }
}
