//! WRITE and MKDIR.

use smallvec::SmallVec;

use super::{Failure, Request};
use crate::engine::Engine;
use crate::event::Audience;
use crate::item::Item;
use crate::path;
use crate::permission::Access;
use crate::quota::Quota;
use crate::record::Record;
use crate::store::Place;
use crate::transaction::Seen;
use crate::wire::{Errno, one_string};

/// What a creation needs to know: the nearest node that exists, and the records of those that do not.
struct Creation {
    /// The node below which something is created.
    above: Seen,
    /// Its record, to be written anew.
    above_record: Record,
    /// The lengths of the paths to create, the nearest to the root first.
    lengths: SmallVec<[usize; 8]>,
    /// The record of those on the way.
    way: Record,
    /// The record of the node itself.
    last: Record,
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
                    engine.admit_write(request, &record, seen.children_size(), growth)?;
                    engine.replace(request, place, record, None)?;
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

    fn plan(
        &mut self,
        request: &mut Request<'_>,
        place: Place<'_>,
        value: &[u8],
    ) -> Result<Creation, Failure> {
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
        let way = self.store.record(&permissions, &[]);
        let last = self.store.record(&permissions, value);
        let above_record = self.settled_record(&above)?;
        let creation = Creation { above, above_record, lengths, way, last };
        self.admit_creation(request, place, &creation)?;
        Ok(creation)
    }

    /// Checks all that a creation would write against the quotas, from the node up, as the C daemon does.
    fn admit_creation(
        &self,
        request: &mut Request<'_>,
        place: Place<'_>,
        creation: &Creation,
    ) -> Result<(), Errno> {
        let Creation { above, above_record, lengths, way, last } = creation;
        let in_transaction = request.transaction.is_some();
        let mut owned = self.store.account(request.identity.domid).nodes;
        let mut growth = 0;
        let mut name_below = 0;
        for (at, &length) in lengths.iter().enumerate().rev() {
            let is_last = at + 1 == lengths.len();
            if !request.identity.privileged && owned >= self.quotas.get(Quota::Nodes) {
                if let Some(transaction) = request.transaction.as_mut().filter(|_| !is_last) {
                    transaction.failed = true;
                }
                return Err(Errno::Space);
            }
            let record = if is_last { last } else { way };
            growth += record.accounted_size(name_below) + length;
            self.admit_write(request, record, name_below, growth)?;
            name_below = path::leaf(&place.path[..length]).len() + 1;
            owned += usize::from(!in_transaction);
        }
        self.admit_write(request, above_record, above.children_size() + name_below, name_below)
    }

    fn create_now(
        &mut self,
        request: &mut Request<'_>,
        place: Place<'_>,
        creation: Creation,
    ) -> Result<(), Failure> {
        let Creation { above, above_record, lengths, way, last } = creation;
        let start = path::parent(&place.path[..lengths[0]]);
        let Some((mut parent, node)) = self.store.get_path(start)? else {
            return Err(Errno::NotFound.into());
        };
        crate::store::check_children(node, |children| children.verify_last())?;
        self.store.check_way_up(parent)?;
        let next = self.generation + lengths.len() as u64;
        self.fire(request.effects, place.path, false, |_| {
            let parent = if lengths.len() > 1 { way.clone() } else { above.record.clone() };
            Ok(Audience { before: None, now: Some((last.clone(), next)), parent: Some((parent, next)) })
        })?;
        let start_id = parent;
        for (at, &length) in lengths.iter().enumerate() {
            let record = if at + 1 == lengths.len() { &last } else { &way };
            let path = &place.path[..length];
            let birth = self.tick();
            let item = Item::Node { path, birth, generation: birth, record: record.view() };
            request.effects.items.push(&item);
            parent = self.store.create(parent, self.store.place(path), record.clone(), birth);
        }
        let generation = self.tick();
        let item = Item::Node { path: start, birth: above.birth, generation, record: above_record.view() };
        request.effects.items.push(&item);
        self.store.write(start_id, Some(above_record), generation);
        request.disturb(lengths.len() as u32 + 1, self.open);
        Ok(())
    }

    fn create_in_transaction(
        &mut self,
        request: &mut Request<'_>,
        place: Place<'_>,
        creation: Creation,
    ) -> Result<(), Failure> {
        let Creation { above_record, lengths, way, last, .. } = creation;
        let Some(transaction) = &mut request.transaction else { return Ok(()) };
        let start = self.store.place(path::parent(&place.path[..lengths[0]]));
        self.generation += 1;
        transaction.amend(start, above_record, self.generation);
        for (at, &length) in lengths.iter().enumerate() {
            let is_last = at + 1 == lengths.len();
            let record = if is_last { &last } else { &way };
            self.generation += 1;
            let here = self.store.place(&place.path[..length]);
            let above = self.store.place(path::parent(here.path));
            transaction.create(above, here, record.clone(), self.generation);
        }
        if let Some(at) = transaction.find(place) {
            transaction.fire_later(at, false);
        }
        Ok(())
    }
}
