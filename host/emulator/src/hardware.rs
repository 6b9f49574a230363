//! What happens to the machine's hardware while it runs, by QEMU's monitor (QMP).

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use crate::host::GUARD;

/// The monitor's socket, in the directory in which QEMU runs.
const SOCKET: &str = "monitor";

/// What QEMU is told, so that there is a monitor.
pub(crate) fn option() -> String {
    format!("unix:{SOCKET},server=on,wait=off")
}

/// Has the QEMU with the process id `pid` make the machine's disk of this number so many bytes large.
///
/// # Errors
/// When QEMU cannot be reached, or refuses.
pub(crate) fn resize_disk(pid: u32, number: usize, bytes: u64) -> io::Result<()> {
    let size = format!("\"block_resize\",\"arguments\":{{\"device\":\"disk{number}\",\"size\":{bytes}}}");
    execute(pid, &size)
}

/// Has that QEMU stop the machine with its clocks, or have it run on.
///
/// # Errors
/// The same.
pub(crate) fn set_running(pid: u32, runs: bool) -> io::Result<()> {
    execute(pid, if runs { "\"cont\"" } else { "\"stop\"" })
}

fn execute(pid: u32, command: &str) -> io::Result<()> {
    // By this way its name is short enough for a socket, wherever the directory is.
    let mut stream = UnixStream::connect(format!("/proc/{pid}/cwd/{SOCKET}"))?;
    stream.set_read_timeout(Some(GUARD))?;
    let mut answers = BufReader::new(stream.try_clone()?).lines();
    for command in ["\"qmp_capabilities\"", command] {
        writeln!(stream, "{{\"execute\":{command}}}")?;
        loop {
            // Greetings and events come between.
            let answer = answers.next().unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))?;
            if answer.starts_with("{\"return\"") {
                break;
            }
            if answer.starts_with("{\"error\"") {
                return Err(io::Error::other(answer));
            }
        }
    }
    Ok(())
}
