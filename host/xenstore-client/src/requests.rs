//! The requests, one method each. `transaction` is what [`Client::transaction_start`] answered, or 0 for none.

use crate::client::Client;
use crate::error::{Error, ErrorName};
use crate::link::Link;
use crate::permission::Permission;
use xenstore::wire::{Errno, Kind};

impl<L: Link> Client<L> {
    /// A node's value.
    ///
    /// # Errors
    /// `ENOENT`, `EACCES`, `EINVAL`, or no answer; so for all requests.
    pub fn read(&mut self, transaction: u32, path: &str) -> Result<Vec<u8>, Error> {
        self.call(Kind::Read, transaction, &terminated(&[path]))
    }

    /// Gives a node a value, and makes it and its ancestors where there are none.
    ///
    /// # Errors
    /// As for [`Client::read`].
    pub fn write(&mut self, transaction: u32, path: &str, value: &[u8]) -> Result<(), Error> {
        let mut payload = terminated(&[path]);
        payload.extend(value);
        self.call(Kind::Write, transaction, &payload).map(drop)
    }

    /// Makes a node with an empty value where there is none.
    ///
    /// # Errors
    /// As for [`Client::read`].
    pub fn mkdir(&mut self, transaction: u32, path: &str) -> Result<(), Error> {
        self.call(Kind::Mkdir, transaction, &terminated(&[path])).map(drop)
    }

    /// Removes a node and all below it.
    ///
    /// # Errors
    /// As for [`Client::read`].
    pub fn remove(&mut self, transaction: u32, path: &str) -> Result<(), Error> {
        self.call(Kind::Rm, transaction, &terminated(&[path])).map(drop)
    }

    /// The names of a node's children. A list that is too long for one answer is read in parts.
    ///
    /// # Errors
    /// As for [`Client::read`].
    pub fn directory(&mut self, transaction: u32, path: &str) -> Result<Vec<String>, Error> {
        let names = match self.call(Kind::Directory, transaction, &terminated(&[path])) {
            Err(error) if error.name() == Some(&ErrorName::Known(Errno::TooBig)) => {
                self.directory_in_parts(transaction, path)?
            }
            names => names?,
        };
        strings(&names)
    }

    /// Reads a directory by parts, from the start again whenever it changes.
    fn directory_in_parts(&mut self, transaction: u32, path: &str) -> Result<Vec<u8>, Error> {
        let mut names = Vec::new();
        let mut seen: Option<Vec<u8>> = None;
        loop {
            let offset = names.len().to_string();
            let part = self.call(Kind::DirectoryPart, transaction, &terminated(&[path, &offset]))?;
            let malformed = || Error::Malformed {
                asked: "a generation and a part of a directory",
                found: part.escape_ascii().to_string(),
            };
            let end = part.iter().position(|byte| *byte == 0).ok_or_else(malformed)?;
            let (generation, part) = (&part[..end], &part[end + 1..]);
            if seen.as_deref().is_some_and(|seen| seen != generation) {
                (names, seen) = (Vec::new(), None);
                continue;
            }
            seen = Some(generation.to_vec());
            // The last part ends with an empty name.
            match part.strip_suffix(b"\0\0") {
                Some(last) => {
                    names.extend(last);
                    names.push(0);
                    return Ok(names);
                }
                None if part.is_empty() || part == b"\0" => return Ok(names),
                None => names.extend(part),
            }
        }
    }

    /// A node's permissions.
    ///
    /// # Errors
    /// As for [`Client::read`].
    pub fn permissions(&mut self, transaction: u32, path: &str) -> Result<Vec<Permission>, Error> {
        let answer = self.call(Kind::GetPerms, transaction, &terminated(&[path]))?;
        let parse = |text: &String| {
            text.parse().map_err(|_| Error::Malformed { asked: "a permission", found: text.clone() })
        };
        strings(&answer)?.iter().map(parse).collect()
    }

    /// Sets a node's permissions, the owner's first.
    ///
    /// # Errors
    /// As for [`Client::read`].
    pub fn set_permissions(
        &mut self,
        transaction: u32,
        path: &str,
        permissions: &[Permission],
    ) -> Result<(), Error> {
        let words: Vec<String> = permissions.iter().map(Permission::to_string).collect();
        let parts: Vec<&str> = std::iter::once(path).chain(words.iter().map(String::as_str)).collect();
        self.call(Kind::SetPerms, transaction, &terminated(&parts)).map(drop)
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// As for [`Client::read`].
    pub fn transaction_start(&mut self) -> Result<u32, Error> {
        let answer = self.call(Kind::TransactionStart, 0, b"\0")?;
        let text = strings(&answer)?.concat();
        text.parse().map_err(|_| Error::Malformed { asked: "a transaction's number", found: text })
    }

    /// Ends a transaction; answers whether it was carried out. It was not if somebody else changed what it has read or written (then
    /// it is tried again from its start).
    ///
    /// # Errors
    /// As for [`Client::read`].
    pub fn transaction_end(&mut self, transaction: u32, commit: bool) -> Result<bool, Error> {
        match self.call(Kind::TransactionEnd, transaction, if commit { b"T\0" } else { b"F\0" }) {
            Err(error) if error.name() == Some(&ErrorName::Known(Errno::Again)) => Ok(false),
            answer => answer.map(|_| commit),
        }
    }

    /// Watches a node and all below it. The watch fires once at the start.
    ///
    /// # Errors
    /// As for [`Client::read`].
    pub fn watch(&mut self, path: &str, token: &str) -> Result<(), Error> {
        self.call(Kind::Watch, 0, &terminated(&[path, token])).map(drop)
    }

    /// Ends a watch.
    ///
    /// # Errors
    /// As for [`Client::read`].
    pub fn unwatch(&mut self, path: &str, token: &str) -> Result<(), Error> {
        self.call(Kind::Unwatch, 0, &terminated(&[path, token])).map(drop)
    }

    /// The path that a domain's relative paths start at.
    ///
    /// # Errors
    /// As for [`Client::read`].
    pub fn domain_path(&mut self, domid: u32) -> Result<String, Error> {
        let answer = self.call(Kind::GetDomainPath, 0, &terminated(&[&domid.to_string()]))?;
        Ok(strings(&answer)?.concat())
    }

    /// Tells the daemon of a new domain, the frame of its ring and its event channel.
    ///
    /// # Errors
    /// As for [`Client::read`].
    pub fn introduce(&mut self, domid: u32, frame: u64, port: u32) -> Result<(), Error> {
        let words = [domid.to_string(), frame.to_string(), port.to_string()];
        self.call(Kind::Introduce, 0, &terminated(&words.each_ref().map(String::as_str))).map(drop)
    }

    /// Tells the daemon that a domain is gone.
    ///
    /// # Errors
    /// As for [`Client::read`].
    pub fn release(&mut self, domid: u32) -> Result<(), Error> {
        self.call(Kind::Release, 0, &terminated(&[&domid.to_string()])).map(drop)
    }
}

/// Strings as the protocol sends them, each with a zero byte.
pub fn terminated(parts: &[&str]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.bytes().chain([0])).collect()
}

/// What [`terminated`] made.
fn strings(bytes: &[u8]) -> Result<Vec<String>, Error> {
    let malformed = || Error::Malformed {
        asked: "strings with a zero byte each",
        found: bytes.escape_ascii().to_string(),
    };
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
    let text = text.strip_suffix('\0').ok_or_else(malformed)?;
    Ok(text.split('\0').map(str::to_owned).collect())
}
