//! The event log: numbered lines in root's recovery box, printed on Xen's console with the tag `[SD]`.
//!
//! Noting an event costs microseconds, printing it on a serial line up to a millisecond: so a line is
//! printed when root has nothing more urgent to do.

use core::fmt::{self, Write};
use core::sync::atomic::AtomicU64;
use heapless::String;
use kernel::console;
use recovery_box::{Record, RecoveryBox};
use serde::{Deserialize, Serialize};

/// Lines that the log keeps.
const LINES: usize = 256;

/// Bytes of a line at most; what is longer is cut.
const LINE: usize = 232;

/// Bytes of a record: the line, its number and its time.
const PAYLOAD: usize = 256;

type Lines = RecoveryBox<&'static [AtomicU64], LINES, PAYLOAD>;

#[derive(Serialize, Deserialize)]
struct Event {
    sequence: u64,
    at_us: u64,
    text: String<LINE>,
}

impl Record for Event {
    const TYPE: u16 = 1;
    const VERSION: u16 = 1;
}

/// The event log.
pub struct EventLog {
    lines: Lines,
    next: u64,
    printed: u64,
    print: bool,
}

impl EventLog {
    /// Opens the log where it was left.
    ///
    /// # Panics
    /// If the memory is too small, which root's linker script decides.
    pub fn open(words: &'static [AtomicU64], print: bool) -> Self {
        let (lines, _) = match Lines::open(words) {
            Ok(opened) => opened,
            Err(error) => panic!("root's event log: {error}"),
        };
        let last =
            lines.iter::<Event>().filter_map(|entry| entry.value.ok()).map(|event| event.sequence).max();
        let next = last.map_or(1, |last| last + 1);
        Self { lines, next, printed: next, print }
    }

    /// Notes that `what` happened to `who` at `at_us`.
    pub fn note(&mut self, at_us: u64, who: &str, what: fmt::Arguments<'_>) {
        let mut text = String::new();
        // An error only says that the line is full.
        let _ = write!(text, "{who} {what}");
        let event = Event { sequence: self.next, at_us, text };
        // The box has room for LINES keys of this size: it cannot be full.
        if self.lines.put((self.next % LINES as u64) as u32, &event).is_ok() {
            self.next += 1;
        }
        if self.next - self.printed > LINES as u64 {
            self.printed = self.next - LINES as u64;
        }
    }

    /// The first line that is kept and has this number or a higher one: its number, its time, its text.
    pub fn line(&self, from: u64) -> Option<(u64, u64, String<LINE>)> {
        let oldest = self.next.saturating_sub(LINES as u64);
        (from.max(oldest)..self.next).find_map(|sequence| {
            let event = self.lines.get::<Event>((sequence % LINES as u64) as u32).ok().flatten()?;
            Some((event.sequence, event.at_us, event.text))
        })
    }

    /// Prints the next line; answers whether there was one.
    pub fn print_one(&mut self) -> bool {
        if !self.print || self.printed >= self.next {
            return false;
        }
        if let Ok(Some(event)) = self.lines.get::<Event>((self.printed % LINES as u64) as u32) {
            let mut line = String::<{ LINE + 48 }>::new();
            // It fits: two numbers of at most 20 digits, the tag, the text.
            let _ = write!(line, "[SD] {} {} {}", event.sequence, event.at_us, event.text);
            console::write_line(&line);
        }
        self.printed += 1;
        true
    }

    /// Whether every line has been printed.
    pub fn is_printed(&self) -> bool {
        !self.print || self.printed >= self.next
    }
}
