//! The replicated state, piece by piece.
//!
//! A list of items is what changed, and the list of all items is the whole state of an engine. Items are applied in
//! order, and applying one twice does no harm. Those that say that something is gone need not be kept longer than
//! what they speak of.

mod decode;
mod encode;

pub use decode::{ItemError, ItemList};
pub use encode::Items;

use xen_abi::Domid;

use crate::quota::Quotas;
use crate::record::RecordView;
use crate::{ConnectionId, Peer};

/// A piece of the replicated state, or the news that it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A node as it is now. The special nodes' paths begin with `@`.
    Node {
        /// Its path.
        path: &'a [u8],
        /// When it was created: its place among its siblings.
        birth: u64,
        /// When it was last changed.
        generation: u64,
        /// Its permissions and value.
        record: RecordView<'a>,
    },
    /// A node is gone with all below it.
    RemoveTree {
        /// Its path.
        path: &'a [u8],
        /// When it was removed.
        generation: u64,
    },
    /// Somebody is connected.
    Connection {
        /// The connection.
        id: ConnectionId,
        /// Who it is.
        peer: Peer,
    },
    /// A connection is gone with its watches and transactions.
    ConnectionGone {
        /// The connection.
        id: ConnectionId,
    },
    /// A watch.
    Watch {
        /// Whose it is.
        connection: ConnectionId,
        /// The absolute path or special event that is watched.
        path: &'a [u8],
        /// What the client calls it.
        token: &'a [u8],
        /// How many levels below the path count; none for all.
        depth: Option<u32>,
        /// Whether the client named the path relative to its home, and hears of it so.
        relative: bool,
        /// When it was set: the order in which watches hear of a change.
        generation: u64,
    },
    /// A watch is gone.
    Unwatch {
        /// Whose it was.
        connection: ConnectionId,
        /// What was watched.
        path: &'a [u8],
        /// What the client called it.
        token: &'a [u8],
    },
    /// What is known of a domain.
    Domain {
        /// The domain.
        domid: Domid,
        /// The rest.
        facts: DomainFacts,
    },
    /// A domain is gone. What it owned is gone by items of its own.
    DomainGone {
        /// The domain.
        domid: Domid,
    },
    /// A transaction is open.
    TransactionOpen {
        /// Whose it is.
        connection: ConnectionId,
        /// Its number on that connection.
        id: u32,
    },
    /// A transaction has ended.
    TransactionClosed {
        /// Whose it was.
        connection: ConnectionId,
        /// Its number on that connection.
        id: u32,
    },
    /// The quotas.
    Quotas(Quotas),
}

/// What is known of a domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DomainFacts {
    /// The store's generation when the domain became known: permissions from before do not mean this domain.
    pub generation: u64,
    /// Whether it is being served.
    pub introduced: bool,
    /// Whether it has shut down, and watchers of `@releaseDomain` know.
    pub shutdown: bool,
    /// The frame of its ring, as whoever introduced it said.
    pub gfn: u64,
    /// Its event channel, as whoever introduced it said.
    pub port: u32,
    /// The domain with whose rights it may act besides its own.
    pub target: Option<Domid>,
}

/// The numbers of the kinds of items.
mod tag {
    pub const NODE: u8 = 0;
    pub const REMOVE_TREE: u8 = 1;
    pub const CONNECTION: u8 = 2;
    pub const CONNECTION_GONE: u8 = 3;
    pub const WATCH: u8 = 4;
    pub const UNWATCH: u8 = 5;
    pub const DOMAIN: u8 = 6;
    pub const DOMAIN_GONE: u8 = 7;
    pub const TRANSACTION_OPEN: u8 = 8;
    pub const TRANSACTION_CLOSED: u8 = 9;
    pub const QUOTAS: u8 = 10;
}

/// Bits in the flags of connections, watches and domains.
mod flag {
    pub const RING: u8 = 1;
    pub const READ_ONLY: u8 = 2;
    pub const RELATIVE: u8 = 1;
    pub const HAS_DEPTH: u8 = 2;
    pub const INTRODUCED: u8 = 1;
    pub const SHUTDOWN: u8 = 2;
    pub const HAS_TARGET: u8 = 4;
}
