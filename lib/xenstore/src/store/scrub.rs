//! Checking a node with all that hangs on it.

use super::{NodeId, Store};
use crate::damage::{Damage, Part};

impl Store {
    /// One more than the highest number that a node ever had.
    pub(crate) fn end(&self) -> u32 {
        self.arena.end()
    }

    /// Checks everything about one node, if there is one of this number. Answers what that cost, as a number of nodes.
    pub(crate) fn scrub(&self, id: NodeId) -> Result<usize, Damage> {
        let Some(node) = self.arena.get(id) else { return Ok(1) };
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
