//! Changes of XenStore that are made together or not at all.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use xenstore_session::{Doorbell, Error, Outcome, Permission, Session, Transaction};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node gets a value.
    Write(String, String),
    /// A node gets permissions.
    Permissions(String, Vec<Permission>),
    /// A node goes, with all that is below it. It need not be there.
    Remove(String),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(path, value) => write!(f, "{path} = {value:?}"),
            Self::Permissions(path, permissions) => {
                let permissions: Vec<String> = permissions.iter().map(ToString::to_string).collect();
                write!(f, "{path} ({})", permissions.join(","))
            }
            Self::Remove(path) => write!(f, "{path} removed"),
        }
    }
}

/// Changes, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(Vec<Change>);

impl Changes {
    /// None yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// A node gets a value.
    pub fn write(&mut self, path: impl Into<String>, value: impl ToString) {
        self.0.push(Change::Write(path.into(), value.to_string()));
    }

    /// A node gets a value, and permissions.
    pub fn node(&mut self, path: impl Into<String>, value: impl ToString, permissions: &[Permission]) {
        let path = path.into();
        self.write(path.clone(), value);
        self.0.push(Change::Permissions(path, permissions.to_vec()));
    }

    /// A node goes, with all that is below it.
    pub fn remove(&mut self, path: impl Into<String>) {
        self.0.push(Change::Remove(path.into()));
    }

    /// The changes.
    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.0.iter()
    }

    /// Makes all of them: in a transaction, unless it is only one.
    ///
    /// # Errors
    /// The session's.
    pub async fn commit<D: Doorbell>(&self, session: &mut Session<'_, D>) -> Result<(), Error> {
        if let [change] = &self.0[..] {
            return change.make(session, Transaction::NONE).await;
        }
        if self.0.is_empty() {
            return Ok(());
        }
        loop {
            let transaction = session.begin().await?;
            for change in &self.0 {
                change.make(session, transaction).await?;
            }
            if session.end(transaction, true).await? == Outcome::Committed {
                return Ok(());
            }
        }
    }
}

impl Change {
    async fn make<D: Doorbell>(
        &self,
        session: &mut Session<'_, D>,
        transaction: Transaction,
    ) -> Result<(), Error> {
        match self {
            Self::Write(path, value) => session.write(transaction, path, value.as_bytes()).await,
            Self::Permissions(path, permissions) => {
                session.set_permissions(transaction, path, permissions).await
            }
            Self::Remove(path) => match session.remove(transaction, path).await {
                // What it stood below is not there either.
                Err(error) if error.is_not_found() => Ok(()),
                removed => removed,
            },
        }
    }
}
