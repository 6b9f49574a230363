//! Why there is no answer, or not the one that was hoped for.

use std::fmt;
use std::io;

use xenstore::wire::{Errno, Kind};

/// A request that was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The daemon refused it.
    #[error("the daemon answers {name} to {kind:?} {what}")]
    Refused {
        /// What was asked for.
        kind: Kind,
        /// The request's payload, printable.
        what: String,
        /// The daemon's answer.
        name: ErrorName,
    },
    /// No answer came in time, or the connection broke.
    #[error("no answer: {0}")]
    Link(#[from] io::Error),
    /// The daemon has closed the connection.
    #[error("the daemon has closed the connection")]
    Closed,
    /// The daemon's answer is not one that the protocol has.
    #[error("asked for {asked}, and the daemon answers {found}")]
    Malformed {
        /// What would have been right.
        asked: &'static str,
        /// What came.
        found: String,
    },
}

impl Error {
    /// The name that the daemon refused the request with, if it did.
    pub fn name(&self) -> Option<&ErrorName> {
        match self {
            Error::Refused { name, .. } => Some(name),
            _ => None,
        }
    }
}

/// The name of an error, as daemons write it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum ErrorName {
    /// One that the protocol has.
    Known(Errno),
    /// One that it does not have, such as oxenstored's `EQUOTA`.
    Other(String),
}

impl ErrorName {
    /// The error that a daemon means by the payload of an error message: the name and a zero byte.
    pub fn of_payload(payload: &[u8]) -> Self {
        let name = payload.strip_suffix(b"\0").unwrap_or(payload);
        let other = || ErrorName::Other(name.escape_ascii().to_string());
        Errno::from_name(name).map_or_else(other, ErrorName::Known)
    }
}

impl fmt::Display for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorName::Known(errno) => errno.name(),
            ErrorName::Other(name) => name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike() {
        for (text, name) in [
            ("ENOENT", ErrorName::Known(Errno::NotFound)),
            ("E2BIG", ErrorName::Known(Errno::TooBig)),
            ("EQUOTA", ErrorName::Other("EQUOTA".into())),
        ] {
            assert_eq!(ErrorName::of_payload(format!("{text}\0").as_bytes()), name);
            assert_eq!(name.to_string(), text);
        }
    }
}
