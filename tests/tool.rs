//! The toolstack runs stock guests, and outlives whatever it dies of: no guest notices, and nothing is left behind.

use emulator::condition::{component, everything_is_up};
use emulator::event::Rung;
use emulator::fault::Fault;
use rvmm_tests::guest::{FIRST as GUEST, Guest, host_with};
use rvmm_tests::{Host, Setup};
use std::thread::sleep;
use std::time::Duration;

const TOOLSTACK: &str = "tool";
const MASTER: &str = "xenstore.0";

/// From one kill to the next.
const PACE: Duration = Duration::from_millis(500);

/// How often guests are started and stopped; `RVMM_GUEST_ROUNDS` says otherwise.
const ROUNDS: usize = 1;

/// Guests that there are at a time besides the first one; `RVMM_GUESTS` says otherwise.
const GUESTS: usize = 2;

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn boot(test: &str) -> Host {
    let host = Host::boot(test, Setup { system: host_with(&[Guest::new("guest")]), ..Setup::default() });
    host.wait_for_guest_to_say(GUEST, "guest: up ");
    host
}

/// Tells the toolstack something, and waits until it says that this has come to be.
fn tell(host: &mut Host, command: &str, comes_to: &str) {
    host.begin_chapter();
    host.tell(TOOLSTACK, command);
    host.wait_for(component(TOOLSTACK).logs(comes_to));
}

#[test]
fn a_guest_does_what_the_operator_wants() {
    let mut host = boot("tool-operator");
    host.wait_for_guest_to_say(GUEST, "guest: tick 1");
    tell(&mut host, "pause guest", "guest: paused");
    tell(&mut host, "unpause guest", "guest: running");
    host.wait_for_guest_to_say(GUEST, "guest: tick");
    tell(&mut host, "destroy guest", "guest: forgotten");
    let before = host.free();
    tell(&mut host, "create guest web", "web: running");
    host.wait_for_guest_to_say(GUEST, "guest: up ");
    // The guest is asked, and obeys long before its time is over.
    tell(&mut host, "reboot web 600", "web has stopped: reboot");
    host.wait_for_guest_to_say(GUEST, "guest: up ");
    tell(&mut host, "shutdown web 600", "web has stopped: poweroff");
    host.wait_for(component(TOOLSTACK).logs("web: forgotten"));
    tell(&mut host, "destroy web", "refused: there is no VM web");
    tell(&mut host, "start web", "refused: no command");
    host.has_used_nothing_up_since(&before);
    host.has_not_seen(component(TOOLSTACK).fails());
    host.power_off();
}

/// The toolstack dies as soon as it says that a VM is in this phase; then it goes on from there.
#[test]
fn the_toolstack_dies_in_every_phase() {
    let mut host = boot("tool-dies");
    tell(&mut host, "destroy guest", "guest: forgotten");
    let before = host.free();
    let deaths = [
        ("create guest", "guest: building", "guest: up "),
        ("destroy guest", "guest: destroying forget", ""),
        ("create guest", "guest: starting", "guest: up "),
        ("reboot guest 600", "guest: stopping reboot", "guest: up "),
        ("pause guest", "guest: paused", ""),
        ("unpause guest", "guest: running", "guest: tick"),
        ("reboot guest 0", "guest: destroying rebuild", "guest: up "),
        ("destroy guest", "guest: destroying forget", ""),
    ];
    for (number, (command, phase, says)) in deaths.into_iter().enumerate() {
        tell(&mut host, command, phase);
        match number % 3 {
            0 => host.inject(TOOLSTACK, Fault::Ud2),
            1 => host.restart(TOOLSTACK, Rung::MicroReboot),
            _ => host.restart(TOOLSTACK, Rung::Rebuild),
        }
        host.wait_for(component(TOOLSTACK).is_repaired());
        host.wait_for(component(TOOLSTACK).logs("the toolstack is up"));
        if !says.is_empty() {
            host.wait_for_guest_to_say(GUEST, says);
        }
        if command.starts_with("destroy") {
            host.wait_for(component(TOOLSTACK).logs("guest: forgotten"));
        }
    }
    host.has_used_nothing_up_since(&before);
    host.power_off();
}

/// What a guest says until it counts, but for the time before each line, and numbers, which are times too. In the order of the
/// alphabet: what does not wait for each other comes in any order.
fn without_times(lines: &[String]) -> Vec<String> {
    let until_up = lines.iter().take_while(|line| !line.starts_with("guest: tick"));
    let without = |line: &String| {
        let text = line.split_once("] ").map_or(line.as_str(), |(_, text)| text);
        let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
        words.filter(|word| !word.contains(|c: char| c.is_ascii_digit())).collect()
    };
    let mut lines: Vec<String> = until_up.map(without).collect();
    lines.sort();
    lines
}

/// Master of XenStore and toolstack die all the time while a guest boots, and its console is complete.
#[test]
fn a_console_is_complete_whoever_dies() {
    let mut host = boot("tool-console");
    host.wait_for_guest_to_say(GUEST, "guest: tick 1");
    let undisturbed = without_times(&host.said_by_guest(GUEST));
    tell(&mut host, "destroy guest", "guest: forgotten");
    tell(&mut host, "create guest", "guest: starting");
    let is_up = |host: &Host| host.said_by_guest(GUEST).iter().any(|line| line.starts_with("guest: tick 1"));
    for round in 0.. {
        if is_up(&host) {
            break;
        }
        let faults = [Fault::Ud2, Fault::NullStore, Fault::Panic];
        host.inject(if round % 2 == 0 { TOOLSTACK } else { MASTER }, faults[round % faults.len()]);
        sleep(PACE);
    }
    host.wait_for(everything_is_up());
    assert_eq!(without_times(&host.said_by_guest(GUEST)), undisturbed);
    host.power_off();
}

/// Guests come and go, several at a time, and what the host has left is what it was.
#[test]
fn guests_come_and_go() {
    let mut host = boot("tool-many");
    let names: Vec<String> =
        (0..number("RVMM_GUESTS", GUESTS)).map(|number| format!("guest-{number}")).collect();
    tell(&mut host, "destroy guest", "guest: forgotten");
    let before = host.free();
    for _ in 0..number("RVMM_GUEST_ROUNDS", ROUNDS) {
        for (index, name) in names.iter().enumerate() {
            tell(&mut host, &format!("create guest {name}"), &format!("{name}: running"));
            host.wait_for_guest_to_say(GUEST + index as u16, "guest: up ");
        }
        for name in &names {
            tell(&mut host, &format!("destroy {name}"), &format!("{name}: forgotten"));
        }
        host.has_used_nothing_up_since(&before);
    }
    host.power_off();
}
