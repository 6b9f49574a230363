//! The files that hold the store while no process does.
//!
//! ```text
//!   lock                held by the daemon that uses the directory
//!   vault-REPLICA       each replica's copy of the store, a log with checksums
//!   channel-FROM-TO     what one replica tells another
//!   sessions            how far each connection is: what was applied, what was answered
//!   sockets             what was received from sockets, and how far
//! ```
//!
//! On a tmpfs, such as the run directory, they are memory that outlives processes, and go with the machine as its domains
//! do.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use linux::shared::SharedMemory;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use uk_abi::Words;

use crate::socket;

/// Bytes of each channel: enough for what a replica misses while it is started again, under load.
const CHANNEL: u64 = 4 << 20;

/// The files, open.
#[derive(Debug)]
pub struct StateFiles {
    directory: PathBuf,
    _lock: File,
    files: Vec<File>,
}

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another daemon uses it.
    #[error("another daemon keeps its store in {0}")]
    InUse(PathBuf),
    /// A file cannot be opened, made, locked or mapped.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The supervisor has given another number of files than there are in this version of the program.
    #[error("expected {expected} memories from the supervisor, found {found}")]
    Count {
        /// How many.
        expected: usize,
        /// How many were given.
        found: usize,
    },
}

impl StateFiles {
    /// Opens the files for so many replicas, makes those that do not exist, and takes the lock. A vault that exists keeps
    /// its size. With `forget` all begin empty.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open(
        directory: &Path,
        replicas: u8,
        vault_bytes: u64,
        session_bytes: u64,
        forget: bool,
    ) -> Result<Self, StateError> {
        let lock = open(&directory.join("lock"))?;
        match rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => return Err(StateError::InUse(directory.to_owned())),
            Err(error) => {
                return Err(StateError::File { path: directory.join("lock"), error: error.into() });
            }
        }
        let mut files = Vec::new();
        for (name, bytes) in layout(replicas, vault_bytes, session_bytes) {
            let path = directory.join(name);
            let file = open(&path)?;
            size(&file, bytes, forget).map_err(|error| StateError::File { path, error })?;
            files.push(file);
        }
        Ok(Self { directory: directory.to_owned(), _lock: lock, files })
    }

    /// The files, in the order in which [`Memories`] wants them.
    pub fn files(&self) -> Vec<BorrowedFd<'_>> {
        self.files.iter().map(AsFd::as_fd).collect()
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

fn open(path: &Path) -> Result<File, StateError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(|error| StateError::File { path: path.to_owned(), error })
}

fn size(file: &File, bytes: u64, forget: bool) -> io::Result<()> {
    if forget {
        file.set_len(0)?;
    }
    match file.metadata()?.len() {
        0 => file.set_len(bytes),
        _ => Ok(()),
    }
}

/// The names and sizes of all files, in order.
fn layout(replicas: u8, vault_bytes: u64, session_bytes: u64) -> Vec<(String, u64)> {
    let mut files =
        vec![("sockets".to_owned(), socket::MEMORY as u64), ("sessions".to_owned(), session_bytes)];
    files.extend((0..replicas).map(|replica| (format!("vault-{replica}"), vault_bytes)));
    for from in 0..replicas {
        let others = (0..replicas).filter(|to| *to != from);
        files.extend(others.map(|to| (format!("channel-{from}-{to}"), CHANNEL)));
    }
    files
}

/// A memory that stays mapped until the process ends.
#[derive(Clone, Copy, Debug)]
pub struct Memory(&'static SharedMemory);

impl Words for Memory {
    fn count(&self) -> usize {
        self.0.words().len()
    }

    #[inline]
    fn load(&self, index: usize, order: std::sync::atomic::Ordering) -> u64 {
        self.0.words()[index].load(order)
    }

    #[inline]
    fn store(&self, index: usize, value: u64, order: std::sync::atomic::Ordering) {
        self.0.words()[index].store(value, order);
    }
}

/// The files, mapped.
#[derive(Debug)]
pub struct Memories {
    /// For [`socket::Sockets`].
    pub sockets: &'static SharedMemory,
    /// All sessions.
    pub sessions: Memory,
    /// This replica's vault.
    pub vault: Memory,
    /// From this replica to each other one, in the order of their numbers; none to itself.
    pub to: Vec<Option<Memory>>,
    /// From each other replica to this one.
    pub from: Vec<Option<Memory>>,
}

impl Memories {
    /// Maps what replica `index` of `replicas` needs.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn map(files: Vec<OwnedFd>, index: u8, replicas: u8) -> Result<Self, StateError> {
        let names: Vec<String> = layout(replicas, 0, 0).into_iter().map(|(name, _)| name).collect();
        if names.len() != files.len() {
            return Err(StateError::Count { expected: names.len(), found: files.len() });
        }
        let files: Vec<File> = files.into_iter().map(File::from).collect();
        let map = |name: String| {
            let position = names.iter().position(|known| *known == name).unwrap_or_default();
            let file = &files[position];
            let length = file.metadata().map(|data| data.len() as usize & !7);
            let memory = length.and_then(|length| SharedMemory::map(file, length));
            // It is mapped once and used until the process ends.
            let leaked = memory.map(|memory| &*Box::leak(Box::new(memory)));
            leaked.map_err(|error| StateError::File { path: name.into(), error })
        };
        let channels = |name: fn(u8, u8) -> String| -> Result<Vec<_>, StateError> {
            let others = 0..replicas;
            others
                .map(|other| (other != index).then(|| map(name(index, other)).map(Memory)).transpose())
                .collect()
        };
        Ok(Self {
            sockets: map("sockets".to_owned())?,
            sessions: Memory(map("sessions".to_owned())?),
            vault: Memory(map(format!("vault-{index}"))?),
            to: channels(|own, other| format!("channel-{own}-{other}"))?,
            from: channels(|own, other| format!("channel-{other}-{own}"))?,
        })
    }
}
