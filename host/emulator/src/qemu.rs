//! A QEMU process that does not outlive its owner.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::machine::MachineConfig;

/// The emulator's program.
pub(crate) const PROGRAM: &str = "qemu-system-x86_64";

/// How often the supervisor looks whether QEMU has ended by itself.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why QEMU did not start.
#[derive(Debug, Error)]
pub enum SpawnError {
    /// A file that the machine boots is not there.
    #[error("{what} is not at {}: run ./x build", .path.display())]
    NoBootFile {
        /// Xen, root or the archive.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
    },
    /// The directory of the run, or a file in it, could not be made.
    #[error("cannot write to {}: {error}", .path.display())]
    Directory {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// No process or thread could be had.
    #[error("cannot start {PROGRAM}: {0}")]
    Process(#[source] io::Error),
}

/// A running QEMU. It is killed when this is dropped, when its lifetime ends, and when this process ends in whatever way.
pub struct Qemu {
    pid: u32,
    stop: Sender<()>,
    supervisor: Option<JoinHandle<io::Result<ExitStatus>>>,
}

/// The two ends of the machine's serial line.
pub struct Serial {
    /// Bytes for the machine.
    pub input: ChildStdin,
    /// Bytes from the machine.
    pub output: ChildStdout,
}

impl Qemu {
    /// Starts the machine `config`, for `lifetime` at most. `directory` gets `qemu.cmd` (the command line), `qemu.stderr` and links to
    /// the boot files.
    ///
    /// # Errors
    /// When a boot file is missing, the directory cannot be written, or the process cannot start.
    pub fn spawn(
        config: &MachineConfig,
        directory: &Path,
        lifetime: Duration,
    ) -> Result<(Self, Serial), SpawnError> {
        prepare(config, directory)?;
        let mut command = command(config, directory)?;
        let (stop, stopped) = mpsc::channel();
        let (started, starts) = mpsc::channel();
        // The kernel ties the process to the thread that started it, so that thread is the one that stays with it.
        let supervise = move || {
            let child = command.spawn()?;
            supervise(child, lifetime, &started, &stopped)
        };
        let supervisor =
            thread::Builder::new().name("qemu".into()).spawn(supervise).map_err(SpawnError::Process)?;
        match starts.recv() {
            Ok((pid, serial)) => Ok((Qemu { pid, stop, supervisor: Some(supervisor) }, serial)),
            Err(_) => Err(SpawnError::Process(match supervisor.join() {
                Ok(Err(error)) => error,
                _ => io::Error::other("its supervisor ended"),
            })),
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the process runs.
    pub fn is_running(&self) -> bool {
        self.supervisor.as_ref().is_some_and(|supervisor| !supervisor.is_finished())
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // An error says that the supervisor has ended, and QEMU with it.
        let _ = self.stop.send(());
        if let Some(supervisor) = self.supervisor.take() {
            let _ = supervisor.join();
        }
    }
}

/// Links the boot files into `directory` under their short names.
fn prepare(config: &MachineConfig, directory: &Path) -> Result<(), SpawnError> {
    fs::create_dir_all(directory)
        .map_err(|error| SpawnError::Directory { path: directory.to_owned(), error })?;
    for (what, file) in config.boot.named() {
        let missing = |_| SpawnError::NoBootFile { what, path: file.to_owned() };
        let file = file.canonicalize().map_err(missing)?;
        let link = directory.join(what);
        // A link of an earlier run is replaced; if there is none, there is nothing to remove.
        let _ = fs::remove_file(&link);
        symlink(file, &link).map_err(|error| SpawnError::Directory { path: link, error })?;
    }
    Ok(())
}

fn command(config: &MachineConfig, directory: &Path) -> Result<Command, SpawnError> {
    let create = |name: &str| {
        let path = directory.join(name);
        File::create(&path).map_err(|error| SpawnError::Directory { path, error })
    };
    // `setpriv` becomes QEMU, and so does what QEMU is started through: the kernel then kills QEMU when its supervisor is gone, even if this process was killed.
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--"])
        .args(config.program())
        .args(config.arguments())
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(create("qemu.stderr")?);
    let path = directory.join("qemu.cmd");
    fs::write(&path, format!("{command:?}\n")).map_err(|error| SpawnError::Directory { path, error })?;
    Ok(command)
}

/// Stays with the process until it ends, its lifetime is over, or it is to stop.
fn supervise(
    mut child: Child,
    lifetime: Duration,
    started: &Sender<(u32, Serial)>,
    stopped: &Receiver<()>,
) -> io::Result<ExitStatus> {
    let end = Instant::now() + lifetime;
    if let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) {
        // If nobody waits for it, `stopped` is closed too, and the process is killed below.
        let _ = started.send((child.id(), Serial { input, output }));
    }
    while Instant::now() < end {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        match stopped.recv_timeout(LOOK_EVERY) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    child.kill()?;
    child.wait()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::BootFiles;

    #[test]
    fn a_missing_boot_file_is_named_before_anything_runs() {
        let scratch = tempfile::tempdir().unwrap();
        let here = |name: &str| scratch.path().join(name);
        File::create(here("xen-4.17")).unwrap();
        let boot = BootFiles { xen: here("xen-4.17"), root: here("root.elf"), archive: here("a") };
        let config = MachineConfig::new(boot);
        let error = Qemu::spawn(&config, &here("logs"), Duration::ZERO).err().unwrap().to_string();
        assert_eq!(error, format!("root is not at {}: run ./x build", here("root.elf").display()));
        assert!(!here("logs/qemu.cmd").exists());
    }
}
