//! What a unikernel says of a part that it has made anew: one line of its log, the same for all of them.

use core::fmt;

/// A part of a unikernel that is made anew alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A device's driver.
    Driver,
    /// The guests' backend.
    Backend,
}

/// A part has been made anew. Times are microseconds since Xen booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Which one.
    pub part: Part,
    /// Whether it did nothing any more, rather than crash.
    pub is_hang: bool,
    /// When the fault was injected, if it was.
    pub injected_us: Option<u64>,
    /// When it was noticed.
    pub detected_us: u64,
    /// When there was a new one.
    pub repaired_us: u64,
}

impl fmt::Display for Repaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, is_hang, injected_us, detected_us, repaired_us } = self;
        let part = match part {
            Part::Driver => "driver",
            Part::Backend => "backend",
        };
        let kind = if *is_hang { "hang" } else { "crash" };
        write!(f, "repaired part={part} kind={kind}")?;
        if let Some(injected_us) = injected_us {
            write!(f, " injected_us={injected_us}")?;
        }
        write!(f, " detected_us={detected_us} repaired_us={repaired_us}")
    }
}
