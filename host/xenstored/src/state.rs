//! The files that hold the store while no process does.
//!
//! ```text
//!   lock                held by the daemon that uses the directory
//!   vault-REPLICA       each replica's copy of the store, a log with checksums
//!   channel-FROM-TO     what one replica tells another
//!   sessions            how far each connection is: what was applied, what was answered
//!   seed                of the store's hashes
//!   sockets             what was received from sockets, and how far
//! ```
//!
//! On a tmpfs, such as the run directory, they are memory that outlives processes, and go with the machine as its domains
//! do.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use linux::shared::SharedMemory;
use replica::master::{Channels, XenStoreFraming};
use replica::session::Sessions;
use rustix::fs::{FallocateFlags, FlockOperation, SeekFrom};
use rustix::io::Errno;
use uk_abi::Words;

use crate::socket;

/// Bytes of each channel: enough for what a replica misses while it is started again, under load.
const CHANNEL: u64 = 4 << 20;

/// Connections that there can be: all sockets, and as many domains.
const SESSIONS: usize = 2 * socket::CONNECTIONS;

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
    pub fn open(directory: &Path, replicas: u8, vault_bytes: u64, forget: bool) -> Result<Self, StateError> {
        let lock = open(&directory.join("lock"))?;
        match rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => return Err(StateError::InUse(directory.to_owned())),
            Err(error) => {
                return Err(StateError::File { path: directory.join("lock"), error: error.into() });
            }
        }
        let mut files = Vec::new();
        for (name, bytes) in layout(replicas, vault_bytes) {
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

    /// The seed of the store's hashes and digests: chosen when the store is, and kept with it.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn seed(&self) -> Result<u64, StateError> {
        let path = self.directory.join("seed");
        let error = |error: io::Error| StateError::File { path: path.clone(), error };
        let mut file = open(&path)?;
        let mut seed = [0; 8];
        if file.metadata().map_err(error)?.len() == 8 {
            file.read_exact(&mut seed).map_err(error)?;
        } else {
            seed = random().to_ne_bytes();
            file.write_all(&seed).map_err(error)?;
        }
        Ok(u64::from_ne_bytes(seed))
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// A number that nobody can guess.
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    // Eight bytes come whole or not at all, and only a kernel without the call refuses.
    got.map_or(0, |_| u64::from_ne_bytes(bytes))
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
fn layout(replicas: u8, vault_bytes: u64) -> Vec<(String, u64)> {
    let sessions = (SESSIONS * Sessions::<Memory, XenStoreFraming>::SLOT_WORDS * size_of::<u64>()) as u64;
    let mut files = vec![("sockets".to_owned(), socket::MEMORY as u64), ("sessions".to_owned(), sessions)];
    files.extend((0..replicas).map(|replica| (format!("vault-{replica}"), vault_bytes)));
    for from in 0..replicas {
        let others = (0..replicas).filter(|to| *to != from);
        files.extend(others.map(|to| (format!("channel-{from}-{to}"), CHANNEL)));
    }
    files
}

/// A memory that stays mapped until the process ends, and is used as if it had always been there: what was never written
/// reads as zero, without the kernel having to make a page for it.
#[derive(Clone, Copy, Debug)]
pub struct Memory(&'static Pages);

#[derive(Debug)]
struct Pages {
    memory: SharedMemory,
    file: File,
    /// For each page, whether something may have been written to it.
    written: Vec<AtomicBool>,
}

const PAGE_WORDS: usize = 512;

impl Memory {
    /// Maps a file. What others write into pages that were never written before is not seen, unless `shared`.
    fn map(file: &File, shared: bool) -> io::Result<Self> {
        let memory = SharedMemory::map(file, file.metadata()?.len() as usize & !7)?;
        let pages = memory.words().len().div_ceil(PAGE_WORDS);
        let written: Vec<AtomicBool> = (0..pages).map(|_| AtomicBool::new(shared)).collect();
        let mut at = 0;
        // A system that cannot tell where data is says that it is everywhere.
        while let Ok(start) = rustix::fs::seek(file, SeekFrom::Data(at)) {
            let end = rustix::fs::seek(file, SeekFrom::Hole(start))?;
            let first = start as usize / (PAGE_WORDS * 8);
            let last = (end as usize).div_ceil(PAGE_WORDS * 8).min(pages);
            written[first..last].iter().for_each(|page| page.store(true, Ordering::Relaxed));
            at = end;
        }
        // It is mapped once and used until the process ends.
        Ok(Self(Box::leak(Box::new(Pages { memory, file: file.try_clone()?, written }))))
    }
}

impl Words for Memory {
    fn count(&self) -> usize {
        self.0.memory.words().len()
    }

    #[inline]
    fn load(&self, index: usize, order: Ordering) -> u64 {
        if !self.0.written[index / PAGE_WORDS].load(Ordering::Relaxed) {
            return 0;
        }
        self.0.memory.words()[index].load(order)
    }

    #[inline]
    fn store(&self, index: usize, value: u64, order: Ordering) {
        let page = &self.0.written[index / PAGE_WORDS];
        if !page.load(Ordering::Relaxed) {
            page.store(true, Ordering::Relaxed);
        }
        self.0.memory.words()[index].store(value, order);
    }

    fn forget(&self, words: Range<usize>) {
        let pages = words.start.div_ceil(PAGE_WORDS)..words.end / PAGE_WORDS;
        if pages.is_empty() {
            return;
        }
        let (offset, length) = (pages.start * PAGE_WORDS * 8, pages.len() * PAGE_WORDS * 8);
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // A file system that cannot do it keeps them.
        if rustix::fs::fallocate(&self.0.file, flags, offset as u64, length as u64).is_ok() {
            self.0.written[pages].iter().for_each(|page| page.store(false, Ordering::Relaxed));
        }
    }
}

/// The files, mapped as one replica needs them.
#[derive(Debug)]
pub struct Memories {
    /// For [`socket::Sockets`].
    pub sockets: &'static SharedMemory,
    /// This replica's vault.
    pub vault: Memory,
    /// Which one this is, and how many there are.
    pub index: u8,
    replicas: u8,
    files: Vec<(String, File)>,
}

impl Memories {
    /// Maps what replica `index` of `replicas` needs.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn map(files: Vec<OwnedFd>, index: u8, replicas: u8) -> Result<Self, StateError> {
        let names = layout(replicas, 0);
        if names.len() != files.len() {
            return Err(StateError::Count { expected: names.len(), found: files.len() });
        }
        let files: Vec<(String, File)> =
            names.into_iter().map(|(name, _)| name).zip(files.into_iter().map(File::from)).collect();
        let sockets = find(&files, "sockets", |file| SharedMemory::map(file, socket::MEMORY))?;
        let vault = find(&files, &format!("vault-{index}"), |file| Memory::map(file, false))?;
        // It is mapped once and used until the process ends.
        Ok(Self { sockets: Box::leak(Box::new(sockets)), vault, index, replicas, files })
    }

    /// All sessions, as the last master has left them. For the master alone.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn sessions(&self) -> Result<Memory, StateError> {
        find(&self.files, "sessions", |file| Memory::map(file, false))
    }

    /// The channels between a master and a replica.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn channels(&self, master: u8, replica: u8) -> Result<Channels<Memory>, StateError> {
        let map =
            |from, to| find(&self.files, &format!("channel-{from}-{to}"), |file| Memory::map(file, true));
        Ok(Channels { inbox: map(master, replica)?, outbox: map(replica, master)? })
    }

    /// The other replicas, in the order of their numbers.
    pub fn others(&self) -> impl Iterator<Item = u8> + use<> {
        let index = self.index;
        (0..self.replicas).filter(move |other| *other != index)
    }
}

fn find<T>(
    files: &[(String, File)],
    name: &str,
    map: impl FnOnce(&File) -> io::Result<T>,
) -> Result<T, StateError> {
    let error = |error| StateError::File { path: name.into(), error };
    let (_, file) =
        files.iter().find(|(known, _)| known == name).ok_or_else(|| error(io::ErrorKind::NotFound.into()))?;
    map(file).map_err(error)
}
