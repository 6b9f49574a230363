//! Checking nodes with all that hangs on them, a bounded amount at a time.

use alloc::vec::Vec;

use super::{Node, NodeId, Store};
use crate::damage::{Damage, Part, Subject};
use crate::path;

/// Where in the tree a walk goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeCursor {
    next: u32,
    /// Within a node with many children: how many chunks of them have been summed up.
    within: Option<Within>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Within {
    chunks: usize,
    sum: u64,
    /// The node's tree when its children began to be summed up. If it is another by now, the sum is of no use: the
    /// node waits for the next walk.
    tree: u64,
}

impl Store {
    /// One more than the highest number that a node ever had.
    pub(crate) fn end(&self) -> u32 {
        self.arena.end()
    }

    /// Checks about `budget` nodes; true if that was the last. What children have to do with a node's tree is checked
    /// chunk by chunk, so that one step stays short however many they are.
    pub(crate) fn scrub(&self, cursor: &mut NodeCursor, budget: &mut usize) -> Result<bool, Damage> {
        while *budget > 0 && cursor.next < self.end() {
            let id = NodeId(cursor.next);
            let Some(node) = self.arena.get(id) else {
                *budget -= 1;
                *cursor = NodeCursor { next: cursor.next + 1, within: None };
                continue;
            };
            let within = match cursor.within.take() {
                Some(within) => within,
                None => {
                    cursor.next += 1;
                    *budget -= 1;
                    self.scrub_record(id, node)?;
                    Within { chunks: 0, sum: node.own, tree: node.tree }
                }
            };
            cursor.next = id.0 + 1;
            if let Some(within) = self.scrub_children(node, within, budget)? {
                *cursor = NodeCursor { next: id.0, within: Some(within) };
            }
        }
        Ok(cursor.next >= self.end())
    }

    /// Checks a node itself, and where it stands.
    fn scrub_record(&self, id: NodeId, node: &Node) -> Result<(), Damage> {
        if let Err(damage) = self.check_record(node) {
            return Err(Damage { subject: Subject::Node(self.path_of(id, node).into()), ..damage });
        }
        self.check_place(id, node)?;
        self.parent(node)?;
        super::check_children(node, |children| children.verify_size())
    }

    /// Sums up a node's children while the budget lasts; answers where to go on, if there are more.
    fn scrub_children(
        &self,
        node: &Node,
        mut within: Within,
        budget: &mut usize,
    ) -> Result<Option<Within>, Damage> {
        if node.tree != within.tree {
            return Ok(None);
        }
        let chunks = node.children.as_ref().map_or(0, |children| children.chunk_count());
        while within.chunks < chunks {
            if *budget == 0 {
                return Ok(Some(within));
            }
            super::check_children(node, |children| children.verify_chunk_number(within.chunks))?;
            let mut count = 0;
            for (id, name) in node.children.iter().flat_map(|children| children.entries_of(within.chunks)) {
                within.sum = within.sum.wrapping_add(self.child(node, id, name)?.tree);
                count += 1;
            }
            within.chunks += 1;
            *budget = budget.saturating_sub(1 + count / 8);
        }
        if within.sum == node.tree {
            Ok(None)
        } else {
            Err(Damage::node(node.path(), Part::Tree, within.sum, node.tree))
        }
    }

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
}
