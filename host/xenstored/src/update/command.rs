//! `live-update` of CONTROL, in the parts in which `xenstore-control` says it (Xen's `docs/misc/xenstore.txt`).

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{Access, access};
use xenstore::Commands;

/// What is to take this daemon's place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The program.
    pub program: PathBuf,
    /// Its arguments; those of this daemon if none.
    pub arguments: Option<String>,
}

/// Why a command is refused: what its client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    NotExecutable,
    NoPlan,
    Replicas,
    /// `xenstore-control` asks again until its time is over.
    Busy,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotExecutable => "File not executable.",
            Self::NoPlan => "Not in live-update session.",
            Self::Replicas => "Replicas keep the store over a restart: no live update is needed.",
            Self::Busy => "BUSY",
        })
    }
}

#[derive(Debug, Default)]
struct Progress {
    plan: Option<Plan>,
    begins: bool,
}

/// What was said of a live update so far.
#[derive(Debug)]
pub struct Updates {
    progress: Mutex<Progress>,
    has_replicas: bool,
}

impl Updates {
    /// Nothing yet. A daemon with replicas refuses.
    pub fn new(has_replicas: bool) -> Self {
        Self { progress: Mutex::default(), has_replicas }
    }

    /// The plan, if it shall be carried out now.
    pub fn take(&self) -> Option<Plan> {
        let mut progress = self.progress();
        if std::mem::take(&mut progress.begins) { progress.plan.take() } else { None }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn perform(&self, arguments: &[&[u8]], open: usize) -> Option<Result<(), Refusal>> {
        let mut progress = self.progress();
        Some(match arguments {
            [b"-f", program] => {
                let program = PathBuf::from(OsStr::from_bytes(program));
                if self.has_replicas {
                    Err(Refusal::Replicas)
                } else if access(&program, Access::EXEC_OK).is_err() || !program.is_file() {
                    Err(Refusal::NotExecutable)
                } else {
                    progress.plan = Some(Plan { program, arguments: None });
                    Ok(())
                }
            }
            [b"-c", line] => progress.plan.as_mut().ok_or(Refusal::NoPlan).map(|plan| {
                plan.arguments = Some(String::from_utf8_lossy(line).into_owned());
            }),
            [b"-a"] => progress.plan.take().ok_or(Refusal::NoPlan).map(drop),
            [b"-s", options @ ..] => {
                let force = is_forced(options)?;
                if progress.plan.is_none() {
                    Err(Refusal::NoPlan)
                } else if open > 0 && !force {
                    Err(Refusal::Busy)
                } else {
                    progress.begins = true;
                    Ok(())
                }
            }
            _ => return None,
        })
    }
}

/// Whether `-F` is among the options of `-s`; none if something else is that there is not. How long to wait is the
/// client's affair: it asks again.
fn is_forced(options: &[&[u8]]) -> Option<bool> {
    match options {
        [] => Some(false),
        [b"-F", rest @ ..] => is_forced(rest).map(|_| true),
        [b"-t", _, rest @ ..] => is_forced(rest),
        _ => None,
    }
}

impl Commands for Updates {
    fn command(&self, arguments: &[&[u8]], open: usize) -> Option<String> {
        let [b"live-update", arguments @ ..] = arguments else { return None };
        let done = self.perform(arguments, open)?;
        Some(done.map_or_else(|refusal| refusal.to_string(), |()| "OK".to_owned()))
    }

    fn help(&self) -> &str {
        "live-update\t[-c <cmdline>] [-F] [-t <timeout>] <file>\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(updates: &Updates, line: &str, open: usize) -> Option<String> {
        let arguments: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        updates.command(&arguments, open)
    }

    #[test]
    fn an_update_is_said_in_parts() {
        let updates = Updates::new(false);
        let ok = Some("OK".to_owned());
        assert_eq!(say(&updates, "live-update -s", 0).as_deref(), Some("Not in live-update session."));
        assert_eq!(say(&updates, "live-update -f /none", 0).as_deref(), Some("File not executable."));
        assert_eq!(say(&updates, "live-update -f /bin/sh", 0), ok);
        assert_eq!(say(&updates, "live-update -c -N", 0), ok);
        assert_eq!(say(&updates, "live-update -s -t 60", 2).as_deref(), Some("BUSY"));
        assert_eq!(updates.take(), None);
        assert_eq!(say(&updates, "live-update -s -t 60 -F", 2), ok);
        let plan = Plan { program: "/bin/sh".into(), arguments: Some("-N".into()) };
        assert_eq!((updates.take(), updates.take()), (Some(plan), None));
    }

    #[test]
    fn an_update_can_be_given_up_and_nonsense_is_no_command() {
        let updates = Updates::new(false);
        assert_eq!(say(&updates, "live-update -f /bin/sh", 0).as_deref(), Some("OK"));
        assert_eq!(say(&updates, "live-update -a", 0).as_deref(), Some("OK"));
        assert_eq!(say(&updates, "live-update -a", 0).as_deref(), Some("Not in live-update session."));
        for nonsense in ["live-update", "live-update -s -x", "live-update -f", "memreport"] {
            assert_eq!(say(&updates, nonsense, 0), None, "{nonsense}");
        }
        assert!(say(&Updates::new(true), "live-update -f /bin/sh", 0).unwrap().contains("restart"));
    }
}
