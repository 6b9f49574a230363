//! From the command line to a daemon that serves.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use replica::master::{Config, Master};
use tracing::{error, info, warn};
use xenstore::Existence;

use crate::cli::{OptionError, Options};
use crate::config;
use crate::domains::{CensusOfFiles, Hypervisor, Xen, XenCensus, XenOfFiles};
use crate::paths::Paths;
use crate::pid_file::PidFile;
use crate::server::{Home, Server};
use crate::service::{self, Ready};
use crate::signals::Signals;
use crate::socket::Sockets;
use crate::state::{Memories, StateError, StateFiles, random};
use crate::supervisor::Supervisor;
use crate::{background, log, member, trace};

/// Why the daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The command line.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The files of the store.
    #[error(transparent)]
    State(#[from] StateError),
    /// The vault.
    #[error("the vault: {0}")]
    Vault(String),
    /// Something that the daemon needs of the system.
    #[error("{what}: {error}")]
    System {
        /// What was wanted.
        what: String,
        /// What the system said.
        error: io::Error,
    },
}

/// Says what was wanted when the system refuses.
pub(crate) trait Wanted<T> {
    fn wanted(self, what: impl Into<String>) -> Result<T, RunError>;
}

impl<T, E: Into<io::Error>> Wanted<T> for Result<T, E> {
    fn wanted(self, what: impl Into<String>) -> Result<T, RunError> {
        self.map_err(|error| RunError::System { what: what.into(), error: error.into() })
    }
}

/// The program.
pub fn run() -> ExitCode {
    let options = Options::parse();
    log::start(&options);
    match with(&options) {
        Ok(code) => code,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn with(options: &Options) -> Result<ExitCode, RunError> {
    if !options.no_fork && options.replica.is_none() {
        return start_in_background(options);
    }
    if let Some(path) = &options.trace_file {
        trace::start(path).wanted(path.display().to_string())?;
    }
    if let Some(index) = options.replica {
        return member::run(options, index).map(|()| ExitCode::SUCCESS);
    }
    if options.detached {
        background::detach().wanted("leaving the session")?;
    }
    let paths = Paths::new(options.state.as_deref());
    paths.create().wanted("the run directory")?;
    let pid_file = options.pid_file.as_deref().map(|path| (path, PidFile::claim(path)));
    let _locked = match pid_file {
        Some((path, claimed)) => match claimed.wanted(path.display().to_string())? {
            Some(locked) => Some(locked),
            None => {
                info!("the daemon of {} is running", path.display());
                return Ok(ExitCode::SUCCESS);
            }
        },
        None => None,
    };
    if options.output_pid && !options.detached {
        println!("{}", std::process::id());
    }
    // Before anything is begun: an option that makes no sense.
    config::engine(options, 0, Existence::Assumed)?;
    options.watch_event_timeout()?;
    let vault = u64::from(options.state_size) << 20;
    let state = StateFiles::open(&paths.state, options.replicas, vault, options.no_recovery)?;
    let signals = Signals::take().wanted("signals")?;
    let listener = listen(&paths.socket)?;
    let ready = Ready::new(options.detached);
    if options.replicas == 1 {
        serve_alone(options, state, listener, signals, ready)?;
    } else {
        let supervisor = Supervisor::new(listener, signals, state, options.replicas, ready)?;
        supervisor.run().wanted("waiting for events")?;
    }
    service::stopping();
    // A client that finds no socket knows that nobody is there; one that is refused does not.
    if let Err(error) = fs::remove_file(&paths.socket) {
        warn!("{}: {error}", paths.socket.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn start_in_background(options: &Options) -> Result<ExitCode, RunError> {
    match background::start().wanted("starting the daemon")? {
        Ok(pid) => {
            if options.output_pid {
                println!("{pid}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(code) => Ok(code),
    }
}

/// One process that is everything.
fn serve_alone(
    options: &Options,
    state: StateFiles,
    listener: UnixListener,
    signals: Signals,
    ready: Ready,
) -> Result<(), RunError> {
    let store = config::engine(options, state.seed()?, existence(options)?)?;
    let files = state.files().iter().map(|file| file.try_clone_to_owned()).collect::<io::Result<_>>();
    let memories = Memories::map(files.wanted("the files of the store")?, 0, 1)?;
    let config = Config { store, seed: random() };
    let master = Master::open(config, memories.vault, memories.sessions()?, Vec::new());
    let master = master.map_err(|error| RunError::Vault(format!("{error:?}")))?;
    let hypervisor = hypervisor(options)?;
    let sockets = Sockets::new(memories.sockets);
    let home = Home::Alone { listener, signals };
    let patience = options.watch_event_timeout()?;
    let server = Server::new(home, master, sockets, hypervisor, true, (Vec::new(), 0), patience);
    server.wanted("waiting for events")?.run(Some(ready)).wanted("waiting for events")
}

/// Where domains are, if there are any.
pub(crate) fn hypervisor(options: &Options) -> Result<Option<Box<dyn Hypervisor>>, RunError> {
    if let Some(folder) = &options.xen_of_files {
        let files = XenOfFiles::open(folder).wanted(folder.display().to_string())?;
        return Ok(Some(Box::new(files)));
    }
    if options.no_domain_init {
        return Ok(None);
    }
    if !Xen::is_here() {
        warn!("this is not a domain that controls others: only the socket is served");
        return Ok(None);
    }
    Ok(Some(Box::new(Xen::open().wanted("Xen's devices")?)))
}

/// How the engine is to know which domains exist. Without a hypervisor there is nobody to be asked.
pub(crate) fn existence(options: &Options) -> Result<Existence, RunError> {
    Ok(if let Some(folder) = &options.xen_of_files {
        Existence::Asked(Arc::new(CensusOfFiles::new(folder)))
    } else if options.no_domain_init || !Xen::is_here() {
        Existence::Assumed
    } else {
        Existence::Asked(Arc::new(XenCensus::open().wanted("Xen's devices")?))
    })
}

/// The socket, in place of one that a daemon before has left.
fn listen(path: &Path) -> Result<UnixListener, RunError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).wanted(path.display().to_string());
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).wanted(path.display().to_string())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).wanted(path.display().to_string())?;
    listener.set_nonblocking(true).wanted(path.display().to_string())?;
    Ok(listener)
}
