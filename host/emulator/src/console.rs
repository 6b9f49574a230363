//! The host's serial console: a thread reads it, keeps every line and copies it to a file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::line::Line;

/// Why a wait ended without what it waited for.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum WaitError {
    /// The console closed: the emulator ended.
    #[error("the host ended")]
    Ended,
    /// The guard against hanging tests ran out.
    #[error("nothing after {} s", .0.as_secs())]
    TimedOut(Duration),
}

/// A place between two lines; [`Console::wait`] looks at the lines after one.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position(usize);

#[derive(Default)]
struct Log {
    lines: Vec<Line>,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    log: Mutex<Log>,
    grown: Condvar,
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        // The log is whole between any two statements: a panic elsewhere does not spoil it.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.log().ended = true;
        self.grown.notify_all();
    }
}

/// All lines of one host's console.
pub struct Console {
    shared: Arc<Shared>,
}

impl Console {
    /// Reads lines from `source` until it ends, and copies what it reads to a new file at `copy`.
    ///
    /// # Errors
    /// When the file cannot be made, or no thread can be had.
    pub fn follow(source: impl Read + Send + 'static, copy: &Path) -> io::Result<Self> {
        let mut copy = File::create(copy)?;
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("console".into()).spawn(move || {
            let mut source = BufReader::new(source);
            let mut raw = Vec::new();
            while matches!(source.read_until(b'\n', &mut raw), Ok(1..)) {
                // Lines are what matters: a full disk must not end the test that is running.
                let _ = copy.write_all(&raw);
                let line = Line::read(&String::from_utf8_lossy(&raw));
                writer.log().lines.push(line);
                writer.grown.notify_all();
                raw.clear();
            }
            writer.end();
        })?;
        Ok(Console { shared })
    }

    /// The place after the last line so far.
    pub fn position(&self) -> Position {
        Position(self.shared.log().lines.len())
    }

    /// The lines from `from` on, so far.
    pub fn lines(&self, from: Position) -> Vec<Line> {
        self.shared.log().lines.get(from.0..).unwrap_or_default().to_vec()
    }

    /// Waits for the first line from `from` on that `pick` picks, and for `guard` at most.
    ///
    /// # Errors
    /// When the guard runs out or the console closes first.
    pub fn wait<T>(
        &self,
        from: Position,
        guard: Duration,
        mut pick: impl FnMut(&Line) -> Option<T>,
    ) -> Result<T, WaitError> {
        let end = Instant::now() + guard;
        let mut next = from.0;
        let mut log = self.shared.log();
        loop {
            while let Some(line) = log.lines.get(next) {
                next += 1;
                if let Some(found) = pick(line) {
                    return Ok(found);
                }
            }
            if log.ended {
                return Err(WaitError::Ended);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(WaitError::TimedOut(guard));
            }
            let waited = self.shared.grown.wait_timeout(log, left);
            log = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far more than any of these waits takes: only a defect reaches it.
    const GUARD: Duration = Duration::from_secs(60);

    fn answer(line: &Line) -> Option<String> {
        if let Line::Answer(text) = line { Some(text.clone()) } else { None }
    }

    #[test]
    fn lines_are_waited_for_kept_and_copied() {
        let scratch = tempfile::tempdir().unwrap();
        let copy = scratch.path().join("console.log");
        let (reader, mut writer) = io::pipe().unwrap();
        let console = Console::follow(reader, &copy).unwrap();
        let start = console.position();
        writer.write_all(b"[RC] o").unwrap();
        writer.write_all(b"ne\r\n\xff\n[RC] two\n").unwrap();
        assert_eq!(console.wait(start, GUARD, answer), Ok("one".into()));
        let two = |line: &Line| answer(line).filter(|text| text == "two");
        assert_eq!(console.wait(start, GUARD, two), Ok("two".into()));
        let after = console.position();
        assert_eq!(console.wait(after, Duration::ZERO, answer), Err(WaitError::TimedOut(Duration::ZERO)));
        drop(writer);
        assert_eq!(console.wait(after, GUARD, answer), Err(WaitError::Ended));
        assert_eq!(console.lines(start).len(), 3);
        assert_eq!(std::fs::read(copy).unwrap(), b"[RC] one\r\n\xff\n[RC] two\n");
    }
}
