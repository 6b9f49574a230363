//! Nodes as requests come upon them: found by name, seen through a transaction, guarded by permissions.

use crate::config::Version;
use crate::connection::Identity;
use crate::damage::Damage;
use crate::engine::Engine;
use crate::path;
use crate::permission::{Access, Permissions};
use crate::quota::Quota;
use crate::record::{Record, RecordView};
use crate::request::{Failure, Request};
use crate::store::{Node, NodeId, Place};
use crate::transaction::Seen;
use crate::wire::Errno;
use xen_abi::Domid;

impl From<(NodeId, &Node)> for Seen {
    fn from((id, node): (NodeId, &Node)) -> Self {
        Self {
            id,
            record: node.record.clone(),
            children: node.children.clone(),
            generation: node.generation,
            birth: node.birth,
        }
    }
}

impl Engine {
    /// Does something with the node that a request names: absolutely, or relative to the caller's home.
    pub(crate) fn at<'a, R>(
        &mut self,
        request: &mut Request<'a>,
        name: Option<&'a [u8]>,
        act: impl FnOnce(&mut Self, &mut Request<'a>, Place<'_>) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let name = name.ok_or(Errno::Invalid)?;
        if path::is_special(name) {
            return Err(Errno::Invalid.into());
        }
        if name.first() == Some(&b'/') {
            return self.at_path(request, name, act);
        }
        let mut full = core::mem::take(&mut self.path_buffer);
        full.clear();
        Self::push_home(&request.identity, &mut full);
        full.push(b'/');
        full.extend_from_slice(name);
        let result = self.at_path(request, &full, act);
        self.path_buffer = full;
        result
    }

    fn at_path<'a, R>(
        &mut self,
        request: &mut Request<'a>,
        path: &[u8],
        act: impl FnOnce(&mut Self, &mut Request<'a>, Place<'_>) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        if !path::is_valid(path, self.path_limit(&request.identity)) {
            return Err(Errno::Invalid.into());
        }
        let place = self.store.place(path);
        act(self, request, place)
    }

    /// How long a path may be.
    pub(crate) fn path_limit(&self, identity: &Identity) -> usize {
        if self.config.version >= Version::Xen4_20 && identity.privileged {
            crate::wire::PAYLOAD_MAX
        } else {
            self.quotas.get(Quota::PathLength)
        }
    }

    /// The node as the request sees it: in its transaction, which remembers that it was seen, or as it is.
    pub(crate) fn see(&self, request: &mut Request<'_>, place: Place<'_>) -> Result<Option<Seen>, Failure> {
        let Some(transaction) = &mut request.transaction else {
            return Ok(self.store.get(place)?.map(Seen::from));
        };
        if let Some(at) = transaction.find(place) {
            if transaction.is_whole(at) {
                return Ok(transaction.touched[at].now.clone());
            }
            transaction.interrupt();
        }
        let limit = self.quotas.get(Quota::TransactionNodes);
        if !request.identity.privileged && transaction.touched.len() >= limit {
            transaction.failed = true;
            return Err(Errno::Space.into());
        }
        let now: Option<Seen> = self.store.get(place)?.map(Seen::from);
        transaction.touch(place, now.clone());
        Ok(now)
    }

    /// The node as the request sees it, if the caller has all the access that is wanted.
    ///
    /// Who may not see a node shall not learn whether it exists: if the nearest node above does not allow any of the
    /// wanted access either, the answer is always EACCES.
    pub(crate) fn seek(
        &self,
        request: &mut Request<'_>,
        place: Place<'_>,
        wanted: Access,
    ) -> Result<Seen, Failure> {
        let errno = match self.see(request, place)? {
            Some(seen) => {
                let access = self.access(&request.identity, seen.record.view(), seen.generation)?;
                if access.allows(wanted) {
                    return Ok(seen);
                }
                Errno::Access
            }
            None => Errno::NotFound,
        };
        Err(self.veil(request, place, errno, wanted)?.into())
    }

    /// The error to answer with where a node could not be had.
    pub(crate) fn veil(
        &self,
        request: &mut Request<'_>,
        place: Place<'_>,
        errno: Errno,
        wanted: Access,
    ) -> Result<Errno, Failure> {
        for above in path::upwards(path::parent(place.path)) {
            if let Some(seen) = self.see(request, self.store.place(above))? {
                let access = self.access(&request.identity, seen.record.view(), seen.generation)?;
                return Ok(if access.allows_any(wanted) { errno } else { Errno::Access });
            }
        }
        Ok(Errno::Access)
    }

    /// What somebody may do with a node that holds this record since that generation.
    pub(crate) fn access(
        &self,
        identity: &Identity,
        record: RecordView<'_>,
        generation: u64,
    ) -> Result<Access, Damage> {
        let granted = self.granted(identity, record, generation)?;
        Ok(if identity.read_only { granted.without(Access::WRITE.and(Access::OWN)) } else { granted })
    }

    fn granted(
        &self,
        identity: &Identity,
        record: RecordView<'_>,
        generation: u64,
    ) -> Result<Access, Damage> {
        let is_theirs = |domid: u32| {
            domid == u32::from(identity.domid.0)
                || identity.target.is_some_and(|target| domid == u32::from(target.0))
        };
        let first = record.first_permission();
        if identity.privileged || is_theirs(first.domid) {
            return Ok(Access::ALL);
        }
        for entry in record.permissions().skip(1) {
            if is_theirs(entry.domid) && !entry.stale && self.domains.means_same(entry.domid, generation)? {
                return Ok(entry.access);
            }
        }
        Ok(first.access)
    }

    /// A node's permissions, to be written anew: those for domains that went away since it was last written are
    /// marked, lest another domain of the same number inherits them.
    pub(crate) fn settled_permissions(&self, seen: &Seen) -> Result<Permissions, Damage> {
        let mut permissions = seen.record.to_permissions();
        for entry in permissions.iter_mut().skip(1).filter(|entry| !entry.stale) {
            entry.stale = !self.domains.means_same(entry.domid, seen.generation)?;
        }
        Ok(permissions)
    }

    /// A node's record with another value, to be written anew.
    pub(crate) fn record_with_value(&mut self, seen: &Seen, value: &[u8]) -> Result<Record, Damage> {
        if seen.record.view().permission_count() == 1 {
            return Ok(self.store.record_with_value(&seen.record, value));
        }
        let permissions = self.settled_permissions(seen)?;
        Ok(self.store.record(seen.record.path(), &permissions, value))
    }

    /// A node's record, to be written anew since its children change.
    pub(crate) fn settled_record(&mut self, seen: &Seen) -> Result<Record, Damage> {
        if seen.record.view().permission_count() == 1 {
            return Ok(seen.record.clone());
        }
        let permissions = self.settled_permissions(seen)?;
        Ok(self.store.record(seen.record.path(), &permissions, seen.record.value()))
    }

    /// Checks a node that is to be written against the quotas: its size, and the memory of its owner by which it
    /// grows.
    pub(crate) fn admit_node(
        &self,
        identity: &Identity,
        owner: Domid,
        size: usize,
        growth: usize,
    ) -> Result<(), Errno> {
        if !identity.privileged && size >= self.quotas.get(Quota::NodeSize) {
            return Err(Errno::Space);
        }
        let limit = self.quotas.get(Quota::Memory);
        if self.is_unprivileged(owner) && limit > 0 && self.memory(owner) + growth >= limit {
            return Err(Errno::Io);
        }
        Ok(())
    }
}
