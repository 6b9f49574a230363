//! One line of the serial console, and who wrote it.

use crate::command::ANSWER_TAG;
use crate::event::{Event, EventError, TAG};

/// What a line is.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// Xen's own message, without its prefix.
    Xen(String),
    /// A line of a domain that Xen prints, with the domain's number.
    Domain(u16, String),
    /// An entry of root's event log.
    Event(Event),
    /// A line with the event log's tag that is not an event.
    Unreadable(String, EventError),
    /// Root's answer to a command, without its tag.
    Answer(String),
    /// Anything else: firmware, and what root prints besides.
    Plain(String),
}

impl Line {
    /// Reads a line as it came, with its line end or without.
    pub fn read(raw: &str) -> Self {
        let raw = raw.trim_end_matches(['\r', '\n']);
        // Xen can put a message of its own before a line of root that it has begun to print.
        if let Some(at) = raw.find(TAG) {
            let text = &raw[at..];
            return match text.parse() {
                Ok(event) => Line::Event(event),
                Err(error) => Line::Unreadable(text.to_owned(), error),
            };
        }
        if let Some(at) = raw.find(ANSWER_TAG) {
            return Line::Answer(raw[at + ANSWER_TAG.len()..].to_owned());
        }
        match prefix(raw) {
            Some(("XEN", text)) => Line::Xen(text.to_owned()),
            Some((name, text)) => match name.strip_prefix('d').and_then(|number| number.parse().ok()) {
                Some(number) => Line::Domain(number, text.to_owned()),
                None => Line::Plain(raw.to_owned()),
            },
            None => Line::Plain(raw.to_owned()),
        }
    }
}

/// Splits `(NAME) text`. The firmware's control sequences may stand before Xen's first line.
fn prefix(raw: &str) -> Option<(&str, &str)> {
    let start = if raw.starts_with('(') { 0 } else { raw.find("(XEN) ")? };
    raw[start + 1..].split_once(") ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::What;

    #[test]
    fn writers_are_told_apart() {
        assert_eq!(Line::read("(XEN) Brought up 1 CPUs\r\n"), Line::Xen("Brought up 1 CPUs".into()));
        assert_eq!(Line::read("Booting from ROM..\u{1b}c(XEN) Xen version"), Line::Xen("Xen version".into()));
        assert_eq!(Line::read("(d12) hello"), Line::Domain(12, "hello".into()));
        assert_eq!(Line::read("(dx) hello"), Line::Plain("(dx) hello".into()));
        assert_eq!(Line::read("[RC] ok"), Line::Answer("ok".into()));
        assert_eq!(Line::read("SeaBIOS"), Line::Plain("SeaBIOS".into()));
        assert_eq!(Line::read(""), Line::Plain(String::new()));
    }

    #[test]
    fn an_event_is_found_behind_a_prefix() {
        for raw in ["[SD] 1 2 root boot", "(d0) [SD] 1 2 root boot\r\n", "(XEN) half a [SD] 1 2 root boot"] {
            match Line::read(raw) {
                Line::Event(event) => assert_eq!((event.seq, event.what), (Some(1), What::Boot)),
                other => panic!("{raw:?} was read as {other:?}"),
            }
        }
        assert!(matches!(Line::read("[SD] garbled"), Line::Unreadable(..)));
    }
}
