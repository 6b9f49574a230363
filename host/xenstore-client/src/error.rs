//! Why there is no answer, or not the one that was hoped for.

use std::fmt;
use std::io;

use crate::wire::Kind;

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
#[expect(missing_docs, reason = "they are the names of errno.h")]
pub enum ErrorName {
    Einval,
    Eacces,
    Eexist,
    Eisdir,
    Enoent,
    Enomem,
    Enospc,
    Eio,
    Enotempty,
    Enosys,
    Erofs,
    Ebusy,
    Eagain,
    Eisconn,
    E2big,
    Eperm,
    /// A name that the C daemon does not know, such as oxenstored's `EQUOTA`.
    Other(String),
}

/// The names with their spelling.
const NAMES: [(&str, ErrorName); 16] = [
    ("EINVAL", ErrorName::Einval),
    ("EACCES", ErrorName::Eacces),
    ("EEXIST", ErrorName::Eexist),
    ("EISDIR", ErrorName::Eisdir),
    ("ENOENT", ErrorName::Enoent),
    ("ENOMEM", ErrorName::Enomem),
    ("ENOSPC", ErrorName::Enospc),
    ("EIO", ErrorName::Eio),
    ("ENOTEMPTY", ErrorName::Enotempty),
    ("ENOSYS", ErrorName::Enosys),
    ("EROFS", ErrorName::Erofs),
    ("EBUSY", ErrorName::Ebusy),
    ("EAGAIN", ErrorName::Eagain),
    ("EISCONN", ErrorName::Eisconn),
    ("E2BIG", ErrorName::E2big),
    ("EPERM", ErrorName::Eperm),
];

impl ErrorName {
    /// The error that a daemon means by the payload of an error message: the name and a zero byte.
    pub fn of_payload(payload: &[u8]) -> Self {
        let text = payload.strip_suffix(b"\0").unwrap_or(payload).escape_ascii().to_string();
        let known = NAMES.iter().find(|(name, _)| *name == text);
        known.map_or(ErrorName::Other(text), |(_, name)| name.clone())
    }
}

impl fmt::Display for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = NAMES.iter().find(|(_, name)| name == self).map(|(text, _)| *text);
        f.write_str(match self {
            ErrorName::Other(text) => text,
            _ => known.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike() {
        for (text, name) in &NAMES {
            assert_eq!(ErrorName::of_payload(format!("{text}\0").as_bytes()), *name);
            assert_eq!(name.to_string(), *text);
        }
        let other = ErrorName::of_payload(b"EQUOTA\0");
        assert_eq!(other, ErrorName::Other("EQUOTA".into()));
        assert_eq!(other.to_string(), "EQUOTA");
    }
}
