//! The register of domains: what root tells those who serve domains, XenStore above all, about which there are.
//!
//! It says what *is*, not what has happened: one entry for each domain number, with the generation of the domain
//! that has it. So nothing is queued, nothing can be lost, and nothing overflows while a reader is being revived
//! or asks for nothing: whoever compares the register with what it knows has missed nothing. A generation that is
//! higher than the one that was known says that the known domain is gone, whatever the entry says besides.
//!
//! ```text
//! word 0   changes since the host came up          the rest of the first entry: nothing, domain 0 is root
//!      4n  generation (56) | state (8)             of domain n
//!          frame of its XenStore ring              all ones: none
//!          grant reference (32) | port (32)        of that ring
//!          why it shut down
//! ```
//!
//! Root alone writes it; it is granted to be read. Root rings the doorbell of its readers after each change.

use crate::Words;
use core::sync::atomic::Ordering::{Acquire, Release};

/// Pages of the register.
pub const PAGES: usize = 1;

/// Words of the register.
pub const WORDS: usize = PAGES * crate::layout::PAGE_SIZE / 8;

/// Words of an entry.
const ENTRY: usize = 4;

/// Domains have numbers from 1 up to this, exclusively.
pub const DOMAINS: u16 = (WORDS / ENTRY) as u16;

/// Where the count of changes is.
const CHANGES: usize = 0;

/// Says of an entry that root is at it.
const CHANGING: u64 = 0xff;
const RUNNING: u64 = 1;
const SHUT_DOWN: u64 = 2;
const GONE: u64 = 3;

/// No XenStore ring.
const NO_RING: u64 = u64::MAX;

/// What has become of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was built, and runs or can run.
    Running,
    /// It has shut down and is still there.
    ShutDown {
        /// Why: Xen's number of the reason, `SHUTDOWN_*` in its `sched.h`.
        reason: u8,
    },
    /// It is there no more.
    Gone,
}

/// A domain's ring to XenStore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// The machine frame of its page, as an `INTRODUCE` names it.
    pub frame: u64,
    /// The number under which it is granted.
    pub reference: u32,
    /// The domain's port, to be bound to.
    pub port: u32,
}

/// What the register says of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts the domains that have had this number, from 1.
    pub generation: u64,
    /// What has become of the last.
    pub state: State,
    /// Its ring to XenStore, if it has one.
    pub ring: Option<Ring>,
}

/// Root is changing the entry, and rings when it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changing;

/// The register.
#[derive(Clone, Copy, Debug)]
pub struct Register<W> {
    words: W,
}

impl<W: Words> Register<W> {
    /// The register in `words`; none if there are fewer than [`WORDS`]. Zeros are one without domains.
    pub fn new(words: W) -> Option<Self> {
        (words.count() >= WORDS).then_some(Self { words })
    }

    /// How many changes there have been: while it stays the same, there is nothing new.
    pub fn changes(&self) -> u64 {
        self.words.load(CHANGES, Acquire)
    }

    /// What it says of the domain `domid`; nothing of one that never was.
    ///
    /// # Errors
    /// [`Changing`]. There is no use in asking again at once.
    pub fn get(&self, domid: u16) -> Result<Option<Entry>, Changing> {
        let Some(at) = place(domid) else { return Ok(None) };
        let head = self.words.load(at, Acquire);
        let [frame, ring, reason] = [1, 2, 3].map(|n| self.words.load(at + n, Acquire));
        if self.words.load(at, Acquire) != head {
            return Err(Changing);
        }
        let state = match head & 0xff {
            0 => return Ok(None),
            RUNNING => State::Running,
            SHUT_DOWN => State::ShutDown { reason: reason as u8 },
            GONE => State::Gone,
            _ => return Err(Changing),
        };
        let ring =
            (frame != NO_RING).then_some(Ring { frame, reference: (ring >> 32) as u32, port: ring as u32 });
        Ok(Some(Entry { generation: head >> 8, state, ring }))
    }

    /// A domain was built under the number `domid`. Root's. A number that has no place is left out.
    pub fn built(&self, domid: u16, ring: Option<Ring>) {
        let Some(at) = place(domid) else { return };
        let generation = (self.words.load(at, Acquire) >> 8) + 1;
        let Ring { frame, reference, port } = ring.unwrap_or(Ring { frame: NO_RING, reference: 0, port: 0 });
        self.words.store(at, generation << 8 | CHANGING, Release);
        self.words.store(at + 1, frame, Release);
        self.words.store(at + 2, u64::from(reference) << 32 | u64::from(port), Release);
        self.words.store(at + 3, 0, Release);
        self.settle(at, generation << 8 | RUNNING);
    }

    /// What became of the domain `domid`. Root's. To say it again changes nothing.
    pub fn became(&self, domid: u16, state: State) {
        let Some(at) = place(domid) else { return };
        let head = self.words.load(at, Acquire);
        let (state, reason) = match state {
            State::Running => (RUNNING, 0),
            State::ShutDown { reason } => (SHUT_DOWN, u64::from(reason)),
            State::Gone => (GONE, 0),
        };
        let wanted = head & !0xff | state;
        if head == 0 || head == wanted && self.words.load(at + 3, Acquire) == reason {
            return;
        }
        self.words.store(at, head | CHANGING, Release);
        self.words.store(at + 3, reason, Release);
        self.settle(at, wanted);
    }

    /// The numbers whose entries a life of root that ended was changing: their domains are to be named anew.
    pub fn unsettled(&self) -> impl Iterator<Item = u16> {
        (1..DOMAINS).filter(|domid| self.words.load(usize::from(*domid) * ENTRY, Acquire) & 0xff == CHANGING)
    }

    fn settle(&self, at: usize, head: u64) {
        self.words.store(at, head, Release);
        self.words.store(CHANGES, self.changes() + 1, Release);
    }
}

/// The first word of the entry of `domid`, if it has one.
fn place(domid: u16) -> Option<usize> {
    (1..DOMAINS).contains(&domid).then_some(usize::from(domid) * ENTRY)
}

#[cfg(test)]
mod tests;
