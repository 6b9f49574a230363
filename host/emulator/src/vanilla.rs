//! A booted host with a Linux dom0 and Xen's own toolstack: what ours is held against.

use std::io::Write;
use std::path::Path;
use std::process::ChildStdin;
use std::time::{Duration, Instant};

use crate::console::{Console, Position};
use crate::hardware;
use crate::host::HostError;
use crate::line::Line;
use crate::machine::MachineConfig;
use crate::qemu::Qemu;

/// How long a command may take, and the start of the host: the toolstack takes ten seconds for much, more on a busy machine.
const GUARD: Duration = Duration::from_secs(180);

/// What dom0 prints when it takes commands.
const READY: &str = "vanilla: ready";
/// What it prints behind each, before its status.
const DONE: &str = "vanilla: done ";

/// Bytes of a line that dom0 takes for sure: Xen keeps 128 of what is typed until dom0 has read them, and drops the rest.
const LINE: usize = 100;

/// A host. It is switched off when this is dropped.
pub struct Vanilla {
    qemu: Qemu,
    input: ChildStdin,
    console: Console,
}

/// What has come of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The lines that it has printed, and what others have printed meanwhile.
    pub lines: Vec<String>,
    /// Its status: 0 for success.
    pub status: u32,
    /// How long it has taken.
    pub took: Duration,
}

impl Vanilla {
    /// Switches the machine on, for `lifetime` at most, and waits until dom0 takes commands. Its logs go to `directory`.
    ///
    /// # Errors
    /// When the emulator does not start, or dom0 does not get so far.
    pub fn boot(machine: MachineConfig, directory: &Path, lifetime: Duration) -> Result<Self, HostError> {
        let (qemu, serial) = Qemu::spawn(&machine.with_linux(), directory, lifetime)?;
        let console = Console::follow(serial.output, &directory.join("console.log"))?;
        let host = Vanilla { qemu, input: serial.input, console };
        host.wait_line("dom0 is ready", |line| line.contains(READY).then_some(()))?;
        Ok(host)
    }

    /// Waits for a line that `pick` picks of all that dom0 has printed; `what` says what that is.
    ///
    /// # Errors
    /// When it does not come.
    pub fn wait_line<T>(&self, what: &str, pick: impl FnMut(&str) -> Option<T>) -> Result<T, HostError> {
        self.wait(Position::default(), what, pick)
    }

    /// Stops the machine with its clocks, or has it run on: it does not notice.
    ///
    /// # Errors
    /// When the emulator does not do it.
    pub fn set_running(&self, runs: bool) -> Result<(), HostError> {
        hardware::set_running(self.qemu.pid(), runs).map_err(HostError::Hardware)
    }

    /// Runs a command of the shell in dom0.
    ///
    /// # Errors
    /// When it does not end.
    pub fn run(&mut self, command: &str) -> Result<Outcome, HostError> {
        if command.len() <= LINE {
            return self.type_in(command);
        }
        for piece in pieces(command) {
            self.type_in(&format!("printf %s '{piece}' >>/tmp/command"))?;
        }
        self.type_in("command=$(cat /tmp/command); rm /tmp/command; eval \"$command\"")
    }

    /// Runs a command that fits in a line.
    fn type_in(&mut self, command: &str) -> Result<Outcome, HostError> {
        let asked = self.console.position();
        let started = Instant::now();
        self.input.write_all(format!("{command}\n").as_bytes())?;
        self.input.flush()?;
        let mut lines = Vec::new();
        let status = self.wait(asked, command, |line| {
            let status = line.strip_prefix(DONE).and_then(|status| status.trim().parse().ok());
            if status.is_none() {
                lines.push(line.to_owned());
            }
            status
        })?;
        Ok(Outcome { lines, status, took: started.elapsed() })
    }

    fn wait<T>(
        &self,
        from: Position,
        what: &str,
        mut pick: impl FnMut(&str) -> Option<T>,
    ) -> Result<T, HostError> {
        let pick = |line: &Line| if let Line::Plain(text) = line { pick(text) } else { None };
        self.console.wait(from, GUARD, pick).map_err(|error| HostError::Wait { what: what.to_owned(), error })
    }
}

/// A text in pieces for lines of their own, each as it stands between two apostrophes.
fn pieces(text: &str) -> Vec<String> {
    const ROOM: usize = LINE - "printf %s '' >>/tmp/command".len();
    let mut pieces = vec![String::new()];
    for character in text.chars() {
        let quoted = if character == '\'' { "'\\''".to_owned() } else { character.to_string() };
        match pieces.last_mut() {
            Some(piece) if piece.len() + quoted.len() <= ROOM => piece.push_str(&quoted),
            _ => pieces.push(quoted),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn what_a_shell_makes_of_the_pieces_is_the_text() {
        let text = "printf \"name='guest'\\n\" >/x; ".repeat(20);
        let pieces = pieces(&text);
        assert!(pieces.len() > 1);
        let lines = pieces.iter().map(|piece| format!("printf %s '{piece}'\n"));
        let lines = lines.inspect(|line| assert!(line.len() <= LINE, "{line}")).collect::<String>();
        let output = Command::new("sh").args(["-c", &lines]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), text);
    }
}
