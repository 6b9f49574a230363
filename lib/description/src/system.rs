//! The description as a whole, and its compact form.

use crate::order::{Cycle, order};
use crate::{Component, ComponentSet, Guest, Host, MAX_COMPONENTS, MAX_SHARED, Place, Problem, Shared};
use core::fmt;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// The most guests that start with the host.
pub const MAX_GUESTS: usize = 16;

/// The most bytes of a description's compact form.
pub const MAX_ENCODED: usize = 20 * 1024;

/// Everything an R-VMM host runs: the compiled form of `rvmm.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// What concerns root and the host as a whole.
    pub host: Host,
    /// The unikernels, in the order of the text.
    pub components: Vec<Component, MAX_COMPONENTS>,
    /// The memory that components share, in the order of the text.
    pub shared: Vec<Shared, MAX_SHARED>,
    /// The guests that start with the host, in the order of the text.
    pub guests: Vec<Guest, MAX_GUESTS>,
}

// Root keeps one for its whole life: it counts on what that takes.
const _: () = assert!(size_of::<Description>() <= 20 * 1024);

/// Why bytes are no description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// They are not the compact form of any description of this version.
    Malformed,
    /// They are a description that breaks a rule.
    Refused {
        /// What breaks it.
        place: Place,
        /// The rule, what was asked and what to do.
        problem: Problem,
    },
}

impl Description {
    /// Writes the compact form to a buffer and returns the part that was used, or `None` where it does not fit:
    /// [`MAX_ENCODED`] bytes are always enough.
    pub fn encode<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        postcard::to_slice(self, buffer).ok().map(|used| &*used)
    }

    /// Reads the compact form, which must be of all the bytes, and [checks](Self::check) it.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut description = Self::default();
        description.decode_from(bytes)?;
        Ok(description)
    }

    /// Reads the compact form in place, as [`decode`](Self::decode) does: a description takes kilobytes, and whoever
    /// has a small stack cannot hand it around. After an error, what it holds is of no meaning.
    pub fn decode_from(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut rest = bytes;
        self.host = take(&mut rest)?;
        take_list(&mut rest, &mut self.components)?;
        take_list(&mut rest, &mut self.shared)?;
        take_list(&mut rest, &mut self.guests)?;
        if !rest.is_empty() {
            return Err(DecodeError::Malformed);
        }
        let mut first = None;
        self.check(&mut |place, problem| {
            first.get_or_insert((place, problem));
        });
        match first {
            None => Ok(()),
            Some((place, problem)) => Err(DecodeError::Refused { place, problem }),
        }
    }

    /// The index of a component.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.components.iter().position(|component| component.name.as_str() == name)
    }

    /// The order in which components start: each after all that it depends on, otherwise as in the text. Where some
    /// wait for each other there is no such order but a cycle.
    pub fn boot_order(&self) -> Result<Vec<usize, MAX_COMPONENTS>, Cycle> {
        order(&self.dependencies())
    }

    /// What each component depends on.
    pub(crate) fn dependencies(&self) -> Vec<ComponentSet, MAX_COMPONENTS> {
        self.components.iter().map(|component| component.depends_on).collect()
    }
}

/// Reads one value off the front.
fn take<'b, T: Deserialize<'b>>(rest: &mut &'b [u8]) -> Result<T, DecodeError> {
    let (value, behind) = postcard::take_from_bytes(rest).map_err(|_| DecodeError::Malformed)?;
    *rest = behind;
    Ok(value)
}

/// Reads a list off the front, element by element.
fn take_list<'b, T: Deserialize<'b>, const N: usize>(
    rest: &mut &'b [u8],
    list: &mut Vec<T, N>,
) -> Result<(), DecodeError> {
    list.clear();
    for _ in 0..take::<usize>(rest)? {
        list.push(take(rest)?).map_err(|_| DecodeError::Malformed)?;
    }
    Ok(())
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => write!(f, "not a system description of this version"),
            Self::Refused { place, problem } => write!(f, "{place}: {problem}"),
        }
    }
}

impl core::error::Error for DecodeError {}
