//! READ, and GET_DOMAIN_PATH.

use super::{Failure, Request};
use crate::engine::Engine;
use crate::path;
use crate::permission::Access;
use crate::wire::{Errno, number, one_string};

impl Engine {
    /// READ `<path>|`: the node's value.
    pub(super) fn read(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        self.at(request, one_string(request.payload), |engine, request, place| {
            if request.transaction.is_none()
                && let Some((_, node)) = engine.store.get(place)?
                && engine.access(&request.identity, node.record.view(), node.generation)?.allows(Access::READ)
            {
                request.reply(|payload| payload.extend_from_slice(node.record.value()));
                return Ok(());
            }
            let seen = engine.seek(request, place, Access::READ)?;
            request.reply(|payload| payload.extend_from_slice(seen.record.value()));
            Ok(())
        })
    }

    /// GET_DOMAIN_PATH `<domid>|`: where the domain's relative paths lie.
    pub(super) fn get_domain_path(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        let domid = number(one_string(request.payload).ok_or(Errno::Invalid)?);
        request.reply(|payload| {
            path::push_home_of_number(domid, payload);
            payload.push(0);
        });
        Ok(())
    }
}
