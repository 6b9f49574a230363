//! What is wrong with a configuration, and where.

use alloc::string::String;

use thiserror::Error;

use crate::text::Place;

/// The first mistake in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {reason}")]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// What.
    pub reason: Reason,
}

/// What a mistake is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Reason {
    /// The text is no list of settings.
    #[error("{wanted} expected, {found} found")]
    Syntax {
        /// What should stand there.
        wanted: &'static str,
        /// What does.
        found: String,
    },
    /// A key that is not in the manual page.
    #[error("{key}: xl.cfg(5) has no such key")]
    UnknownKey {
        /// The key.
        key: String,
    },
    /// A key that is not supported.
    #[error("{key}: refused: {why}")]
    Refused {
        /// The key, or a part of a disk or network interface.
        key: String,
        /// Why.
        why: &'static str,
    },
    /// A key that comes twice.
    #[error("{key}: it is set already, at {first}")]
    Twice {
        /// The key.
        key: String,
        /// Where it is set for the first time.
        first: Place,
    },
    /// A value that is none for its key.
    #[error("{key}: {wanted} expected, {found} found")]
    Value {
        /// The key, or a part of a disk or network interface.
        key: String,
        /// What would be one.
        wanted: &'static str,
        /// What stands there.
        found: String,
    },
    /// A key without which there is no guest.
    #[error("{key} is missing: {why}")]
    Missing {
        /// The key, or a part of a disk or network interface.
        key: &'static str,
        /// What it is for.
        why: &'static str,
    },
}

impl Reason {
    /// A key that means nothing here: refused for the reason that `refused`, a list of keys with reasons, has for it, or unknown.
    pub(crate) fn no_use_for(key: &str, refused: &[(&str, &'static str)]) -> Self {
        let why = refused.iter().find(|(name, _)| *name == key).map(|(_, why)| *why);
        let key = key.into();
        match why {
            Some(why) => Self::Refused { key, why },
            None => Self::UnknownKey { key },
        }
    }

    /// This, at a place.
    pub(crate) fn at(self, place: Place) -> Mistake {
        Mistake { place, reason: self }
    }
}
