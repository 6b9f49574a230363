//! WATCH, UNWATCH and RESET_WATCHES.

use alloc::vec::Vec;

use super::{Failure, Request};
use crate::config::Version;
use crate::connection::ConnectionId;
use crate::effects::Effects;
use crate::engine::Engine;
use crate::item::Item;
use crate::path;
use crate::quota::Quota;
use crate::watch::{Watch, WatchId};
use crate::wire::{Errno, RELATIVE_PATH_MAX, signed_number, string_count, strings};

/// What WATCH names.
struct Arguments<'a> {
    path: &'a [u8],
    token: &'a [u8],
    depth: Option<u32>,
}

/// A watch's path, made absolute.
struct Target {
    path: Vec<u8>,
    /// How many bytes of it the client left out.
    prefix: u16,
}

impl Engine {
    /// WATCH `<path>|<token>|`, from 4.22 on with `<depth>|`: events for the path and below. The first comes at once.
    pub(super) fn watch(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        let Arguments { path, token, depth } = self.watch_arguments(request)?;
        let target = self.watch_target(request, path);
        self.check_watch_path(request, path, &target, depth)?;
        if self.watches.find(request.connection, &target.path, token)?.is_some() {
            return Err(Errno::Exists.into());
        }
        let size = target.path.len() + token.len();
        self.admit_watch(request, size)?;
        let generation = self.tick();
        let watch = Watch {
            connection: request.connection,
            path: target.path.into(),
            token: token.into(),
            depth,
            prefix: target.prefix,
            generation,
            digest: 0,
        };
        request.effects.items.push(&watch.item());
        request.acknowledge();
        request.effects.outputs.event(request.connection, watch.name_of(&watch.path), token);
        self.add_watch(watch);
        Ok(())
    }

    /// UNWATCH `<path>|<token>|`: takes a watch back.
    pub(super) fn unwatch(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        if string_count(request.payload) != 2 {
            return Err(Errno::Invalid.into());
        }
        let mut arguments = strings(request.payload);
        let (path, token) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
        let target = self.watch_target(request, path);
        if self.config.version >= Version::Xen4_20 {
            self.check_watch_path(request, path, &target, None)?;
        }
        let found = self.watches.find(request.connection, &target.path, token)?;
        let id = found.ok_or(Errno::NotFound)?;
        let connection = request.connection;
        request.effects.items.push(&Item::Unwatch { connection, path: &target.path, token });
        self.remove_watch(id);
        request.acknowledge();
        Ok(())
    }

    /// RESET_WATCHES `|`: takes all of the caller's watches back and drops its transactions.
    pub(super) fn reset_watches(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        if let Some(transaction) = request.transaction.take() {
            self.close_transaction(request.connection, transaction.id, request.effects);
        }
        self.reset_connection(request.connection, request.effects);
        request.acknowledge();
        Ok(())
    }

    /// Takes all watches of a connection back and drops its transactions.
    pub(crate) fn reset_connection(&mut self, id: ConnectionId, effects: &mut Effects) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let watches = core::mem::take(&mut connection.watches);
        let transactions = core::mem::take(&mut connection.transactions);
        for watch in watches {
            if let Some(watch) = self.remove_watch(watch) {
                effects.items.push(&Item::Unwatch { connection: id, path: &watch.path, token: &watch.token });
            }
        }
        for transaction in transactions {
            self.close_transaction(id, transaction.id, effects);
        }
    }

    /// The path, the token and the depth that WATCH names.
    fn watch_arguments<'a>(&self, request: &Request<'a>) -> Result<Arguments<'a>, Errno> {
        let most = if self.config.version >= Version::Xen4_22 { 3 } else { 2 };
        let count = string_count(request.payload);
        if !(2..=most).contains(&count) {
            return Err(Errno::Invalid);
        }
        let mut arguments = strings(request.payload);
        let (path, token) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
        let depth = match arguments.next().map(signed_number) {
            Some(depth) => Some(u32::try_from(depth).map_err(|_| Errno::Invalid)?),
            None => None,
        };
        Ok(Arguments { path, token, depth })
    }

    fn watch_target(&self, request: &Request<'_>, path: &[u8]) -> Target {
        if matches!(path.first(), Some(b'/' | b'@')) {
            return Target { path: path.to_vec(), prefix: 0 };
        }
        let mut full = Vec::new();
        Self::push_home(&request.identity, &mut full);
        full.push(b'/');
        let prefix = full.len() as u16;
        full.extend_from_slice(path);
        Target { path: full, prefix }
    }

    fn check_watch_path(
        &self,
        request: &Request<'_>,
        path: &[u8],
        target: &Target,
        depth: Option<u32>,
    ) -> Result<(), Errno> {
        let is_valid = if path::is_special(path) {
            let has_valid_form = match self.config.version {
                Version::Xen4_17 => path.len() <= RELATIVE_PATH_MAX,
                _ => path::is_valid_special(path, self.path_limit(&request.identity)),
            };
            has_valid_form && depth.is_none_or(|depth| depth <= 1)
        } else {
            path::is_valid(&target.path, self.path_limit(&request.identity))
        };
        if is_valid { Ok(()) } else { Err(Errno::Invalid) }
    }

    fn admit_watch(&self, request: &Request<'_>, size: usize) -> Result<(), Failure> {
        if request.identity.privileged || !request.identity.is_ring {
            return Ok(());
        }
        let domid = request.identity.domid;
        let watches = self.connections.get(&request.connection).map_or(0, |known| known.watches.len());
        if watches > self.quotas.get(Quota::Watches) {
            return Err(Errno::TooBig.into());
        }
        let limit = self.quotas.get(Quota::Memory);
        if limit > 0 && self.memory(domid) + size >= limit {
            return Err(Errno::Memory.into());
        }
        Ok(())
    }

    /// Adds a watch to the table and to its connection.
    pub(crate) fn add_watch(&mut self, watch: Watch) {
        let (connection, size) = (watch.connection, watch.accounted_size());
        let id = self.watches.add(watch);
        let connection = self.connection_or_unknown(connection);
        connection.watches.push(id);
        connection.watch_bytes += size;
    }

    /// Takes a watch out of the table and from its connection.
    pub(crate) fn remove_watch(&mut self, id: WatchId) -> Option<Watch> {
        let watch = self.watches.remove(id)?;
        if let Some(connection) = self.connections.get_mut(&watch.connection) {
            connection.watches.retain(|other| *other != id);
            connection.watch_bytes = connection.watch_bytes.saturating_sub(watch.accounted_size());
        }
        Some(watch)
    }
}
