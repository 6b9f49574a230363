//! XenStore in the tests' systems: who serves, who counts, and what they say.

use std::time::Duration;

use emulator::condition::{Condition, component, everything_is_up};
use emulator::event::{Event, What};
use emulator::host::{Host, HostError};
use emulator::line::Line;

/// The master.
pub const MASTER: &str = "xenstore.0";

/// Its replicas.
pub const REPLICAS: [&str; 2] = ["xenstore.1", "xenstore.2"];

/// Probes that use it, and count.
pub const CLIENTS: [&str; 2] = ["client.a", "client.b"];

/// How long a client may take to fill a store: a hundred thousand requests, in an emulator, one after the other.
const FILLED: Duration = Duration::from_secs(15 * 60);

/// What a client says when it is served.
const SERVED: &str = "XenStore serves this probe";

/// What a client says before the longest time in microseconds that a request of its last hundred rounds has taken.
const LONGEST: &str = "longest request ";

/// Everything is up, both clients are served, and both replicas follow: since the host was switched on.
pub fn is_served() -> impl Iterator<Item = Condition> {
    let served = CLIENTS.map(|client| component(client).logs(SERVED));
    [everything_is_up()].into_iter().chain(served).chain(is_followed())
}

/// Both replicas follow, or do so again.
pub fn is_followed() -> [Condition; 2] {
    [0, 1].map(|replica| component(MASTER).logs(&format!("replica {replica} follows")))
}

/// Waits until both clients have made a hundred rounds, or so, since the chapter began, and since the master was repaired if it had to
/// be. Returns the longest time in microseconds that a request has taken since the reports before.
///
/// # Errors
/// When a client does not go on.
pub fn longest_request(host: &Host) -> Result<u64, HostError> {
    CLIENTS.iter().try_fold(0, |longest, client| Ok(longest.max(longest_request_of(host, client)?)))
}

/// The same of one client.
///
/// # Errors
/// When it does not go on.
pub fn longest_request_of(host: &Host, client: &str) -> Result<u64, HostError> {
    let mut is_repaired = !host.events().iter().any(is_repair);
    let (mut longest, mut reports) = (0, 0);
    host.wait_line(format!("{client} makes rounds"), |line| {
        let Line::Event(event) = line else { return None };
        is_repaired |= event.component == MASTER && matches!(event.what, What::Repaired { .. });
        longest = longest.max(rounds(event).filter(|_| event.component == client)?);
        // The first report afterwards may have been on its way already.
        reports += u32::from(is_repaired);
        (reports == 2).then_some(longest)
    })
}

/// Waits until the one client of a large store has filled it.
///
/// # Errors
/// When it does not within `FILLED`.
pub fn fill(host: &Host) -> Result<(), HostError> {
    let served = component("client").logs(SERVED);
    host.wait_line_within(FILLED, &served, |line| match line {
        Line::Event(event) => served.is_met_by(event).then_some(()),
        _ => None,
    })
}

fn is_repair(event: &Event) -> bool {
    event.component == MASTER && matches!(event.what, What::Repair { .. })
}

/// The longest request that a client's report of rounds tells of.
fn rounds(event: &Event) -> Option<u64> {
    let What::Log { msg, .. } = &event.what else { return None };
    let (_, longest) = msg.split_once(LONGEST)?;
    longest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_rounds_tells_the_longest_request() {
        let line =
            "[SD] 4 7 client.a log level=info msg=XenStore: 100 rounds, 0 conflicts, longest request 812 us";
        assert_eq!(rounds(&line.parse().unwrap()), Some(812));
        assert_eq!(rounds(&"[SD] 4 7 client.a up boot_us=1".parse().unwrap()), None);
    }
}
