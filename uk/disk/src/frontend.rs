//! One frontend, connected: its rings, mapped, and its event channels.

use crate::memory::Memory;
use crate::records::Connection;
use alloc::vec::Vec;
use blkback::{Disk, Reason};
use core::fmt;
use libos::event::{self, BindError, Event};
use libos::grant::{MapError, MappedPage, halves};
use ring::request::{BadSize, Block, MAX_PAGES, Ring};

/// Why a frontend cannot be connected.
#[derive(Debug)]
pub enum ConnectError {
    /// A page of a ring cannot be mapped.
    Map(MapError),
    /// An event channel cannot be bound to.
    Bind(BindError),
    /// The ring has no size that rings have.
    Size(BadSize),
    /// What is in the ring is not what was left there.
    Ring(Reason),
    /// There are as many frontends as there can be.
    Full,
    /// Its volume is on no disk that is there.
    NoDisk,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(error) => error.fmt(f),
            Self::Bind(error) => error.fmt(f),
            Self::Size(error) => error.fmt(f),
            Self::Ring(reason) => reason.fmt(f),
            Self::Full => f.write_str("as many frontends are connected as there can be"),
            Self::NoDisk => f.write_str("its volume is on no disk that is there"),
        }
    }
}

impl core::error::Error for ConnectError {}

/// A frontend that is connected.
pub struct Frontend {
    /// Who, to what, and how.
    pub connection: Connection,
    /// The same, as the backend knows it.
    pub disk: Disk,
    /// A ring for each queue.
    pub rings: Vec<Ring<'static, Block>>,
    /// An event channel for each queue.
    pub events: Vec<Event>,
    /// What the probe has seen of its rings: requests asked and answered, all queues together, and since when they stand still.
    pub seen: Seen,
    /// Unmapped when it is dropped.
    _pages: Vec<MappedPage>,
}

/// What the probe has seen of a frontend's rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What the rings said, summed up.
    pub answered: u32,
    /// At how many looks in a row requests have waited and nothing was answered.
    pub waits: u32,
}

impl Frontend {
    /// Maps the rings and binds the ports, or takes them over from an earlier life.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn new(connection: Connection, disk: Disk, memory: &Memory) -> Result<Self, ConnectError> {
        let guest = connection.guest();
        let (mut rings, mut pages) = (Vec::new(), Vec::new());
        for queue in &connection.link.queues {
            let mut words: heapless::Vec<_, MAX_PAGES> = heapless::Vec::new();
            for gref in queue.ring() {
                let page = memory.ring(guest, gref).map_err(ConnectError::Map)?;
                // A link has no more pages for a ring than a ring has.
                let _ = words.push(halves(page.words()));
                pages.push(page);
            }
            rings.push(Ring::new(&words).map_err(ConnectError::Size)?);
        }
        let mut events = Vec::new();
        for queue in &connection.link.queues {
            match event::connect(guest, queue.port()) {
                Ok(event) => events.push(event),
                Err(error) => {
                    close(events);
                    return Err(ConnectError::Bind(error));
                }
            }
        }
        Ok(Self { connection, disk, rings, events, seen: Seen::default(), _pages: pages })
    }

    /// Lets the frontend go: closes the ports and unmaps the rings.
    pub fn close(self) {
        close(self.events);
    }

    /// Whether requests have waited at so many looks in a row, this one among them, without an answer to any.
    pub fn waits(&mut self) -> u32 {
        let answered = self.rings.iter().map(Ring::shown).fold(0, u32::wrapping_add);
        let asked = self.rings.iter().map(Ring::asked).fold(0, u32::wrapping_add);
        let stands = asked != answered && answered == self.seen.answered;
        self.seen = Seen { answered, waits: if stands { self.seen.waits + 1 } else { 0 } };
        self.seen.waits
    }
}

fn close(events: Vec<Event>) {
    for event in events {
        // The other end may be gone, and its port with it.
        let _ = event::close(event);
    }
}

/// Whether the guest that `connection` names is still the one that it was: the ports that an earlier life has bound to it lead
/// there. Those of a domain that has died lead nowhere.
pub fn is_there(connection: &Connection) -> bool {
    let queues = &connection.link.queues;
    queues.iter().all(|queue| event::bound_to(connection.guest(), queue.port()).is_some())
}
