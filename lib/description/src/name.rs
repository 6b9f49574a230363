//! Names of components, images and guests.

use core::fmt;
use heapless::String;
use serde::{Deserialize, Serialize};

/// The most bytes in a name: with a NUL it fills what the boot info page has for it.
pub const MAX_NAME: usize = uk_abi::boot_info::NAME_MAX - 1;

/// A name: 1 to [`MAX_NAME`] bytes of `a-z 0-9 _ . -`, starting with a letter.
///
/// It stands unquoted in event log lines and console commands, which is why the alphabet is so small.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String<MAX_NAME>")]
pub struct Name(String<MAX_NAME>);

/// Why a text is no [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// It has no bytes.
    Empty,
    /// It has `found` bytes, more than [`MAX_NAME`].
    TooLong {
        /// How many bytes it has.
        found: usize,
    },
    /// It has a character outside `a-z 0-9 _ . -`.
    BadCharacter {
        /// The first such character.
        found: char,
    },
    /// It starts with a digit or a sign.
    BadStart {
        /// The character that it starts with.
        found: char,
    },
}

impl Name {
    /// Checks a text and keeps it as a name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let first = text.chars().next().ok_or(NameError::Empty)?;
        if let Some(found) = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '_' | '.' | '-')) {
            return Err(NameError::BadCharacter { found });
        }
        if !first.is_ascii_lowercase() {
            return Err(NameError::BadStart { found: first });
        }
        String::try_from(text).map(Self).map_err(|_| NameError::TooLong { found: text.len() })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name padded with NULs, as the boot info page and the archive's directory hold it.
    pub fn padded(&self) -> [u8; MAX_NAME + 1] {
        let mut bytes = [0; MAX_NAME + 1];
        bytes[..self.0.len()].copy_from_slice(self.0.as_bytes());
        bytes
    }
}

impl TryFrom<String<MAX_NAME>> for Name {
    type Error = NameError;

    fn try_from(text: String<MAX_NAME>) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl core::ops::Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "a name needs at least one character"),
            Self::TooLong { found } => write!(f, "a name has at most {MAX_NAME} bytes, this one has {found}"),
            Self::BadCharacter { found } => {
                write!(f, "a name is made of a-z 0-9 _ . -, this one has {found:?}")
            }
            Self::BadStart { found } => write!(f, "a name starts with a letter, this one with {found:?}"),
        }
    }
}

impl core::error::Error for NameError {}
