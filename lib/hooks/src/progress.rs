//! How far a receiver was told, and what is next.

use crate::kinds::is_told;
use api::types::Event;
use recovery_box::Record;
use serde::{Deserialize, Serialize};

/// How far a receiver was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The first line of the event log that was not looked at yet.
    pub next: u64,
    /// The number of what the receiver has said last that it has; 0 if there is nothing.
    pub last: u64,
}

impl Record for Progress {
    const TYPE: u16 = 1;
    const VERSION: u16 = 1;
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The line is nobody's concern.
    Pass(u64),
    /// The line is to be told.
    Tell(Event),
    /// The lines from the first number to the second are lost, and nobody knows what they said: that is to be told.
    TellLost(u64, u64),
}

impl Next {
    /// The number of what is told, or passed.
    pub const fn sequence(&self) -> u64 {
        match self {
            Self::Pass(sequence) | Self::TellLost(_, sequence) => *sequence,
            Self::Tell(event) => event.sequence,
        }
    }
}

impl Progress {
    /// Nothing was told.
    pub const NONE: Self = Self { next: 1, last: 0 };

    /// What to do when `event` is the first line from `next` on that the log still has.
    pub fn next(&self, event: Event) -> Next {
        match event.sequence {
            found if found > self.next => Next::TellLost(self.next, found - 1),
            _ if is_told(&event.text) => Next::Tell(event),
            found => Next::Pass(found),
        }
    }

    /// How far it is when that is done.
    pub const fn after(&self, done: &Next) -> Self {
        let next = done.sequence() + 1;
        match done {
            Next::Pass(_) => Self { next, ..*self },
            Next::Tell(_) | Next::TellLost(..) => Self { next, last: done.sequence() },
        }
    }
}
