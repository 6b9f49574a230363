//! Links from node to node that know when they are broken.

use super::NodeId;

/// A node's number with its check bits: no single flipped bit goes unnoticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    id: u32,
    check: u32,
}

impl Link {
    pub(super) fn to(id: NodeId) -> Self {
        Self { id: id.0, check: Self::check(id.0) }
    }

    const fn check(id: u32) -> u32 {
        !id.rotate_left(13)
    }

    /// The node's number, if the link is whole.
    pub(super) fn id(self) -> Option<NodeId> {
        (self.check == Self::check(self.id)).then_some(NodeId(self.id))
    }

    #[cfg(feature = "harm")]
    pub(super) fn flip(&mut self, bit: usize) {
        if bit % 64 < 32 {
            self.id ^= 1 << (bit % 32);
        } else {
            self.check ^= 1 << (bit % 32);
        }
    }
}
