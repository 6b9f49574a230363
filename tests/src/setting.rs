//! What is said to tests from outside: how often they do what is done a few times when nothing is said.

use std::env;
use std::str::FromStr;

/// The number in the environment's variable `name`.
///
/// # Panics
/// When something else is there.
pub fn setting<T: FromStr>(name: &str, default: T) -> T {
    match env::var(name) {
        Err(_) => default,
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("expected {name} to be a number, found {text:?}")),
    }
}
