//! Going into the background.
//!
//! A process of many libraries cannot safely fork and go on. So the first process starts the same program once more, in
//! a session of its own, and waits at a pipe until that daemon says that it is ready. An init script that gets the
//! prompt back can use the socket at once.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use crate::cli;

/// Starts the daemon, waits until it is ready, and tells its process id.
///
/// # Errors
/// What starting it says. A daemon that ends before it is ready has said why on standard error.
pub fn start() -> io::Result<Result<u32, ExitCode>> {
    let mut child = Command::new(cli::OWN_PROGRAM)
        .arg0("xenstored")
        .args(cli::own_arguments(&["--no-fork", "--detached"]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut line)?;
    }
    match line.trim().parse() {
        Ok(pid) => Ok(Ok(pid)),
        Err(_) => Ok(Err(if child.wait()?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })),
    }
}

/// In the daemon, first thing: leaves the session of who started it.
///
/// # Errors
/// What `setsid` says.
pub fn detach() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// In the daemon, when it serves and has opened what the command line names: says so at the pipe, and lets go of it, of
/// standard error and of the directory that it was started in.
///
/// # Errors
/// What writing, `dup2` and `chdir` say.
pub fn ready() -> io::Result<()> {
    writeln!(io::stdout(), "{}", std::process::id())?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    std::env::set_current_dir("/")
}
