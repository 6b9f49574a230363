//! Checking a node with all that hangs on it.

use alloc::vec::Vec;

use super::{Node, NodeId, Store};
use crate::damage::{Damage, Part, Subject};
use crate::path;

impl Store {
    /// The path of a node whose own record may be wrong: as the node above names it.
    fn path_of(&self, id: NodeId, node: &Node) -> Vec<u8> {
        if id == NodeId::ROOT {
            return path::ROOT.to_vec();
        }
        let parent = node.parent.id().and_then(|parent| self.arena.get(parent));
        let found = parent.and_then(|parent| {
            let mut entries = parent.children.as_ref()?.entries();
            let (_, name) = entries.find(|(child, _)| *child == id)?;
            Some(path::child(parent.path(), name))
        });
        found.unwrap_or_else(|| node.path().to_vec())
    }

    /// One more than the highest number that a node ever had.
    pub(crate) fn end(&self) -> u32 {
        self.arena.end()
    }

    /// Checks everything about one node, if there is one of this number. Answers what that cost, as a number of nodes.
    pub(crate) fn scrub(&self, id: NodeId) -> Result<usize, Damage> {
        let Some(node) = self.arena.get(id) else { return Ok(1) };
        if let Err(damage) = self.check_record(node) {
            return Err(Damage { subject: Subject::Node(self.path_of(id, node).into()), ..damage });
        }
        self.check_whole(id, node)?;
        self.parent(node)?;
        let mut sum = node.own;
        let mut children = 0;
        for (child, name) in node.children.iter().flat_map(|children| children.entries()) {
            sum = sum.wrapping_add(self.child(node, child, name)?.tree);
            children += 1;
        }
        if sum == node.tree {
            Ok(1 + children / 8)
        } else {
            Err(Damage::node(node.path(), Part::Tree, sum, node.tree))
        }
    }
}
