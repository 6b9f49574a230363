//! Other programs: run them, and say which one failed and how.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// A program that could not be run, or that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    /// It could not be started at all.
    #[error("cannot start `{command}`: {source}")]
    Start {
        /// The command line as a person would type it.
        command: String,
        /// What the system answered.
        source: std::io::Error,
    },
    /// It ran and reported failure.
    #[error("`{command}` failed ({status}){}", after_colon(.said))]
    Failed {
        /// The command line as a person would type it.
        command: String,
        /// Its exit status.
        status: ExitStatus,
        /// What it wrote to standard error, empty where that went to the terminal.
        said: String,
    },
}

fn after_colon(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(":\n{}", said.trim_end()) }
}

/// Runs `command` with its output on the terminal.
pub(crate) fn run(command: &mut Command) -> Result<(), ProcessError> {
    let status =
        command.status().map_err(|source| ProcessError::Start { command: written(command), source })?;
    if status.success() {
        return Ok(());
    }
    Err(ProcessError::Failed { command: written(command), status, said: String::new() })
}

/// Runs `command` silently and answers what it printed.
pub(crate) fn capture(command: &mut Command) -> Result<String, ProcessError> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ProcessError::Start { command: written(command), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(ProcessError::Failed {
        command: written(command),
        status: output.status,
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Where `program` is on the search path, if it is there.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// `command` as a person would type it.
fn written(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error = capture(Command::new("sh").args(["-c", "echo no such sheep >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit status: 3") && text.contains("no such sheep"), "{text}");
    }

    #[test]
    fn a_missing_program_is_told_from_a_failing_one() {
        let error = capture(&mut Command::new("rvmm-no-such-program")).unwrap_err();
        assert!(matches!(error, ProcessError::Start { .. }), "{error}");
        assert_eq!(find("rvmm-no-such-program"), None);
        assert!(find("sh").is_some());
    }
}
