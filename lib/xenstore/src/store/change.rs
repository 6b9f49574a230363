//! Changing nodes. What is changed has been checked before, so nothing here can fail.

use alloc::sync::Arc;
use alloc::vec::Vec;

use xen_abi::Domid;

use super::arena::Arena;
use super::{Children, Link, Node, NodeId, Place, Store};
use crate::path;
use crate::permission::{Access, Permission};
use crate::record::{Record, RecordView};

impl Store {
    /// Sets up the root, which every store has.
    pub(super) fn plant_root(&mut self) {
        let record = self.record(path::ROOT, &[Permission::new(0, Access::NONE)], &[]);
        let place = self.place(path::ROOT);
        let own = self.key.node(0, 0, &record);
        self.accounts.add(record.owner(), record.accounted_size(0) + 1);
        let id = self.arena.insert(Node {
            record,
            children: None,
            birth: 0,
            generation: 0,
            own,
            tree: own,
            parent: Link::to(NodeId::ROOT),
        });
        self.index.set(place, id, self.key, &self.arena);
    }

    /// A record of this path, these permissions and this value.
    pub(crate) fn record(&mut self, path: &[u8], permissions: &[Permission], value: &[u8]) -> Record {
        Record::new(path, permissions, value, &mut self.scratch)
    }

    /// A record that came from elsewhere.
    pub(crate) fn record_of(&mut self, path: &[u8], view: RecordView<'_>) -> Record {
        Record::copy_of(path, view, &mut self.scratch)
    }

    /// A record with the permissions of another and this value.
    pub(crate) fn record_with_value(&mut self, record: &Record, value: &[u8]) -> Record {
        record.with_value(value, &mut self.scratch)
    }

    /// Creates a node that is younger than its siblings.
    pub(crate) fn create(&mut self, parent: NodeId, place: Place<'_>, record: Record, birth: u64) -> NodeId {
        let id = self.plant(parent, place, record, birth, birth);
        if let Some(parent) = self.arena.get_mut(parent) {
            let children = Arc::make_mut(parent.children.get_or_insert_default());
            children.push(path::leaf(place.path), id, birth);
        }
        id
    }

    /// Creates a node at the place among its siblings that its birth gives it.
    pub(super) fn create_between(
        &mut self,
        parent: NodeId,
        place: Place<'_>,
        record: Record,
        birth: u64,
        generation: u64,
    ) -> NodeId {
        let id = self.plant(parent, place, record, birth, generation);
        self.change_children(parent, |children, arena| {
            let birth_of = |id| arena.get(id).map_or(0, |node| node.birth);
            children.insert(path::leaf(place.path), id, birth, birth_of);
        });
        id
    }

    /// Changes a list of children with all nodes in view.
    pub(super) fn change_children(&mut self, parent: NodeId, change: impl FnOnce(&mut Children, &Arena)) {
        let Some(node) = self.arena.get_mut(parent) else { return };
        let mut children = node.children.take().unwrap_or_default();
        change(Arc::make_mut(&mut children), &self.arena);
        if let Some(node) = self.arena.get_mut(parent) {
            node.children = Some(children);
        }
    }

    /// Creates a node that its parent does not yet know of.
    fn plant(
        &mut self,
        parent: NodeId,
        place: Place<'_>,
        record: Record,
        birth: u64,
        generation: u64,
    ) -> NodeId {
        let own = self.key.node(birth, generation, &record);
        let owner = record.owner();
        self.accounts.add(owner, record.accounted_size(0) + place.path.len());
        let id = self.arena.insert(Node {
            record,
            children: None,
            birth,
            generation,
            own,
            tree: own,
            parent: Link::to(parent),
        });
        self.index.set(place, id, self.key, &self.arena);
        self.list_owned(owner, id);
        self.sum_up(parent, own);
        self.charge_for_name(parent, place.path, true);
        id
    }

    /// Gives a node another record, or (with none) just another generation since its children have changed.
    pub(crate) fn write(&mut self, id: NodeId, record: Option<Record>, generation: u64) {
        let Some(node) = self.arena.get_mut(id) else { return };
        let old_own = node.own;
        let birth = node.birth;
        if let Some(record) = record {
            self.replace_record(id, record);
        }
        let Some(node) = self.arena.get_mut(id) else { return };
        node.generation = generation;
        node.own = self.key.node(birth, generation, &node.record);
        let difference = node.own.wrapping_sub(old_own);
        self.sum_up(id, difference);
    }

