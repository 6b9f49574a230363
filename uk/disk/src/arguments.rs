//! What the description says.

use core::fmt;
use core::ops::Range;

/// What this program shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task<'a> {
    /// Nothing: no arguments.
    Nothing,
    /// Serve guests.
    Serve {
        /// The shared memory with the ring over which XenStore tells of them.
        store: &'a str,
        /// The shared memory over which somebody else has volumes listed, read and written.
        volumes: Option<&'a str>,
    },
    /// Write to these sectors of the first disk and read them again.
    Test(Range<u64>),
    /// Measure what the first disk does with these sectors, so many times.
    Measure(Range<u64>, usize),
}

/// The arguments are none that this program knows.
#[derive(Debug)]
pub struct ArgumentError<'a>(&'a str);

impl fmt::Display for ArgumentError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forms = "\"store=NAME volumes=NAME\", \"scratch=2048+2048\" or \"measure=2048+65536 runs=5\", first sector and count";
        write!(f, "args must be like {forms}, not \"{}\"", self.0)
    }
}

/// Reads `arguments`.
///
/// # Errors
/// [`ArgumentError`].
pub fn parse(arguments: &str) -> Result<Task<'_>, ArgumentError<'_>> {
    let text = arguments.trim();
    if text.is_empty() {
        return Ok(Task::Nothing);
    }
    let sectors = |range: &str| {
        let (first, count) = range.split_once('+')?;
        let (first, count) = (first.parse::<u64>().ok()?, count.parse::<u64>().ok()?);
        Some(first..first.checked_add(count)?)
    };
    let task = match text.split_once('=') {
        Some(("store", rest)) if !rest.is_empty() => match rest.split_once(" volumes=") {
            None => Some(Task::Serve { store: rest, volumes: None }),
            Some((store, volumes)) => Some(Task::Serve { store, volumes: Some(volumes) }),
        },
        Some(("scratch", range)) => sectors(range).map(Task::Test),
        Some(("measure", rest)) => rest
            .split_once(" runs=")
            .and_then(|(range, runs)| Some(Task::Measure(sectors(range)?, runs.parse().ok()?))),
        _ => None,
    };
    task.ok_or(ArgumentError(arguments))
}
