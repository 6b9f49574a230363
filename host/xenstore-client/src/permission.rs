//! Who may do what with a node.

use std::fmt;
use std::str::FromStr;

/// What a domain may do with a node.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Access {
    /// Nothing.
    None,
    /// Read it.
    Read,
    /// Write it.
    Write,
    /// Both.
    Both,
}

/// One entry of a node's list of permissions. The first entry names the owner, and tells what domains may that are not in the list.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Permission {
    /// What it may do.
    pub access: Access,
    /// Which domain.
    pub domid: u32,
}

/// Text that is no permission.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{found}` is no permission; asked for one of n, r, w and b, and a domain's number")]
pub struct PermissionError {
    /// The text.
    pub found: String,
}

const LETTERS: [(char, Access); 4] =
    [('n', Access::None), ('r', Access::Read), ('w', Access::Write), ('b', Access::Both)];

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter =
            LETTERS.iter().find(|(_, access)| *access == self.access).map_or('n', |(letter, _)| *letter);
        write!(f, "{letter}{}", self.domid)
    }
}

impl FromStr for Permission {
    type Err = PermissionError;

    fn from_str(text: &str) -> Result<Self, PermissionError> {
        let parse = || {
            let (_, access) = LETTERS.iter().find(|(letter, _)| text.starts_with(*letter))?;
            Some(Permission { access: *access, domid: text.get(1..)?.parse().ok()? })
        };
        parse().ok_or_else(|| PermissionError { found: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_a_letter_and_a_number() {
        for text in ["n0", "r7", "w32752", "b1"] {
            assert_eq!(text.parse::<Permission>().unwrap().to_string(), text);
        }
        for text in ["", "x1", "r", "r-1", "é1"] {
            assert_eq!(text.parse::<Permission>(), Err(PermissionError { found: text.into() }));
        }
    }
}
