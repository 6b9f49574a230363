//! The device as the backend sees it: volumes that are read, written, flushed and trimmed, with answers that come later.

use crate::pages::Page;
pub use shadow::Outcome;

/// Names a command, from when it is submitted until its completion is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommandId(pub u64);

/// A volume: what one frontend sees as a whole disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Volume(pub u16);

/// Bytes of one page that data come from or go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The page.
    pub page: Page,
    /// Where in the page it begins, in bytes.
    pub offset: u32,
    /// Its length in bytes.
    pub bytes: u32,
}

/// What a volume shall do. Sectors are of 512 bytes, and lie within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Read, into these.
    Read {
        /// From here on.
        sector: u64,
        /// Where to.
        pieces: &'a [Piece],
    },
    /// Write, from these.
    Write {
        /// From here on.
        sector: u64,
        /// Where from.
        pieces: &'a [Piece],
    },
    /// Let everything whose completion has been reported be on the medium.
    Flush,
    /// Forget sectors.
    Discard {
        /// From here on.
        sector: u64,
        /// How many.
        sectors: u64,
        /// So that nobody can read them again.
        secure: bool,
    },
}

/// The device has no room for the command now; it may have after the next completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// The end of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Which.
    pub command: CommandId,
    /// How it ended. A driver tells [`Outcome::Failed`], when the device says that the medium is bad, from
    /// [`Outcome::Aborted`], when the device was reset or gave up for another reason: only the first reaches the guest.
    pub outcome: Outcome,
}

/// A driver with the device behind it, and the map from volumes to the device's sectors.
pub trait Device {
    /// The most pieces that a command can have; at least one.
    fn max_pieces(&self) -> usize;

    /// Whether pieces may begin and end anywhere; else all but the first begin, and all but the last end, where a page does.
    fn takes_gaps(&self) -> bool;

    /// Begins a command. Commands that are under way together are in no order.
    ///
    /// # Errors
    /// [`Busy`].
    fn submit(&mut self, id: CommandId, volume: Volume, command: Command<'_>) -> Result<(), Busy>;

    /// The next completion, if there is one.
    fn completion(&mut self) -> Option<Completion>;
}
