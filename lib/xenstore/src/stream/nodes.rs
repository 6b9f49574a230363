//! Nodes of a stream.

use xen_abi::Domid;

use super::Problem;
use super::reader::Reader;
use crate::engine::Engine;
use crate::item::DomainFacts;
use crate::path;
use crate::permission::{Access, Permission, Permissions};
use crate::store::NodeId;

impl Engine {
    /// Loads a node. What belongs to a transaction is passed over.
    pub(super) fn load_node(&mut self, reader: &mut Reader<'_>) -> Result<(), Problem> {
        let (connection, _transaction) = (reader.u32()?, reader.u32()?);
        let (path, value) = (usize::from(reader.u16()?), usize::from(reader.u16()?));
        let (_access, count) = (reader.u16()?, reader.u16()?);
        let mut permissions = Permissions::new();
        for _ in 0..count {
            permissions.push(permission(reader)?);
        }
        let (path, value) = (reader.text(path)?, reader.bytes(value)?);
        if connection != 0 {
            return Ok(());
        }
        let owner = permissions.first().ok_or(Problem::Owner)?;
        if !Domid(owner.domid as u16).is_ordinary() {
            return Err(Problem::Owner);
        }
        self.know_loaded_domains(&permissions);
        let record = self.store.record(path, &permissions, value);
        if path == path::INTRODUCE_DOMAIN || path == path::RELEASE_DOMAIN {
            let generation = self.tick();
            self.specials.set(path, record, generation);
            return Ok(());
        }
        if !path::is_valid(path, usize::from(u16::MAX)) {
            return Err(Problem::Path);
        }
        if path == path::ROOT {
            let generation = self.tick();
            self.store.write(NodeId::ROOT, Some(record), generation);
            return Ok(());
        }
        if matches!(self.store.get_path(path), Ok(Some(_))) {
            return Err(Problem::Twice);
        }
        let Ok(Some((parent, _))) = self.store.get_path(path::parent(path)) else {
            return Err(Problem::Orphan);
        };
        let birth = self.tick();
        self.store.create(parent, self.store.place(path), record, birth);
        Ok(())
    }

    /// The domains of these permissions are those that they have always meant.
    fn know_loaded_domains(&mut self, permissions: &[Permission]) {
        for permission in permissions.iter().filter(|permission| !permission.stale) {
            let domid = Domid(permission.domid as u16);
            if domid.is_ordinary() && !self.domains.knows(domid) {
                self.domains.set(domid, DomainFacts::default());
            }
        }
    }
}

fn permission(reader: &mut Reader<'_>) -> Result<Permission, Problem> {
    let (letter, flags, domid) = (reader.u8()?, reader.u8()?, reader.u16()?);
    let access = Access::from_letter(letter).ok_or(Problem::Permission(letter))?;
    Ok(Permission { stale: flags & 1 != 0, ..Permission::new(u32::from(domid), access) })
}
