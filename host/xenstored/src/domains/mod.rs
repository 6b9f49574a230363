//! Domains: their ring pages, their event channels and whether they live. Behind a trait, so that a test can play all of
//! them with a few files.

mod files;
mod xen;

pub use files::{CensusOfFiles, XenOfFiles};
pub use xen::{Xen, XenCensus};

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

use linux::evtchn::LocalPort;
use linux::gntdev::GrantedPage;
use linux::shared::SharedMemory;
use ring::Page;
use xen_abi::Domid;

/// What the daemon asks of the hypervisor.
pub trait Hypervisor: fmt::Debug {
    /// What becomes readable when [`Hypervisor::next_event`] has something.
    fn events(&self) -> BorrowedFd<'_>;

    /// The next event, none if there is none left. A port is silent from then on until [`Hypervisor::listen`].
    ///
    /// # Errors
    /// What the system says.
    fn next_event(&mut self) -> io::Result<Option<Event>>;

    /// Lets a port's next event come.
    ///
    /// # Errors
    /// What the system says.
    fn listen(&mut self, port: LocalPort) -> io::Result<()>;

    /// Tells the domain at the other side of a port that there is something for it in the ring.
    ///
    /// # Errors
    /// What the system says.
    fn notify(&mut self, port: LocalPort) -> io::Result<()>;

    /// Makes the local end of a domain's event channel.
    ///
    /// # Errors
    /// What the hypervisor says: the domain or its port does not exist.
    fn bind(&mut self, domid: Domid, remote_port: u32) -> io::Result<LocalPort>;

    /// The domain's end of a channel of which another process of this domain has the local end.
    ///
    /// # Errors
    /// What the hypervisor says, and `NotFound` if the port is no end of such a channel.
    fn remote_port(&mut self, domid: Domid, port: LocalPort) -> io::Result<u32>;

    /// Gives the local end up.
    ///
    /// # Errors
    /// What the hypervisor says.
    fn unbind(&mut self, port: LocalPort) -> io::Result<()>;

    /// Gets ready for another daemon that takes the open files over, with all ports that are bound; or takes that back.
    ///
    /// # Errors
    /// What the hypervisor says.
    fn hand_over(&mut self, ready: bool) -> io::Result<()>;

    /// Maps the ring page of a domain.
    ///
    /// # Errors
    /// What the hypervisor says: the domain is gone or grants nothing.
    fn map(&mut self, domid: Domid) -> io::Result<RingPage>;

    /// The ring of the domain that the daemon runs in, and its kernel's port.
    ///
    /// # Errors
    /// What the system says.
    fn own_ring(&mut self) -> io::Result<(RingPage, u32)>;

    /// The state of every domain that exists.
    ///
    /// # Errors
    /// What the hypervisor says. Nothing is known then, and no domain may be taken for dead.
    fn states(&mut self) -> io::Result<BTreeMap<Domid, DomainState>>;
}

/// What the hypervisor tells unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A domain has notified a port.
    Port(LocalPort),
    /// Some domain's state has changed.
    DomainsChanged(LocalPort),
}

/// How a domain that exists is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainState {
    /// It may talk.
    Running,
    /// It has shut down, or crashed, and is kept.
    Shutdown,
    /// It is being destroyed.
    Dying,
}

/// A domain's ring page, mapped. The domain can change it at any time.
#[derive(Debug)]
pub enum RingPage {
    /// Granted by the domain.
    Granted(GrantedPage),
    /// Of the own kernel, or a file.
    Mapped(SharedMemory),
}

impl RingPage {
    /// The page.
    pub fn page(&self) -> &Page {
        let memory = match self {
            Self::Granted(page) => page.memory(),
            Self::Mapped(memory) => memory,
        };
        memory.halves().try_into().expect("every ring page is mapped with the size of a page")
    }
}
