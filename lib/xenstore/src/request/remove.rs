//! RM.

use alloc::vec::Vec;

use super::{Failure, Request};
use crate::damage::Damage;
use crate::effects::Effects;
use crate::engine::Engine;
use crate::event::Audience;
use crate::item::Item;
use crate::path;
use crate::permission::Access;
use crate::store::{Node, NodeId, Place};
use crate::transaction::Seen;
use crate::wire::{Errno, one_string};

impl Engine {
    /// RM `<path>|`: removes a node and everything below it. One that does not exist is as good as removed if the
    /// node above exists.
    pub(super) fn remove(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        self.at(request, one_string(request.payload), |engine, request, place| {
            match engine.seek(request, place, Access::WRITE) {
                Ok(_) if place.path == path::ROOT => return Err(Errno::Invalid.into()),
                Ok(_) if request.transaction.is_some() => engine.remove_in_transaction(request, place)?,
                Ok(seen) => {
                    let id = seen.id;
                    drop(seen);
                    engine.announce_removal(request.effects, id)?;
                    request.disturb(1, engine.open);
                    engine.remove_tree(request.effects, id)?;
                }
                Err(Failure::Errno(Errno::NotFound)) => {
                    let parent = engine.store.place(path::parent(place.path));
                    engine.see(request, parent)?.ok_or(Errno::NotFound)?;
                }
                Err(failure) => return Err(failure),
            }
            request.acknowledge();
            Ok(())
        })
    }

    /// Checks a subtree and the way to it, and sends the events of its removal: for what is lowest first, to watches
    /// on exactly what is removed, and for the topmost also to those above.
    pub(crate) fn announce_removal(&self, effects: &mut Effects, top: NodeId) -> Result<(), Damage> {
        let Some(node) = self.store.node(top) else { return Ok(()) };
        if let Some((above, parent)) = self.store.parent(node)? {
            crate::store::check_children(parent, |children| children.verify_at(node.birth))?;
            self.settled_permissions(&(above, parent).into())?;
        }
        self.store.check_way_up(top)?;
        let mut stack = Vec::new();
        self.enter(top, node, &mut stack)?;
        while let Some((id, entered)) = stack.pop() {
            let Some(node) = self.store.node(id) else { continue };
            if !entered {
                self.enter(id, node, &mut stack)?;
                continue;
            }
            self.fire(effects, node.path(), id != top, |engine| {
                let parent = engine.store.parent(node)?;
                Ok(Audience {
                    before: None,
                    now: Some((node.record.clone(), node.generation)),
                    parent: parent.map(|(_, parent)| (parent.record.clone(), parent.generation)),
                })
            })?;
        }
        Ok(())
    }

    /// Checks a node and puts it on the stack with its children before it.
    fn enter(&self, id: NodeId, node: &Node, stack: &mut Vec<(NodeId, bool)>) -> Result<(), Damage> {
        self.store.check_whole(id, node)?;
        stack.push((id, true));
        let below = stack.len();
        for (child, name) in node.children.iter().flat_map(|children| children.entries()) {
            self.store.child(node, child, name)?;
            stack.push((child, false));
        }
        stack[below..].reverse();
        Ok(())
    }

    /// Removes a subtree that has been announced.
    pub(crate) fn remove_tree(&mut self, effects: &mut Effects, top: NodeId) -> Result<(), Damage> {
        let Some(node) = self.store.node(top) else { return Ok(()) };
        let Some((above, parent)) = self.store.parent(node)? else { return Ok(()) };
        let seen: Seen = (above, parent).into();
        let removed = node.record.clone();
        let (birth, record) = (seen.birth, self.settled_record(&seen)?);
        drop(seen);
        let generation = self.tick();
        effects.items.push(&Item::RemoveTree { path: removed.path(), generation });
        self.store.remove(top);
        let generation = self.tick();
        let item = Item::Node { path: record.path(), birth, generation, record: record.view() };
        effects.items.push(&item);
        self.store.write(above, Some(record), generation);
        Ok(())
    }

    fn remove_in_transaction(&mut self, request: &mut Request<'_>, place: Place<'_>) -> Result<(), Failure> {
        let above = self.store.place(path::parent(place.path));
        let parent = self.see(request, above)?.ok_or(Errno::Invalid)?;
        let record = self.settled_record(&parent)?;
        let (doomed, birth) = self.doomed(request, place)?;
        let Some(transaction) = &mut request.transaction else { return Ok(()) };
        self.generation += 1;
        transaction.amend(above, record, self.generation);
        for path in &doomed {
            let is_top = path == place.path;
            transaction.remove(self.store.place(path), !is_top);
        }
        transaction.forget_child(above, place.path, birth);
        Ok(())
    }

    /// The paths of a subtree as the transaction sees it, from the top, and when the top was born.
    fn doomed(&self, request: &mut Request<'_>, top: Place<'_>) -> Result<(Vec<Vec<u8>>, u64), Failure> {
        let mut doomed = Vec::new();
        let mut birth = 0;
        let mut stack = alloc::vec![top.path.to_vec()];
        while let Some(path) = stack.pop() {
            // A child that the transaction has not touched may be gone. It will end in EAGAIN, for its parent has changed.
            let seen = self.see(request, self.store.place(&path))?.ok_or(Errno::Io)?;
            if doomed.is_empty() {
                birth = seen.birth;
            }
            if let Some(children) = &seen.children {
                let below = stack.len();
                children
                    .read_all(|names| {
                        stack.extend(crate::wire::strings(names).map(|name| path::child(&path, name)));
                    })
                    .map_err(|mismatch| mismatch.of(&path))?;
                stack[below..].reverse();
            }
            doomed.push(path);
        }
        Ok((doomed, birth))
    }
}
