//! Which lines of the event log are told.

/// The kinds of events that say that local repair was not enough, or that this is over:
///
/// | kind | what it says |
/// |---|---|
/// | `boot` | the host has come up: whatever was told before is past |
/// | `repair-failed` | a repair has not helped |
/// | `rebuild-all` | the whole control plane is made anew |
/// | `hold` | a component is given up |
/// | `spare` | one was to be made anew and runs on, because what it needs is given up |
/// | `release` | an operator has one tried again that was given up |
pub const TOLD: [&str; 6] = ["boot", "repair-failed", "rebuild-all", "hold", "spare", "release"];

/// What is behind `hold` where nothing has failed: the description says that the component is not to start by itself.
const AS_DESCRIBED: &str = "reason=not-started";

/// Whether a line of the log is told: `WHO KIND ...`, as root writes it.
pub fn is_told(text: &str) -> bool {
    let mut words = text.split(' ').skip(1);
    words.next().is_some_and(|kind| TOLD.contains(&kind)) && words.next() != Some(AS_DESCRIBED)
}
