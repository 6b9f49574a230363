//! Putting nodes as they are elsewhere: what a replica follows, what a log tells, and what replaces damage.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Children, Link, NodeId, Place, Store};
use crate::path;
use crate::permission::{Access, Permission};
use crate::record::Record;

impl Store {
    /// Makes the node at this path be like this. What is newer stays; what is damaged does not.
    ///
    /// Nodes above that are not known yet are created as bare as can be, to be put right when their turn comes.
    pub(crate) fn put(&mut self, path: &[u8], birth: u64, generation: u64, record: Record) {
        let place = self.place(path);
        match self.get(place) {
            Ok(Some((id, node))) => {
                if generation > node.generation {
                    self.set_birth(id, birth);
                    self.write(id, Some(record), generation);
                } else if generation == node.generation {
                    self.restore(id, place, birth, generation, record);
                }
            }
            Ok(None) => self.put_new(place, birth, generation, record),
            Err(_) => match self.search(place) {
                Some(id) => self.restore(id, place, birth, generation, record),
                None => self.put_new(place, birth, generation, record),
            },
        }
    }

    fn put_new(&mut self, place: Place<'_>, birth: u64, generation: u64, record: Record) {
        if place.path != path::ROOT {
            let parent = self.make_way(path::parent(place.path));
            self.create_between(parent, place, record, birth, generation);
        }
    }

    /// The node at a path, which is created if it is missing.
    fn make_way(&mut self, path: &[u8]) -> NodeId {
        let place = self.place(path);
        if let Some(id) = self.search(place) {
            return id;
        }
        let parent = self.make_way(path::parent(path));
        let record = self.record(path, &[Permission::new(0, Access::NONE)], &[]);
        self.create_between(parent, place, record, 0, 0)
    }

    /// Gives a node that was created bare its place among its siblings.
    fn set_birth(&mut self, id: NodeId, birth: u64) {
        let Some(node) = self.arena.get_mut(id).filter(|node| node.birth != birth) else { return };
        let before = core::mem::replace(&mut node.birth, birth);
        let (record, parent) = (node.record.clone(), node.parent.id().filter(|_| id != NodeId::ROOT));
        let Some(parent) = parent else { return };
        self.change_children(parent, |children, arena| {
            let name = path::leaf(record.path());
            children.remove(name, id, before);
            children.insert(name, id, birth, |id| arena.get(id).map_or(0, |node| node.birth));
        });
    }

    /// The node at a path, wherever it is, even if the index has lost it.
    fn search(&self, place: Place<'_>) -> Option<NodeId> {
        if place.path == path::ROOT {
            return Some(NodeId::ROOT);
        }
        let is_it = |id: NodeId| self.arena.get(id).is_some_and(|node| node.path() == place.path);
        let entry = self.index.get(place, &self.arena)?;
        match entry.link.id() {
            // The index is right and the path in the node is not, or all is well.
            Some(id) if entry.hash == place.hash && self.arena.get(id).is_some() => Some(id),
            Some(id) if is_it(id) => Some(id),
            _ => (0..self.arena.end()).map(NodeId).find(|&id| is_it(id)),
        }
    }

    /// Puts everything about a node right: its record, its place, its children's names and the sums above it.
    fn restore(&mut self, id: NodeId, place: Place<'_>, birth: u64, generation: u64, record: Record) {
        let above = if place.path == path::ROOT {
            NodeId::ROOT
        } else {
            let above = self.place(path::parent(place.path));
            self.search(above).unwrap_or(NodeId::ROOT)
        };
        let Some(node) = self.arena.get_mut(id) else { return };
        node.record = record;
        node.birth = birth;
        node.generation = generation;
        node.own = self.key.node(birth, generation, &node.record);
        node.parent = Link::to(above);
        self.index.set(place, id, self.key, &self.arena);
        self.restore_children(id);
        self.sum_way_up(id);
    }

    /// Rebuilds a list of children from the nodes it leads to and the names it holds: each tells what the other
    /// should be.
    fn restore_children(&mut self, id: NodeId) {
        let Some(node) = self.arena.get(id) else { return };
        let Some(children) = node.children.as_ref().filter(|children| children.verify().is_err()) else {
            return;
        };
        let is_child =
            |id: NodeId| self.arena.get(id).is_some_and(|child| path::parent(child.path()) == node.path());
        let mut found: Vec<NodeId> = children.ids().filter(|&id| is_child(id)).collect();
        for name in children.names() {
            found.extend(self.search(self.place(&path::child(node.path(), name))));
        }
        found.sort_unstable_by_key(|&id| (self.arena.get(id).map(|child| child.birth), id));
        found.dedup();
        let mut rebuilt = Children::default();
        for &id in &found {
            if let Some(child) = self.arena.get(id) {
                rebuilt.push(path::leaf(child.path()), id, child.birth);
            }
        }
        if let Some(node) = self.arena.get_mut(id) {
            node.children = Some(Arc::new(rebuilt));
        }
    }

    /// Recomputes the trees of a node and of all above it from their children.
    fn sum_way_up(&mut self, id: NodeId) {
        let mut next = Some(id);
        while let Some(id) = next {
            let Some(tree) = self.sum_of_tree(id) else { return };
            let Some(node) = self.arena.get_mut(id) else { return };
            node.tree = tree;
            next = if id == NodeId::ROOT { None } else { node.parent.id() };
        }
    }

    /// What a node's tree should be, as its children are.
    pub(super) fn sum_of_tree(&self, id: NodeId) -> Option<u64> {
        let node = self.arena.get(id)?;
        let ids = node.children.iter().flat_map(|children| children.ids());
        Some(
            ids.filter_map(|id| self.arena.get(id)).fold(node.own, |sum, child| sum.wrapping_add(child.tree)),
        )
    }

    /// Removes the node at this path with all below it, unless it is newer than the removal.
    pub(crate) fn put_removed(&mut self, path: &[u8], generation: u64) {
        if path == path::ROOT {
            return;
        }
        let place = self.place(path);
        match self.get(place) {
            Ok(Some((id, node))) if node.generation <= generation => self.remove(id),
            Ok(_) => {}
            Err(_) => {
                if let Some(id) = self.search(place) {
                    self.remove(id);
                }
            }
        }
    }
}
