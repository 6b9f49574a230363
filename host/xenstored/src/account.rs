//! How many bytes a process has written: its own count, and the kernel's.
//!
//! A process that is killed around a `write(2)` to a client leaves one question: did the write happen? The kernel
//! knows. It counts what each thread has passed to `write` (proc(5), `wchar` in `/proc/PID/task/TID/io`), and that
//! count can be read until the dead process is reaped. So before each write to a client the writer notes, in memory
//! that outlives it, how much it had written until then; the difference to the kernel's last count is what the client
//! got. The alternative, `sendfile(2)` from a shared file whose offset moves with what was sent, costs a fifth more
//! CPU time per request; this costs nothing.
//!
//! For this to be exact, whatever the thread writes with `write(2)` must be reported here. Datagrams and control
//! messages go by `send(2)`, which the kernel does not count.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// Reports that the main thread has written `bytes`.
pub fn wrote(bytes: usize) {
    // The main thread alone writes, so that this is no race: an add would only cost a locked instruction.
    WRITTEN.store(written() + bytes as u64, Ordering::Relaxed);
}

/// What the main thread has written, by its own count.
pub fn written() -> u64 {
    WRITTEN.load(Ordering::Relaxed)
}

/// What the main thread of a process has written, by the kernel's count. The process may be dead, if its parent has
/// not reaped it.
///
/// # Errors
/// What reading `/proc` says: `NotFound` for a kernel without `CONFIG_TASK_IO_ACCOUNTING`.
pub fn of_process(pid: u32) -> io::Result<u64> {
    let table = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/io"))?;
    let value = table.lines().find_map(|line| line.strip_prefix("wchar: "));
    value.and_then(|value| value.trim().parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// How long the main thread of a process has waited for a processor while it wanted one (`schedstat`); 0 if the kernel does
/// not tell.
pub fn starved(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let waited = text.split_whitespace().nth(1).and_then(|text| text.parse().ok());
    waited.map_or(Duration::ZERO, Duration::from_nanos)
}

/// Sets this process's own count right and tells by how much it was wrong. To be called once at the start, after which it
/// must answer 0.
///
/// # Errors
/// As [`of_process`].
pub fn settle() -> io::Result<u64> {
    let counted = of_process(std::process::id())?;
    let difference = counted.wrapping_sub(written());
    WRITTEN.store(counted, Ordering::Relaxed);
    Ok(difference)
}
