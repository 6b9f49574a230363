//! Why a package could not be had, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::process::ProcessError;

/// Why a package could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackagesError {
    /// This is not Debian, or not enough of it.
    #[error(
        "cannot download Xen: there is no apt-get on this machine. R-VMM takes Xen from Debian's packages: use Debian 12 or 13"
    )]
    NoApt,
    /// apt does not say what its sources are.
    #[error("cannot list apt's sources on this machine")]
    Sources {
        /// What apt said.
        source: ProcessError,
    },
    /// apt follows no Debian archive.
    #[error(
        "cannot download Xen: none of apt's sources on this machine is a Debian archive (component main). Add one to /etc/apt/sources.list.d and run `apt-get update`"
    )]
    NoMirror,
    /// There is nothing to check Debian's signatures with.
    #[error("cannot check the signatures of Debian {suite}: install the package debian-archive-keyring")]
    NoKeyring {
        /// The suite asked for.
        suite: &'static str,
    },
    /// The keyring is older than the suite, or the mirror is not Debian's.
    #[error(
        "the lists of Debian {suite} are not signed by a key in this machine's debian-archive-keyring. If that package is old, upgrade it: `apt-get install debian-archive-keyring`. apt said:\n{said}"
    )]
    UnknownKey {
        /// The suite asked for.
        suite: &'static str,
        /// apt's words.
        said: String,
    },
    /// The mirror cannot be reached.
    #[error(
        "cannot reach this machine's Debian mirror for {suite}. The network is needed once: what has been fetched is kept under target/debian (`./x fetch` gets everything at one time). apt said:\n{said}"
    )]
    NoNetwork {
        /// The suite asked for.
        suite: &'static str,
        /// apt's words.
        said: String,
    },
    /// apt failed otherwise.
    #[error("apt could not get packages of Debian {suite}")]
    Apt {
        /// The suite asked for.
        suite: &'static str,
        /// What it said.
        source: ProcessError,
    },
    /// The suite has no such package.
    #[error("Debian {suite} on this machine's mirror does not offer {package}; apt answered:\n{found}")]
    NotOffered {
        /// The package asked for.
        package: String,
        /// The suite.
        suite: &'static str,
        /// apt's answer.
        found: String,
    },
    /// The downloaded file is not the one in the signed index.
    #[error("{file} was downloaded with SHA-256 {found}, and the signed index says {asked}")]
    WrongDigest {
        /// The file.
        file: String,
        /// The digest in the index.
        asked: String,
        /// The digest of what came.
        found: String,
    },
    /// A package could not be unpacked.
    #[error("cannot unpack a package of Debian {suite}")]
    Unpack {
        /// The suite.
        suite: &'static str,
        /// What dpkg-deb said.
        source: ProcessError,
    },
    /// The hypervisor package does not hold one hypervisor.
    #[error("{} holds no xen-*-amd64.gz", .folder.display())]
    NoHypervisor {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// A file below `target/` cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
}
