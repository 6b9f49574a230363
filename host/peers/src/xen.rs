//! A Xen of files, the harness's side: domains, their ring pages and event channels in one folder. The daemons' side is
//! `xen_of_files.c`, which tells what each file is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::io::ioctl_fionread;

use crate::ring::Ring;

/// The port that tells the daemon that a domain has changed its state (`VIRQ_DOM_EXC`).
const DOM_EXC_PORT: u32 = 0x4000_0000;
/// The port of domain 0's ring.
const DOM0_PORT: u32 = 1;
/// Bytes of a page.
pub(crate) const PAGE: u64 = 4096;

/// What a domain is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It runs.
    Running,
    /// It has shut itself down.
    Shutdown,
    /// It has crashed.
    Crashed,
    /// It is being destroyed.
    Dying,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Shutdown => "shutdown",
            State::Crashed => "crashed",
            State::Dying => "dying",
        }
    }
}

/// The folder.
#[derive(Debug)]
pub struct Xen {
    folder: PathBuf,
    events: Fifo,
}

impl Xen {
    /// A machine with nothing but domain 0, in `folder`, which must not exist.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir(folder)?;
        fs::create_dir(folder.join("run"))?;
        fs::write(folder.join("port"), DOM0_PORT.to_string())?;
        for fifo in ["events-in", "events-out"] {
            mknodat(CWD, folder.join(fifo), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        }
        let xen = Xen { events: Fifo::open(&folder.join("events-in"))?, folder: folder.to_path_buf() };
        xen.blank_page(0)?;
        Ok(xen)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn blank_page(&self, domid: u32) -> io::Result<()> {
        fs::write(self.folder.join(format!("page-{domid}")), [0; PAGE as usize])
    }

    /// Makes a domain, running, with an empty ring. The daemon does not learn of it from this.
    ///
    /// # Errors
    /// When its files cannot be written.
    pub fn create_domain(&mut self, domid: u32) -> io::Result<()> {
        self.blank_page(domid)?;
        self.set_state(domid, State::Running)
    }

    /// Changes what a domain is doing, without an event.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn set_state(&mut self, domid: u32, state: State) -> io::Result<()> {
        fs::write(self.folder.join(format!("state-{domid}")), state.word())
    }

    /// Removes a domain, without an event. Who has mapped its page keeps it.
    ///
    /// # Errors
    /// When there is no such domain.
    pub fn destroy_domain(&mut self, domid: u32) -> io::Result<()> {
        fs::remove_file(self.folder.join(format!("page-{domid}")))?;
        fs::remove_file(self.folder.join(format!("state-{domid}")))
    }

    /// Tells the daemon that some domain has changed its state.
    ///
    /// # Errors
    /// When the FIFO is full: the daemon does not read it.
    pub fn raise_dom_exc(&mut self) -> io::Result<()> {
        self.events.put(DOM_EXC_PORT)
    }

    /// Waits until the daemon has read all events that were raised.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] when it has not within `patience`.
    pub fn wait_until_seen(&self, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        while ioctl_fionread(self.events.file())? > 0 {
            if Instant::now() > deadline {
                return Err(ErrorKind::TimedOut.into());
            }
            thread::sleep(Duration::from_micros(50));
        }
        Ok(())
    }

    /// A domain's end of its ring. Whoever introduces the domain to the daemon names the same `port`.
    ///
    /// # Errors
    /// When there is no such domain.
    pub fn ring(&self, domid: u32, port: u32) -> io::Result<Ring> {
        let page = File::options().read(true).write(true).open(self.folder.join(format!("page-{domid}")))?;
        let to_daemon = Fifo::open(&self.folder.join("events-in"))?;
        let from_daemon = Fifo::open(&self.folder.join("events-out"))?;
        Ok(Ring::new(page, port, to_daemon, from_daemon))
    }
}

/// Event channels in one direction.
#[derive(Debug)]
pub(crate) struct Fifo(File);

impl Fifo {
    /// Opened both ways, because the end of a FIFO that nobody has open is the end of its content.
    fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::NONBLOCK.bits() as i32;
        Ok(Fifo(OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?))
    }

    /// Raises an event.
    pub(crate) fn put(&mut self, port: u32) -> io::Result<()> {
        self.0.write_all(&port.to_ne_bytes())
    }

    /// Forgets all events.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        let mut buffer = [0; 512];
        loop {
            match self.0.read(&mut buffer) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// The FIFO itself, to wait for events.
    pub(crate) fn file(&self) -> &File {
        &self.0
    }
}
