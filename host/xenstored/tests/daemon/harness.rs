//! A daemon in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use xenstore_client::Client;

/// How long anything may take before the test is called hung.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon that runs until it is dropped.
pub struct Daemon {
    pub folder: TempDir,
    arguments: Vec<String>,
    child: Option<Child>,
}

/// The daemon's command in a folder: in the foreground, logging to the folder's `log`.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).expect("a log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_xenstored"));
    command
        .args(["--log", "stderr"])
        .args(arguments)
        .current_dir(folder)
        .env("XENSTORED_RUNDIR", folder)
        .env_remove("XENSTORED_PATH")
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command
}

impl Daemon {
    /// Starts a daemon and waits until it answers.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_in(TempDir::new().expect("a folder"), arguments)
    }

    /// Starts a daemon in a folder and waits until it answers.
    pub fn start_in(folder: TempDir, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let mut daemon = Self { folder, arguments, child: None };
        daemon.restart();
        daemon
    }

    /// Starts it again, after it has ended.
    pub fn restart(&mut self) {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        self.child = Some(command(self.folder.path(), &arguments).arg("-N").spawn().expect("started"));
        let start = Instant::now();
        while Client::connect(&self.socket()).and_then(|mut client| client.domain_path(0)).is_err() {
            assert!(!self.has_ended(), "the daemon has ended:\n{}", self.log());
            assert!(start.elapsed() < PATIENCE, "the daemon does not answer:\n{}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(&self.socket()).expect("connected")
    }

    /// The socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Whether the process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().expect("waited").is_some())
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("killed");
        child.wait().expect("reaped");
    }

    /// Ends it as `kill` does.
    pub fn terminate(&mut self) {
        signal(self.pid(), Signal::TERM);
        let status = self.child.take().expect("it runs").wait().expect("reaped");
        assert!(status.success(), "{status}:\n{}", self.log());
    }

    /// The processes that the daemon has started and that run: its replicas.
    pub fn replicas(&self) -> Vec<u32> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        let children = fs::read_to_string(path).expect("the kernel knows");
        let pids = children.split_whitespace().map(|pid| pid.parse().expect("a number"));
        pids.filter(|pid| is_running(*pid)).collect()
    }

    /// Waits until all `count` replicas run, and kills one.
    pub fn kill_one_of(&self, count: usize, which: usize) {
        let mut replicas = Vec::new();
        wait_until("all replicas run", || {
            replicas = self.replicas();
            replicas.len() == count
        });
        signal(replicas[which % count], Signal::KILL);
    }
}

/// Lets the threads of a test end, in whatever way the test ends.
pub struct Stop<'a>(pub &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether a process runs; one that is dead and not reaped does not.
pub fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may be dead already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a signal.
pub fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid as i32).expect("a process has a number above 0");
    kill_process(pid, signal).expect("it is there");
}

/// Waits until something is so.
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
        thread::sleep(Duration::from_millis(1));
    }
}
