//! The replicated state: the store, and what clients have not taken yet.

use crate::deferred::Deferred;
use crate::record::{Builder, Record};
use xenstore::item::{Item, ItemError, ItemList, Items};
use xenstore::{Config, Engine, ItemCursor, Subject};

/// The state of one master or replica.
#[derive(Debug)]
pub struct State {
    /// The store.
    pub engine: Engine,
    /// What waits for clients that do not read.
    pub deferred: Deferred,
    items: Items,
    one: Items,
    checked: Items,
}

/// Where a walk over the whole state goes on.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    engine: ItemCursor,
    engine_done: bool,
    deferred: (u32, u64),
}

impl State {
    /// A state that is to be filled by records.
    pub fn blank(config: &Config) -> Self {
        Self::of(Engine::blank(config.clone()))
    }

    /// The state of this store, with nothing waiting for anybody.
    pub fn of(engine: Engine) -> Self {
        State {
            engine,
            deferred: Deferred::default(),
            items: Items::new(),
            one: Items::new(),
            checked: Items::new(),
        }
    }

    /// The state with which a service begins.
    pub fn initial(config: &Config) -> Self {
        Self::of(Engine::new(config.clone()))
    }

    /// Does what a record says has been done. Doing it twice does no harm.
    ///
    /// # Errors
    /// The record has been written by another version, or not by this program at all.
    pub fn apply(&mut self, record: &Record<'_>) -> Result<(), ItemError> {
        for item in ItemList::new(record.items()) {
            self.engine.apply(&item?);
        }
        record.ended().for_each(|connection| self.deferred.forget(connection));
        for message in record.messages() {
            if let Some(number) = message.deferred {
                self.deferred.push(message.connection, number, message.bytes);
            }
        }
        record.taken().for_each(|(connection, taken)| self.deferred.drop_taken(connection, taken));
        Ok(())
    }

    /// Writes the next part of the whole state, about `budget` bytes, into `chunk`. Returns whether the walk is over.
    /// What exists during the whole walk is written at least once; what changes meanwhile is told by the steps.
    ///
    /// # Errors
    /// This does not match its digest. The walk has to begin again: what it has passed may be damaged as well.
    pub fn walk(&mut self, walk: &mut Walk, budget: usize, chunk: &mut Builder) -> Result<bool, Subject> {
        chunk.begin();
        self.items.clear();
        while !walk.engine_done && self.items.as_bytes().len() < budget {
            let mut cursor = walk.engine;
            self.one.clear();
            let over = self.engine.items(&mut cursor, 1, &mut self.one);
            for item in self.one.list().flatten() {
                // Nothing goes into a log or to a replica that was not checked: it would be given a new digest there.
                let subject = match item {
                    Item::Node { path, .. } => Some(Subject::Node(path.into())),
                    Item::Domain { domid, .. } => Some(Subject::Domain(domid)),
                    Item::Connection { id, .. } => Some(Subject::Connection(id)),
                    Item::Quotas(_) => Some(Subject::Quotas),
                    // Watches are checked with their connection, which comes later.
                    _ => None,
                };
                self.checked.clear();
                match subject {
                    Some(subject) if !self.engine.copy(&subject, &mut self.checked) => return Err(subject),
                    _ => self.items.push(&item),
                }
            }
            (walk.engine, walk.engine_done) = (cursor, over);
        }
        chunk.items(self.items.as_bytes());
        if !walk.engine_done {
            return Ok(false);
        }
        let (mut connection, mut number) = walk.deferred;
        while let Some((id, found, message)) = self.deferred.at_or_after(connection, number) {
            if chunk.len() * 8 >= budget {
                walk.deferred = (id, found);
                return Ok(false);
            }
            chunk.message(id, Some(found), message);
            (connection, number) = (id, found + 1);
        }
        Ok(true)
    }
}
