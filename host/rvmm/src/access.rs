//! What somebody needs to speak to a host: one line of three words, in a file that nobody else can read.

use secure::{PublicKey, Secret, Token};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;

/// Where a host is, by which key it is known, and which token is shown.
#[derive(Clone, Debug)]
pub struct Access {
    /// Where its API is, such as `127.0.0.1:7800`.
    pub address: String,
    /// Its key.
    pub key: PublicKey,
    /// The token, which stands for a role.
    pub token: Token,
}

/// A text that is no access.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "three words were expected: ADDRESS:PORT, the host's key, a token, the last two of 64 hexadecimal digits"
)]
pub struct NoAccess;

impl Access {
    /// What the host with this secret lets somebody of this role in by.
    pub fn of(address: String, secret: &Secret, role: api::Role) -> Self {
        Self { address, key: secret.public_key(), token: secret.token(role.name()) }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.address, self.key, self.token)
    }
}

impl FromStr for Access {
    type Err = NoAccess;

    fn from_str(text: &str) -> Result<Self, NoAccess> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let [address, key, token] = words[..] else { return Err(NoAccess) };
        let (key, token) = (key.parse().map_err(|_| NoAccess)?, token.parse().map_err(|_| NoAccess)?);
        Ok(Self { address: address.into(), key, token })
    }
}

/// Writes a file that nobody but its owner can read.
///
/// # Errors
/// The system's.
pub fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    // One that is there may be readable by others.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_access_is_read_as_it_is_written() {
        let access = Access::of("127.0.0.1:7800".into(), &Secret::new([1; 32]), api::Role::Operator);
        let read: Access = access.to_string().parse().unwrap();
        assert_eq!((read.address, read.key, read.token), (access.address, access.key, access.token));
        assert_eq!("127.0.0.1:7800 00 11".parse::<Access>().unwrap_err(), NoAccess);
    }

    #[test]
    fn a_secret_is_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "public").unwrap();
        write_secret(&path, "secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap(), "secret");
    }
}
