//! Why a request has come to nothing.

use alloc::string::String;
use thiserror::Error;
use xenstore::wire::{Errno, Kind};
use xenstore_ring::ConnectionLost;

/// Why a request has come to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// The server has refused it.
    #[error("{asked:?} {path}: {errno}")]
    Refused {
        /// What was asked for.
        asked: Kind,
        /// The path that it was about, or the argument that stands in its place.
        path: String,
        /// Why not.
        errno: Errno,
    },
    /// The server has answered something that is no answer to the request.
    #[error("{asked:?} {path}: answered by kind {kind} with {} bytes", .payload.len())]
    NoAnswer {
        /// What was asked for.
        asked: Kind,
        /// The path that it was about, or the argument that stands in its place.
        path: String,
        /// The number of the kind of message that came.
        kind: u32,
        /// What it said.
        payload: alloc::vec::Vec<u8>,
    },
    /// The connection makes no sense any more. It can be begun anew.
    #[error("the connection to XenStore: {0}")]
    Lost(#[from] ConnectionLost),
}

impl Error {
    /// Why the server has refused it, if that is what has happened.
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// Whether what the request was about is not there.
    pub fn is_not_found(&self) -> bool {
        self.errno() == Some(Errno::NotFound)
    }
}
