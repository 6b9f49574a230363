//! The text of a configuration: settings, one after the other.
//!
//! ```text
//! key = "text"            # until the end of the line: a comment
//! key = 42; other = 0x2a  # a semicolon ends a setting, as the end of a line does
//! key = [ 'text',
//!         'more', ]       # a list goes over several lines; its last comma counts for nothing
//! ```

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use crate::{Mistake, Reason};

/// The most settings of a file, and values of a list: more than any guest has, and a bound on what hostile text takes.
const MOST: usize = 1024;

/// A place in a file. Both numbers count from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Where the key stands.
    pub place: Place,
    /// The key.
    pub key: String,
    /// Its value.
    pub value: Value,
}

/// What a key is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text, in quotes or (a number) without.
    One(Text),
    /// A list of texts.
    List(Vec<Text>),
}

/// A text with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Where it starts, be it with a quote or not.
    pub place: Place,
    /// What it says, without quotes.
    pub text: String,
}

impl Text {
    /// A text that stands in no file: an operator's.
    pub fn alone(text: &str) -> Self {
        Self { place: Place { line: 1, column: 1 }, text: text.to_owned() }
    }
}

/// Reads all settings.
///
/// # Errors
/// The first place where something else stands.
pub fn read(text: &str) -> Result<Vec<Setting>, Mistake> {
    let mut reader = Reader { rest: text, place: Place { line: 1, column: 1 } };
    let mut settings = Vec::new();
    loop {
        reader.skip_blank(true);
        while reader.take(';') {
            reader.skip_blank(true);
        }
        if reader.rest.is_empty() {
            return Ok(settings);
        }
        if settings.len() == MOST {
            return Err(reader.expected("the end of the file, after 1024 settings"));
        }
        settings.push(reader.setting()?);
    }
}

struct Reader<'a> {
    rest: &'a str,
    place: Place,
}

impl<'a> Reader<'a> {
    fn setting(&mut self) -> Result<Setting, Mistake> {
        let place = self.place;
        if !self.peek().is_some_and(|c| c.is_ascii_lowercase()) {
            return Err(self.expected("a key (of lower-case letters, digits and _)"));
        }
        let key = self.word(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_').to_owned();
        self.skip_blank(false);
        if !self.take('=') {
            return Err(self.expected("\"=\""));
        }
        self.skip_blank(false);
        let value =
            if self.peek() == Some('[') { Value::List(self.list()?) } else { Value::One(self.text()?) };
        self.skip_blank(false);
        match self.peek() {
            None | Some('\n' | ';') => Ok(Setting { place, key, value }),
            Some(_) => Err(self.expected("the end of the line or \";\"")),
        }
    }

    fn list(&mut self) -> Result<Vec<Text>, Mistake> {
        let mut list = Vec::new();
        self.take('[');
        loop {
            self.skip_blank(true);
            if self.take(']') {
                return Ok(list);
            }
            if list.len() == MOST {
                return Err(self.expected("\"]\", after 1024 values"));
            }
            list.push(self.text()?);
            self.skip_blank(true);
            if !self.take(',') && self.peek() != Some(']') {
                return Err(self.expected("\",\" or \"]\""));
            }
        }
    }

    fn text(&mut self) -> Result<Text, Mistake> {
        let place = self.place;
        match self.peek() {
            Some(quote @ ('"' | '\'')) => {
                self.take(quote);
                let text = self.quoted(quote)?;
                Ok(Text { place, text })
            }
            Some(digit) if digit.is_ascii_digit() => {
                let text = self.word(|c| c.is_ascii_hexdigit() || c == 'x').to_owned();
                Ok(Text { place, text })
            }
            _ => Err(self.expected("a text in quotes, a number or a list")),
        }
    }

    /// What stands before the closing quote, with `\` before a character that is meant as it is.
    fn quoted(&mut self, quote: char) -> Result<String, Mistake> {
        let mut text = String::new();
        loop {
            match self.peek() {
                None | Some('\n') => return Err(self.expected("the closing quote")),
                Some(c) if c == quote => {
                    self.take(c);
                    return Ok(text);
                }
                Some('\\') => {
                    self.take('\\');
                    let meant = match self.peek() {
                        Some('n') => '\n',
                        Some('t') => '\t',
                        Some(c @ ('\\' | '"' | '\'')) => c,
                        _ => return Err(self.expected("one of \\ \" ' n t")),
                    };
                    self.advance();
                    text.push(meant);
                }
                Some(c) => {
                    self.advance();
                    text.push(c);
                }
            }
        }
    }

    /// Skips blanks and comments, and ends of lines if they mean nothing here.
    fn skip_blank(&mut self, lines: bool) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.advance(),
                Some('\n') if lines => self.advance(),
                Some('#') => {
                    self.word(|c| c != '\n');
                }
                _ => return,
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let is_there = self.peek() == Some(wanted);
        if is_there {
            self.advance();
        }
        is_there
    }

    fn advance(&mut self) {
        let mut characters = self.rest.chars();
        match characters.next() {
            Some('\n') => self.place = Place { line: self.place.line + 1, column: 1 },
            Some(_) => self.place.column += 1,
            None => {}
        }
        self.rest = characters.as_str();
    }

    fn word(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.place.column += word.chars().count();
        word
    }

    fn expected(&self, wanted: &'static str) -> Mistake {
        let found = match self.peek() {
            Some('\n') => "the end of the line".to_string(),
            Some(c) => format!("{c:?}"),
            None => "the end of the file".to_string(),
        };
        Reason::Syntax { wanted, found }.at(self.place)
    }
}
