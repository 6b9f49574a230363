//! What is said: a request or an answer, written by `postcard`, and behind it the data, if there are any.

use crate::{MAX_DATA, MAX_MESSAGE, MAX_WORDS};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Something that is asked for. Bytes are counted from the volume's first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Which volume has this place in the list of all.
    Describe {
        /// The place, from 0.
        index: u32,
    },
    /// What these bytes are.
    Read {
        /// The volume's name.
        volume: String,
        /// The first byte.
        from: u64,
        /// How many; at most [`MAX_DATA`].
        bytes: u32,
    },
    /// That bytes become those that go with the request. Nobody else has the volume from then on, until it is let go.
    Write {
        /// The volume's name.
        volume: String,
        /// The first byte.
        from: u64,
    },
    /// That all that was written lasts, and the volume is let go.
    Finish {
        /// The volume's name.
        volume: String,
    },
}

/// Who uses a volume, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum User {
    /// A guest.
    Guest {
        /// Its domain.
        domid: u16,
        /// The number of its disk.
        device: u32,
    },
    /// Whoever writes it from afar.
    Operator,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// What its partition is called; nothing if it has no such name.
    pub label: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The unit in which it is read and written, in bytes.
    pub sector_bytes: u32,
    /// Whether it cannot be written at all.
    pub read_only: bool,
    /// Who uses it, the first few of them.
    pub users: Vec<User>,
    /// Whether whoever uses it has it alone.
    pub exclusive: bool,
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// No volume has that name.
    NoVolume {
        /// What there is instead.
        why: String,
    },
    /// Somebody has the volume.
    InUse {
        /// Who, and how.
        why: String,
    },
    /// The bytes do not lie within the volume.
    Outside {
        /// The first byte.
        from: u64,
        /// How many.
        bytes: u64,
        /// How many the volume has.
        of: u64,
    },
    /// They do not begin or end where a sector does, or are none, or more than there can be at a time.
    Uneven {
        /// The first byte.
        from: u64,
        /// How many.
        bytes: u64,
        /// The unit, in bytes.
        sector_bytes: u32,
    },
    /// The volume cannot be written.
    ReadOnly,
    /// The disk cannot do it: a bad sector.
    Failed {
        /// The byte of the volume at which it could not.
        at: u64,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVolume { why } | Self::InUse { why } => f.write_str(why),
            Self::Outside { from, bytes, of } => {
                write!(f, "{bytes} bytes from {from} on are not within a volume of {of}")
            }
            Self::Uneven { from, bytes, sector_bytes } => write!(
                f,
                "{bytes} bytes from {from} on: expected multiples of {sector_bytes}, and not more than {MAX_DATA} at a time"
            ),
            Self::ReadOnly => f.write_str("the volume can only be read"),
            Self::Failed { at } => write!(f, "the disk fails at byte {at} of the volume"),
        }
    }
}

impl core::error::Error for Refusal {}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A volume; none if there are no more.
    Volume(Option<Description>),
    /// What was read goes with this answer.
    Read,
    /// It is done.
    Done,
    /// It is not done.
    Refused(Refusal),
}

/// What goes to whoever is asked: under a number that no other request has.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Question {
    pub(crate) number: u64,
    pub(crate) request: Request,
}

/// What goes to whoever asks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// A life has begun: what was taken before and is not answered may be lost.
    Begun,
    /// An answer to the request of this number.
    To(u64, Answer),
}

/// A message with its data; none if it would be longer than a message is.
pub(crate) fn encode(message: &impl Serialize, data: &[u8]) -> Option<Vec<u8>> {
    if data.len() > MAX_DATA {
        return None;
    }
    let mut frame = vec![0; MAX_MESSAGE];
    let used = postcard::to_slice(message, &mut frame[..MAX_WORDS]).ok()?.len();
    frame[used..used + data.len()].copy_from_slice(data);
    frame.truncate(used + data.len());
    Some(frame)
}

/// The next message of the cable with its data; none if there is none, or `frame` is no message.
pub(crate) fn decode<T: DeserializeOwned>(frame: &[u8]) -> Option<(T, &[u8])> {
    postcard::take_from_bytes(frame).ok()
}
