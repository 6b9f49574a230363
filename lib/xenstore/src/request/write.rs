//! WRITE and MKDIR.

use smallvec::SmallVec;
use xen_abi::Domid;

use super::{Failure, Request};
use crate::engine::Engine;
use crate::event::Audience;
use crate::item::Item;
use crate::path;
use crate::permission::{Access, Permissions};
use crate::quota::Quota;
use crate::record::Record;
use crate::store::{NodeId, Place};
use crate::wire::{Errno, one_string};

/// What a creation needs to know: the nearest node that exists, and what those are like that do not.
struct Creation<'a> {
    /// The node below which something is created, and when it was born.
    above: NodeId,
    above_birth: u64,
    /// How many bytes the names of its children take.
    above_children: usize,
    /// Its record, to be written anew.
    above_record: Record,
    /// The lengths of the paths to create, the nearest to the root first.
    lengths: SmallVec<[usize; 8]>,
    /// The permissions of all that is created.
    permissions: Permissions,
    /// The value of the node itself; those on the way have none.
    value: &'a [u8],
}

impl Creation<'_> {
    /// The value of one of the nodes to create.
    fn value_of(&self, at: usize) -> &[u8] {
        if at + 1 == self.lengths.len() { self.value } else { &[] }
    }
}

impl Engine {
    /// WRITE `<path>|<value>`: sets a node's value; creates the node and what is missing above it.
    pub(super) fn write(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        let end = memchr::memchr(0, request.payload).ok_or(Errno::Invalid)?;
        let (name, value) = (&request.payload[..end], &request.payload[end + 1..]);
        self.at(request, Some(name), |engine, request, place| {
            match engine.seek(request, place, Access::WRITE) {
                Ok(seen) => {
                    let record = engine.record_with_value(&seen, value)?;
                    let growth = value.len().saturating_sub(seen.record.value().len());
                    let size = record.accounted_size(seen.children_size());
                    engine.admit_write(request, record.owner(), size, growth)?;
                    engine.replace(request, place, &seen, record, None)?;
                }
                Err(Failure::Errno(Errno::NotFound)) => engine.create(request, place, value)?,
                Err(failure) => return Err(failure),
            }
            request.acknowledge();
            Ok(())
        })
    }

    /// MKDIR `<path>|`: creates a node and what is missing above it; one that exists stays as it is.
    pub(super) fn mkdir(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        self.at(request, one_string(request.payload), |engine, request, place| {
            match engine.seek(request, place, Access::WRITE) {
                Ok(_) => {}
                Err(Failure::Errno(Errno::NotFound)) => engine.create(request, place, &[])?,
                Err(failure) => return Err(failure),
            }
            request.acknowledge();
            Ok(())
        })
    }

    /// Creates a node and what is missing above it.
    fn create(&mut self, request: &mut Request<'_>, place: Place<'_>, value: &[u8]) -> Result<(), Failure> {
        let creation = self.plan(request, place, value)?;
        if request.transaction.is_some() {
            self.create_in_transaction(request, place, creation)
        } else {
            self.create_now(request, place, creation)
        }
    }

