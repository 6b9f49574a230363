//! Progress in memory that outlives every life of whoever tells.

use crate::progress::Progress;
use recovery_box::{Record, RecoveryBox, TooSmall};
use serde::{Deserialize, Serialize};
use uk_abi::Words;

/// How many receivers there can be.
pub const MAX_HOOKS: usize = 4;

/// Records: one for each receiver, and the log's number.
const SLOTS: usize = MAX_HOOKS + 1;

/// Bytes of a record: two numbers of at most ten each.
const PAYLOAD: usize = 24;

type Records<W> = RecoveryBox<W, SLOTS, PAYLOAD>;

/// Which event log it is that progress is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Log(u64);

impl Record for Log {
    const TYPE: u16 = 2;
    const VERSION: u16 = 1;
}

/// What is kept.
#[derive(Debug)]
pub struct Kept<W> {
    records: Records<W>,
    log: u64,
}

impl<W: Words> Kept<W> {
    /// Words of memory that it takes.
    pub const WORDS: usize = Records::<W>::WORDS;

    /// Opens what is kept in `words`. Numbers of events begin anew with each boot of the host, and so does this memory: a log's own
    /// number, which `draw` makes when there is none, tells logs apart.
    ///
    /// # Errors
    /// There are not enough words.
    pub fn open(words: W, draw: impl FnOnce() -> u64) -> Result<Self, TooSmall> {
        let (mut records, _) = Records::open(words)?;
        // What is lost is told once more: nothing else may be done about it.
        records.discard_lost();
        let known = records.get::<Log>(0).ok().flatten();
        let log = known.unwrap_or_else(|| {
            // Progress in a log that is not known any more is none.
            for receiver in 0..MAX_HOOKS {
                records.remove::<Progress>(receiver as u32);
            }
            Log(draw())
        });
        // The box has a slot for each record that there can be, of this size.
        let _ = records.put(0, &log);
        Ok(Self { records, log: log.0 })
    }

    /// The log's number.
    pub const fn log(&self) -> u64 {
        self.log
    }

    /// How far the receiver of this number was told.
    pub fn progress(&self, receiver: usize) -> Progress {
        self.records.get(receiver as u32).ok().flatten().unwrap_or(Progress::NONE)
    }

    /// Notes how far it was told.
    pub fn note(&mut self, receiver: usize, progress: &Progress) {
        // As above.
        let _ = self.records.put(receiver as u32, progress);
    }
}
