//! What the description says.

use core::fmt;
use core::ops::Range;

/// The arguments are not `scratch=FIRST+COUNT`.
#[derive(Debug)]
pub struct ArgumentError<'a>(&'a str);

impl fmt::Display for ArgumentError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "args must be like \"scratch=2048+2048\", first sector and count, not \"{}\"", self.0)
    }
}

/// The sectors that may be written to; none where `arguments` are empty.
pub fn scratch(arguments: &str) -> Result<Option<Range<u64>>, ArgumentError<'_>> {
    let text = arguments.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let range = || {
        let (first, count) = text.strip_prefix("scratch=")?.split_once('+')?;
        let (first, count) = (first.parse::<u64>().ok()?, count.parse::<u64>().ok()?);
        Some(first..first.checked_add(count)?)
    };
    range().map(Some).ok_or(ArgumentError(arguments))
}
