//! The tree of nodes, with digests that are always up to date.
//!
//! Nodes lie in an [`Arena`], each with its full path; an [`Index`] finds them by path. Every node has two digests:
//! its *own* (path, birth, generation, record) and that of its *tree* (its own and those of its children's trees,
//! summed). A change updates the trees above by the difference, so it costs the node's depth and nothing else.

mod accounts;
mod arena;
mod change;
mod children;
mod find;
#[cfg(feature = "harm")]
mod harm;
mod index;
mod link;
mod repair;
mod scrub;

pub(crate) use accounts::Account;
pub(crate) use arena::NodeId;
pub(crate) use children::Children;
pub(crate) use find::check_children;
#[cfg(feature = "harm")]
pub use harm::Spot;
pub(crate) use scrub::NodeCursor;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use xen_abi::Domid;

use crate::digest::Key;
use crate::item::Item;
use crate::record::Record;
use accounts::Accounts;
use arena::Arena;
use index::Index;
use link::Link;

/// A path and its hash, computed once for each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub path: &'a [u8],
    pub hash: u64,
}

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its path, permissions and value.
    pub record: Record,
    /// Its children's names; none if it never had children.
    pub children: Option<Arc<Children>>,
    /// When it was created: its place among its siblings, who stand in the order of birth.
    pub birth: u64,
    /// When it was last changed; a changed list of children is a change.
    pub generation: u64,
    /// The digest of all of the above but the children.
    pub own: u64,
    /// `own` and the children's trees.
    pub tree: u64,
    /// The node above; the root's is the root.
    parent: Link,
}

/// All nodes.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    key: Key,
    arena: Arena,
    index: Index,
    accounts: Accounts,
    /// Where each owner's nodes are; dom0's are not listed, for dom0 never goes away.
    owned: BTreeMap<Domid, BTreeSet<NodeId>>,
    scratch: Vec<u8>,
}

impl Node {
    /// Its whole path.
    pub(crate) fn path(&self) -> &[u8] {
        self.record.path()
    }

    /// The item that tells of the node.
    pub(crate) fn item(&self) -> Item<'_> {
        Item::Node {
            path: self.path(),
            birth: self.birth,
            generation: self.generation,
            record: self.record.view(),
        }
    }
}

impl Store {
    /// A store with a bare root, which dom0 owns.
    pub(crate) fn new(key: Key) -> Self {
        let mut store = Self {
            key,
            arena: Arena::default(),
            index: Index::default(),
            accounts: Accounts::default(),
            owned: BTreeMap::new(),
            scratch: Vec::new(),
        };
        store.plant_root();
        store
    }

    /// The digest of all nodes.
    pub(crate) fn digest(&self) -> u64 {
        self.arena.get(NodeId::ROOT).map_or(0, |root| root.tree)
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }
}
