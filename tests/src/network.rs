//! Hosts whose guests use the network, and the ways in which the network's unikernel can fail.

use std::time::Duration;

use crate::guest::Guest;
use crate::system::System;

/// The unikernel.
pub const NET: &str = "net";

/// The domains of the first guests, behind those of the components.
pub const GUESTS: [u16; 2] = [6, 7];

/// The names of all guests that there can be.
const NAMES: [&str; 8] =
    ["guest.0", "guest.1", "guest.2", "guest.3", "guest.4", "guest.5", "guest.6", "guest.7"];

/// The most guests.
pub const MOST_GUESTS: usize = NAMES.len();

/// How the network's unikernel is set up.
#[derive(Clone, Copy, Debug)]
pub struct Network<'a> {
    /// The address at which it answers itself, with the length of the prefix.
    pub address: &'a str,
    /// Whether it repairs a part that fails (`fine`), or has all of itself made anew (`coarse`).
    pub policy: &'a str,
    /// After how long a part that has work and does none hangs.
    pub deadline: Duration,
}

impl Network<'_> {
    /// Parts are repaired, and a busy machine does not make them look ill.
    pub const PATIENT: Network<'static> =
        Network { address: "10.0.3.2/24", policy: "fine", deadline: Duration::from_millis(100) };

    /// The same with the deadlines of a host in service, where times are measured. The unikernel beats in the midst of its turns, so that
    /// root can see a hang within 10 ms, which is five looks. A busy machine that emulates a host makes a healthy one look ill at that:
    /// `rvmm.toml` gives it longer.
    pub fn in_service(self, jobs: &[&str]) -> System {
        let deadline = "heartbeat-period = \"4 ms\"\nheartbeat-deadline = \"8 ms\"";
        let system = self.system(jobs).replacing(&format!(" deadline={}", self.deadline.as_millis()), "");
        system.replacing("dma = \"2 MiB\"", &format!("dma = \"2 MiB\"\n{deadline}"))
    }

    /// The system with guests whose first programs use the network in these ways: `tests/guests/init` has the words.
    pub fn system(self, jobs: &[&str]) -> System {
        let guests: Vec<Guest> = NAMES.into_iter().zip(jobs).map(guest).collect();
        self.system_of(&guests)
    }

    /// The system with a second card, Intel's, and its two guests on the bridges of one card each.
    pub fn system_of_two_cards(self, jobs: [&str; 2]) -> System {
        let guest = |number: usize| guest_on(NAMES[number], &format!("xenbr{number}"), jobs[number]);
        let system = self.system_of(&[guest(0), guest(1)]);
        system
            .replacing("{ driver = \"virtio-net\" }", "{ driver = \"virtio-net\" }, { driver = \"e1000e\" }")
    }

    /// The system with these guests.
    pub fn system_of(self, guests: &[Guest]) -> System {
        let text = include_str!("../systems/network.toml")
            .replace("ADDRESS", self.address)
            .replace("POLICY", self.policy)
            .replace("DEADLINE", &self.deadline.as_millis().to_string());
        System::new("tests/systems/network.toml", text.leak()).starting(guests)
    }
}

fn guest((name, job): (&'static str, &&str)) -> Guest {
    guest_on(name, "xenbr0", job)
}

fn guest_on(name: &'static str, bridge: &str, job: &str) -> Guest {
    let guest = Guest::new(name).memory_mib(96).does(format_args!("task=net {job}"));
    guest.with(format_args!("vif = ['bridge={bridge}']"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_keeps_the_rules_with_any_guests() {
        for jobs in [&[][..], &["job=serve"], &["job=serve", "job=ping"]] {
            for system in [Network::PATIENT.system(jobs), Network::PATIENT.in_service(jobs)] {
                let description = system.description(1).unwrap();
                description.check(&mut |place, problem| panic!("{place}: {problem}"));
                assert_eq!(description.guests.len(), jobs.len());
            }
        }
        let two = Network::PATIENT.system_of_two_cards(["job=ping", "job=ping"]).description(1).unwrap();
        two.check(&mut |place, problem| panic!("{place}: {problem}"));
    }
}
