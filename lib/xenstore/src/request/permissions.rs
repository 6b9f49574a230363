//! GET_PERMS and SET_PERMS.

use xen_abi::Domid;

use super::{Failure, Request};
use crate::config::Version;
use crate::engine::Engine;
use crate::event::Guard;
use crate::item::{DomainFacts, Item};
use crate::path;
use crate::permission::{Access, Permission, Permissions};
use crate::quota::Quota;
use crate::store::Place;
use crate::wire::{Errno, one_string, string_count, strings};

/// Writes permissions as clients see them.
fn print(permissions: impl Iterator<Item = Permission>, into: &mut alloc::vec::Vec<u8>) {
    for permission in permissions {
        permission.print(into);
        into.push(0);
    }
}

impl Engine {
    /// GET_PERMS `<path>|`: the node's permissions.
    pub(super) fn get_permissions(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        let name = one_string(request.payload);
        if let Some(special) = name.filter(|name| path::is_special(name))
            && self.config.version >= Version::Xen4_20
        {
            return self.get_special_permissions(request, special);
        }
        self.at(request, name, |engine, request, place| {
            let seen = engine.seek(request, place, Access::READ)?;
            request.reply(|payload| print(seen.record.view().permissions(), payload));
            Ok(())
        })
    }

    fn get_special_permissions(&mut self, request: &mut Request<'_>, name: &[u8]) -> Result<(), Failure> {
        let special = self.specials.get(name)?.ok_or(Errno::NotFound)?;
        let view = special.record.view();
        if !self.access(&request.identity, view, special.generation)?.allows(Access::READ) {
            return Err(Errno::Access.into());
        }
        request.reply(|payload| print(view.permissions(), payload));
        Ok(())
    }

    /// SET_PERMS `<path>|<permission>|+`: replaces the node's permissions.
    pub(super) fn set_permissions(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        let count = string_count(request.payload);
        if count < 2 {
            return Err(Errno::Invalid.into());
        }
        if !request.identity.privileged && count - 1 > self.quotas.get(Quota::Permissions) {
            return Err(Errno::Space.into());
        }
        let mut arguments = strings(request.payload);
        let name = arguments.next();
        let mut permissions = Permissions::new();
        for argument in arguments {
            permissions.push(Permission::parse(argument).ok_or(Errno::Invalid)?);
        }
        for permission in &mut permissions {
            permission.stale = !self.domains.exists(permission.domid);
        }
        if permissions[0].stale {
            return Err(Errno::NotFound.into());
        }
        let generation = self.generation;
        match name.filter(|name| path::is_special(name)) {
            Some(special) => self.set_special_permissions(request, special, &permissions)?,
            None => self.at(request, name, |engine, request, place| {
                engine.set_node_permissions(request, place, &permissions)
            })?,
        }
        self.know_domains(request, &permissions, generation);
        request.acknowledge();
        Ok(())
    }

    /// From now on the domains that permissions name are known, and permissions from before do not mean them.
    fn know_domains(&mut self, request: &mut Request<'_>, permissions: &[Permission], generation: u64) {
        for permission in permissions.iter().filter(|permission| !permission.stale) {
            let domid = Domid(permission.domid as u16);
            if !self.domains.knows(domid) {
                let facts = DomainFacts { generation, ..DomainFacts::default() };
                self.domains.set(domid, facts);
                request.effects.items.push(&Item::Domain { domid, facts });
            }
        }
    }

    fn set_special_permissions(
        &mut self,
        request: &mut Request<'_>,
        name: &[u8],
        permissions: &[Permission],
    ) -> Result<(), Failure> {
        let special = self.specials.get(name)?.ok_or(Errno::Invalid)?;
        let access = self.access(&request.identity, special.record.view(), special.generation)?;
        if !access.allows(Access::WRITE.and(Access::OWN)) {
            return Err(Errno::Access.into());
        }
        let record = self.store.record(name, permissions, &[]);
        let generation = self.tick();
        request.effects.items.push(&Item::Node { path: name, birth: 0, generation, record: record.view() });
        self.specials.set(name, record, generation);
        Ok(())
    }

    fn set_node_permissions(
        &mut self,
        request: &mut Request<'_>,
        place: Place<'_>,
        permissions: &[Permission],
    ) -> Result<(), Failure> {
        let seen = self.seek(request, place, Access::WRITE.and(Access::OWN))?;
        let owner = seen.record.owner();
        if !request.identity.privileged && permissions[0].domid != u32::from(owner.0) {
            return Err(Errno::NotPermitted.into());
        }
        let record = self.store.record(place.path, permissions, seen.record.value());
        let growth = if record.owner() == owner {
            record.accounted_size(0).saturating_sub(seen.record.accounted_size(0))
        } else {
            record.accounted_size(seen.children_size()) + place.path.len()
        };
        self.admit_write(request, record.owner(), record.accounted_size(seen.children_size()), growth)?;
        if let Some(transaction) = &mut request.transaction {
            transaction.count(owner, -1);
            transaction.count(record.owner(), 1);
        }
        let before: Guard = (&seen).into();
        self.replace(request, place, &seen, record, Some(before))
    }
}
