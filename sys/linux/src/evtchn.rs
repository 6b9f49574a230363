//! Event channels through `/dev/xen/evtchn`, as Linux's `drivers/xen/evtchn.c` has them.
//!
//! A bound port that fires can be read from the file as a four-byte number and is masked until it is written back.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

/// A port of this domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocalPort(pub u32);

const fn number(index: u32, size: usize) -> libc::c_ulong {
    // `_IOC(_IOC_NONE, 'E', index, size)`, as the kernel's header defines its five.
    ((size as libc::c_ulong) << 16) | ((b'E' as libc::c_ulong) << 8) | index as libc::c_ulong
}

/// The device, opened.
#[derive(Debug)]
pub struct EventChannels {
    device: File,
}

impl EventChannels {
    /// Opens the device, never to block.
    ///
    /// # Errors
    /// What `open` says: `NotFound` where there is no Xen.
    pub fn open() -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
        Ok(Self { device: options.open("/dev/xen/evtchn")? })
    }

    /// Binds a virtual interrupt (`VIRQ_*`) to a new port.
    ///
    /// # Errors
    /// What Xen says: `EEXIST` when it is bound already.
    pub fn bind_virq(&self, virq: u32) -> io::Result<LocalPort> {
        self.request(0, &[virq])
    }

    /// Binds a new port to a remote domain's port.
    ///
    /// # Errors
    /// What Xen says.
    pub fn bind_interdomain(&self, domid: u32, remote_port: u32) -> io::Result<LocalPort> {
        self.request(1, &[domid, remote_port])
    }

    /// Closes a port.
    ///
    /// # Errors
    /// What the kernel says: `ENOTCONN` for one that was not bound here.
    pub fn unbind(&self, port: LocalPort) -> io::Result<()> {
        self.request(3, &[port.0]).map(drop)
    }

    /// Signals the other side of a port.
    ///
    /// # Errors
    /// What the kernel says: `ENOTCONN` for one that was not bound here.
    pub fn notify(&self, port: LocalPort) -> io::Result<()> {
        self.request(4, &[port.0]).map(drop)
    }

    /// The next port that fired, which is masked from now on; none left is `None`.
    ///
    /// # Errors
    /// What `read` says.
    pub fn pending(&self) -> io::Result<Option<LocalPort>> {
        let mut port = [0; 4];
        match (&self.device).read(&mut port) {
            Ok(4) => Ok(Some(LocalPort(u32::from_ne_bytes(port)))),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets a port fire again. This is one `write(2)` of four bytes.
    ///
    /// # Errors
    /// What `write` says.
    pub fn unmask(&self, port: LocalPort) -> io::Result<()> {
        (&self.device).write_all(&port.0.to_ne_bytes())
    }

    fn request<const N: usize>(&self, index: u32, arguments: &[u32; N]) -> io::Result<LocalPort> {
        let request = number(index, size_of_val(arguments));
        // SAFETY: every one of the driver's requests used here takes a structure of `N` `u32`s that it only reads, and
        // `arguments` outlives the call. Xen's answer is the return value.
        let result = unsafe { libc::ioctl(self.device.as_raw_fd(), request as _, arguments.as_ptr()) };
        u32::try_from(result).map(LocalPort).map_err(|_| io::Error::last_os_error())
    }
}

impl AsFd for EventChannels {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}
