//! Transactions: what one has seen and changed, apart from everybody else.
//!
//! A node is copied into the transaction when it is first touched (a copy shares memory with the original), and from
//! then on the transaction sees only its copy. At the end each touched node must be as it was when it was copied.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use hashbrown::HashTable;
use smallvec::SmallVec;
use xen_abi::Domid;

use crate::digest::Key;
use crate::path;
use crate::record::Record;
use crate::store::{Children, NodeId, Place};

/// A node as it is seen in a transaction, or outside of any.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Where it is in the store; nowhere if only a transaction has it.
    pub id: NodeId,
    pub record: Record,
    pub children: Option<Arc<Children>>,
    /// When it was last changed: tells which of its permissions still count.
    pub generation: u64,
    pub birth: u64,
}

impl Seen {
    /// How many bytes the names of its children take.
    pub(crate) fn children_size(&self) -> usize {
        self.children.as_ref().map_or(0, |children| children.size())
    }
}

/// A node that the transaction has touched.
#[derive(Clone, Debug)]
pub(crate) struct Touched {
    pub path: Box<[u8]>,
    pub hash: u64,
    /// The node's generation when it was first touched; none if there was no such node.
    pub found: Option<u64>,
    /// Its record then: who was allowed to see it may hear of the change.
    pub original: Option<Record>,
    /// What it is now in the transaction; none if it does not exist.
    pub now: Option<Seen>,
    /// Whether the transaction changes it.
    pub modified: bool,
    /// Whether the transaction creates it (perhaps in the place of one that it removes), and as which of all.
    pub created: Option<u32>,
    /// Whether watches fire for it, and if so whether only those on exactly this path.
    pub fires: Option<Exactly>,
    /// The digest of all of the above but the original record and the children, who have their own.
    seal: u64,
}

impl Touched {
    /// Its path with the hash.
    pub(crate) fn place(&self) -> Place<'_> {
        Place { path: &self.path, hash: self.hash }
    }

    /// What the seal should be.
    fn digest(&self, key: Key) -> u64 {
        let fields = [
            self.hash,
            self.found.unwrap_or(u64::MAX),
            self.now.as_ref().map_or(0, |now| key.node(now.birth, now.generation, &now.record)),
            u64::from(self.modified) | u64::from(self.created.map_or(u32::MAX, |number| number)) << 32,
            self.fires.map_or(2, u64::from),
        ];
        key.numbers(key.path(&self.path), &fields)
    }

    /// Whether everything about it matches its digests.
    fn is_whole(&self, key: Key) -> bool {
        let children = self.now.as_ref().and_then(|now| now.children.as_ref());
        self.seal == self.digest(key) && children.is_none_or(|children| children.verify().is_ok())
    }
}

/// Whether an event goes only to watches on exactly its path.
pub(crate) type Exactly = bool;

#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    key: Key,
    pub id: u32,
    pub touched: Vec<Touched>,
    by_path: HashTable<(u64, u32)>,
    /// How many nodes it has created so far.
    pub created: u32,
    /// Whether it has already failed.
    pub failed: bool,
    /// Whether a crash has made it forget what it did: it can only end in EAGAIN.
    pub interrupted: bool,
    /// By how much the domains' numbers of nodes change.
    pub balance: SmallVec<[(Domid, i32); 2]>,
    /// Bytes of its copies.
    pub bytes: usize,
    /// Whether quotas limit it.
    pub is_unprivileged: bool,
}

/// Births of nodes that only a transaction has come after all others.
pub(crate) const PROVISIONAL: u64 = 1 << 63;

impl Transaction {
    pub(crate) fn new(key: Key, id: u32, interrupted: bool, is_unprivileged: bool) -> Self {
        Self {
            key,
            id,
            touched: Vec::new(),
            by_path: HashTable::new(),
            created: 0,
            failed: false,
            interrupted,
            balance: SmallVec::new(),
            bytes: 0,
            is_unprivileged,
        }
    }

    /// The position of a node that has been touched.
    pub(crate) fn find(&self, place: Place<'_>) -> Option<usize> {
        let is_it = |&(hash, at): &(u64, u32)| {
            hash == place.hash && self.touched.get(at as usize).is_some_and(|node| *node.path == *place.path)
        };
        self.by_path.find(place.hash, is_it).map(|&(_, at)| at as usize)
    }

    /// Remembers that a node has been touched, as it is or is not; answers its position.
    pub(crate) fn touch(&mut self, place: Place<'_>, now: Option<Seen>) -> usize {
        let at = self.touched.len();
        self.bytes += place.path.len() + now.as_ref().map_or(0, |seen| seen.record.accounted_size(0));
        self.touched.push(Touched {
            path: place.path.into(),
            hash: place.hash,
            found: now.as_ref().map(|seen| seen.generation),
            original: now.as_ref().map(|seen| seen.record.clone()),
            now,
            modified: false,
            created: None,
            fires: None,
            seal: 0,
        });
        self.seal(at);
        self.by_path.insert_unique(place.hash, (place.hash, at as u32), |&(hash, _)| hash);
        at
    }

