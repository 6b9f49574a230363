//! What can be asked for.

use crate::Error;
use crate::session::{Doorbell, Session};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use xen_abi::Domid;
use xenstore::wire::{Errno, Kind};

/// A transaction, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transaction(u32);

impl Transaction {
    /// No transaction: each request stands alone.
    pub const NONE: Self = Self(0);
}

/// What has become of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Everything was done.
    Committed,
    /// Nothing was done, because somebody else has changed what it had seen: begin again.
    Conflict,
}

/// What a domain may do with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// An entry of a node's permissions. The first entry of a list names the owner, who may do everything, and what all others may
/// do who have no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Who.
    pub domid: Domid,
    /// What.
    pub access: Access,
}

impl Permission {
    /// `domid` owns the node, and nobody else may do anything who has no entry.
    pub const fn owner(domid: Domid) -> Self {
        Self { domid, access: Access::None }
    }

    /// `domid` may read the node.
    pub const fn reader(domid: Domid) -> Self {
        Self { domid, access: Access::Read }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.access {
            Access::None => 'n',
            Access::Read => 'r',
            Access::Write => 'w',
            Access::Both => 'b',
        };
        write!(f, "{letter}{}", self.domid.0)
    }
}

/// Paths are absolute, or below the caller's home. Each request fails with [`Error::Refused`] where the server says so,
/// [`Error::NoAnswer`] where it says what cannot be, and [`Error::Lost`] where the connection is.
impl<D: Doorbell> Session<'_, D> {
    /// The value of a node.
    ///
    /// # Errors
    /// [`Error`]; `ENOENT` if there is no such node.
    pub async fn read(&mut self, transaction: Transaction, path: &str) -> Result<Vec<u8>, Error> {
        self.request(Kind::Read, transaction.0, &[path], &[]).await
    }

    /// The value of a node, if there is such a node.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn find(&mut self, transaction: Transaction, path: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.read(transaction, path).await {
            Err(error) if error.is_not_found() => Ok(None),
            value => value.map(Some),
        }
    }

    /// Sets the value of a node, and creates what is missing on the way to it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn write(&mut self, transaction: Transaction, path: &str, value: &[u8]) -> Result<(), Error> {
        self.done(Kind::Write, transaction, &[path], value).await
    }

    /// Creates a node if it is not there, and what is missing on the way to it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn mkdir(&mut self, transaction: Transaction, path: &str) -> Result<(), Error> {
        self.done(Kind::Mkdir, transaction, &[path], &[]).await
    }

    /// Removes a node with all that is below it. It is no error if it is not there, as long as what is above it is.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn remove(&mut self, transaction: Transaction, path: &str) -> Result<(), Error> {
        self.done(Kind::Rm, transaction, &[path], &[]).await
    }

    /// The names of a node's children, however many there are.
    ///
    /// # Errors
    /// [`Error`]; `ENOENT` if there is no such node.
    pub async fn directory(&mut self, transaction: Transaction, path: &str) -> Result<Vec<String>, Error> {
        match self.request(Kind::Directory, transaction.0, &[path], &[]).await {
            Err(error) if error.errno() == Some(Errno::TooBig) => {
                self.large_directory(transaction, path).await
            }
            names => Ok(strings(&names?)),
        }
    }

    /// The names of so many children that they come in several answers. Begins again if they change meanwhile.
    async fn large_directory(&mut self, transaction: Transaction, path: &str) -> Result<Vec<String>, Error> {
        let (mut names, mut generation) = (Vec::new(), Vec::new());
        loop {
            let offset = names.len().to_string();
            let answer = self.request(Kind::DirectoryPart, transaction.0, &[path, &offset], &[]).await?;
            let end = answer.iter().position(|byte| *byte == 0).unwrap_or(answer.len());
            let (now, part) = (&answer[..end], answer.get(end + 1..).unwrap_or_default());
            if !names.is_empty() && now != generation {
                names.clear();
                continue;
            }
            generation = now.to_vec();
            names.extend_from_slice(part);
            // After the last name stands an empty one.
            if names == b"\0" || names.ends_with(b"\0\0") {
                names.pop();
                return Ok(strings(&names));
            }
            if part.is_empty() {
                return Err(no_answer(Kind::DirectoryPart, path, answer));
            }
        }
    }

    /// Replaces a node's permissions.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn set_permissions(
        &mut self,
        transaction: Transaction,
        path: &str,
        permissions: &[Permission],
    ) -> Result<(), Error> {
        let permissions: Vec<String> = permissions.iter().map(ToString::to_string).collect();
        let arguments: Vec<&str> =
            core::iter::once(path).chain(permissions.iter().map(String::as_str)).collect();
        self.done(Kind::SetPerms, transaction, &arguments, &[]).await
    }

    /// Asks for events on changes at and below a path. The first event comes at once.
    ///
    /// # Errors
    /// [`Error`]; `EEXIST` if there is a watch of this path and token.
    pub async fn watch(&mut self, path: &str, token: &str) -> Result<(), Error> {
        self.done(Kind::Watch, Transaction::NONE, &[path, token], &[]).await
    }

    /// Takes a watch back. Events with this token that have come and were not asked for are passed over.
    ///
    /// # Errors
    /// [`Error`]; `ENOENT` if there is no watch of this path and token.
    pub async fn unwatch(&mut self, path: &str, token: &str) -> Result<(), Error> {
        self.done(Kind::Unwatch, Transaction::NONE, &[path, token], &[]).await?;
        self.forget_events(token);
        Ok(())
    }

    /// Begins a transaction. One whose future is dropped stays open until the next life.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn begin(&mut self) -> Result<Transaction, Error> {
        let answer = self.request(Kind::TransactionStart, 0, &[""], &[]).await?;
        let number =
            core::str::from_utf8(&answer).ok().and_then(|text| text.trim_end_matches('\0').parse().ok());
        match number {
            Some(number) if number != 0 => Ok(Transaction(number)),
            _ => Err(no_answer(Kind::TransactionStart, "", answer)),
        }
    }

    /// Ends a transaction: commits it, or drops it.
    ///
    /// # Errors
    /// [`Error`], but for a conflict.
    pub async fn end(&mut self, transaction: Transaction, commit: bool) -> Result<Outcome, Error> {
        let flag = if commit { "T" } else { "F" };
        match self.done(Kind::TransactionEnd, transaction, &[flag], &[]).await {
            Ok(()) => Ok(Outcome::Committed),
            Err(error) if error.errno() == Some(Errno::Again) => Ok(Outcome::Conflict),
            Err(error) => Err(error),
        }
    }

    /// Has the server serve the ring of a domain. For privileged callers.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn introduce(&mut self, domid: Domid, frame: u64, port: u32) -> Result<(), Error> {
        let arguments = [domid.0.to_string(), frame.to_string(), port.to_string()];
        self.done(Kind::Introduce, Transaction::NONE, &arguments.each_ref().map(String::as_str), &[]).await
    }

    /// Has the server serve a domain no more, and remove what it owns. For privileged callers.
    ///
    /// # Errors
    /// [`Error`]; `ENOENT` if it was not served.
    pub async fn release(&mut self, domid: Domid) -> Result<(), Error> {
        self.done(Kind::Release, Transaction::NONE, &[&domid.0.to_string()], &[]).await
    }

    /// Whether the server serves a domain. For privileged callers.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn is_introduced(&mut self, domid: Domid) -> Result<bool, Error> {
        let domid = domid.0.to_string();
        let answer = self.request(Kind::IsDomainIntroduced, 0, &[&domid], &[]).await?;
        match &answer[..] {
            b"T\0" => Ok(true),
            b"F\0" => Ok(false),
            _ => Err(no_answer(Kind::IsDomainIntroduced, &domid, answer)),
        }
    }

    /// A request that is answered by `OK`.
    async fn done(
        &mut self,
        kind: Kind,
        transaction: Transaction,
        arguments: &[&str],
        tail: &[u8],
    ) -> Result<(), Error> {
        let answer = self.request(kind, transaction.0, arguments, tail).await?;
        match &answer[..] {
            b"OK\0" => Ok(()),
            _ => Err(no_answer(kind, arguments.first().unwrap_or(&""), answer)),
        }
    }
}

fn no_answer(asked: Kind, path: &str, payload: Vec<u8>) -> Error {
    Error::NoAnswer { asked, path: path.into(), kind: asked.number(), payload }
}

/// The strings of a list, each with a NUL behind it.
fn strings(list: &[u8]) -> Vec<String> {
    let whole = list.strip_suffix(b"\0").map(|list| list.split(|byte| *byte == 0));
    whole.into_iter().flatten().map(|string| String::from_utf8_lossy(string).into_owned()).collect()
}
