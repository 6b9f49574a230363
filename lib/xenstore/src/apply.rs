//! The replicated state, taken and given: what replicas, logs and repairs are made of.

use alloc::vec::Vec;

use crate::connection::{Connection, ConnectionId, Peer};
use crate::damage::{Damage, Part, Subject};
use crate::effects::Effects;
use crate::engine::Engine;
use crate::item::{Item, ItemList, Items};
use crate::path;
use crate::quota::Quotas;
use crate::record::RecordView;
use crate::store::NodeId;
use crate::watch::Watch;

/// Where a walk through all items goes on. It survives any change in between: what changes meanwhile is told by the
/// items of the change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ItemCursor(Stage);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Start,
    Nodes(u32),
    Watches(u32),
    Domains(Option<xen_abi::Domid>),
    Connections(Option<ConnectionId>),
    End,
}

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
    pub fn apply_all(&mut self, items: ItemList<'_>) -> Result<(), crate::item::ItemError> {
        for item in items {
            self.apply(&item?);
        }
        Ok(())
    }

    /// Adds about `budget` items of the state to a list, and more with each call until it answers true: then the list
    /// holds all that had not changed since the first call.
    pub fn items(&self, cursor: &mut ItemCursor, budget: usize, into: &mut Items) -> bool {
        let mut left = budget;
        while left > 0 {
            cursor.0 = match cursor.0 {
                Stage::Start => {
                    into.push(&Item::Quotas(self.quotas));
                    self.specials.items().for_each(|item| into.push(&item));
                    Stage::Nodes(0)
                }
                Stage::Nodes(next) if next >= self.store.end() => Stage::Watches(0),
                Stage::Nodes(next) => {
                    if let Some(node) = self.store.node(NodeId(next)) {
                        into.push(&node.item());
                    }
                    Stage::Nodes(next + 1)
                }
                Stage::Watches(next) if next >= self.watches.end() => Stage::Domains(None),
                Stage::Watches(next) => {
                    if let Some(watch) = self.watches.at(next) {
                        into.push(&watch.item());
                    }
                    Stage::Watches(next + 1)
                }
                Stage::Domains(last) => match self.domains.after(last).next() {
                    Some((domid, &facts)) => {
                        into.push(&Item::Domain { domid, facts });
                        Stage::Domains(Some(domid))
                    }
                    None => Stage::Connections(None),
                },
                Stage::Connections(last) => match self.connection_after(last) {
                    Some(id) => {
                        self.push_connection(id, into);
                        Stage::Connections(Some(id))
                    }
                    None => Stage::End,
                },
                Stage::End => return true,
            };
            left -= 1;
        }
        cursor.0 == Stage::End
    }

    fn connection_after(&self, last: Option<ConnectionId>) -> Option<ConnectionId> {
        use core::ops::Bound::{Excluded, Unbounded};
        let from = last.map_or(Unbounded, Excluded);
        self.connections.range((from, Unbounded)).next().map(|(&id, _)| id)
    }

    /// Adds the items of a connection and its transactions.
    fn push_connection(&self, id: ConnectionId, into: &mut Items) {
        let Some(known) = self.connections.get(&id) else { return };
        if let Some(item) = known.item(id) {
            into.push(&item);
        }
        for open in &known.transactions {
            into.push(&Item::TransactionOpen { connection: id, id: open.id });
        }
    }

    /// Whether an item says what is still so: whether a log must keep it.
    pub fn is_current(&self, item: &Item<'_>) -> bool {
        match *item {
            Item::Node { path, generation, .. } if path::is_special(path) => {
                matches!(self.specials.get(path), Ok(Some(special)) if special.generation == generation)
            }
            Item::Node { path, birth, generation, .. } => match self.store.get_path(path) {
                Ok(found) => {
                    found.is_some_and(|(_, node)| node.generation == generation && node.birth == birth)
                }
                Err(_) => true,
            },
            Item::Connection { id, peer } => {
                self.connections.get(&id).is_some_and(|known| known.peer() == Some(peer))
            }
            Item::Watch { connection, path, token, generation, .. } => {
                match self.watches.find(connection, path, token) {
                    Ok(found) => found
                        .and_then(|id| self.watches.get(id))
                        .is_some_and(|watch| watch.generation == generation),
                    Err(_) => true,
                }
            }
            Item::Domain { domid, .. } => self.domains.item(domid).is_some_and(|current| current == *item),
            Item::TransactionOpen { connection, id } => self
                .connections
                .get(&connection)
                .is_some_and(|known| known.transactions.iter().any(|open| open.id == id)),
            Item::Quotas(quotas) => quotas == self.quotas,
            Item::RemoveTree { .. }
            | Item::ConnectionGone { .. }
            | Item::Unwatch { .. }
            | Item::DomainGone { .. }
            | Item::TransactionClosed { .. } => false,
        }
    }

    /// Adds a good copy of something to a list, for an engine in which it is damaged. False if it is damaged here as
    /// well, or unknown.
    pub fn copy(&self, subject: &Subject, into: &mut Items) -> bool {
        match subject {
            Subject::Node(path) if path::is_special(path) => match self.specials.get(path) {
                Ok(Some(special)) => into.push(&special.item()),
                _ => return false,
            },
            Subject::Node(path) => match self.store.get_path(path) {
                Ok(Some((_, node))) => into.push(&node.item()),
                _ => return false,
            },
            Subject::Connection(id) => {
                let Some(known) = self.connections.get(id) else { return false };
                if known.checked_peer(self.key, *id).is_err() {
                    return false;
                }
                self.push_connection(*id, into);
                for watch in known.watches.iter().filter_map(|&id| self.watches.get(id)) {
                    if self.watches.check(watch).is_err() {
                        return false;
                    }
                    into.push(&watch.item());
                }
            }
            Subject::Domain(domid) => match self.domains.facts(*domid) {
                Ok(Some(facts)) => into.push(&Item::Domain { domid: *domid, facts }),
                _ => return false,
            },
            Subject::Quotas => {
                if self.check_quotas().is_err() {
                    return false;
                }
                into.push(&Item::Quotas(self.quotas));
            }
            Subject::Everything => return false,
        }
        true
    }

    /// Puts a good copy in the place of what is damaged.
    ///
    /// # Errors
    /// A byte sequence in the list is no item; those before it have been applied.
    pub fn repair(&mut self, subject: &Subject, copy: ItemList<'_>) -> Result<(), crate::item::ItemError> {
        if let Subject::Connection(id) = subject {
            self.forget_watches(*id);
        }
        let result = self.apply_all(copy);
        self.sum_up();
        result
    }

    /// Sums all digests up anew: one that was damaged may have been taken for what it was.
    fn sum_up(&mut self) {
        self.watches.sum_up();
        self.domains.sum_up();
        self.others = self.connections.iter().fold(self.quota_digest, |sum, (&id, connection)| {
            let open = connection.transactions.iter().map(|open| self.transaction_digest(id, open.id));
            open.fold(sum.wrapping_add(connection.digest()), u64::wrapping_add)
        });
    }

    fn forget_watches(&mut self, id: ConnectionId) {
        for watch in self.watches.of(id) {
            self.remove_watch(watch);
        }
        if let Some(known) = self.connections.get_mut(&id) {
            known.watches.clear();
        }
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

    pub(crate) fn digest_of_quotas(&self) -> u64 {
        self.quotas.values().iter().fold(5, |sum, value| self.key.bytes(sum, &value.to_le_bytes()))
    }

    /// Checks the quotas.
    pub(crate) fn check_quotas(&self) -> Result<(), Damage> {
        let (expected, found) = (self.quota_digest, self.digest_of_quotas());
        if expected == found {
            return Ok(());
        }
        Err(Damage { subject: Subject::Quotas, part: Part::Fields, expected, found })
    }
}
