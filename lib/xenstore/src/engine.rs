//! The engine: all state, and the way in.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use xen_abi::Domid;

use crate::config::Config;
use crate::connection::{Connection, ConnectionId, Identity, Peer};
use crate::damage::Damage;
use crate::digest::Key;
use crate::domain::Domains;
use crate::effects::Effects;
use crate::item::{DomainFacts, Item};
use crate::path;
use crate::permission::{Access, Permission};
use crate::quota::{Quota, Quotas};
use crate::request::{Failure, Request};
use crate::special::Specials;
use crate::store::Store;
use crate::transaction::Transaction;
use crate::watch::Watches;
use crate::wire::{Errno, Message};

/// A XenStore: its nodes, watches, transactions, connections and domains.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) config: Config,
    pub(crate) quotas: Quotas,
    pub(crate) key: Key,
    /// The number of the last change.
    pub(crate) generation: u64,
    pub(crate) store: Store,
    pub(crate) specials: Specials,
    pub(crate) watches: Watches,
    pub(crate) domains: Domains,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    /// How many transactions are open.
    pub(crate) open: usize,
    /// The sum of the digests of connections, open transactions and the quotas.
    pub(crate) others: u64,
    /// The quotas' digest.
    pub(crate) quota_digest: u64,
    /// Where a request's path is put together.
    pub(crate) path_buffer: Vec<u8>,
}

impl Engine {
    /// A new store as every daemon begins it: `/`, `/tool` and `/tool/xenstored`, and dom0 as the only domain.
    pub fn new(config: Config) -> Self {
        let mut engine = Self::blank(config);
        let mut above = crate::store::NodeId::ROOT;
        for path in [&b"/tool"[..], b"/tool/xenstored"] {
            let record = engine.store.record(path, &[Permission::new(0, Access::NONE)], &[]);
            let birth = engine.tick();
            above = engine.store.create(above, engine.store.place(path), record, birth);
        }
        let facts = DomainFacts { introduced: true, ..DomainFacts::default() };
        engine.domains.set(Domid::DOM0, facts);
        engine
    }

    /// An empty store, to be filled by the items of another.
    pub fn blank(config: Config) -> Self {
        let key = Key(config.seed);
        let mut engine = Self {
            quotas: config.quotas,
            key,
            generation: 0,
            store: Store::new(key),
            specials: Specials::new(key),
            watches: Watches::new(key),
            domains: Domains::new(key, config.existence.clone()),
            connections: BTreeMap::new(),
            open: 0,
            others: 0,
            quota_digest: 0,
            path_buffer: Vec::new(),
            config,
        };
        engine.set_quotas(engine.quotas);
        engine
    }

    /// Somebody has connected. A domain's ring is connected by INTRODUCE and needs this only for dom0 itself.
    ///
    /// A connection of the same number that was there before is disconnected.
    pub fn connect(&mut self, id: ConnectionId, peer: Peer, effects: &mut Effects) {
        self.disconnect(id, effects);
        self.set_peer(id, peer);
        effects.items.push(&Item::Connection { id, peer });
    }

    /// A connection is gone, and with it its watches and transactions.
    pub fn disconnect(&mut self, id: ConnectionId, effects: &mut Effects) {
        if self.drop_connection(id) {
            effects.items.push(&Item::ConnectionGone { id });
        }
    }

    /// Whether there is such a connection.
    pub fn is_connected(&self, id: ConnectionId) -> bool {
        self.connections.contains_key(&id)
    }

    /// Executes one request completely. A request of an unknown connection is ignored.
    ///
    /// # Errors
    /// Something that the request would use does not match its digest; nothing has been done.
    pub fn handle(
        &mut self,
        id: ConnectionId,
        message: &Message<'_>,
        effects: &mut Effects,
    ) -> Result<(), Damage> {
        let mark = effects.mark();
        match self.execute(id, message, effects) {
            Ok(()) => Ok(()),
            Err(Failure::Errno(errno)) => {
                effects.outputs.error(id, message.header, errno);
                Ok(())
            }
            Err(Failure::Damage(damage)) => {
                effects.back_to(mark);
                Err(*damage)
            }
        }
    }

    /// Executes one request although there is no good copy of what is damaged: what needs it is answered with EIO.
    /// What was damaged is returned, to be reported.
    pub fn handle_damaged(
        &mut self,
        id: ConnectionId,
        message: &Message<'_>,
        effects: &mut Effects,
    ) -> Option<Damage> {
        let damage = self.handle(id, message, effects).err()?;
        effects.outputs.error(id, message.header, Errno::Io);
        Some(damage)
    }