    fn plan<'a>(
        &mut self,
        request: &mut Request<'_>,
        place: Place<'_>,
        value: &'a [u8],
    ) -> Result<Creation<'a>, Failure> {
        let mut lengths: SmallVec<[usize; 8]> = SmallVec::new();
        lengths.push(place.path.len());
        let mut found = None;
        for above in path::upwards(path::parent(place.path)) {
            if let Some(seen) = self.see(request, self.store.place(above))? {
                found = Some(seen);
                break;
            }
            lengths.push(above.len());
        }
        let above = found.ok_or(Errno::NotFound)?;
        lengths.reverse();
        let mut permissions = self.settled_permissions(&above)?;
        if !request.identity.privileged {
            permissions[0].domid = u32::from(request.identity.domid.0);
        }
        let creation = Creation {
            above: above.id,
            above_birth: above.birth,
            above_children: above.children_size(),
            above_record: self.settled_record(&above)?,
            lengths,
            permissions,
            value,
        };
        self.admit_creation(request, place, &creation)?;
        Ok(creation)
    }

    /// Checks all that a creation would write against the quotas, from the node up, as the C daemon does.
    fn admit_creation(
        &self,
        request: &mut Request<'_>,
        place: Place<'_>,
        creation: &Creation<'_>,
    ) -> Result<(), Errno> {
        let in_transaction = request.transaction.is_some();
        let owner = Domid(creation.permissions[0].domid as u16);
        let fixed = Record::fixed_size(creation.permissions.len());
        let mut owned = self.store.account(request.identity.domid).nodes;
        let mut growth = 0;
        let mut name_below = 0;
        for (at, &length) in creation.lengths.iter().enumerate().rev() {
            let is_last = at + 1 == creation.lengths.len();
            if !request.identity.privileged && owned >= self.quotas.get(Quota::Nodes) {
                if let Some(transaction) = request.transaction.as_mut().filter(|_| !is_last) {
                    transaction.failed = true;
                }
                return Err(Errno::Space);
            }
            let size = fixed + creation.value_of(at).len() + name_below;
            growth += size + length;
            self.admit_write(request, owner, size, growth)?;
            name_below = path::leaf(&place.path[..length]).len() + 1;
            owned += usize::from(!in_transaction);
        }
        let size = creation.above_record.accounted_size(creation.above_children + name_below);
        self.admit_write(request, creation.above_record.owner(), size, name_below)
    }

    fn create_now(
        &mut self,
        request: &mut Request<'_>,
        place: Place<'_>,
        creation: Creation<'_>,
    ) -> Result<(), Failure> {
        let Creation { above, above_birth, ref above_record, ref lengths, ref permissions, .. } = creation;
        if let Some(node) = self.store.node(above) {
            crate::store::check_children(node, |children| children.verify_last())?;
        }
        self.store.check_way_up(above)?;
        let next = self.generation + lengths.len() as u64;
        let last = self.store.record(place.path, permissions, creation.value);
        self.fire(request.effects, place.path, false, |_| {
            let parent = if lengths.len() > 1 { &last } else { above_record };
            Ok(Audience {
                before: None,
                now: Some((last.clone(), next)),
                parent: Some((parent.clone(), next)),
            })
        })?;
        let mut parent = above;
        for (at, &length) in lengths.iter().enumerate() {
            let path = &place.path[..length];
            let is_last = at + 1 == lengths.len();
            let record = if is_last { last.clone() } else { self.store.record(path, permissions, &[]) };
            let birth = self.tick();
            let item = Item::Node { path, birth, generation: birth, record: record.view() };
            request.effects.items.push(&item);
            let here = if is_last { place } else { self.store.place(path) };
            parent = self.store.create(parent, here, record, birth);
        }
        let generation = self.tick();
        let path = above_record.path();
        let item = Item::Node { path, birth: above_birth, generation, record: above_record.view() };
        request.effects.items.push(&item);
        request.disturb(lengths.len() as u32 + 1, self.open);
        self.store.write(above, Some(above_record.clone()), generation);
        Ok(())
    }

    fn create_in_transaction(
        &mut self,
        request: &mut Request<'_>,
        place: Place<'_>,
        creation: Creation<'_>,
    ) -> Result<(), Failure> {
        let Some(transaction) = &mut request.transaction else { return Ok(()) };
        let above = self.store.place(creation.above_record.path());
        self.generation += 1;
        transaction.amend(above, creation.above_record.clone(), self.generation);
        for (at, &length) in creation.lengths.iter().enumerate() {
            self.generation += 1;
            let path = &place.path[..length];
            let record = self.store.record(path, &creation.permissions, creation.value_of(at));
            let (here, above) = (self.store.place(path), self.store.place(path::parent(path)));
            transaction.create(above, here, record, self.generation);
        }
        if let Some(at) = transaction.find(place) {
            transaction.fire_later(at, false);
        }
        Ok(())
    }
}