    fn replace_record(&mut self, id: NodeId, record: Record) {
        let Some(node) = self.arena.get_mut(id) else { return };
        let (old, new) = (node.record.owner(), record.owner());
        let fixed = node.path().len();
        let (before, after) = (node.record.accounted_size(fixed), record.accounted_size(fixed));
        let names = if old == new { 0 } else { node.children.as_ref().map_or(0, |children| children.size()) };
        node.record = record;
        if old == new {
            self.accounts.resize(old, before, after);
        } else {
            self.accounts.remove(old, before + names);
            self.accounts.add(new, after + names);
            self.unlist_owned(old, id);
            self.list_owned(new, id);
        }
    }

    /// Removes a node and everything below it.
    pub(crate) fn remove(&mut self, id: NodeId) {
        if id == NodeId::ROOT {
            return;
        }
        let Some(node) = self.arena.get(id) else { return };
        let (tree, birth, parent) = (node.tree, node.birth, node.parent.id());
        let mut doomed = Vec::new();
        doomed.push(id);
        let mut at = 0;
        while let Some(&next) = doomed.get(at) {
            doomed.extend(
                self.arena.get(next).and_then(|node| node.children.as_ref()).iter().flat_map(|c| c.ids()),
            );
            at += 1;
        }
        if let Some(parent) = parent {
            self.sum_up(parent, 0u64.wrapping_sub(tree));
            self.forget_child(parent, id, birth);
        }
        for id in doomed {
            self.uproot(id);
        }
    }

    /// Takes a child out of its parent's list.
    fn forget_child(&mut self, parent: NodeId, id: NodeId, birth: u64) {
        let Some(record) = self.arena.get(id).map(|node| node.record.clone()) else { return };
        self.charge_for_name(parent, record.path(), false);
        let Some(parent) = self.arena.get_mut(parent) else { return };
        let Some(children) = &mut parent.children else { return };
        let list = Arc::make_mut(children);
        list.remove(path::leaf(record.path()), id, birth);
        if list.is_empty() {
            parent.children = None;
        }
    }

    /// Frees one node of a subtree that nobody refers to any more.
    fn uproot(&mut self, id: NodeId) {
        let Some(node) = self.arena.get(id) else { return };
        let place = Place { path: node.path(), hash: self.key.path(node.path()) };
        self.index.remove(place, &self.arena);
        let Some(node) = self.arena.remove(id) else { return };
        let names = node.children.as_ref().map_or(0, |children| children.size());
        let owner = node.record.owner();
        self.accounts.remove(owner, node.record.accounted_size(names) + node.path().len());
        self.unlist_owned(owner, id);
    }

    /// Adds a difference to a node's tree and to all above it.
    pub(super) fn sum_up(&mut self, from: NodeId, difference: u64) {
        let mut next = Some(from);
        while let Some((id, node)) = next.and_then(|id| Some((id, self.arena.get_mut(id)?))) {
            node.tree = node.tree.wrapping_add(difference);
            next = if id == NodeId::ROOT { None } else { node.parent.id() };
        }
    }

    fn charge_for_name(&mut self, parent: NodeId, child: &[u8], more: bool) {
        let Some(owner) = self.arena.get(parent).map(|parent| parent.record.owner()) else { return };
        let name = path::leaf(child).len() + 1;
        if more { self.accounts.resize(owner, 0, name) } else { self.accounts.resize(owner, name, 0) }
    }

    pub(super) fn list_owned(&mut self, owner: Domid, id: NodeId) {
        if owner != Domid::DOM0 {
            self.owned.entry(owner).or_default().insert(id);
        }
    }

    fn unlist_owned(&mut self, owner: Domid, id: NodeId) {
        if let Some(ids) = self.owned.get_mut(&owner) {
            ids.remove(&id);
            if ids.is_empty() {
                self.owned.remove(&owner);
            }
        }
    }

    /// The nodes that a domain owns, without those below another of them, in the order of the tree. Dom0's are not
    /// known.
    pub(crate) fn owned_by(&self, owner: Domid) -> Vec<NodeId> {
        let Some(ids) = self.owned.get(&owner) else { return Vec::new() };
        let mut topmost: Vec<(Vec<u64>, NodeId)> =
            ids.iter().filter_map(|&id| Some((self.births(id, owner)?, id))).collect();
        topmost.sort_unstable();
        topmost.into_iter().map(|(_, id)| id).collect()
    }

    /// The births of a node and all above it from the root down: what orders the tree. None if something above
    /// belongs to the same owner.
    fn births(&self, id: NodeId, owner: Domid) -> Option<Vec<u64>> {
        let mut births = Vec::new();
        let mut at = id;
        while at != NodeId::ROOT {
            let node = self.arena.get(at)?;
            if at != id && node.record.owner() == owner {
                return None;
            }
            births.push(node.birth);
            at = node.parent.id()?;
        }
        births.reverse();
        Some(births)
    }
}
