//! What each domain's nodes cost.

use alloc::collections::BTreeMap;

use xen_abi::Domid;

/// What a domain owns in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// Nodes.
    pub nodes: usize,
    /// Bytes, as the C daemon counts them.
    pub bytes: usize,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Accounts(BTreeMap<Domid, Account>);

impl Accounts {
    pub(super) fn get(&self, owner: Domid) -> Account {
        self.0.get(&owner).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, owner: Domid, bytes: usize) {
        let account = self.0.entry(owner).or_default();
        account.nodes += 1;
        account.bytes += bytes;
    }

    pub(super) fn remove(&mut self, owner: Domid, bytes: usize) {
        let Some(account) = self.0.get_mut(&owner) else { return };
        account.nodes = account.nodes.saturating_sub(1);
        account.bytes = account.bytes.saturating_sub(bytes);
        if account.nodes == 0 {
            self.0.remove(&owner);
        }
    }

    /// A node has grown or shrunk.
    pub(super) fn resize(&mut self, owner: Domid, before: usize, after: usize) {
        if let Some(account) = self.0.get_mut(&owner) {
            account.bytes = (account.bytes + after).saturating_sub(before);
        }
    }
}
