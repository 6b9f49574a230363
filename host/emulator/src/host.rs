//! A booted R-VMM host: what a test, a benchmark or a person at the keyboard speaks with.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::command::{Command, MAX_LINE};
use crate::condition::{Condition, everything_is_up};
use crate::console::{Console, Position, WaitError};
use crate::event::Event;
use crate::fields::Fields;
use crate::hardware;
use crate::line::Line;
use crate::machine::MachineConfig;
use crate::qemu::{Qemu, SpawnError};

/// How long anything is waited for before a host counts as hanging. Nothing on a healthy host takes near as long, even when other
/// work slows this machine down tenfold; and a machine that stands still for half a minute is no hang of ours.
pub const GUARD: Duration = Duration::from_secs(120);

/// How often a question is asked that is not answered, and how long an answer is waited for before the last time.
const TIMES_ASKED: u32 = 3;
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How Xen says that it stops the machine: the rest of the line says why.
const STOPPED: &str = "Hardware Dom0 ";

/// What a host could not do.
#[derive(Debug, Error)]
pub enum HostError {
    /// The emulator did not start.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The serial line failed.
    #[error("the host's serial line: {0}")]
    Serial(#[from] io::Error),
    /// The emulator does not change the machine as it should.
    #[error("the machine's hardware: {0}")]
    Hardware(#[source] io::Error),
    /// What was waited for did not come.
    #[error("waited for: {what}; {error}")]
    Wait {
        /// What was waited for.
        what: String,
        /// Why the wait ended.
        error: WaitError,
    },
    /// A component was to beat and was restarted instead.
    #[error("{component} was to beat on, it was restarted")]
    Died {
        /// Which one.
        component: String,
    },
    /// A command has more bytes than Xen's receive buffer.
    #[error("a command of {MAX_LINE} bytes at most was expected, found: {0}")]
    TooLong(Command),
    /// Root refused a command.
    #[error("root was asked to {command}, it answered: {answer}")]
    Refused {
        /// What it was asked.
        command: Command,
        /// What it said.
        answer: String,
    },
}

impl HostError {
    /// Whether what was waited for has not come in time.
    pub fn is_timeout(&self) -> bool {
        matches!(self, HostError::Wait { error: WaitError::TimedOut(_), .. })
    }
}

/// A host. It is switched off when this is dropped.
pub struct Host {
    qemu: Qemu,
    input: ChildStdin,
    console: Console,
    directory: PathBuf,
    chapter: Position,
}

impl Host {
    /// Switches the machine on, for `lifetime` at most. Its logs go to `directory`, the console's to `console.log`.
    ///
    /// # Errors
    /// When the emulator does not start.
    pub fn switch_on(
        config: &MachineConfig,
        directory: &Path,
        lifetime: Duration,
    ) -> Result<Self, HostError> {
        let (qemu, serial) = Qemu::spawn(config, directory, lifetime)?;
        let console = Console::follow(serial.output, &directory.join("console.log"))?;
        let chapter = Position::default();
        Ok(Host { qemu, input: serial.input, console, directory: directory.to_owned(), chapter })
    }

    /// Switches the machine on and waits until every component is up.
    ///
    /// # Errors
    /// When the emulator does not start, or the components do not come up.
    pub fn boot(config: &MachineConfig, directory: &Path, lifetime: Duration) -> Result<Self, HostError> {
        let mut host = Host::switch_on(config, directory, lifetime)?;
        host.wait_for(&everything_is_up())?;
        host.begin_chapter();
        Ok(host)
    }

    /// From now on, waits look only at what happens from here on. The first chapter begins with the boot, the second when all is up.
    pub fn begin_chapter(&mut self) {
        self.chapter = self.console.position();
    }

    /// Waits for an event of this chapter.
    ///
    /// # Errors
    /// When it does not come within [`GUARD`], or the host ends.
    pub fn wait_for(&self, condition: &Condition) -> Result<Event, HostError> {
        self.wait_line(condition, |line| match line {
            Line::Event(event) if condition.is_met_by(event) => Some(event.clone()),
            _ => None,
        })
    }

    /// Waits for a line of this chapter that `pick` picks; `what` says what that is.
    ///
    /// # Errors
    /// When it does not come within [`GUARD`], or the host ends.
    pub fn wait_line<T>(
        &self,
        what: impl ToString,
        pick: impl FnMut(&Line) -> Option<T>,
    ) -> Result<T, HostError> {
        self.wait_line_within(GUARD, what, pick)
    }

    /// The same, for what need not come.
    ///
    /// # Errors
    /// When it does not come within `time`, or the host ends.
    pub fn wait_line_within<T>(
        &self,
        time: Duration,
        what: impl ToString,
        pick: impl FnMut(&Line) -> Option<T>,
    ) -> Result<T, HostError> {
        self.console
            .wait(self.chapter, time, pick)
            .map_err(|error| HostError::Wait { what: what.to_string(), error })
    }

    /// The lines of this chapter so far.
    pub fn lines(&self) -> Vec<Line> {
        self.console.lines(self.chapter)
    }

    /// The events of this chapter so far.
    pub fn events(&self) -> Vec<Event> {
        let lines = self.console.lines(self.chapter).into_iter();
        lines.filter_map(|line| if let Line::Event(event) = line { Some(event) } else { None }).collect()
    }

    /// Gives root a command and returns its answer. A root that restarts while it is typed forgets what it has read of it: a question
    /// that is not answered is asked again.
    ///
    /// # Errors
    /// When root does not answer, or refuses.
    pub fn command(&mut self, command: &Command) -> Result<Answer, HostError> {
        if command.is_question() {
            for _ in 1..TIMES_ASKED {
                match self.say(command, ASKED_AGAIN_AFTER) {
                    Err(error) if error.is_timeout() => {}
                    answer => return answer,
                }
            }
        }
        self.say(command, GUARD)
    }

    fn say(&mut self, command: &Command, guard: Duration) -> Result<Answer, HostError> {
        let line = format!("{command}\n");
        if line.len() > MAX_LINE {
            return Err(HostError::TooLong(command.clone()));
        }
        let asked = self.console.position();
        self.input.write_all(line.as_bytes())?;
        self.input.flush()?;
        let mut lines = Vec::new();
        let answered = self.console.wait(asked, guard, |line| match line {
            Line::Answer(text) => Answer::add(&mut lines, text),
            _ => None,
        });
        match answered {
            Ok(Ok(())) => Ok(Answer { lines }),
            Ok(Err(answer)) => Err(HostError::Refused { command: command.clone(), answer }),
            Err(error) => Err(HostError::Wait { what: format!("the answer to {command}"), error }),
        }
    }

    /// Asks for the pulse of a component.
    ///
    /// # Errors
    /// When root does not answer, or not with a pulse.
    pub fn pulse(&mut self, component: &str) -> Result<Pulse, HostError> {
        let command = Command::Ping { component: component.into() };
        let answer = self.command(&command)?;
        Pulse::read(&answer).ok_or_else(|| HostError::Refused { command, answer: answer.lines.join("; ") })
    }

    /// Waits until a component has beaten again, in the same life.
    ///
    /// # Errors
    /// When it does not within [`GUARD`], or has begun another life.
    pub fn wait_for_beat(&mut self, component: &str) -> Result<(), HostError> {
        let end = Instant::now() + GUARD;
        let first = self.pulse(component)?;
        loop {
            let pulse = self.pulse(component)?;
            if pulse.incarnation != first.incarnation {
                return Err(HostError::Died { component: component.into() });
            }
            if pulse.beats > first.beats {
                return Ok(());
            }
            if Instant::now() >= end {
                let what = format!("{component} beats");
                return Err(HostError::Wait { what, error: WaitError::TimedOut(GUARD) });
            }
        }
    }

    /// Waits until Xen has stopped the machine. What ends then depends on how: a reboot ends the emulator; after a halt, which is all
    /// that Xen does to power off without a dom0 that knows ACPI, the emulator runs on with nothing to do.
    ///
    /// # Errors
    /// When the machine still runs after [`GUARD`].
    pub fn wait_for_end(&self) -> Result<(), HostError> {
        let stopped =
            |line: &Line| matches!(line, Line::Xen(said) if said.starts_with(STOPPED)).then_some(());
        match self.console.wait(self.chapter, GUARD, stopped) {
            Err(WaitError::Ended) | Ok(()) => Ok(()),
            Err(error) => Err(HostError::Wait { what: "the host stops".into(), error }),
        }
    }

    /// Makes the machine's disk of this number so many bytes large.
    ///
    /// # Errors
    /// When the emulator does not do it.
    pub fn resize_disk(&self, number: usize, bytes: u64) -> Result<(), HostError> {
        hardware::resize_disk(self.qemu.pid(), number, bytes).map_err(HostError::Hardware)
    }

    /// Stops the machine with its clocks, or has it run on: it does not notice.
    ///
    /// # Errors
    /// When the emulator does not do it.
    pub fn set_running(&self, runs: bool) -> Result<(), HostError> {
        hardware::set_running(self.qemu.pid(), runs).map_err(HostError::Hardware)
    }

    /// Whether the machine is on.
    pub fn is_on(&self) -> bool {
        self.qemu.is_running()
    }

    /// Where the logs are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// How a component lives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pulse {
    /// How often it has beaten.
    pub beats: u64,
    /// How often it has been started.
    pub incarnation: u64,
    /// The processor's time that its domain has used, in microseconds. A domain that is built anew begins anew.
    pub cpu_us: u64,
}

impl Pulse {
    fn read(answer: &Answer) -> Option<Self> {
        let fields: Fields = answer.lines.first()?.parse().ok()?;
        Some(Pulse {
            beats: fields.get_as("beats")?,
            incarnation: fields.get_as("incarnation")?,
            cpu_us: fields.get_as("cpu_us")?,
        })
    }
}

/// What root answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// Its lines, without tag and without the last one, which says `ok`.
    pub lines: Vec<String>,
}

impl Answer {
    /// Adds a line to an answer. The last line of one is `ok` or `error` and the reason: then it says which.
    fn add(lines: &mut Vec<String>, line: &str) -> Option<Result<(), String>> {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("ok", _) => Some(Ok(())),
            ("error", reason) => Some(Err(reason.to_owned())),
            _ => {
                lines.push(line.to_owned());
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_with_ok_or_an_error() {
        let mut lines = Vec::new();
        assert_eq!(Answer::add(&mut lines, "beats=4 incarnation=2 cpu_us=7"), None);
        assert_eq!(Answer::add(&mut lines, "ok"), Some(Ok(())));
        assert_eq!(Pulse::read(&Answer { lines }), Some(Pulse { beats: 4, incarnation: 2, cpu_us: 7 }));
        assert_eq!(Answer::add(&mut Vec::new(), "error no such rung"), Some(Err("no such rung".into())));
        assert_eq!(Pulse::read(&Answer { lines: vec!["beats=4".into()] }), None);
    }
}
