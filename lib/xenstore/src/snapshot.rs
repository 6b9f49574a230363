//! Giving the replicated state: all of it, piece by piece, and whether a piece is still so.

use crate::connection::ConnectionId;
use crate::engine::Engine;
use crate::item::{Item, Items};
use crate::path;
use crate::store::NodeId;

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
    pub(crate) fn push_connection(&self, id: ConnectionId, into: &mut Items) {
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
}
