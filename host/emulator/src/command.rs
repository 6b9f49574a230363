//! What can be asked of root on its console, one line each; root's answers start with `[RC] `.

use std::fmt;

use crate::event::Rung;
use crate::fault::{Fault, RootFault};

/// What every line of an answer starts with.
pub const ANSWER_TAG: &str = "[RC] ";

/// The longest line that Xen's receive buffer holds (it has 128 bytes, and nothing slows the sender down).
pub const MAX_LINE: usize = 120;

/// A command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// Tells a probe to fail.
    Inject {
        /// Which probe.
        component: String,
        /// How it fails.
        fault: Fault,
        /// What the fault needs to know, for instance a number of times.
        argument: Option<u64>,
    },
    /// Asks for the state of every component.
    Status,
    /// Restarts a component.
    Restart {
        /// Which one.
        component: String,
        /// On which rung.
        rung: Rung,
    },
    /// Lets a held component run again.
    Release {
        /// Which one.
        component: String,
    },
    /// Asks for what is free: pages, event channels, grants.
    Free,
    /// Tells root to fail.
    SelfHarm {
        /// How it fails.
        fault: RootFault,
    },
    /// Ends the host.
    PowerOff,
    /// Asks whether a component beats.
    Ping {
        /// Which one.
        component: String,
    },
    /// Says something to a component, in its own terms.
    Tell {
        /// Which one.
        component: String,
        /// What.
        line: String,
    },
}

impl Command {
    /// Whether it changes nothing, so that it may be given any number of times.
    pub fn is_question(&self) -> bool {
        matches!(self, Command::Status | Command::Free | Command::Ping { .. })
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Inject { component, fault, argument: None } => write!(f, "inject {component} {fault}"),
            Command::Inject { component, fault, argument: Some(argument) } => {
                write!(f, "inject {component} {fault} {argument}")
            }
            Command::Status => f.write_str("status"),
            Command::Restart { component, rung } => write!(f, "restart {component} {rung}"),
            Command::Release { component } => write!(f, "release {component}"),
            Command::Free => f.write_str("free"),
            Command::SelfHarm { fault } => write!(f, "selfharm {fault}"),
            Command::PowerOff => f.write_str("poweroff"),
            Command::Ping { component } => write!(f, "ping {component}"),
            Command::Tell { component, line } => write!(f, "tell {component} {line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_nothing_is_a_question() {
        assert!(Command::Free.is_question());
        assert!(!Command::PowerOff.is_question());
        assert!(!Command::Release { component: "probe.a".into() }.is_question());
    }

    #[test]
    fn commands_are_written_as_root_reads_them() {
        let component = || "probe.a".to_owned();
        for (command, line) in [
            (
                Command::Inject { component: component(), fault: Fault::NullStore, argument: None },
                "inject probe.a null-store",
            ),
            (
                Command::Inject { component: component(), fault: Fault::CrashLoop, argument: Some(3) },
                "inject probe.a crash-loop 3",
            ),
            (Command::Status, "status"),
            (
                Command::Restart { component: component(), rung: Rung::MicroReboot },
                "restart probe.a micro-reboot",
            ),
            (Command::Release { component: component() }, "release probe.a"),
            (Command::Free, "free"),
            (Command::SelfHarm { fault: RootFault::TrashBss }, "selfharm trash-bss"),
            (Command::PowerOff, "poweroff"),
            (Command::Ping { component: component() }, "ping probe.a"),
        ] {
            assert_eq!(command.to_string(), line);
        }
    }
}
