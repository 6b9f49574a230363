//! A running daemon: started in a folder of its own, waited for, and killed when it is dropped.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use tempfile::TempDir;
use xenstore_client::Client;

use crate::debian::{Debian, NotFetched};
use crate::xen::Xen;

/// What the shim is compiled from.
const SHIM: &str = include_str!("xen_of_files.c");
/// How long a daemon may take until it answers.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is asked whether it does.
const PAUSE: Duration = Duration::from_micros(500);
/// How many bytes of a daemon's log are shown when it does not start.
const LOG_SHOWN: usize = 2000;

/// A daemon that did not start, or did not do as it was told.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Debian's packages are not there.
    #[error(transparent)]
    NotFetched(#[from] NotFetched),
    /// A file of its folder could not be made.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The shim could not be compiled.
    #[error("`cc` cannot compile the shim:\n{said}")]
    Shim {
        /// What it said.
        said: String,
    },
    /// It ended instead of answering.
    #[error("{program} has ended ({status}); its log:\n{log}")]
    Ended {
        /// Which daemon.
        program: Program,
        /// How.
        status: ExitStatus,
        /// The end of what it wrote.
        log: String,
    },
    /// It did not answer in time.
    #[error("{program} does not answer after {PATIENCE:?} ({why}); its log:\n{log}")]
    Silent {
        /// Which daemon.
        program: Program,
        /// What the last attempt ended with.
        why: Box<xenstore_client::Error>,
        /// The end of what it wrote.
        log: String,
    },
}

/// Which daemon.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Program {
    /// Xen's `xenstored`, in C.
    C,
    /// Xen's `oxenstored`, in OCaml.
    OCaml,
    /// Ours: the executable, and arguments beyond those that every daemon gets.
    Ours(PathBuf, Vec<OsString>),
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Program::C => "C xenstored",
            Program::OCaml => "oxenstored",
            Program::Ours(..) => "our xenstored",
        })
    }
}

/// How a daemon is run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// Let neither daemon hold guests back for writing much or for conflicts: tests have no time for that.
    pub hurry: bool,
    /// Keep it to one processor.
    pub processor: Option<usize>,
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    program: Program,
    child: Child,
    xen: Xen,
    target: PathBuf,
    options: Options,
    /// Removed last, when the daemon is dead.
    folder: TempDir,
}

impl Daemon {
    /// Starts a daemon on a machine with nothing but domain 0, in a new folder below the target directory `target`, and waits until it
    /// answers.
    ///
    /// # Errors
    /// When the packages are not there, or it does not start.
    pub fn start(target: &Path, program: Program, options: Options) -> Result<Self, DaemonError> {
        let parent = target.join("peers");
        let file_error = |path: &Path| {
            let path = path.to_path_buf();
            |source| DaemonError::File { path, source }
        };
        fs::create_dir_all(&parent).map_err(file_error(&parent))?;
        let folder = tempfile::tempdir_in(&parent).map_err(file_error(&parent))?;
        let xen = Xen::create(&folder.path().join("xen")).map_err(file_error(folder.path()))?;
        let child = launch(&program, target, folder.path(), options)?;
        let mut daemon = Daemon { program, child, xen, folder, target: target.to_path_buf(), options };
        daemon.wait_until_it_answers()?;
        Ok(daemon)
    }

    /// Kills the daemon as `kill -9` does and starts it again in the same folder.
    ///
    /// # Errors
    /// As for [`Daemon::start`].
    pub fn kill_and_restart(&mut self) -> Result<(), DaemonError> {
        self.kill();
        // The old socket would be there, and refuse.
        let _none_is_fine = fs::remove_file(self.socket());
        self.child = launch(&self.program, &self.target, self.folder.path(), self.options)?;
        self.wait_until_it_answers()
    }

    /// Which daemon it is.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The machine that it runs on.
    pub fn xen(&mut self) -> &mut Xen {
        &mut self.xen
    }

    /// The folder of its socket.
    pub fn run_folder(&self) -> PathBuf {
        run_folder(self.folder.path())
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.run_folder().join("socket")
    }

    /// A new connection over the socket.
    ///
    /// # Errors
    /// When it does not accept one.
    pub fn connect(&self) -> Result<Client, xenstore_client::Error> {
        Client::connect(&self.socket())
    }

    /// One of Debian's tools or tests, set up to talk to this daemon.
    ///
    /// # Errors
    /// When the packages are not there.
    pub fn tool(&self, name: &str) -> Result<Command, NotFetched> {
        let debian = Debian::in_target(&self.target)?;
        let tool = Some(debian.tool(name)).filter(|path| path.exists());
        let mut command = debian.command(&tool.unwrap_or_else(|| debian.program(name)));
        command.env("XENSTORED_PATH", self.socket()).env("XENSTORED_RUNDIR", self.run_folder());
        Ok(command)
    }

