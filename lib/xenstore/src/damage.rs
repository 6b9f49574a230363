//! Damage: state that does not match its digest, found before anybody could act on it.

use alloc::boxed::Box;
use core::fmt;

use xen_abi::Domid;

use crate::ConnectionId;

/// What a damage is a damage of: the unit that is fetched from a good copy and put in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The node with this path: its record, its place in the index, or the list of its children.
    Node(Box<[u8]>),
    /// A connection, with its watches and the transactions it has open.
    Connection(ConnectionId),
    /// What is known of a domain.
    Domain(Domid),
    /// The quotas.
    Quotas,
}

/// Which part of the subject does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Permissions, value, birth or generation, or the digest of these.
    Record,
    /// The digest of the node with everything below it.
    Tree,
    /// The names of the children.
    Children,
    /// Where the node stands in memory: the index, or a link to another node.
    Place,
    /// Fields of a watch, connection, domain or the quotas.
    Fields,
}

/// Something that the request would have used does not match its digest. Nothing has been done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What to replace with a good copy.
    pub subject: Subject,
    /// What of it is damaged.
    pub part: Part,
    /// The digest it should have.
    pub expected: u64,
    /// The digest it has.
    pub found: u64,
}

impl Damage {
    pub(crate) fn node(path: &[u8], part: Part, expected: u64, found: u64) -> Self {
        Self { subject: Subject::Node(path.into()), part, expected, found }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, part, expected, found } = self;
        match subject {
            Subject::Node(path) => write!(f, "node {}", path.escape_ascii())?,
            Subject::Connection(id) => write!(f, "connection {}", id.0)?,
            Subject::Domain(domid) => write!(f, "domain {domid}")?,
            Subject::Quotas => write!(f, "quotas")?,
        }
        let part = match part {
            Part::Record => "record",
            Part::Tree => "sum of its subtree",
            Part::Children => "list of children",
            Part::Place => "place in memory",
            Part::Fields => "fields",
        };
        write!(f, ": {part} has digest {found:#018x}, not {expected:#018x}")
    }
}

impl core::error::Error for Damage {}
