//! Who may ask for what.

use core::fmt;
use core::str::FromStr;
use secure::{Secret, Token};
use subtle::ConstantTimeEq;

/// What somebody may do. Each may do all that those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Viewer,
    /// Have VMs made, run and taken away.
    Operator,
    /// Restart components and make them fail.
    Admin,
}

impl Role {
    /// All of them, with their names.
    pub const NAMES: [(&'static str, Self); 3] =
        [("viewer", Self::Viewer), ("operator", Self::Operator), ("admin", Self::Admin)];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, role)| *role == self).map_or("", |(name, _)| name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Not a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRole;

impl fmt::Display for NoRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the roles are viewer, operator and admin")
    }
}

impl core::error::Error for NoRole {}

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Self, NoRole> {
        Self::NAMES.into_iter().find(|(name, _)| *name == text).map(|(_, role)| role).ok_or(NoRole)
    }
}

/// The tokens of a host.
#[derive(Debug)]
pub struct Tokens([(Role, Token); Role::NAMES.len()]);

impl Tokens {
    /// Those that come from a host's secret.
    pub fn of(secret: &Secret) -> Self {
        Self(Role::NAMES.map(|(name, role)| (role, secret.token(name))))
    }

    /// The role of whoever shows this token. How long that takes tells nothing about any token: all are looked at, all of each.
    pub fn role(&self, shown: &Token) -> Option<Role> {
        let mut found = None;
        for (role, token) in &self.0 {
            if bool::from(token.bytes().ct_eq(shown.bytes())) {
                found = Some(*role);
            }
        }
        found
    }
}
