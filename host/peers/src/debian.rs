//! Debian's XenStore, as `./x fetch` unpacks it: programs and their libraries, installed nowhere.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `./x fetch` leaves Debian 12's packages, below the target directory.
const SUITE: &str = "debian/bookworm";
/// Xen's own programs, below the unpacked tree.
const BIN: &str = "usr/lib/xen-4.17/bin";
/// Where libraries are, below the unpacked tree.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];

/// The packages are not there.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{} is not there: `./x test fetch` downloads Debian's XenStore and unpacks it there, without installing it", .path.display())]
pub struct NotFetched {
    /// The first file that is missing.
    pub path: PathBuf,
}

/// The unpacked packages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Debian {
    suite: PathBuf,
}

impl Debian {
    /// What is unpacked below the target directory `target`.
    ///
    /// # Errors
    /// When something is missing.
    pub fn in_target(target: &Path) -> Result<Self, NotFetched> {
        let debian = Debian { suite: target.join(SUITE) };
        let files = [
            debian.program("xenstored"),
            debian.program("oxenstored"),
            debian.program("test-xenstore"),
            debian.tool("xenstore-read"),
            debian.headers().join("xenctrl.h"),
        ];
        match files.into_iter().find(|file| !file.exists()) {
            Some(path) => Err(NotFetched { path }),
            None => Ok(debian),
        }
    }

    fn tree(&self) -> PathBuf {
        self.suite.join("xenstore")
    }

    /// Xen's headers, which the shim is compiled with.
    pub fn headers(&self) -> PathBuf {
        self.suite.join("headers/usr/include")
    }

    /// A program of Xen's own folder: `xenstored`, `oxenstored`, `test-xenstore`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.tree().join(BIN).join(name)
    }

    /// A program of `/usr/bin`: `xenstore-read` and the like.
    pub fn tool(&self, name: &str) -> PathBuf {
        self.tree().join("usr/bin").join(name)
    }

    /// `program`, set up to find its libraries.
    pub fn command(&self, program: &Path) -> Command {
        let folders: Vec<_> =
            LIBRARIES.iter().map(|folder| self.tree().join(folder).into_os_string()).collect();
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", folders.join(&OsString::from(":")));
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_command_that_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = Debian::in_target(folder.path()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("xen-4.17/bin/xenstored") && text.contains("./x test fetch"), "{text}");
    }
}
