//! Why a frontend is disconnected.

use core::fmt;
use ring::request::Overrun;
use shadow::NotNoted;
use xen_abi::GrantRef;
use xen_abi::grant_table::GrantError;

/// Why a frontend is disconnected: it has said what no frontend in good faith says, or there is no way to go on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The ring's indexes contradict each other.
    Ring(Overrun),
    /// A request with too many segments, or with none that should have some.
    Segments {
        /// How many it says it has.
        found: u16,
        /// How many it may have.
        max: u16,
    },
    /// A segment that is empty or leaves its page.
    Segment {
        /// Its first sector.
        first: u8,
        /// Its last sector.
        last: u8,
    },
    /// An indirect request that neither reads nor writes.
    IndirectOperation {
        /// What it asks for.
        found: u8,
    },
    /// A grant that is none, or not of the kind that the request needs.
    Grant {
        /// The grant.
        gref: GrantRef,
        /// What Xen says.
        error: GrantError,
    },
    /// The ring and the journal do not agree about what is open.
    Contradiction {
        /// The queue.
        queue: u16,
        /// How many requests are open, by the ring's indexes.
        by_ring: u32,
        /// How many are open, by the journal.
        by_journal: u32,
    },
    /// The journal cannot be written.
    Journal(NotNoted),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ring(overrun) => write!(f, "ring: {overrun}"),
            Self::Segments { found, max } => {
                write!(f, "expected at most {max} segments, and some, found {found}")
            }
            Self::Segment { first, last } => {
                write!(f, "expected sectors within a page, found {first} to {last}")
            }
            Self::IndirectOperation { found } => {
                write!(f, "expected an indirect read or write, found operation {found}")
            }
            Self::Grant { gref, error } => write!(f, "grant {gref} cannot be used: {error:?}"),
            Self::Contradiction { queue, by_ring, by_journal } => {
                write!(
                    f,
                    "queue {queue}: {by_ring} requests are open by the ring, {by_journal} by the journal"
                )
            }
            Self::Journal(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for Reason {}

impl From<Overrun> for Reason {
    fn from(overrun: Overrun) -> Self {
        Self::Ring(overrun)
    }
}

impl From<NotNoted> for Reason {
    fn from(error: NotNoted) -> Self {
        Self::Journal(error)
    }
}
