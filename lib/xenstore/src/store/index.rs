//! From a path to its node.

use alloc::vec::Vec;

use hashbrown::HashTable;

use super::arena::Arena;
use super::link::Link;
use super::{NodeId, Place};
use crate::digest::Key;

/// How many tables share the paths. Each grows by itself, so that no request waits for more than a small part of the
/// whole to be moved.
const SHARDS: usize = 256;

/// A path's hash, and where its node is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) hash: u64,
    pub(super) link: Link,
}

#[derive(Clone, Debug)]
pub(super) struct Index {
    shards: Vec<HashTable<Entry>>,
    len: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self { shards: alloc::vec![HashTable::new(); SHARDS], len: 0 }
    }
}

/// A hash's table is told by other bits than those by which the table tells its entries apart.
const fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

/// Whether an entry is this path's. An entry whose hash is damaged is still known by its node, and the other way
/// round, so that damage never looks like absence.
fn is_entry_of(entry: &Entry, place: Place<'_>, arena: &Arena) -> bool {
    entry.hash == place.hash
        || entry.link.id().and_then(|id| arena.get(id)).is_some_and(|node| node.path() == place.path)
}

/// The hash by which an entry moves to a larger table: from the node, since the one in the entry may be damaged.
fn true_hash(entry: &Entry, key: Key, arena: &Arena) -> u64 {
    let node = entry.link.id().and_then(|id| arena.get(id));
    node.map_or(entry.hash, |node| key.path(node.path()))
}

impl Index {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, place: Place<'_>, arena: &Arena) -> Option<Entry> {
        self.shards[shard(place.hash)].find(place.hash, |entry| is_entry_of(entry, place, arena)).copied()
    }

    /// Points the path at this node, whether it was known or not.
    pub(super) fn set(&mut self, place: Place<'_>, id: NodeId, key: Key, arena: &Arena) {
        let entry = Entry { hash: place.hash, link: Link::to(id) };
        let table = &mut self.shards[shard(place.hash)];
        match table.find_mut(place.hash, |entry| is_entry_of(entry, place, arena)) {
            Some(known) => *known = entry,
            None => {
                table.insert_unique(place.hash, entry, |entry| true_hash(entry, key, arena));
                self.len += 1;
            }
        }
    }

    pub(super) fn remove(&mut self, place: Place<'_>, arena: &Arena) {
        let table = &mut self.shards[shard(place.hash)];
        if let Ok(entry) = table.find_entry(place.hash, |entry| is_entry_of(entry, place, arena)) {
            entry.remove();
            self.len -= 1;
        }
    }

    #[cfg(feature = "harm")]
    pub(super) fn entry_mut(&mut self, place: Place<'_>, arena: &Arena) -> Option<&mut Entry> {
        self.shards[shard(place.hash)].find_mut(place.hash, |entry| is_entry_of(entry, place, arena))
    }
}
