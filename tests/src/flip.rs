//! Bits that are flipped in XenStore, and what is said of them.

use std::thread;
use std::time::Duration;

use emulator::command::Command;
use emulator::event::What;
use emulator::fault::Fault;
use emulator::fields::Fields;
use emulator::host::{Host, HostError};
use emulator::line::Line;

/// Before each: root prints no more than twenty lines of one component in a second, and one flipped bit is up to three; seven where a
/// replica gives its copy.
const PACE: Duration = Duration::from_millis(200);
const PACE_OF_COPIES: Duration = Duration::from_millis(800);

/// What has become of a flipped bit. Times are in microseconds, from the moment when it was flipped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flipped {
    /// It was found and mended.
    Mended {
        /// When it was found.
        found_us: u64,
        /// When it was mended.
        mended_us: u64,
    },
    /// Nobody has come upon it, and nobody will: it was written over.
    Unnoticed,
}

/// How long a log that is written over all the while may keep a bit before the checks of it have been everywhere.
const UNNOTICED: Duration = Duration::from_secs(2);

/// Has `component`, which is XenStore's master or a replica, flip a bit, and waits until it has mended it.
///
/// # Errors
/// When it does not say that it has; only of a log it need not, for that is written over.
pub fn flip(host: &mut Host, component: &str, fault: Fault, seed: u64) -> Result<Flipped, HostError> {
    thread::sleep(if fault == Fault::FlipCopies { PACE_OF_COPIES } else { PACE });
    host.begin_chapter();
    host.command(&Command::Inject { component: component.into(), fault, argument: Some(seed) })?;
    let what = format!("{component} says that it has mended what {fault} {seed} has done");
    let mended = |line: &Line| match line {
        Line::Event(event) if event.component == component => match &event.what {
            What::Log { msg, .. } => mended(msg),
            _ => None,
        },
        _ => None,
    };
    if fault != Fault::FlipVault {
        return host.wait_line(what, mended);
    }
    match host.wait_line_within(UNNOTICED, what, mended) {
        Err(error) if error.is_timeout() => Ok(Flipped::Unnoticed),
        result => result,
    }
}

/// Reads `mended=N found_us=N mended_us=N: what it was`.
fn mended(msg: &str) -> Option<Flipped> {
    let (head, _) = msg.split_once(": ")?;
    let fields: Fields = head.parse().ok()?;
    Some(Flipped::Mended { found_us: fields.get_as("found_us")?, mended_us: fields.get_as("mended_us")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_from_what_is_logged() {
        let msg = "mended=2 found_us=410 mended_us=2950: node /a: record has digest 2, not 1";
        assert_eq!(mended(msg), Some(Flipped::Mended { found_us: 410, mended_us: 2950 }));
        for other in
            ["mended=2: node /a", "found=2 found_us=410: 3 damaged words", "XenStore: 100 rounds", "a: b"]
        {
            assert_eq!(mended(other), None, "{other}");
        }
    }
}
