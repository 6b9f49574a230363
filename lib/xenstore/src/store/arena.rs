//! Where nodes lie: in blocks that never move, so that growing copies nothing.

use alloc::vec::Vec;

use zerocopy::{Immutable, IntoBytes};

use super::Node;

/// A node's number in the arena. It is reused after the node is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoBytes, Immutable)]
#[repr(transparent)]
pub(crate) struct NodeId(pub u32);

impl NodeId {
    pub(crate) const ROOT: Self = Self(0);
    /// No node: a child that only a transaction has.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

/// Nodes in each block.
const BLOCK: usize = 256;

#[derive(Clone, Debug, Default)]
pub(super) struct Arena {
    blocks: Vec<Vec<Option<Node>>>,
    free: Vec<NodeId>,
}

impl Arena {
    pub(super) fn get(&self, id: NodeId) -> Option<&Node> {
        let id = id.0 as usize;
        self.blocks.get(id / BLOCK)?.get(id % BLOCK)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        let id = id.0 as usize;
        self.blocks.get_mut(id / BLOCK)?.get_mut(id % BLOCK)?.as_mut()
    }

    pub(super) fn insert(&mut self, node: Node) -> NodeId {
        if let Some(id) = self.free.pop() {
            let at = id.0 as usize;
            if let Some(slot) = self.blocks.get_mut(at / BLOCK).and_then(|block| block.get_mut(at % BLOCK)) {
                *slot = Some(node);
                return id;
            }
        }
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let block = self.blocks.len() - 1;
        self.blocks[block].push(Some(node));
        NodeId((block * BLOCK + self.blocks[block].len() - 1) as u32)
    }

    pub(super) fn remove(&mut self, id: NodeId) -> Option<Node> {
        let at = id.0 as usize;
        let node = self.blocks.get_mut(at / BLOCK)?.get_mut(at % BLOCK)?.take()?;
        self.free.push(id);
        Some(node)
    }

    /// One more than the highest number that was ever in use.
    pub(super) fn end(&self) -> u32 {
        match self.blocks.last() {
            Some(last) => ((self.blocks.len() - 1) * BLOCK + last.len()) as u32,
            None => 0,
        }
    }
}
