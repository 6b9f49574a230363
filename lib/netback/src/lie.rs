//! What no honest frontend does. Whoever does it is disconnected, and nobody else is harmed.

use core::fmt;
use ring::request::Overrun;
use xen_abi::GrantRef;
use xen_abi::grant_table::GrantError;

/// Which of a queue's rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RingKind {
    /// Frames that the guest sends.
    Transmit,
    /// Frames that it receives.
    Receive,
    /// Control messages.
    Control,
}

/// What a frontend did that it must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// An index of a ring contradicts what is known.
    Index {
        /// Which ring.
        ring: RingKind,
        /// What is wrong.
        overrun: Overrun,
    },
    /// A frame goes on behind the last request.
    CutShort {
        /// The index of its first request.
        index: u32,
    },
    /// A frame has more pieces than any frontend makes.
    TooManyPieces {
        /// The index of its first request.
        index: u32,
        /// How many there can be.
        most: usize,
    },
    /// A piece goes beyond its page.
    BeyondPage {
        /// The index of its request.
        index: u32,
        /// Where it begins in the page.
        offset: u16,
        /// Its bytes.
        size: u32,
    },
    /// An extra slot says what nobody knows.
    Extra {
        /// The index of its request.
        index: u32,
        /// The number of its type.
        kind: u8,
    },
    /// A frame shall be cut as nobody can.
    Segments {
        /// The index of its first request.
        index: u32,
        /// The number of the type of cutting.
        kind: u8,
        /// The most bytes in each piece.
        size: u16,
    },
    /// A page is not granted to the backend, or not for this.
    Grant {
        /// Which ring.
        ring: RingKind,
        /// The grant.
        gref: GrantRef,
        /// What Xen says.
        error: GrantError,
    },
}

impl fmt::Display for RingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transmit => "transmit",
            Self::Receive => "receive",
            Self::Control => "control",
        })
    }
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index { ring, overrun } => write!(f, "{ring} ring: {overrun}"),
            Self::CutShort { index } => write!(f, "the frame at {index} goes on behind the last request"),
            Self::TooManyPieces { index, most } => {
                write!(f, "the frame at {index} has more pieces than the {most} there can be")
            }
            Self::BeyondPage { index, offset, size } => {
                write!(f, "request {index}: {size} bytes from {offset} on do not lie in one page")
            }
            Self::Extra { index, kind } => {
                write!(f, "request {index}: extra information of unknown type {kind}")
            }
            Self::Segments { index, kind, size } => {
                write!(f, "the frame at {index} shall be cut into {size} bytes each, by type {kind}")
            }
            Self::Grant { ring, gref, error } => write!(f, "{ring} ring: grant {gref}: {error}"),
        }
    }
}

impl core::error::Error for Lie {}
