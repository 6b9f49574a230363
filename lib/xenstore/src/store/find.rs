//! Finding nodes, and checking what is found before anybody uses it.

use super::{Children, Node, NodeId, Place, Store};
use crate::damage::{Damage, Part, Subject};
use crate::path;

impl Store {
    /// The path with its hash.
    pub(crate) fn place<'a>(&self, path: &'a [u8]) -> Place<'a> {
        Place { path, hash: self.key.path(path) }
    }

    /// The node at a path, its record checked.
    pub(crate) fn get(&self, place: Place<'_>) -> Result<Option<(NodeId, &Node)>, Damage> {
        let Some(entry) = self.index.get(place, &self.arena) else { return Ok(None) };
        let found = entry.link.id().and_then(|id| Some((id, self.arena.get(id)?)));
        let Some((id, node)) = found.filter(|(_, node)| node.path() == place.path) else {
            return Err(Damage::node(place.path, Part::Place, place.hash, !place.hash));
        };
        if entry.hash != place.hash {
            return Err(Damage::node(place.path, Part::Place, place.hash, entry.hash));
        }
        self.check_record(node)?;
        Ok(Some((id, node)))
    }

    /// The node at a path that is not yet hashed.
    pub(crate) fn get_path(&self, path: &[u8]) -> Result<Option<(NodeId, &Node)>, Damage> {
        self.get(self.place(path))
    }

    pub(super) fn check_record(&self, node: &Node) -> Result<(), Damage> {
        let found = self.key.node(node.birth, node.generation, &node.record);
        if found == node.own { Ok(()) } else { Err(Damage::node(node.path(), Part::Record, node.own, found)) }
    }

    /// A node that is known to be there.
    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.arena.get(id)
    }

    /// The node above, checked; none for the root.
    pub(crate) fn parent(&self, node: &Node) -> Result<Option<(NodeId, &Node)>, Damage> {
        if node.path() == path::ROOT {
            return Ok(None);
        }
        let above = path::parent(node.path());
        let misplaced = || Damage::node(node.path(), Part::Place, 0, !0);
        let id = node.parent.id().ok_or_else(misplaced)?;
        let parent = self.arena.get(id).ok_or_else(misplaced)?;
        self.check_record(parent)
            .map_err(|damage| Damage { subject: Subject::Node(above.into()), ..damage })?;
        if parent.path() == above { Ok(Some((id, parent))) } else { Err(misplaced()) }
    }

    /// Checks that the way up to the root is whole, so that a change can be summed up all along it.
    pub(crate) fn check_way_up(&self, id: NodeId) -> Result<(), Damage> {
        let (mut id, mut next) = (id, self.arena.get(id));
        while let Some(node) = next {
            if id == NodeId::ROOT {
                return Ok(());
            }
            next = node.parent.id().and_then(|above| {
                id = above;
                self.arena.get(above)
            });
            if next.is_none() {
                return Err(Damage::node(node.path(), Part::Place, 0, !0));
            }
        }
        Ok(())
    }

    /// A node's child by its number and name, checked to be that child.
    pub(crate) fn child(&self, parent: &Node, id: NodeId, name: &[u8]) -> Result<&Node, Damage> {
        let is_it = |child: &&Node| {
            let path = child.path();
            path.len() > 1 && path::parent(path) == parent.path() && path::leaf(path) == name
        };
        self.arena
            .get(id)
            .filter(is_it)
            .ok_or_else(|| Damage::node(&path::child(parent.path(), name), Part::Place, u64::from(id.0), !0))
    }

    /// Checks that a node is found where it should be.
    pub(super) fn check_place(&self, id: NodeId, node: &Node) -> Result<(), Damage> {
        match self.get_path(node.path())? {
            Some((found, _)) if found == id => Ok(()),
            _ => Err(Damage::node(node.path(), Part::Place, u64::from(id.0), !0)),
        }
    }

    /// Checks a node's record and all its children's names, and that it is found where it should be.
    pub(crate) fn check_whole(&self, id: NodeId, node: &Node) -> Result<(), Damage> {
        self.check_place(id, node)?;
        check_children(node, Children::verify)
    }

    /// How many nodes a domain owns and what they cost.
    pub(crate) fn account(&self, owner: xen_abi::Domid) -> super::Account {
        self.accounts.get(owner)
    }
}

/// Runs a check on the names of a node's children, and tells of damage under the node's name.
pub(crate) fn check_children(
    node: &Node,
    check: impl FnOnce(&Children) -> Result<(), super::children::Mismatch>,
) -> Result<(), Damage> {
    let Some(children) = &node.children else { return Ok(()) };
    check(children).map_err(|mismatch| mismatch.of(node.path()))
}
