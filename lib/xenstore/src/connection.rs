//! Who is connected, and with which rights.

use alloc::vec::Vec;

use xen_abi::Domid;

use crate::damage::{Damage, Part, Subject};
use crate::digest::Key;
use crate::item::Item;
use crate::transaction::Transaction;
use crate::watch::WatchId;

/// A connection's number, chosen by the host for sockets; a domain's ring has one that follows from the domid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

impl ConnectionId {
    /// The first number that belongs to a ring; sockets have lower ones.
    pub const FIRST_RING: Self = Self(0xffff_0000);

    /// The domain whose ring has this number.
    pub const fn ring_of(self) -> Option<Domid> {
        if self.0 >= Self::FIRST_RING.0 { Some(Domid(self.0 as u16)) } else { None }
    }

    /// The number of a domain's ring.
    pub const fn of_domain(domid: Domid) -> Self {
        Self(Self::FIRST_RING.0 | domid.0 as u32)
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A program on a socket: it acts as dom0.
    Socket {
        /// Whether it may only read.
        read_only: bool,
    },
    /// A domain, over its ring.
    Domain(Domid),
}

impl Peer {
    /// The domain as which it acts.
    pub const fn domid(self) -> Domid {
        match self {
            Self::Socket { .. } => Domid::DOM0,
            Self::Domain(domid) => domid,
        }
    }
}

/// With which rights a connection acts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    /// The domain.
    pub domid: Domid,
    /// Whether it is a ring's (the watches of rings count for their domains).
    pub is_ring: bool,
    /// Whether it may do everything.
    pub privileged: bool,
    /// Whether it may not write whatever else it may.
    pub read_only: bool,
    /// The other domain with whose rights it acts.
    pub target: Option<Domid>,
}

#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// Who it is; none while only its watches or transactions are known.
    peer: Option<Peer>,
    digest: u64,
    pub watches: Vec<WatchId>,
    /// How many bytes the watches count for.
    pub watch_bytes: usize,
    pub transactions: Vec<Transaction>,
    pub next_transaction: u32,
}

impl Connection {
    /// A connection of which nothing is known yet.
    pub(crate) const fn unknown() -> Self {
        Self {
            peer: None,
            digest: 0,
            watches: Vec::new(),
            watch_bytes: 0,
            transactions: Vec::new(),
            next_transaction: 0,
        }
    }

    pub(crate) fn set_peer(&mut self, key: Key, id: ConnectionId, peer: Peer) {
        self.peer = Some(peer);
        self.digest = digest_of(key, id, peer);
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Who it is, unchecked.
    pub(crate) fn peer(&self) -> Option<Peer> {
        self.peer
    }

    /// Who it is, checked.
    pub(crate) fn checked_peer(&self, key: Key, id: ConnectionId) -> Result<Peer, Damage> {
        let peer = self.peer.unwrap_or(Peer::Socket { read_only: true });
        let found = digest_of(key, id, peer);
        if found == self.digest {
            return Ok(peer);
        }
        let subject = Subject::Connection(id);
        Err(Damage { subject, part: Part::Fields, expected: self.digest, found })
    }

    /// The item that tells of the connection.
    pub(crate) fn item(&self, id: ConnectionId) -> Option<Item<'static>> {
        Some(Item::Connection { id, peer: self.peer? })
    }

    /// Flips one bit of who it is.
    #[cfg(feature = "harm")]
    pub(crate) fn harm(&mut self, bit: usize) {
        match (&mut self.peer, bit % 80) {
            (Some(Peer::Domain(domid)), bit) if bit < 16 => domid.0 ^= 1 << bit,
            (Some(Peer::Socket { read_only }), bit) if bit < 16 => *read_only ^= true,
            (_, bit) => self.digest ^= 1 << (bit % 64),
        }
    }
}

fn digest_of(key: Key, id: ConnectionId, peer: Peer) -> u64 {
    let peer = match peer {
        Peer::Socket { read_only } => 1 << 16 | u64::from(read_only),
        Peer::Domain(domid) => u64::from(domid.0),
    };
    key.bytes(3, &(u64::from(id.0) << 32 | peer).to_le_bytes())
}
