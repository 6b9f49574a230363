//! Why a boot archive is unusable.

use super::{Kind, MAX_BLOBS, VERSION};
use crate::{DecodeError, Name};
use core::fmt;

/// Why bytes are no boot archive, or why a part of one is unusable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchiveError {
    /// They do not start as an archive does.
    NotAnArchive,
    /// The archive is of another version.
    WrongVersion {
        /// Its version; this reader knows one alone.
        found: u32,
    },
    /// More blobs than [`MAX_BLOBS`].
    TooManyBlobs {
        /// How many the header says.
        found: u32,
    },
    /// The archive says that it is longer than what is there.
    Truncated {
        /// The bytes it says.
        needed: u64,
        /// The bytes that are there.
        found: usize,
    },
    /// Header or directory have changed since they were written.
    CorruptDirectory,
    /// An entry of the directory is impossible: its name, its kind, or its place.
    BadEntry {
        /// The entry's index.
        index: usize,
    },
    /// A blob has changed since it was written.
    CorruptBlob {
        /// What it is.
        kind: Kind,
        /// Its index in the directory.
        index: usize,
    },
    /// The archive has no blob of this kind, or none of this name.
    Missing {
        /// The kind.
        kind: Kind,
        /// The name; `None` for the description.
        name: Option<Name>,
    },
    /// The description is unusable.
    Description(DecodeError),
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnArchive => write!(f, "not a boot archive"),
            Self::WrongVersion { found } => {
                write!(f, "a boot archive of version {VERSION} expected, {found} found")
            }
            Self::TooManyBlobs { found } => write!(f, "at most {MAX_BLOBS} blobs expected, {found} found"),
            Self::Truncated { needed, found } => {
                write!(f, "the boot archive is cut off: {needed} bytes needed, {found} found")
            }
            Self::CorruptDirectory => write!(f, "header or directory of the boot archive are corrupt"),
            Self::BadEntry { index } => {
                write!(f, "entry {index} of the boot archive's directory is impossible")
            }
            Self::CorruptBlob { kind, index } => write!(f, "the {kind} of entry {index} is corrupt"),
            Self::Missing { kind, name: Some(name) } => write!(f, "the boot archive has no {kind} {name}"),
            Self::Missing { kind, name: None } => write!(f, "the boot archive has no {kind}"),
            Self::Description(error) => write!(f, "the description is unusable: {error}"),
        }
    }
}

impl core::error::Error for ArchiveError {}
