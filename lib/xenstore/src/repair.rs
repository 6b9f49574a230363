//! Putting right what is damaged, with a copy from an engine in which it is not.

use crate::connection::ConnectionId;
use crate::damage::{Damage, Part, Subject};
use crate::engine::Engine;
use crate::item::{Item, ItemError, ItemList, Items};
use crate::path;

impl Engine {
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
        }
        true
    }

    /// Puts a good copy in the place of what is damaged.
    ///
    /// # Errors
    /// A byte sequence in the list is no item; those before it have been applied.
    pub fn repair(&mut self, subject: &Subject, copy: ItemList<'_>) -> Result<(), ItemError> {
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