    /// The end of what it has written to its standard output and error.
    pub fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_SHOWN)..]).into_owned()
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    fn wait_until_it_answers(&mut self) -> Result<(), DaemonError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.connect().and_then(|mut client| client.domain_path(0));
            let Err(why) = answer else { return Ok(()) };
            if let Some(status) = self.ended() {
                return Err(DaemonError::Ended { program: self.program.clone(), status, log: self.log() });
            }
            if Instant::now() > deadline {
                let why = Box::new(why);
                return Err(DaemonError::Silent { program: self.program.clone(), why, log: self.log() });
            }
            thread::sleep(PAUSE);
        }
    }

    fn kill(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run_folder(folder: &Path) -> PathBuf {
    folder.join("xen/run")
}

/// Starts the program; it need not answer yet.
fn launch(program: &Program, target: &Path, folder: &Path, options: Options) -> Result<Child, DaemonError> {
    let file_error = |source| DaemonError::File { path: folder.to_path_buf(), source };
    let xen = folder.join("xen");
    let mut command = match program {
        Program::C => {
            let debian = Debian::in_target(target)?;
            let mut command = debian.command(&debian.program("xenstored"));
            command.arg("-N");
            if options.hurry {
                // An event that a guest does not read is kept for ever: by a hurried clock its time would be up too soon.
                command.args(["-w", "watch-event=0"]);
            }
            command
        }
        Program::OCaml => {
            let config = folder.join("oxenstored.conf");
            fs::write(&config, oxenstored_config(folder, options)).map_err(file_error)?;
            let debian = Debian::in_target(target)?;
            let mut command = debian.command(&debian.program("oxenstored"));
            command.args(["--no-fork", "--no-access-log", "--config-file"]).arg(config);
            command
        }
        Program::Ours(path, arguments) => {
            let mut command = Command::new(path);
            command.args(["-N", "--xen-of-files"]).arg(&xen).args(arguments);
            command
        }
    };
    if !matches!(program, Program::Ours(..)) {
        let shim = shim(&Debian::in_target(target)?, &target.join("peers"))?;
        command.env("LD_PRELOAD", shim).env("XEN_OF_FILES", &xen);
    }
    if options.hurry {
        command.env("XEN_OF_FILES_HURRY", "100");
    }
    let log = File::create(folder.join("log")).map_err(file_error)?;
    command
        .arg("--pid-file")
        .arg(folder.join("pid"))
        .env("XENSTORED_RUNDIR", run_folder(folder))
        // Where the C daemon leaves its state at a live update.
        .env("XENSTORED_ROOTDIR", run_folder(folder))
        .current_dir(folder)
        .stdin(std::process::Stdio::null())
        .stdout(log.try_clone().map_err(file_error)?)
        .stderr(log);
    let child =
        command.spawn().map_err(|source| DaemonError::File { path: command.get_program().into(), source })?;
    if let Some(processor) = options.processor {
        let mut set = CpuSet::new();
        set.set(processor);
        sched_setaffinity(Pid::from_raw(child.id() as i32), &set)
            .map_err(|error| file_error(error.into()))?;
    }
    Ok(child)
}

/// What oxenstored is told beyond its defaults, which are in its source, `define.ml` and `quota.ml`.
fn oxenstored_config(folder: &Path, options: Options) -> String {
    let folder = folder.display();
    let burst = if options.hurry { "1000000000.0" } else { "5.0" };
    format!(
        "pid-file = {folder}/pid\n\
         xenstored-kva = {folder}/xen/page-0\n\
         xenstored-port = {folder}/xen/port\n\
         xenstored-log-file = {folder}/xenstored.log\n\
         xenstored-log-level = error\n\
         quota-activate = true\n\
         conflict-burst-limit = {burst}\n"
    )
}

/// The shim, compiled once and kept below the target directory under the name of what it is compiled from.
fn shim(debian: &Debian, parent: &Path) -> Result<PathBuf, DaemonError> {
    let mut hasher = DefaultHasher::new();
    SHIM.hash(&mut hasher);
    let shim = parent.join(format!("xen-of-files-{:016x}.so", hasher.finish()));
    if shim.exists() {
        return Ok(shim);
    }
    let file_error = |source| DaemonError::File { path: parent.to_path_buf(), source };
    let folder = tempfile::tempdir_in(parent).map_err(file_error)?;
    let (source, compiled) = (folder.path().join("xen_of_files.c"), folder.path().join("shim.so"));
    fs::write(&source, SHIM).map_err(file_error)?;
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-I"])
        .arg(debian.headers())
        .arg("-o")
        .arg(&compiled)
        .arg(&source)
        .output()
        .map_err(|error| DaemonError::Shim { said: error.to_string() })?;
    if !output.status.success() {
        return Err(DaemonError::Shim { said: String::from_utf8_lossy(&output.stderr).into_owned() });
    }
    // Another process may have been as quick; either file is good.
    fs::rename(&compiled, &shim).map_err(file_error)?;
    Ok(shim)
}
