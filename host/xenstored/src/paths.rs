//! Where things are, as libxenstore looks for them.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The run directory unless `XENSTORED_RUNDIR` names another: that of Debian's packages, and upstream's default.
const RUN_DIRECTORY: &str = "/run/xenstored";

/// The C daemon's other directory unless `XENSTORED_ROOTDIR` names another.
const ROOT_DIRECTORY: &str = "/var/lib/xenstored";

/// The name of the migration stream in either directory.
const DUMP: &str = "state_dump";

/// The paths of one daemon.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The socket that libxenstore connects to: `XENSTORED_PATH`, or `socket` in the run directory.
    pub socket: PathBuf,
    /// Where the store is kept.
    pub state: PathBuf,
    /// Where a live update leaves the migration stream: the C daemon of Xen 4.17 looks in the first of them, later ones in
    /// the second.
    pub dumps: [PathBuf; 2],
}

impl Paths {
    /// From the environment, and the command line's `--state`.
    pub fn new(state: Option<&Path>) -> Self {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        let run = variable("XENSTORED_RUNDIR").unwrap_or_else(|| RUN_DIRECTORY.into());
        let root = variable("XENSTORED_ROOTDIR").unwrap_or_else(|| ROOT_DIRECTORY.into());
        Self {
            socket: variable("XENSTORED_PATH").unwrap_or_else(|| run.join("socket")),
            state: state.map_or_else(|| run.join("state"), Path::to_owned),
            dumps: [root.join(DUMP), run.join(DUMP)],
        }
    }

    /// Makes the directories that do not exist: the run directory for all to enter, the state for the owner alone.
    ///
    /// # Errors
    /// What `mkdir` says.
    pub fn create(&self) -> io::Result<()> {
        let run = [&self.socket, &self.dumps[1]].into_iter().filter_map(|path| path.parent());
        for directory in run {
            std::fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
        }
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.state)
    }
}
