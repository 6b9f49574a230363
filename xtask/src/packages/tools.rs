//! The programs that are installed on the machine itself, through its own apt.

use std::io::{IsTerminal, stdin};
use std::process::Command;

use crate::process::{self, ProcessError};

/// A program that the machine itself must have.
#[derive(Debug)]
pub(crate) struct Tool {
    /// The name that it is called by.
    program: &'static str,
    /// The Debian package that it is in.
    package: &'static str,
    /// What it is for.
    purpose: &'static str,
}

/// What `run`, `test`, `bench` and `demo` boot hosts with.
pub(crate) const QEMU: Tool = Tool {
    program: "qemu-system-x86_64",
    package: "qemu-system-x86",
    purpose: "it runs the emulated host that R-VMM is tried and tested on",
};

/// What `fuzz` compiles the fuzzer's own library with.
pub(crate) const CPP: Tool =
    Tool { program: "c++", package: "g++", purpose: "the library of the fuzzer is written in C++" };

/// A machine that has just been started may be upgrading itself: wait for that, in seconds.
const LOCK_TIMEOUT: &str = "-oDPkg::Lock::Timeout=300";

/// Why a program is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    /// There is no apt to install it with.
    #[error("{} is not on this machine, and neither is apt-get: install it by hand", .0.program)]
    NoApt(&'static Tool),
    /// Installing asks for root, and there is no way to become root.
    #[error(
        "{} is not on this machine, and installing it needs root: run `apt-get install {}` as root",
        .0.program, .0.package
    )]
    NoRoot(&'static Tool),
    /// apt failed.
    #[error(
        "cannot install {}: without a network, or with packages half installed, apt cannot help; run `apt-get install {}` by hand to see more",
        .tool.package, .tool.package
    )]
    Install {
        /// What was to be installed.
        tool: &'static Tool,
        /// Which command failed.
        source: ProcessError,
    },
    /// apt succeeded, and yet the program is not on the search path.
    #[error("{} was installed, and {} is still not on the search path", .0.package, .0.program)]
    StillMissing(&'static Tool),
}

/// Who may run apt here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    /// This process itself.
    Root,
    /// Anyone who knows the password, asked on the terminal.
    Sudo,
    /// sudo without a password, because there is nobody to ask.
    SilentSudo,
}

/// Makes sure that a program is on this machine, and installs it if it is not.
pub(crate) fn ensure(tool: &'static Tool) -> Result<(), ToolError> {
    let Tool { program, package, purpose } = tool;
    if process::find(program).is_some() {
        return Ok(());
    }
    if process::find("apt-get").is_none() {
        return Err(ToolError::NoApt(tool));
    }
    let right = right(user_id() == Some(0), process::find("sudo").is_some(), stdin().is_terminal());
    let right = right.ok_or(ToolError::NoRoot(tool))?;
    eprintln!("x: {program} is not on this machine; {purpose}.");
    eprintln!(
        "x: installing Debian's package {package} and what it depends on, nothing it merely recommends."
    );
    // The lists may be absent (a fresh container) or stale (a file that the mirror has replaced): fetch them first.
    for arguments in [&["update"][..], &["install", "--yes", "--no-install-recommends", package]] {
        process::run(&mut apt_get(right, arguments)).map_err(|source| ToolError::Install { tool, source })?;
    }
    process::find(program).map(|_| ()).ok_or(ToolError::StillMissing(tool))
}

fn right(is_root: bool, has_sudo: bool, has_terminal: bool) -> Option<Right> {
    match (is_root, has_sudo, has_terminal) {
        (true, _, _) => Some(Right::Root),
        (false, true, true) => Some(Right::Sudo),
        (false, true, false) => Some(Right::SilentSudo),
        (false, false, _) => None,
    }
}

fn apt_get(right: Right, arguments: &[&str]) -> Command {
    let words: &[&str] = match right {
        Right::Root => &[],
        Right::Sudo => &["sudo"],
        Right::SilentSudo => &["sudo", "-n"],
    };
    // `env` because sudo drops the variables of its caller.
    let apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", LOCK_TIMEOUT];
    let mut all = words.iter().chain(&apt).chain(arguments).copied();
    let mut command = Command::new(all.next().unwrap_or("env"));
    command.args(all);
    command
}

/// The user that this process runs as.
fn user_id() -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").ok().map(|data| data.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_needs_no_sudo_and_a_pipe_is_never_asked_for_a_password() {
        assert_eq!(right(true, true, true), Some(Right::Root));
        assert_eq!(right(true, false, false), Some(Right::Root));
        assert_eq!(right(false, true, true), Some(Right::Sudo));
        assert_eq!(right(false, true, false), Some(Right::SilentSudo));
        assert_eq!(right(false, false, true), None);
    }

    #[test]
    fn the_command_line_is_what_a_person_would_type() {
        let line = |right| {
            let command = apt_get(right, &["install", QEMU.package]);
            let words = std::iter::once(command.get_program()).chain(command.get_args());
            words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        let tail =
            "env DEBIAN_FRONTEND=noninteractive apt-get -q -oDPkg::Lock::Timeout=300 install qemu-system-x86";
        assert_eq!(line(Right::Root), tail);
        assert_eq!(line(Right::Sudo), format!("sudo {tail}"));
        assert_eq!(line(Right::SilentSudo), format!("sudo -n {tail}"));
    }
}
