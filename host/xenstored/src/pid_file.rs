//! The pid file, which is also the lock that keeps a second daemon from starting.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// A pid file with this process's id in it, locked until the process ends and removed when it ends in good order: Xen's
/// start script does nothing while there is one.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    _locked: File,
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // If somebody has removed it already, that is as good.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl PidFile {
    /// Writes the file. If another process has it locked, that daemon is running: none.
    ///
    /// # Errors
    /// What opening, locking and writing say.
    pub fn claim(path: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).mode(0o644).open(path)?;
        // The same kind of lock as the C daemon's, so that the two keep off each other.
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Some(Self { path: std::path::absolute(path)?, _locked: file }))
    }
}
