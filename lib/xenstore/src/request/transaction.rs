//! TRANSACTION_START and TRANSACTION_END.

use alloc::vec::Vec;

use super::{Failure, Request};
use crate::connection::ConnectionId;
use crate::damage::Damage;
use crate::effects::Effects;
use crate::engine::Engine;
use crate::event::{Audience, Guard};
use crate::item::Item;
use crate::path;
use crate::quota::Quota;
use crate::transaction::{Touched, Transaction};
use crate::wire::{Decimal, Errno, one_string};

impl Engine {
    /// TRANSACTION_START `|`: opens a transaction and answers its number.
    pub(super) fn transaction_start(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        if request.transaction.is_some() {
            return Err(Errno::Busy.into());
        }
        let limit = self.quotas.get(Quota::Transactions);
        let Some(connection) = self.connections.get_mut(&request.connection) else { return Ok(()) };
        if !request.identity.privileged && connection.transactions.len() > limit {
            return Err(Errno::Space.into());
        }
        let is_taken = |id| id == 0 || connection.transactions.iter().any(|open| open.id == id);
        let mut id = connection.next_transaction;
        while is_taken(id) {
            id = id.wrapping_add(1);
        }
        connection.next_transaction = id.wrapping_add(1);
        self.tick();
        self.open_transaction(request.connection, id, false);
        request.effects.items.push(&Item::TransactionOpen { connection: request.connection, id });
        request.reply(|payload| {
            payload.extend_from_slice(Decimal::new(u64::from(id)).as_bytes());
            payload.push(0);
        });
        Ok(())
    }

    /// TRANSACTION_END `T|` or `F|`: commits or drops the transaction.
    pub(super) fn transaction_end(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        let commit = match one_string(request.payload) {
            Some(b"T") => true,
            Some(b"F") => false,
            _ => return Err(Errno::Invalid.into()),
        };
        let Some(transaction) = request.transaction.take() else { return Err(Errno::NotFound.into()) };
        let result = if commit { self.commit(request.effects, &transaction) } else { Ok(()) };
        if matches!(result, Err(Failure::Damage(_))) {
            request.transaction = Some(transaction);
            return result;
        }
        if commit && !request.identity.privileged {
            request.disturb(1, self.open - 1);
        }
        self.close_transaction(request.connection, transaction.id, request.effects);
        result?;
        request.acknowledge();
        Ok(())
    }

    /// Makes what a transaction did true for everybody, if nobody else has changed what it has seen.
    fn commit(&mut self, effects: &mut Effects, transaction: &Transaction) -> Result<(), Failure> {
        if transaction.interrupted {
            return Err(Errno::Again.into());
        }
        if transaction.failed {
            return Err(Errno::Memory.into());
        }
        if !(0..transaction.touched.len()).all(|at| transaction.is_whole(at)) {
            return Err(Errno::Again.into());
        }
        self.check_balance(transaction)?;
        for touched in &transaction.touched {
            self.check_touched(touched)?;
        }
        for touched in &transaction.touched {
            self.announce(effects, transaction, touched)?;
        }
        self.carry_out(effects, transaction);
        Ok(())
    }

    /// No domain may come to own more nodes than its quota allows, and each must still exist.
    fn check_balance(&self, transaction: &Transaction) -> Result<(), Errno> {
        let limit = self.quotas.get(Quota::Nodes) as i64;
        let checked = transaction.created > 0 && transaction.is_unprivileged;
        for &(owner, more) in &transaction.balance {
            if !self.domains.exists(u32::from(owner.0)) {
                return Err(Errno::Memory);
            }
            let nodes = self.store.account(owner).nodes as i64 + i64::from(more);
            if checked && self.is_unprivileged(owner) && nodes >= limit {
                return Err(Errno::Space);
            }
        }
        Ok(())
    }