    /// A touched node has changed, as it should.
    fn seal(&mut self, at: usize) {
        self.touched[at].seal = self.touched[at].digest(self.key);
    }

    /// Whether a touched node is as the transaction left it.
    pub(crate) fn is_whole(&self, at: usize) -> bool {
        self.touched[at].is_whole(self.key)
    }

    /// Something in the transaction is damaged, and there is no other copy: it forgets what it did, as after a crash.
    pub(crate) fn interrupt(&mut self) {
        let forgotten = Self::new(self.key, self.id, true, self.is_unprivileged);
        *self = forgotten;
    }

    /// Watches are to fire for a touched node at the end. An event that goes to watches above as well takes the place
    /// of one that does not, not the other way round.
    pub(crate) fn fire_later(&mut self, at: usize, exactly: Exactly) {
        let fires = &mut self.touched[at].fires;
        *fires = Some(fires.is_none_or(|before| before) && exactly);
        self.seal(at);
    }

    /// A touched node gets another record.
    pub(crate) fn amend(&mut self, place: Place<'_>, record: Record, generation: u64) -> Option<usize> {
        let at = self.find(place)?;
        let touched = &mut self.touched[at];
        touched.modified = true;
        if let Some(now) = &mut touched.now {
            self.bytes = (self.bytes + record.accounted_size(0)).saturating_sub(now.record.accounted_size(0));
            now.record = record;
            now.generation = generation;
        }
        self.seal(at);
        Some(at)
    }

    /// A touched node gets another record, and watches are to fire for it.
    pub(crate) fn rewrite(&mut self, place: Place<'_>, record: Record, generation: u64) {
        if let Some(at) = self.amend(place, record, generation) {
            self.fire_later(at, false);
        }
    }

    /// A node comes into being below another; both have been touched.
    pub(crate) fn create(&mut self, above: Place<'_>, place: Place<'_>, record: Record, generation: u64) {
        let (Some(above), Some(at)) = (self.find(above), self.find(place)) else { return };
        let birth = PROVISIONAL + u64::from(self.created);
        self.count(record.owner(), 1);
        self.bytes += record.accounted_size(0);
        let touched = &mut self.touched[at];
        touched.now = Some(Seen { id: NodeId::NONE, record, children: None, generation, birth });
        touched.modified = true;
        touched.created = Some(self.created);
        self.created += 1;
        self.seal(at);
        if let Some(now) = &mut self.touched[above].now {
            let children = Arc::make_mut(now.children.get_or_insert_default());
            children.push(path::leaf(place.path), NodeId::NONE, birth);
        }
    }

    /// A touched node ceases to be.
    pub(crate) fn remove(&mut self, place: Place<'_>, exactly: Exactly) {
        let Some(at) = self.find(place) else { return };
        let touched = &mut self.touched[at];
        touched.modified = true;
        if let Some(now) = touched.now.take() {
            self.bytes = self.bytes.saturating_sub(now.record.accounted_size(0));
            self.count(now.record.owner(), -1);
        }
        self.fire_later(at, exactly);
    }

    /// Takes a child out of the list of a touched node.
    pub(crate) fn forget_child(&mut self, above: Place<'_>, child: &[u8], birth: u64) {
        let Some(at) = self.find(above) else { return };
        let Some(now) = &mut self.touched[at].now else { return };
        let Some(children) = &mut now.children else { return };
        let list = Arc::make_mut(children);
        list.remove(path::leaf(child), NodeId::NONE, birth);
        if list.is_empty() {
            now.children = None;
        }
    }

    /// A domain owns more or fewer nodes.
    pub(crate) fn count(&mut self, owner: Domid, more: i32) {
        match self.balance.iter_mut().find(|(domid, _)| *domid == owner) {
            Some((_, count)) => *count += more,
            None => self.balance.push((owner, more)),
        }
    }

    /// Flips one bit of what is known of a touched node; false if nothing has been touched.
    #[cfg(feature = "harm")]
    pub(crate) fn harm(&mut self, bit: usize) -> bool {
        if self.touched.is_empty() {
            return false;
        }
        let at = bit / 512 % self.touched.len();
        let touched = &mut self.touched[at];
        match (bit % 512, &mut touched.now) {
            (bit @ 0..64, _) => touched.found = touched.found.map(|found| found ^ 1 << bit),
            (bit @ 64..128, _) => touched.seal ^= 1 << (bit - 64),
            (bit @ 128..192, _) => touched.hash ^= 1 << (bit - 128),
            (192..200, _) => touched.modified ^= true,
            (bit @ 200..256, _) => touched.path[0] ^= 1 << (bit % 8),
            (bit, Some(now)) => now.record.flip(bit % 2 == 0, bit),
            (_, None) => touched.fires = Some(touched.fires.is_none()),
        }
        true
    }
}
