//! What the box has to say.

use core::fmt;

/// The memory is too small for the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSmall {
    /// Words that the box takes.
    pub needed: usize,
    /// Words that there are.
    pub found: usize,
}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this recovery box takes {} words of memory, not {}", self.needed, self.found)
    }
}

impl core::error::Error for TooSmall {}

/// Why a value could not be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutError {
    /// All slots are in use.
    Full {
        /// How many there are.
        slots: usize,
    },
    /// The encoded value does not fit in a slot.
    TooLarge {
        /// The bytes that would fit.
        max: usize,
    },
    /// The type's `Serialize` failed, or does what postcard has no form for.
    NotEncodable,
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { slots } => write!(f, "the recovery box is full: all {slots} slots are in use"),
            Self::TooLarge { max } => write!(f, "the record does not fit in the {max} bytes of a slot"),
            Self::NotEncodable => f.write_str("the record cannot be encoded"),
        }
    }
}

impl core::error::Error for PutError {}

/// Why a record that exists has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// Both copies are damaged.
    Damaged,
    /// It was written by a program with another version of the type.
    Version {
        /// The version of the type that was asked for.
        asked: u16,
        /// The version of the record.
        found: u16,
    },
    /// Its bytes are what was written, yet no value of the type: the type changed and its version did not.
    Malformed,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str("both copies of the record are damaged"),
            Self::Version { asked, found } => write!(f, "the record has version {found}, not {asked}"),
            Self::Malformed => f.write_str("the record is sound but does not decode"),
        }
    }
}

impl core::error::Error for ReadError {}

/// What the memory was before it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Zeros where the header should be, and no record: formatted. Only to be expected when the host has just
    /// come up.
    Fresh,
    /// A box of this shape: kept.
    Kept,
    /// A box whose header was lost: records were found, and kept.
    Salvaged,
    /// A box of another shape, of another build of the program: formatted.
    OtherShape {
        /// Its slots.
        slots: u32,
        /// The most bytes of payload in each.
        payload: u32,
    },
    /// No header and no record, but no zeros either: formatted.
    Rubbish,
}

/// What was found when the box was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenReport {
    /// What the memory was.
    pub origin: Origin,
    /// Records that can be read.
    pub records: usize,
    /// Slots (and header) whose copies differed, by a write that was interrupted or by damage: mended, with
    /// nothing lost.
    pub mended: usize,
    /// Slots with both copies damaged: a record may have been lost with each. See
    /// [`RecoveryBox::lost`](crate::RecoveryBox::lost).
    pub lost: usize,
    /// Records that were there twice; the later ones were kept.
    pub duplicates: usize,
}

impl OpenReport {
    pub(crate) const fn new(origin: Origin) -> Self {
        OpenReport { origin, records: 0, mended: 0, lost: 0, duplicates: 0 }
    }

    /// Whether nothing but what an interrupted write leaves was found.
    pub const fn is_sound(&self) -> bool {
        matches!(self.origin, Origin::Fresh | Origin::Kept) && self.lost == 0 && self.duplicates == 0
    }
}

impl fmt::Display for OpenReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OpenReport { origin, records, mended, lost, duplicates } = self;
        match origin {
            Origin::Fresh => f.write_str("fresh"),
            Origin::Kept => f.write_str("kept"),
            Origin::Salvaged => f.write_str("salvaged, header lost"),
            Origin::OtherShape { slots, payload } => {
                write!(f, "formatted, was {slots} slots of {payload} bytes")
            }
            Origin::Rubbish => f.write_str("formatted, was rubbish"),
        }?;
        write!(f, ": {records} records, {mended} mended, {lost} lost, {duplicates} duplicates")
    }
}

/// A slot with both copies damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Which slot.
    pub slot: usize,
    /// Type and key of the record, where they are known, or where both damaged copies still say the same.
    pub record: Option<(u16, u32)>,
}

/// What a step of scrubbing found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scrubbed {
    /// Both copies are as they should be.
    Sound,
    /// One copy was damaged, and has been mended.
    Mended,
    /// Both copies are damaged.
    Lost(Lost),
}

impl Scrubbed {
    pub(crate) const fn of(mended: bool) -> Self {
        if mended { Scrubbed::Mended } else { Scrubbed::Sound }
    }
}
