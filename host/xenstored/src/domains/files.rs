//! A hypervisor made of files, for tests: one folder in which a test plays every domain.
//!
//! ```text
//!   page-DOMID    the ring page of a domain, mapped shared
//!   state-DOMID   running, shutdown, crashed or dying; no file, no such domain (domain 0 is always there)
//!   events-in     FIFO: the ports at which the daemon gets an event, four bytes each, in this machine's byte order
//!   events-out    FIFO: the ports that the daemon notifies
//!   port          the port of domain 0's ring, in decimal
//! ```
//!
//! An event channel has one number, for both of its ends. The same folder serves the C and the OCaml daemon under the
//! tests' preloaded library, so that all three can be asked the same questions.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use linux::evtchn::LocalPort;
use linux::shared::SharedMemory;
use rustix::fs::OFlags;
use xen_abi::Domid;
use xenstore::Census;

use super::{DomainState, Event, Hypervisor, RingPage};
use crate::account;

/// The port that tells of changed domains. No domain's own port is that large.
const DOMAINS_CHANGED: LocalPort = LocalPort(0x4000_0000);

const PAGE: usize = 4096;

/// The folder, with its FIFOs open.
#[derive(Debug)]
pub struct XenOfFiles {
    folder: PathBuf,
    events_in: File,
    events_out: File,
}

/// Which domains there are in the folder.
#[derive(Debug)]
pub struct CensusOfFiles {
    folder: PathBuf,
}

impl CensusOfFiles {
    /// Of this folder.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }
}

impl Census for CensusOfFiles {
    fn exists(&self, domid: Domid) -> bool {
        state_of(&self.folder, domid).is_ok()
    }

    fn has_ring(&self, domid: Domid) -> bool {
        self.exists(domid) && page_of(&self.folder, domid).is_ok()
    }
}

fn page_of(folder: &Path, domid: Domid) -> io::Result<RingPage> {
    let file = OpenOptions::new().read(true).write(true).open(folder.join(format!("page-{}", domid.0)))?;
    Ok(RingPage::Mapped(SharedMemory::map(&file, PAGE)?))
}

fn state_of(folder: &Path, domid: Domid) -> io::Result<DomainState> {
    match std::fs::read_to_string(folder.join(format!("state-{}", domid.0))) {
        Ok(text) if text == "dying" => Ok(DomainState::Dying),
        Ok(text) if text == "shutdown" || text == "crashed" => Ok(DomainState::Shutdown),
        Ok(_) => Ok(DomainState::Running),
        Err(error) if error.kind() == io::ErrorKind::NotFound && domid == Domid(0) => {
            Ok(DomainState::Running)
        }
        Err(error) => Err(error),
    }
}

impl XenOfFiles {
    /// Opens the FIFOs.
    ///
    /// # Errors
    /// What opening says.
    pub fn open(folder: &Path) -> io::Result<Self> {
        // Both ends of each, so that a test that restarts does not end the stream.
        let open = |name| {
            let nonblocking = OFlags::NONBLOCK.bits() as i32;
            let mut options = OpenOptions::new();
            options.read(true).write(true).custom_flags(nonblocking).open(folder.join(name))
        };
        let (events_in, events_out) = (open("events-in")?, open("events-out")?);
        Ok(Self { folder: folder.to_owned(), events_in, events_out })
    }
}

impl Hypervisor for XenOfFiles {
    fn events(&self) -> BorrowedFd<'_> {
        self.events_in.as_fd()
    }

    fn next_event(&mut self) -> io::Result<Option<Event>> {
        let mut port = [0; 4];
        match self.events_in.read(&mut port) {
            Ok(4) => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
        let port = LocalPort(u32::from_ne_bytes(port));
        Ok(Some(if port == DOMAINS_CHANGED { Event::DomainsChanged(port) } else { Event::Port(port) }))
    }

    fn listen(&mut self, _: LocalPort) -> io::Result<()> {
        Ok(())
    }

    fn notify(&mut self, port: LocalPort) -> io::Result<()> {
        match self.events_out.write(&port.0.to_ne_bytes()) {
            Ok(length) => account::wrote(length),
            // A full FIFO wakes its reader all the same.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn bind(&mut self, domid: Domid, remote_port: u32) -> io::Result<LocalPort> {
        state_of(&self.folder, domid)?;
        Ok(LocalPort(remote_port))
    }

    fn remote_port(&mut self, domid: Domid, port: LocalPort) -> io::Result<u32> {
        state_of(&self.folder, domid)?;
        Ok(port.0)
    }

    fn unbind(&mut self, _: LocalPort) -> io::Result<()> {
        Ok(())
    }

    fn hand_over(&mut self, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn map(&mut self, domid: Domid) -> io::Result<RingPage> {
        page_of(&self.folder, domid)
    }

    fn own_ring(&mut self) -> io::Result<(RingPage, u32)> {
        let text = std::fs::read_to_string(self.folder.join("port"))?;
        let port = text.trim().parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok((page_of(&self.folder, Domid(0))?, port))
    }

    fn states(&mut self) -> io::Result<BTreeMap<Domid, DomainState>> {
        let mut states = BTreeMap::from([(Domid(0), state_of(&self.folder, Domid(0))?)]);
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let domid = name.to_str().and_then(|name| name.strip_prefix("state-")?.parse().ok()).map(Domid);
            if let Some(domid) = domid {
                states.insert(domid, state_of(&self.folder, domid)?);
            }
        }
        Ok(states)
    }
}
