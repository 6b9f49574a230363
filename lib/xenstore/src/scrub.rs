//! Looking for damage at leisure, before a client comes upon it.

#[cfg(feature = "harm")]
use crate::connection::ConnectionId;
use crate::damage::Damage;
use crate::engine::Engine;
use crate::path;
use crate::store::NodeCursor;
#[cfg(feature = "harm")]
use crate::store::Spot;

/// Where a walk through the state goes on. It survives any change in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    nodes: NodeCursor,
    watch: u32,
}

/// What a step of a walk did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How much of the budget was used: about the number of nodes and watches that were looked at.
    pub checked: usize,
    /// Whether the walk came to its end, and the next step begins another.
    pub finished: bool,
}

impl Engine {
    /// Checks about `budget` nodes and watches, and goes on from there the next time. At the end it checks what is
    /// small in one step: connections, domains, special nodes and quotas.
    ///
    /// # Errors
    /// Something does not match its digest. The next step goes on behind it.
    pub fn scrub(&self, cursor: &mut Cursor, budget: usize) -> Result<Progress, Damage> {
        let mut left = budget;
        let all_nodes = self.store.scrub(&mut cursor.nodes, &mut left)?;
        while all_nodes && left > 0 && cursor.watch < self.watches.end() {
            cursor.watch += 1;
            left -= 1;
            self.watches.scrub(cursor.watch - 1)?;
        }
        let finished = all_nodes && cursor.watch >= self.watches.end();
        if finished {
            *cursor = Cursor::default();
            self.scrub_rest()?;
        }
        Ok(Progress { checked: budget - left, finished })
    }

    fn scrub_rest(&self) -> Result<(), Damage> {
        self.check_quotas()?;
        for name in [path::INTRODUCE_DOMAIN, path::RELEASE_DOMAIN] {
            self.specials.get(name)?;
        }
        for (domid, _) in self.domains.after(None) {
            self.domains.facts(domid)?;
        }
        for (&id, connection) in &self.connections {
            if connection.peer().is_some() {
                connection.checked_peer(self.key, id)?;
            }
        }
        Ok(())
    }

    /// Flips a bit of a node; false if there is nothing like that to flip.
    #[cfg(feature = "harm")]
    pub fn harm_node(&mut self, path: &[u8], spot: Spot, bit: usize) -> bool {
        self.store.harm(path, spot, bit)
    }

    /// Flips a bit of the watch with this number; false if there is no such watch.
    #[cfg(feature = "harm")]
    pub fn harm_watch(&mut self, number: u32, bit: usize) -> bool {
        self.watches.harm(number, bit)
    }

    /// Flips a bit of what is known of a domain; false if it is not known.
    #[cfg(feature = "harm")]
    pub fn harm_domain(&mut self, domid: xen_abi::Domid, bit: usize) -> bool {
        self.domains.harm(domid, bit)
    }

    /// Flips a bit of who a connection is; false if there is no such connection.
    #[cfg(feature = "harm")]
    pub fn harm_connection(&mut self, id: ConnectionId, bit: usize) -> bool {
        self.connections.get_mut(&id).map(|connection| connection.harm(bit)).is_some()
    }

    /// Flips a bit of what a connection's only transaction has touched; false if there is no such thing.
    #[cfg(feature = "harm")]
    pub fn harm_transaction(&mut self, id: ConnectionId, bit: usize) -> bool {
        let open = self.connections.get_mut(&id).and_then(|connection| connection.transactions.first_mut());
        open.is_some_and(|transaction| transaction.harm(bit))
    }
}
