//! Waiting: which files have something, and whose they are.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use xenstore::ConnectionId;

/// Events that are taken at once.
const BATCH: usize = 256;

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The socket that clients connect to.
    Listener,
    /// Signals.
    Signals,
    /// The supervisor.
    Supervisor,
    /// The hypervisor's events.
    Hypervisor,
    /// A client's socket.
    Client(ConnectionId),
}

/// What a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Whose file.
    pub source: Source,
    /// Something can be received.
    pub readable: bool,
    /// There is room again.
    pub writable: bool,
    /// The other end was closed.
    pub closed: bool,
}

/// The files that are waited for.
pub struct Events {
    epoll: OwnedFd,
    found: Vec<epoll::Event>,
}

const LISTENER: u64 = 1 << 32;
const SIGNALS: u64 = 2 << 32;
const SUPERVISOR: u64 = 3 << 32;
const HYPERVISOR: u64 = 4 << 32;

impl Source {
    fn to_data(self) -> EventData {
        EventData::new_u64(match self {
            Self::Listener => LISTENER,
            Self::Signals => SIGNALS,
            Self::Supervisor => SUPERVISOR,
            Self::Hypervisor => HYPERVISOR,
            Self::Client(ConnectionId(number)) => number.into(),
        })
    }

    fn from_data(data: EventData) -> Self {
        match data.u64() {
            LISTENER => Self::Listener,
            SIGNALS => Self::Signals,
            SUPERVISOR => Self::Supervisor,
            HYPERVISOR => Self::Hypervisor,
            number => Self::Client(ConnectionId(number as u32)),
        }
    }
}

/// How a client's socket is waited for: an edge when something arrives, so that an idle or a stuck one costs nothing.
const CLIENT: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::ET);

impl Events {
    /// None yet.
    ///
    /// # Errors
    /// What `epoll_create` says.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, found: Vec::with_capacity(BATCH) })
    }

    /// Waits for a file from now on: a client's at its edges, others as long as they have something.
    ///
    /// # Errors
    /// What `epoll_ctl` says.
    pub fn add(&self, source: Source, file: BorrowedFd<'_>) -> io::Result<()> {
        let flags = if matches!(source, Source::Client(_)) { CLIENT } else { EventFlags::IN };
        Ok(epoll::add(&self.epoll, file, source.to_data(), flags)?)
    }

    /// Whether to wait for room in a client's socket too.
    ///
    /// # Errors
    /// What `epoll_ctl` says.
    pub fn wait_for_room(&self, client: ConnectionId, file: BorrowedFd<'_>, wait: bool) -> io::Result<()> {
        let flags = if wait { CLIENT | EventFlags::OUT } else { CLIENT };
        Ok(epoll::modify(&self.epoll, file, Source::Client(client).to_data(), flags)?)
    }

    /// Waits until something happens, `at_most` so long, and puts it into `happenings`.
    ///
    /// # Errors
    /// What `epoll_wait` says.
    pub fn wait(&mut self, at_most: Option<Duration>, happenings: &mut Vec<Happening>) -> io::Result<()> {
        happenings.clear();
        self.found.clear();
        let timeout = at_most
            .map(|time| Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() });
        match epoll::wait(&self.epoll, spare_capacity(&mut self.found), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        happenings.extend(self.found.iter().map(|event| {
            let (data, flags) = (event.data, event.flags);
            Happening {
                source: Source::from_data(data),
                readable: flags.contains(EventFlags::IN),
                writable: flags.contains(EventFlags::OUT),
                closed: flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR),
            }
        }));
        Ok(())
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
