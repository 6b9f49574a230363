//! Flipping bits on purpose.

use alloc::sync::Arc;

use super::{Node, NodeId, Store};

/// Where in a node to flip a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// In its path.
    Path,
    /// In its permissions or value.
    Record,
    /// In its birth or generation.
    Times,
    /// In its own digest.
    Own,
    /// In its tree's digest.
    Tree,
    /// In the link to its parent.
    Parent,
    /// In the list of its children.
    Children,
    /// In its entry in the index.
    Index,
}

impl Spot {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Path,
        Self::Record,
        Self::Times,
        Self::Own,
        Self::Tree,
        Self::Parent,
        Self::Children,
        Self::Index,
    ];
}

impl Store {
    /// Flips one bit of the node at this path; false if there is no such thing to flip.
    pub(crate) fn harm(&mut self, path: &[u8], spot: Spot, bit: usize) -> bool {
        let place = self.place(path);
        let Some(entry) = self.index.get(place, &self.arena) else { return false };
        if spot == Spot::Index {
            let Some(entry) = self.index.entry_mut(place, &self.arena) else { return false };
            if bit % 128 < 64 {
                entry.hash ^= 1 << (bit % 64)
            } else {
                entry.link.flip(bit)
            }
            return true;
        }
        let Some(node) = entry.link.id().and_then(|id| self.arena.get_mut(id)) else { return false };
        harm_node(node, spot, bit, entry.link.id() == Some(NodeId::ROOT))
    }
}

fn harm_node(node: &mut Node, spot: Spot, bit: usize, is_root: bool) -> bool {
    match spot {
        Spot::Path => node.record.flip(true, bit),
        Spot::Record => node.record.flip(false, bit),
        Spot::Times if bit % 128 < 64 => node.birth ^= 1 << (bit % 64),
        Spot::Times => node.generation ^= 1 << (bit % 64),
        Spot::Own => node.own ^= 1 << (bit % 64),
        Spot::Tree => node.tree ^= 1 << (bit % 64),
        Spot::Parent if is_root => return false,
        Spot::Parent => node.parent.flip(bit),
        Spot::Children => match &mut node.children {
            Some(children) => return Arc::make_mut(children).flip(bit),
            None => return false,
        },
        Spot::Index => return false,
    }
    true
}
