//! Taking the replicated state: from another engine, or from a log.

use alloc::vec::Vec;

use crate::connection::{Connection, ConnectionId, Peer};
use crate::effects::Effects;
use crate::engine::Engine;
use crate::item::{Item, ItemError, ItemList};
use crate::path;
use crate::quota::Quotas;
use crate::record::RecordView;
use crate::watch::Watch;

impl Engine {
    /// Makes a piece of the state be so. Applying the items of another engine in their order, whole or from any
    /// state of it on, leads to the same digest.
    pub fn apply(&mut self, item: &Item<'_>) {
        match *item {
            Item::Node { path, birth, generation, record } => {
                self.apply_node(path, birth, generation, record)
            }
            Item::RemoveTree { path, generation } => {
                self.generation = self.generation.max(generation);
                self.store.put_removed(path, generation);
            }
            Item::Connection { id, peer } => self.set_peer(id, peer),
            Item::ConnectionGone { id } => {
                self.drop_connection(id);
            }
            Item::Watch { connection, path, token, depth, relative, generation } => {
                self.generation = self.generation.max(generation);
                self.apply_unwatch(connection, path, token);
                let prefix = if relative { self.prefix_of(connection) } else { 0 };
                let (path, token) = (path.into(), token.into());
                self.add_watch(Watch { connection, path, token, depth, prefix, generation, digest: 0 });
            }
            Item::Unwatch { connection, path, token } => self.apply_unwatch(connection, path, token),
            Item::Domain { domid, facts } => {
                self.generation = self.generation.max(facts.generation);
                self.domains.set(domid, facts);
            }
            Item::DomainGone { domid } => self.domains.remove(domid),
            Item::TransactionOpen { connection, id } => {
                let known = self.connection_or_unknown(connection);
                known.next_transaction = id.wrapping_add(1);
                if !known.transactions.iter().any(|open| open.id == id) {
                    self.open_transaction(connection, id, true);
                }
            }
            Item::TransactionClosed { connection, id } => {
                let Some(known) = self.connections.get_mut(&connection) else { return };
                if let Some(at) = known.transactions.iter().position(|open| open.id == id) {
                    known.transactions.remove(at);
                    self.forget_transaction(connection, id);
                }
            }
            Item::Quotas(quotas) => self.set_quotas(quotas),
        }
    }

    fn apply_node(&mut self, path: &[u8], birth: u64, generation: u64, record: RecordView<'_>) {
        self.generation = self.generation.max(generation);
        let record = self.store.record_of(path, record);
        if path::is_special(path) {
            self.specials.set(path, record, generation);
        } else {
            self.store.put(path, birth, generation, record);
        }
    }

    fn apply_unwatch(&mut self, connection: ConnectionId, path: &[u8], token: &[u8]) {
        let watches = self.connections.get(&connection).map_or(&[][..], |known| &known.watches);
        let is_it = |watch: &Watch| *watch.path == *path && *watch.token == *token;
        let found = watches.iter().find(|&&id| self.watches.get(id).is_some_and(is_it)).copied();
        if let Some(id) = found {
            self.remove_watch(id);
        }
    }

    /// How many bytes the home of a connection takes with its slash.
    fn prefix_of(&self, connection: ConnectionId) -> u16 {
        let domid = connection.ring_of().unwrap_or(xen_abi::Domid::DOM0);
        let mut home = Vec::new();
        path::push_home(domid, &mut home);
        home.len() as u16 + 1
    }

    /// Applies a list of items from elsewhere.
    ///
    /// # Errors
    /// A byte sequence in the list is no item; those before it have been applied.
    pub fn apply_all(&mut self, items: ItemList<'_>) -> Result<(), ItemError> {
        for item in items {
            self.apply(&item?);
        }
        Ok(())
    }

    /// Sets who a connection is.
    pub(crate) fn set_peer(&mut self, id: ConnectionId, peer: Peer) {
        let key = self.key;
        let known = self.connection_or_unknown(id);
        let before = known.digest();
        known.set_peer(key, id, peer);
        let after = known.digest();
        self.others = self.others.wrapping_sub(before).wrapping_add(after);
    }

    /// A connection, of which perhaps nothing is known yet.
    pub(crate) fn connection_or_unknown(&mut self, id: ConnectionId) -> &mut Connection {
        self.connections.entry(id).or_insert_with(Connection::unknown)
    }

    /// Forgets a connection with its watches and transactions; false if there was none.
    pub(crate) fn drop_connection(&mut self, id: ConnectionId) -> bool {
        if !self.connections.contains_key(&id) {
            return false;
        }
        self.reset_connection(id, &mut Effects::new());
        if let Some(known) = self.connections.remove(&id) {
            self.others = self.others.wrapping_sub(known.digest());
        }
        true
    }

    pub(crate) fn set_quotas(&mut self, quotas: Quotas) {
        self.others = self.others.wrapping_sub(self.quota_digest);
        self.quotas = quotas;
        self.quota_digest = self.digest_of_quotas();
        self.others = self.others.wrapping_add(self.quota_digest);
    }
}
