//! From the command line to a daemon that serves.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use replica::master::{Config, Master};
use tracing::{error, info, warn};
use xenstore::{Commands, Existence};

use crate::cli::{OptionError, Options};
use crate::config;
use crate::domains::{CensusOfFiles, Hypervisor, Xen, XenCensus, XenOfFiles};
use crate::paths::Paths;
use crate::pid_file::PidFile;
use crate::server::{Home, Server, Setup};
use crate::service::{self, Ready};
use crate::signals::Signals;
use crate::socket::Sockets;
use crate::state::{Memories, StateError, StateFiles, random};
use crate::supervisor::Supervisor;
use crate::update::{self, Arrival, ArrivalError, Updates};
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
    /// What another daemon has left for a live update.
    #[error("live update: {0}")]
    Arrival(#[from] ArrivalError),
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
    let paths = Paths::new(options.state.as_deref());
    // Another daemon was in this process, and what it has left goes on here.
    let arrives = options.live_update && paths.dumps.iter().any(|path| path.exists());
    if !options.no_fork && !arrives && options.replica.is_none() {
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
    config::engine(options, 0, Existence::Assumed, None)?;
    options.watch_event_timeout()?;
    let vault = u64::from(options.state_size) << 20;
    let state = StateFiles::open(&paths.state, options.replicas, vault, options.no_recovery || arrives)?;
    let signals = Signals::take().wanted("signals")?;
    let arrival = if arrives { arrive(options, &paths, &state)? } else { None };
    let (inherited, clients) = arrival.map(|arrival| (arrival.listener, arrival.clients)).unzip();
    let listener = match inherited.flatten() {
        Some(listener) => listener,
        None => listen(&paths.socket)?,
    };
    listener.set_nonblocking(true).wanted(paths.socket.display().to_string())?;
    let ready = Ready::new(options.detached);
    if options.replicas == 1 {
        serve_alone(options, &paths, state, listener, signals, ready, clients)?;
    } else {
        let patience = Duration::from_secs(options.patience.into());
        let supervisor =
            Supervisor::new(listener, signals, state, options.replicas, ready, patience, clients)?;
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

/// Takes over what another daemon has left for a live update: afterwards it is in the files of the store.
fn arrive(options: &Options, paths: &Paths, state: &StateFiles) -> Result<Option<Arrival>, RunError> {
    let (memories, config) = (memories(options, state)?, master_config(options, state, None)?);
    let mut hypervisor = hypervisor(options)?;
    Ok(update::arrive(paths, &config, &memories, hypervisor.as_mut())?)
}

/// The memories of the first replica.
fn memories(options: &Options, state: &StateFiles) -> Result<Memories, RunError> {
    let files = state.files().iter().map(|file| file.try_clone_to_owned()).collect::<io::Result<_>>();
    Ok(Memories::map(files.wanted("the files of the store")?, 0, options.replicas)?)
}

fn master_config(
    options: &Options,
    state: &StateFiles,
    commands: Option<Arc<dyn Commands>>,
) -> Result<Config, RunError> {
    let store = config::engine(options, state.seed()?, existence(options)?, commands)?;
    Ok(Config { store, seed: random() })
}

/// One process that is everything. `clients` go on from another daemon.
fn serve_alone(
    options: &Options,
    paths: &Paths,
    state: StateFiles,
    listener: UnixListener,
    signals: Signals,
    ready: Ready,
    clients: Option<Vec<(u32, OwnedFd)>>,
) -> Result<(), RunError> {
    let updates = Arc::new(Updates::new(false));
    let config = master_config(options, &state, Some(updates.clone()))?;
    let memories = memories(options, &state)?;
    let master = Master::open(config, memories.vault, memories.sessions()?, Vec::new());
    let master = master.map_err(|error| RunError::Vault(format!("{error:?}")))?;
    let setup = Setup {
        home: Home::Alone { listener, signals },
        master,
        sockets: Sockets::new(memories.sockets),
        hypervisor: hypervisor(options)?,
        fresh: clients.is_none(),
        replicas: (Vec::new(), 0),
        patience: options.watch_event_timeout()?,
        updates,
        dumps: paths.dumps.clone(),
    };
    let mut server = Server::new(setup).wanted("waiting for events")?;
    for (number, client) in clients.into_iter().flatten() {
        server.adopt(number, client);
    }
    server.run(Some(ready)).wanted("waiting for events")
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
    Ok(listener)
}
