//! The toolstack runs stock guests, and outlives whatever it dies of: no guest notices, and nothing is left behind.

use emulator::condition::{component, everything_is_up};
use emulator::fault::Fault;
use rvmm_tests::guest::{FIRST as GUEST, Guest, host_with};
use rvmm_tests::toolstack::TOOLSTACK;
use rvmm_tests::{Host, Setup, setting};
use std::thread::sleep;
use std::time::Duration;

const MASTER: &str = "xenstore.0";

/// From one kill to the next.
const PACE: Duration = Duration::from_millis(500);

/// How often guests are started and stopped; `RVMM_GUEST_ROUNDS` says otherwise.
const ROUNDS: usize = 2;

/// Guests that there are at a time; `RVMM_GUESTS` says otherwise.
const GUESTS: usize = 4;

fn boot(test: &str, guest: Guest) -> Host {
    Host::boot(test, Setup { system: host_with(&[guest]), ..Setup::default() })
}

/// Takes away the guest that starts with the host.
fn without_guests(host: &mut Host) {
    host.toolstack_comes_to_list("guest: running");
    host.tell_toolstack("destroy guest", "guest: forgotten");
}

#[test]
fn a_guest_does_what_the_operator_wants() {
    let mut host = boot("tool-operator", Guest::new("guest"));
    host.wait_for_guest_to_say(GUEST, "guest: up ");
    host.wait_for_guest_to_say(GUEST, "guest: tick 1");
    host.tell_toolstack("pause guest", "guest: paused");
    host.tell_toolstack("unpause guest", "guest: running");
    host.wait_for_guest_to_say(GUEST, "guest: tick");
    host.tell_toolstack("destroy guest", "guest: forgotten");
    let (before, nodes) = (host.free(), host.count_nodes());
    host.tell_toolstack("create guest web", "web: running");
    host.wait_for_guest_to_say(GUEST, "guest: up ");
    // The guest is asked, and obeys long before its time is over.
    host.tell_toolstack("reboot web 600", "web has stopped: reboot");
    host.wait_for_guest_to_say(GUEST, "guest: up ");
    host.tell_toolstack("shutdown web 600", "web has stopped: poweroff");
    host.wait_for(component(TOOLSTACK).logs("web: forgotten"));
    host.tell_toolstack("destroy web", "refused: there is no VM web");
    host.tell_toolstack("start web", "refused: no command");
    host.has_used_nothing_up_since(&before);
    assert_eq!(host.count_nodes(), nodes);
    host.has_not_seen(component(TOOLSTACK).fails());
    host.power_off();
}

/// Has the toolstack die at the beginning or the end of a step of its journal: there are `steps` of these before.
fn end_at_step(host: &mut Host, steps: u64) {
    host.begin_chapter();
    host.inject_with(TOOLSTACK, Fault::StepCrash, steps);
    host.wait_for(component(TOOLSTACK).logs(" are left"));
}

/// Does what `command` says until the list says `state`, while the toolstack dies so. Answers whether it has died; it has not, if there
/// are no more steps.
fn dies_at_step(host: &mut Host, steps: u64, command: &str, state: &str) -> bool {
    let life = host.pulse(TOOLSTACK).incarnation;
    end_at_step(host, steps);
    host.begin_chapter();
    host.tell(TOOLSTACK, command);
    if steps == 0 {
        // What it has not entered, it was not told.
        host.wait_for(component(TOOLSTACK).logs("the toolstack is up"));
        host.begin_chapter();
        host.tell(TOOLSTACK, command);
    }
    host.wait_for(component(TOOLSTACK).logs("guest: "));
    host.toolstack_comes_to_list(state);
    let has_died = host.pulse(TOOLSTACK).incarnation != life;
    if !has_died {
        // Nor shall it of what comes next.
        end_at_step(host, u64::MAX);
    }
    has_died
}

/// The toolstack dies at each beginning and each end of a step of its journal, as many as there are, while it builds a guest, reboots and
/// destroys it. What there is in the end is what there should be.
#[test]
fn the_toolstack_dies_at_every_step() {
    const RUNNING: &str = "guest: running, d5";
    const NONE: &str = "0 VMs";
    let mut host = boot("tool-dies", Guest::new("guest").memory_mib(80));
    without_guests(&mut host);
    let (before, nodes) = (host.free(), host.count_nodes());
    let mut deaths = [0; 3];
    while dies_at_step(&mut host, deaths[0], "create guest", RUNNING) {
        deaths[0] += 1;
        host.tell_toolstack("destroy guest", "guest: forgotten");
    }
    while dies_at_step(&mut host, deaths[1], "reboot guest 0", RUNNING) {
        deaths[1] += 1;
    }
    while dies_at_step(&mut host, deaths[2], "destroy guest", NONE) {
        deaths[2] += 1;
        host.tell_toolstack("create guest", "guest: running");
    }
    // Each phase that a guest is entered in is a step, and each step has a beginning and an end.
    assert!(deaths[0] >= 2 * 3 && deaths[1] >= 2 * 5 && deaths[2] >= 2 * 2, "{deaths:?} deaths are too few");
    host.has_used_nothing_up_since(&before);
    assert_eq!(host.count_nodes(), nodes);
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
    let mut host = boot("tool-console", Guest::new("guest"));
    host.wait_for_guest_to_say(GUEST, "guest: up ");
    host.wait_for_guest_to_say(GUEST, "guest: tick 1");
    let undisturbed = without_times(&host.guest_lines(GUEST));
    host.tell_toolstack("destroy guest", "guest: forgotten");
    host.tell_toolstack("create guest", "guest: starting");
    let is_up = |host: &Host| host.guest_lines(GUEST).iter().any(|line| line.starts_with("guest: tick 1"));
    for round in 0.. {
        if is_up(&host) {
            break;
        }
        let faults = [Fault::Ud2, Fault::NullStore, Fault::Panic];
        host.inject(if round % 2 == 0 { TOOLSTACK } else { MASTER }, faults[round % faults.len()]);
        sleep(PACE);
    }
    host.wait_for(everything_is_up());
    assert_eq!(without_times(&host.guest_lines(GUEST)), undisturbed);
    host.power_off();
}

/// Guests come and go, several at a time, and what the host has left is what it was.
#[test]
fn guests_come_and_go() {
    let names: Vec<String> =
        (0..setting("RVMM_GUESTS", GUESTS)).map(|number| format!("guest-{number}")).collect();
    let system = host_with(&[Guest::new("guest").memory_mib(80)]);
    let memory_mib = Some(512 + 96 * names.len() as u32);
    let mut host = Host::boot("tool-many", Setup { system, memory_mib, ..Setup::default() });
    without_guests(&mut host);
    let (before, nodes) = (host.free(), host.count_nodes());
    for _ in 0..setting("RVMM_GUEST_ROUNDS", ROUNDS) {
        for (index, name) in names.iter().enumerate() {
            host.tell_toolstack(&format!("create guest {name}"), &format!("{name}: running"));
            host.wait_for_guest_to_say(GUEST + index as u16, "[    0.000000] Linux");
        }
        for name in &names {
            host.tell_toolstack(&format!("destroy {name}"), &format!("{name}: forgotten"));
        }
        host.has_used_nothing_up_since(&before);
        assert_eq!(host.count_nodes(), nodes);
    }
    host.power_off();
}