    fn execute(
        &mut self,
        id: ConnectionId,
        message: &Message<'_>,
        effects: &mut Effects,
    ) -> Result<(), Failure> {
        let Some(identity) = self.identity(id)? else { return Ok(()) };
        let mut request = Request {
            connection: id,
            identity,
            header: message.header,
            payload: message.payload,
            transaction: None,
            effects,
        };
        let kind = request.admit()?;
        if !kind.ignores_transaction() {
            request.transaction = self.take_transaction(id, message.header.transaction)?;
        }
        let result = self.dispatch(kind, &mut request);
        if let Some(transaction) = request.transaction.take() {
            self.put_transaction_back(id, transaction);
        }
        result
    }

    /// With which rights a connection acts; none if it is not known.
    pub(crate) fn identity(&self, id: ConnectionId) -> Result<Option<Identity>, Damage> {
        let Some(connection) = self.connections.get(&id) else { return Ok(None) };
        let peer = connection.checked_peer(self.key, id)?;
        let domid = peer.domid();
        let is_ring = matches!(peer, Peer::Domain(_));
        let privileged = domid == Domid::DOM0 || self.config.privileged.contains(&domid);
        let target = if is_ring && !privileged {
            self.domains.facts(domid)?.and_then(|facts| facts.target)
        } else {
            None
        };
        Ok(Some(Identity {
            domid,
            is_ring,
            privileged,
            read_only: peer == Peer::Socket { read_only: true },
            target,
        }))
    }

    /// Takes a transaction out of its connection, for the time of a request.
    fn take_transaction(&mut self, id: ConnectionId, number: u32) -> Result<Option<Transaction>, Errno> {
        if number == 0 {
            return Ok(None);
        }
        let open = self.connections.get_mut(&id).map(|connection| &mut connection.transactions);
        let open = open.ok_or(Errno::NotFound)?;
        let at = open.iter().position(|open| open.id == number).ok_or(Errno::NotFound)?;
        Ok(Some(open.swap_remove(at)))
    }

    fn put_transaction_back(&mut self, id: ConnectionId, transaction: Transaction) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.transactions.push(transaction);
        }
    }

    /// The number of the next change.
    pub(crate) fn tick(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    /// The bytes that a domain's nodes, watches and transactions take. The host adds what waits to be sent, and stops
    /// reading from the domain once the sum reaches [`Quota::Memory`].
    pub fn memory(&self, domid: Domid) -> usize {
        let nodes = self.store.account(domid).bytes;
        let Some(ring) = self.connections.get(&ConnectionId::of_domain(domid)) else { return nodes };
        nodes + ring.watch_bytes + ring.transactions.iter().map(|open| open.bytes).sum::<usize>()
    }

    /// Whether a domain is limited by quotas.
    pub fn is_unprivileged(&self, domid: Domid) -> bool {
        domid != Domid::DOM0 && !self.config.privileged.contains(&domid)
    }

    /// The value of a limit.
    pub fn quota(&self, quota: Quota) -> usize {
        self.quotas.get(quota)
    }

    /// The domains of which something is known, in the order of their numbers.
    pub fn domains(&self) -> impl Iterator<Item = (Domid, DomainFacts)> {
        self.domains.after(None).map(|(domid, facts)| (domid, *facts))
    }

    /// The connections, in the order of their numbers.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, Peer)> {
        self.connections.iter().filter_map(|(&id, known)| Some((id, known.peer()?)))
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.store.len()
    }

    /// The digest of the whole replicated state.
    pub fn digest(&self) -> u64 {
        let sums = [self.specials.digest(), self.watches.digest(), self.domains.digest(), self.others];
        sums.iter().fold(self.store.digest(), |sum, part| sum.wrapping_add(*part))
    }

    /// The paths of a node's children, in their order.
    pub fn children(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let Ok(Some((_, node))) = self.store.get_path(path) else { return Vec::new() };
        let ids = node.children.iter().flat_map(|children| children.ids());
        ids.filter_map(|id| self.store.node(id)).map(|child| child.path().to_vec()).collect()
    }

    /// Writes the home of a connection, where its relative paths lie.
    pub(crate) fn push_home(identity: &Identity, into: &mut Vec<u8>) {
        path::push_home(identity.domid, into);
    }
}
