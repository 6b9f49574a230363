//! Writing what exists already: what WRITE and SET_PERMS have in common.

use xen_abi::Domid;

use super::{Failure, Request};
use crate::engine::Engine;
use crate::event::{Audience, Guard};
use crate::item::Item;
use crate::record::Record;
use crate::store::Place;
use crate::transaction::Seen;
use crate::wire::Errno;

impl Engine {
    /// Checks a write against the quotas; one that is refused makes its transaction fail.
    pub(super) fn admit_write(
        &self,
        request: &mut Request<'_>,
        owner: Domid,
        size: usize,
        growth: usize,
    ) -> Result<(), Errno> {
        let result = self.admit_node(&request.identity, owner, size, growth);
        if result.is_err()
            && let Some(transaction) = &mut request.transaction
        {
            transaction.failed = true;
        }
        result
    }

    /// Gives an existing node another record, in the transaction or at once.
    pub(super) fn replace(
        &mut self,
        request: &mut Request<'_>,
        place: Place<'_>,
        seen: &Seen,
        record: Record,
        before: Option<Guard>,
    ) -> Result<(), Failure> {
        if let Some(transaction) = &mut request.transaction {
            let generation = self.tick();
            transaction.rewrite(place, record, generation);
            return Ok(());
        }
        let (id, birth) = (seen.id, seen.birth);
        self.store.check_way_up(id)?;
        let now = record.clone();
        let generation = self.generation + 1;
        self.fire(request.effects, place.path, false, |engine| {
            let Some(node) = engine.store.node(id) else { return Ok(Audience::nobody()) };
            let parent =
                engine.store.parent(node)?.map(|(_, parent)| (parent.record.clone(), parent.generation));
            Ok(Audience { before, now: Some((now, generation)), parent })
        })?;
        self.tick();
        request.disturb(1, self.open);
        let item = Item::Node { path: place.path, birth, generation, record: record.view() };
        request.effects.items.push(&item);
        self.store.write(id, Some(record), generation);
        Ok(())
    }
}
