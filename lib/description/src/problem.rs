//! Where a description breaks a rule, and how.

use crate::{Amount, Component, Cycle, Description};
use core::fmt;

/// What breaks a rule: a key of the host, of a component, of a guest, or of shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The table.
    pub item: Item,
    /// The key in that table, as in `rvmm.toml`, and behind it those that the rule holds it against; a key of another
    /// table has that table's name in front.
    pub keys: &'static [&'static str],
}

impl Place {
    /// The key that breaks the rule.
    pub fn key(&self) -> &'static str {
        self.keys.first().copied().unwrap_or_default()
    }
}

/// A table of `rvmm.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// `[host]`.
    Host,
    /// The component of this index.
    Component(usize),
    /// The guest of this index.
    Guest(usize),
    /// The shared memory of this index.
    Shared(usize),
}

/// How a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Less than is needed.
    TooSmall {
        /// What was asked for.
        found: Amount,
        /// What is needed.
        least: Amount,
        /// Why.
        why: &'static str,
    },
    /// More than is possible or sensible.
    TooLarge {
        /// What was asked for.
        found: Amount,
        /// What is possible.
        most: Amount,
        /// Why.
        why: &'static str,
    },
    /// No whole number of a step.
    Uneven {
        /// What was asked for.
        found: Amount,
        /// The step.
        step: Amount,
        /// Why.
        why: &'static str,
    },
    /// The name is taken by an earlier table.
    NameTaken,
    /// The name is `root`, which means the host's own root in event log and console commands.
    NameReserved,
    /// There is nothing to run.
    NoComponents,
    /// A dependency on an index that no component has.
    NoSuchComponent {
        /// The index.
        index: usize,
    },
    /// Components that wait for each other for ever.
    Cycle {
        /// Each waits for the next, the last for the first.
        members: Cycle,
    },
    /// A component that starts at boot needs one that does not.
    NeedsManual {
        /// The index of the one that is needed.
        needed: usize,
    },
    /// The device is claimed by an earlier entry.
    DeviceTaken {
        /// The index of the component of the earlier entry.
        by: usize,
    },
    /// Bits that stand for no capability.
    UnknownCapabilities {
        /// The bits.
        bits: u32,
    },
    /// Something that cannot be, such as a path without characters.
    Impossible {
        /// Why.
        why: &'static str,
    },
    /// Something that this needs is missing.
    Needs {
        /// What is missing and why.
        what: &'static str,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.item {
            Item::Host => write!(f, "host"),
            Item::Component(index) => write!(f, "component {index}"),
            Item::Guest(index) => write!(f, "guest {index}"),
            Item::Shared(index) => write!(f, "shared memory {index}"),
        }?;
        write!(f, ", {}", self.key())
    }
}

impl Problem {
    /// The problem in words, with the names that a description's components have.
    pub fn explain<'a>(&'a self, description: &'a Description) -> impl fmt::Display + 'a {
        Explained { problem: self, components: &description.components }
    }
}

/// A problem with the components that it is about, as far as they are at hand.
struct Explained<'a> {
    problem: &'a Problem,
    components: &'a [Component],
}

/// A component by its name, or by its index where the name is not at hand.
struct Who<'a>(usize, &'a [Component]);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Explained { problem: self, components: &[] }.fmt(f)
    }
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1.get(self.0) {
            Some(component) => write!(f, "{}", component.name),
            None => write!(f, "component {}", self.0),
        }
    }
}

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = |index| Who(index, self.components);
        match self.problem {
            Problem::TooSmall { found, least, why } => {
                write!(f, "{found} asked for, at least {least} needed: {why}")
            }
            Problem::TooLarge { found, most, why } => {
                write!(f, "{found} asked for, at most {most} possible: {why}")
            }
            Problem::Uneven { found, step, why } => {
                write!(f, "{found} asked for, a multiple of {step} needed: {why}")
            }
            Problem::NameTaken => write!(f, "an earlier component or guest has this name: choose another"),
            Problem::NameReserved => write!(f, "this name means the host's own root: choose another"),
            Problem::NoComponents => write!(f, "nothing to run: describe at least one component"),
            Problem::NoSuchComponent { index } => write!(f, "no component has the index {index}"),
            Problem::Cycle { members } => {
                write!(f, "these wait for each other for ever: ")?;
                members.iter().try_for_each(|&member| write!(f, "{} -> ", who(member.into())))?;
                let first = members.first().copied().unwrap_or_default();
                write!(f, "{}: remove one of the dependencies", who(first.into()))
            }
            Problem::NeedsManual { needed } => {
                let needed = who(*needed);
                write!(f, "{needed} does not start at boot, so this cannot: give both the same autostart")
            }
            Problem::DeviceTaken { by } => {
                let by = who(*by);
                write!(
                    f,
                    "{by} claims the same device already: choose another, or with nth the next of its kind"
                )
            }
            Problem::UnknownCapabilities { bits } => write!(f, "no capability has the bits {bits:#x}"),
            Problem::Impossible { why } => write!(f, "this cannot be: {why}"),
            Problem::Needs { what } => write!(f, "this needs {what}"),
        }
    }
}