    /// What has been touched must still be as it was, and whole if it is to be changed.
    fn check_touched(&self, touched: &Touched) -> Result<(), Failure> {
        let found = self.store.get(touched.place())?;
        if found.map(|(_, node)| node.generation) != touched.found {
            return Err(Errno::Again.into());
        }
        if touched.modified
            && let Some((id, node)) = found
        {
            crate::store::check_children(node, |children| children.verify())?;
            self.store.parent(node)?;
            self.store.check_way_up(id)?;
        }
        Ok(())
    }

    /// Sends the events of one change.
    fn announce(
        &self,
        effects: &mut Effects,
        transaction: &Transaction,
        touched: &Touched,
    ) -> Result<(), Damage> {
        let Some(exactly) = touched.fires else { return Ok(()) };
        self.fire(effects, &touched.path, exactly, |engine| {
            let before: Option<Guard> = touched.original.clone().zip(touched.found);
            let now = touched.now.as_ref().map(Guard::from);
            let above = engine.store.place(path::parent(&touched.path));
            let parent = match transaction.find(above) {
                Some(at) => transaction.touched[at].now.as_ref().map(Guard::from),
                None => engine.store.get(above)?.map(|(_, node)| (node.record.clone(), node.generation)),
            };
            Ok(Audience { before, now, parent })
        })
    }

    /// Changes the store: removals first, then creations in their order, then what is just written.
    fn carry_out(&mut self, effects: &mut Effects, transaction: &Transaction) {
        let changed = || transaction.touched.iter().filter(|touched| touched.modified);
        for touched in changed().filter(|it| it.found.is_some() && (it.now.is_none() || it.created.is_some()))
        {
            if let Ok(Some((id, _))) = self.store.get(touched.place()) {
                let generation = self.tick();
                effects.items.push(&Item::RemoveTree { path: &touched.path, generation });
                self.store.remove(id);
            }
        }
        let mut created: Vec<&Touched> = changed().filter(|it| it.created.is_some()).collect();
        created.sort_unstable_by_key(|touched| touched.created);
        for touched in created {
            let Some(now) = &touched.now else { continue };
            let Ok(Some((parent, _))) = self.store.get_path(path::parent(&touched.path)) else { continue };
            let birth = self.tick();
            let (path, record) = (&*touched.path, now.record.view());
            effects.items.push(&Item::Node { path, birth, generation: birth, record });
            self.store.create(parent, touched.place(), now.record.clone(), birth);
        }
        for touched in changed().filter(|it| it.found.is_some() && it.created.is_none()) {
            let Some(now) = &touched.now else { continue };
            let Ok(Some((id, node))) = self.store.get(touched.place()) else { continue };
            let birth = node.birth;
            let generation = self.tick();
            let (path, record) = (&*touched.path, now.record.view());
            effects.items.push(&Item::Node { path, birth, generation, record });
            self.store.write(id, Some(now.record.clone()), generation);
        }
    }

    /// Counts a transaction in.
    pub(crate) fn open_transaction(&mut self, id: ConnectionId, number: u32, interrupted: bool) {
        let is_unprivileged = !matches!(self.identity(id), Ok(Some(identity)) if identity.privileged);
        let digest = self.transaction_digest(id, number);
        let connection = self.connections.entry(id).or_insert_with(crate::connection::Connection::unknown);
        connection.transactions.push(Transaction::new(self.key, number, interrupted, is_unprivileged));
        self.others = self.others.wrapping_add(digest);
        self.open += 1;
    }

    /// Counts a transaction out that is no longer with its connection.
    pub(crate) fn close_transaction(&mut self, id: ConnectionId, number: u32, effects: &mut Effects) {
        self.forget_transaction(id, number);
        effects.items.push(&Item::TransactionClosed { connection: id, id: number });
    }

    pub(crate) fn forget_transaction(&mut self, id: ConnectionId, number: u32) {
        self.others = self.others.wrapping_sub(self.transaction_digest(id, number));
        self.open = self.open.saturating_sub(1);
    }

    pub(crate) fn transaction_digest(&self, id: ConnectionId, number: u32) -> u64 {
        self.key.bytes(4, &(u64::from(id.0) << 32 | u64::from(number)).to_le_bytes())
    }
}
