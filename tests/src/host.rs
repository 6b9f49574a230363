//! A host in a test: whatever goes wrong ends the test, saying what was expected, what happened, and where the logs are.

use std::fmt::{Display, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use emulator::command::Command;
use emulator::condition::{Condition, component as subject, everything_is_up};
use emulator::event::{Event, Rung, What};
use emulator::fault::{Fault, RootFault};
use emulator::fields::Fields;
use emulator::host::{self as emulated, Answer, GUARD, HostError, Pulse};
use emulator::lan::{Lan, Passed};
use emulator::line::Line;

use crate::flip::{Flipped, flip};
use crate::seats::Seats;
use crate::setup::{DISK_SCRATCH, Prepared, Setup, disk_is_written, log_directory};
use crate::traffic::SetOnDrop;
use crate::trial::{LONG_ENOUGH, Trial, TrialError};

/// How long a host of a test may run, so that nothing is left behind whatever happens.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// How many events a failing test shows.
const SHOWN: usize = 20;

/// A host that lives as long as its test.
pub struct Host {
    host: emulated::Host,
    lan: Option<Lan>,
    second_lan: Option<Lan>,
    /// For how long what is to be endured is watched.
    long_enough: Duration,
    // Given back after the host is off: fields are dropped in this order.
    _seats: Seats,
}

/// What a probe logs at each start when its recovery box is as it must be.
const SOUND_BOX: &str = " 0 records wrong";

/// What a probe logs when everything works that it checks.
const SOUND_CHECKS: &str = " passed, 0 failed";

/// Root counts the lines that it prints of a component by the second.
const LOG_PERIOD: Duration = Duration::from_millis(1100);

/// Pages by which two counts of Xen's free memory may differ though nothing is lost. Xen frees what it kept of a destroyed domain only
/// when no processor can be looking at it any more, which is after the next domain was created: for that moment it keeps both, and its
/// pools for what is smaller than a page grow by one or two pages, once. (With 100 ms between the two nothing moves, as was tried.)
/// They shrink only when a page of them happens to be empty.
const PAGES_OF_SLACK: u64 = 8;

/// Whether a figure of what is free is as it was.
fn is_free_again(key: &str, before: &str, now: Option<&str>) -> bool {
    match (key, before.parse::<u64>(), now.map(str::parse::<u64>)) {
        ("pages", Ok(before), Some(Ok(now))) => before.abs_diff(now) <= PAGES_OF_SLACK,
        _ => now == Some(before),
    }
}

impl Host {
    /// Boots a host for the test called `test`, until everything is up.
    #[track_caller]
    pub fn boot(test: &str, setup: Setup) -> Self {
        let mut host = Host::switch_on(test, setup);
        host.wait_for(everything_is_up());
        host.begin_chapter();
        host
    }

    /// Switches a host on for the test called `test`.
    #[track_caller]
    pub fn switch_on(test: &str, setup: Setup) -> Self {
        let directory = log_directory(test);
        let seats = Seats::take(setup.processors as usize);
        let switched_on = || {
            let Prepared { machine, lan, second_lan } = setup.prepare(&directory)?;
            Ok((emulated::Host::switch_on(&machine, &directory, LIFETIME)?, lan, second_lan))
        };
        match switched_on() {
            Ok((host, lan, second_lan)) => {
                let long_enough = LONG_ENOUGH * setup.patience();
                Host { host, lan, second_lan, long_enough, _seats: seats }
            }
            Err::<_, anyhow::Error>(error) => panic!("{error:#}\nlogs: {}", directory.display()),
        }
    }

    /// From now on, waits look only at what happens from here on.
    pub fn begin_chapter(&mut self) {
        self.host.begin_chapter();
    }

    /// Waits for an event of this chapter.
    #[track_caller]
    pub fn wait_for(&self, condition: Condition) -> Event {
        self.expect(self.host.wait_for(&condition))
    }

    /// Waits for events of this chapter, in whatever order they come.
    #[track_caller]
    pub fn wait_for_all(&self, conditions: impl IntoIterator<Item = Condition>) {
        for condition in conditions {
            self.wait_for(condition);
        }
    }

    /// Waits for a message of Xen in this chapter that starts with `text`.
    #[track_caller]
    pub fn wait_for_xen_to_say(&self, text: &str) {
        let says = |line: &Line| matches!(line, Line::Xen(said) if said.starts_with(text)).then_some(());
        self.expect(self.host.wait_line(format!("Xen says {text:?}"), says));
    }

    /// Waits for a line on the console of the guest with this domid, in this chapter, that starts with `text`, before or after the time
    /// that its kernel may put there, and returns the line.
    #[track_caller]
    pub fn wait_for_guest_to_say(&self, domid: u16, text: &str) -> String {
        let says = |line: &Line| match line {
            Line::Domain(number, said) if *number == domid && starts_with(said, text) => Some(said.clone()),
            _ => None,
        };
        self.expect(self.host.wait_line(format!("the guest d{domid} says {text:?}"), says))
    }

    /// Waits for a line in this chapter that is no event, and nothing that Xen or a guest says, and contains `text`.
    #[track_caller]
    pub fn wait_for_line_with(&self, text: &str) {
        let has = |line: &Line| matches!(line, Line::Plain(line) if line.contains(text)).then_some(());
        self.expect(self.host.wait_line(format!("a line with {text:?}"), has));
    }

    /// What came on the console of the guest with this domid in this chapter.
    pub fn guest_lines(&self, domid: u16) -> Vec<String> {
        let said = |line| match line {
            Line::Domain(number, said) if number == domid => Some(said),
            _ => None,
        };
        self.host.lines().into_iter().filter_map(said).collect()
    }

    /// Where its logs and its disk are.
    pub fn directory(&self) -> &Path {
        self.host.directory()
    }

    /// Fails the test if a line with `text` came on the console of the guest with this domid in this chapter.
    #[track_caller]
    pub fn guest_has_not_said(&self, domid: u16, text: &str) {
        if let Some(said) = self.guest_lines(domid).into_iter().find(|said| said.contains(text)) {
            self.fail(format_args!(
                "nothing like {text:?} was expected of the guest d{domid}; it said {said:?}"
            ));
        }
    }

    /// Says something to `component`, in its own terms.
    #[track_caller]
    pub fn tell(&mut self, component: &str, line: &str) {
        self.command(Command::Tell { component: component.into(), line: line.into() });
    }

    /// Fails the test if a fault of anyone was noticed in this chapter.
    #[track_caller]
    pub fn has_seen_no_fault(&self) {
        if let Some(event) = self.host.events().iter().find(|event| matches!(event.what, What::Fault { .. }))
        {
            self.fail(format_args!("no fault was expected; found {event}"));
        }
    }

    /// Whether `condition` was met in this chapter.
    pub fn has_seen(&self, condition: &Condition) -> bool {
        self.host.events().iter().any(|event| condition.is_met_by(event))
    }

    /// Fails the test if `condition` was met in this chapter.
    #[track_caller]
    pub fn has_not_seen(&self, condition: Condition) {
        if let Some(event) = self.host.events().iter().find(|event| condition.is_met_by(event)) {
            self.fail(format_args!("nothing like this was expected: {condition}; it came as {event}"));
        }
    }

    /// Tells the probe `component` to fail.
    #[track_caller]
    pub fn inject(&mut self, component: &str, fault: Fault) {
        self.command(Command::Inject { component: component.into(), fault, argument: None });
    }

    /// Tells the probe `component` to fail, with the argument of the fault.
    #[track_caller]
    pub fn inject_with(&mut self, component: &str, fault: Fault, argument: u64) {
        self.command(Command::Inject { component: component.into(), fault, argument: Some(argument) });
    }

    /// Has `component`, XenStore's master or a replica, flip a bit, and waits until it says that it has mended it; or that long that
    /// it cannot be there any more.
    #[track_caller]
    pub fn flip(&mut self, component: &str, fault: Fault, seed: u64) -> Flipped {
        let flipped = flip(&mut self.host, component, fault, seed);
        self.expect(flipped)
    }

    /// Tells root to fail.
    #[track_caller]
    pub fn harm_root(&mut self, fault: RootFault) {
        self.command(Command::SelfHarm { fault });
    }

    /// Restarts `component` on `rung`, as an operator would.
    #[track_caller]
    pub fn restart(&mut self, component: &str, rung: Rung) {
        self.command(Command::Restart { component: component.into(), rung });
    }

    /// Rebuilds `component`, as an operator would, and waits until it is sound.
    #[track_caller]
    pub fn rebuild(&mut self, component: &str) {
        self.begin_chapter();
        self.restart(component, Rung::Rebuild);
        self.wait_for(subject(component).is_repaired_by(Rung::Rebuild));
        self.is_sound(component);
    }

    /// Waits until the probe `component`, which has been restarted in this chapter, has found its recovery box as it must be and
    /// everything that it checks of its library OS to work.
    #[track_caller]
    pub fn is_sound(&self, component: &str) {
        self.wait_for(subject(component).logs(SOUND_BOX));
        self.wait_for(subject(component).logs(SOUND_CHECKS));
    }

    /// Fails the test if the probe `component` has logged in this chapter that something is not as it must be. Its silence says
    /// nothing: root prints no more than so many lines of one component in a second.
    #[track_caller]
    pub fn has_found_no_damage(&self, component: &str) {
        let complaint = |event: &&Event| {
            event.component == component
                && match &event.what {
                    What::Log { msg, .. } => {
                        msg.contains("records wrong") && !msg.contains(SOUND_BOX)
                            || msg.contains("self-checks:") && !msg.contains(SOUND_CHECKS)
                    }
                    _ => false,
                }
        };
        if let Some(event) = self.host.events().iter().find(complaint) {
            self.fail(format_args!("expected {component} to find nothing wrong, found {event}"));
        }
    }

    /// Waits until root prints again what components log, after those that have logged much.
    pub fn let_logs_flow(&self) {
        thread::sleep(LOG_PERIOD);
    }

    /// What is free, as root says it.
    #[track_caller]
    pub fn free(&mut self) -> Fields {
        let answer = self.command(Command::Free);
        match answer.lines.join(" ").parse() {
            Ok(fields) => fields,
            Err(error) => self.fail(error),
        }
    }

    /// Waits until everything is free again that was free `before`.
    #[track_caller]
    pub fn has_used_nothing_up_since(&mut self, before: &Fields) {
        let end = Instant::now() + GUARD;
        loop {
            let now = self.free();
            if before.iter().all(|(key, value)| is_free_again(key, value, now.get(key))) {
                return;
            }
            if Instant::now() >= end {
                self.fail(format_args!("expected to be free: {before}; found: {now}"));
            }
        }
    }

    /// Releases `component`, as an operator would.
    #[track_caller]
    pub fn release(&mut self, component: &str) {
        self.command(Command::Release { component: component.into() });
    }

    /// Waits until `component` beats again, and fails the test if it was restarted meanwhile.
    #[track_caller]
    pub fn is_beating(&mut self, component: &str) {
        let beaten = self.host.wait_for_beat(component);
        self.expect(beaten);
    }

    /// The pulse of `component`.
    #[track_caller]
    pub fn pulse(&mut self, component: &str) -> Pulse {
        let pulse = self.host.pulse(component);
        self.expect(pulse)
    }

    /// Sends echo requests to `address` on the host's network until it answers.
    #[track_caller]
    pub fn expect_answer_from(&mut self, address: Ipv4Addr) {
        let answer = self.lan.as_mut().map(|lan| lan.ping(address, GUARD));
        match answer {
            None => self.fail("this host has no network"),
            Some(Err(error)) => self.fail(error),
            Some(Ok(_)) => {}
        }
    }

    /// Is there for everybody on the host's network while `work` is done, and asks `whom` all the while; returns what that returns, and what
    /// has passed.
    #[track_caller]
    pub fn listen<T>(&mut self, whom: Option<Ipv4Addr>, work: impl FnOnce(&mut Self) -> T) -> (T, Passed) {
        self.listen_on(|host| &mut host.lan, whom, work)
    }

    /// [Listens](Self::listen) on the networks of both cards at the same time, and asks one of each.
    #[track_caller]
    pub fn listen_to_both<T>(
        &mut self,
        [first, second]: [Option<Ipv4Addr>; 2],
        work: impl FnOnce(&mut Self) -> T,
    ) -> (T, [Passed; 2]) {
        let ((worked, passed), second) =
            self.listen_on(|host| &mut host.second_lan, second, |host| host.listen(first, work));
        (worked, [passed, second])
    }

    #[track_caller]
    fn listen_on<T>(
        &mut self,
        place: fn(&mut Self) -> &mut Option<Lan>,
        whom: Option<Ipv4Addr>,
        work: impl FnOnce(&mut Self) -> T,
    ) -> (T, Passed) {
        let Some(mut lan) = place(self).take() else { self.fail("this host has no such network") };
        let done = AtomicBool::new(false);
        let (worked, passed) = thread::scope(|scope| {
            let listening = scope.spawn(|| lan.listen(GUARD, whom, || done.load(Ordering::Relaxed)));
            let end = SetOnDrop(&done);
            let worked = work(self);
            drop(end);
            (worked, listening.join())
        });
        *place(self) = Some(lan);
        match passed {
            Ok(Ok(passed)) => (worked, passed),
            Ok(Err(error)) => self.fail(error),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Tries a fault, with frames to answer all the while if the host has a network.
    ///
    /// # Errors
    /// When something else follows than must, or nothing.
    pub fn try_fault(&mut self, trial: &Trial, component: &str) -> Result<(), TrialError> {
        let Host { host, lan, long_enough, .. } = self;
        match lan {
            Some(lan) => trial.run_under_traffic(host, lan, component, *long_enough).map(drop)?,
            None => trial.run(host, component, *long_enough).map(drop)?,
        }
        Ok(())
    }

    /// Gives root a command that it must not refuse.
    #[track_caller]
    pub fn command(&mut self, command: Command) -> Answer {
        let answer = self.host.command(&command);
        self.expect(answer)
    }

    /// Gives root a command that it must refuse.
    #[track_caller]
    pub fn is_refused(&mut self, command: Command) {
        match self.host.command(&command) {
            Err(HostError::Refused { .. }) => {}
            Err(error) => self.fail(error),
            Ok(_) => self.fail(format_args!("expected root to refuse {command}, found that it obeyed")),
        }
    }

    /// Fails the test if nothing was written to the host's disk.
    #[track_caller]
    pub fn disk_has_been_written(&self) {
        match disk_is_written(self.host.directory(), DISK_SCRATCH) {
            Ok(true) => {}
            Ok(false) => self.fail("expected the disk to be written to, found it empty"),
            Err(error) => self.fail(error),
        }
    }

    /// Makes the host's disk so many bytes large.
    #[track_caller]
    pub fn resize_disk(&self, bytes: u64) {
        self.expect(self.host.resize_disk(0, bytes));
    }

    /// Switches the host off and waits until it is.
    #[track_caller]
    pub fn power_off(mut self) {
        self.command(Command::PowerOff);
        self.is_switched_off();
    }

    /// Waits until Xen has stopped the machine.
    #[track_caller]
    pub fn is_switched_off(&self) {
        self.expect(self.host.wait_for_end());
    }

    #[track_caller]
    fn expect<T>(&self, result: Result<T, HostError>) -> T {
        result.unwrap_or_else(|error| self.fail(error))
    }

    /// Ends the test: says why, what happened last, and where the logs are.
    #[track_caller]
    pub fn fail(&self, why: impl Display) -> ! {
        let mut events = self.host.events();
        // What components log can be a flood, and is in the console's log.
        events.retain(|event| !matches!(event.what, What::Log { .. }));
        let mut last = String::new();
        for event in events.iter().skip(events.len().saturating_sub(SHOWN)) {
            // Writing to a string does not fail.
            let _ = writeln!(last, "  {event}");
        }
        panic!(
            "{why}\nthe last events of this chapter:\n{last}logs: {}/console.log",
            self.host.directory().display()
        );
    }
}

/// Whether a line starts with `text`, or does so after a time in brackets.
fn starts_with(line: &str, text: &str) -> bool {
    let untimed = line.strip_prefix('[').and_then(|line| line.split_once("] "));
    line.starts_with(text) || untimed.is_some_and(|(_, line)| line.starts_with(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_pages_come_and_go_and_nothing_else() {
        assert!(is_free_again("pages", "1000", Some("1008")));
        assert!(!is_free_again("pages", "1000", Some("991")));
        assert!(!is_free_again("pages", "1000", None));
        assert!(is_free_again("evtchns", "11", Some("11")));
        assert!(!is_free_again("evtchns", "11", Some("12")));
    }
}
