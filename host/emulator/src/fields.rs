//! The `key=value` part of an event line.
//!
//! A value ends at the next word that has a `=` in it; that of `msg` runs to the end of the line.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The key whose value runs to the end of the line.
const REST_OF_LINE: &str = "msg";

/// Why a field could not be used.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum FieldError {
    /// The first word of the line is not `key=value`.
    #[error("expected key=value, found {found:?}")]
    NotAField {
        /// The word.
        found: String,
    },
    /// The event needs a field that the line does not have.
    #[error("expected the field {key}, found none")]
    Missing {
        /// The field's name.
        key: &'static str,
    },
    /// A field's value is not of the field's kind.
    #[error("expected {key} to be {wanted}, found {found:?}")]
    BadValue {
        /// The field's name.
        key: &'static str,
        /// The Rust type that the value should have been.
        wanted: &'static str,
        /// The value.
        found: String,
    },
}

/// Fields in the order of the line.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The value of `key` as a `T`; `None` too if it is not one.
    pub fn get_as<T: FromStr>(&self, key: &str) -> Option<T> {
        self.get(key)?.parse().ok()
    }

    /// All fields, in the order of the line.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Takes `key` out, if the line has it.
    pub(crate) fn take<T: FromStr>(&mut self, key: &'static str) -> Result<Option<T>, FieldError> {
        let Some(at) = self.0.iter().position(|(name, _)| name == key) else { return Ok(None) };
        let (_, found) = self.0.remove(at);
        match found.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(FieldError::BadValue { key, wanted: std::any::type_name::<T>(), found }),
        }
    }

    /// Takes `key` out, which the line must have.
    pub(crate) fn need<T: FromStr>(&mut self, key: &'static str) -> Result<T, FieldError> {
        self.take(key)?.ok_or(FieldError::Missing { key })
    }
}

impl FromStr for Fields {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let mut fields: Vec<(String, String)> = Vec::new();
        let mut rest = text.trim_start_matches(' ');
        while !rest.is_empty() {
            let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
            match (word.split_once('='), fields.last_mut()) {
                (Some((REST_OF_LINE, _)), _) => {
                    fields.push((REST_OF_LINE.to_owned(), rest[REST_OF_LINE.len() + 1..].to_owned()));
                    break;
                }
                (Some((key, value)), _) if !key.is_empty() => fields.push((key.to_owned(), value.to_owned())),
                (_, Some((_, value))) => {
                    value.push(' ');
                    value.push_str(word);
                }
                (_, None) => return Err(FieldError::NotAField { found: word.to_owned() }),
            }
            rest = after.trim_start_matches(' ');
        }
        Ok(Fields(fields))
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (key, value) in self.iter() {
            write!(f, "{separator}{key}={value}")?;
            separator = " ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn msg_runs_to_the_end_of_the_line() {
        let fields: Fields = "level=warn  msg=a b=c  d".parse().unwrap();
        assert_eq!(fields.get("level"), Some("warn"));
        assert_eq!(fields.get("msg"), Some("a b=c  d"));
        assert_eq!(fields.get("b"), None);
    }

    #[test]
    fn a_value_ends_where_the_next_field_starts() {
        let fields: Fields = "box=kept: 3 records  n=4".parse().unwrap();
        assert_eq!(fields.get("box"), Some("kept: 3 records"));
        assert_eq!(fields.get_as("n"), Some(4));
    }

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        assert_eq!("alone".parse::<Fields>(), Err(FieldError::NotAField { found: "alone".into() }));
        let mut fields: Fields = "n=five".parse().unwrap();
        assert_eq!(fields.need::<u64>("m"), Err(FieldError::Missing { key: "m" }));
        let error = fields.take::<u64>("n").unwrap_err();
        assert_eq!(error.to_string(), "expected n to be u64, found \"five\"");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            pairs in prop::collection::vec(("[a-z_]{1,8}", "[!-~]{0,12}"), 0..6),
            message in prop::option::of("[ -~]{0,40}"),
        ) {
            let mut pairs: Vec<(String, String)> =
                pairs.into_iter().filter(|(key, _)| key != REST_OF_LINE).collect();
            pairs.extend(message.map(|message| (REST_OF_LINE.to_owned(), message)));
            let fields = Fields(pairs);
            prop_assert_eq!(fields.to_string().parse::<Fields>(), Ok(fields));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
            if let Ok(fields) = text.parse::<Fields>() {
                prop_assert_eq!(fields.to_string().parse::<Fields>(), Ok(fields));
            }
        }
    }
}
