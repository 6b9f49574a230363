//! Pages that other domains granted, through `/dev/xen/gntdev`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use crate::shared::SharedMemory;

const PAGE: usize = 4096;

/// `struct ioctl_gntdev_map_grant_ref` for one grant.
#[repr(C)]
struct MapGrantRef {
    count: u32,
    pad: u32,
    /// Out: where to `mmap` the device.
    index: u64,
    domid: u32,
    reference: u32,
}

/// `struct ioctl_gntdev_unmap_grant_ref`.
#[repr(C)]
struct UnmapGrantRef {
    index: u64,
    count: u32,
    pad: u32,
}

const fn number(index: u32, size: usize) -> libc::c_ulong {
    // `_IOC(_IOC_NONE, 'G', index, size)`.
    ((size as libc::c_ulong) << 16) | ((b'G' as libc::c_ulong) << 8) | index as libc::c_ulong
}

/// The device, opened.
#[derive(Debug)]
pub struct Grants {
    device: File,
}

/// One granted page, mapped. The grant is given back when this value goes.
#[derive(Debug)]
pub struct GrantedPage {
    memory: Option<SharedMemory>,
    index: u64,
    device: File,
}

impl Grants {
    /// Opens the device.
    ///
    /// # Errors
    /// What `open` says: `NotFound` where there is no Xen.
    pub fn open() -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_CLOEXEC);
        Ok(Self { device: options.open("/dev/xen/gntdev")? })
    }

    /// Maps one page that `domid` granted as `reference`, writable.
    ///
    /// # Errors
    /// What Xen says: no such grant, not granted to this domain, read-only.
    pub fn map(&self, domid: u32, reference: u32) -> io::Result<GrantedPage> {
        let mut request = MapGrantRef { count: 1, pad: 0, index: 0, domid, reference };
        let size = size_of::<MapGrantRef>();
        // SAFETY: the request takes this structure, reads it and writes `index`; it outlives the call and nothing else
        // refers to it.
        let result = unsafe { libc::ioctl(self.device.as_raw_fd(), number(0, size) as _, &raw mut request) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut page = GrantedPage { memory: None, index: request.index, device: self.device.try_clone()? };
        page.memory = Some(SharedMemory::map_at(self.as_fd(), PAGE, page.index)?);
        Ok(page)
    }
}

impl AsFd for Grants {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

impl GrantedPage {
    /// The page. The other domain can change it at any time.
    pub fn memory(&self) -> &SharedMemory {
        self.memory.as_ref().expect("a page that was given out is mapped")
    }
}

impl Drop for GrantedPage {
    fn drop(&mut self) {
        // First the mapping, then the grant: the driver refuses the other order.
        self.memory = None;
        let mut request = UnmapGrantRef { index: self.index, count: 1, pad: 0 };
        let size = size_of::<UnmapGrantRef>();
        // SAFETY: the request takes this structure and only reads it; the page is not mapped any more. A failure
        // leaves the grant to the kernel, which gives it back when the device is closed.
        let _ = unsafe { libc::ioctl(self.device.as_raw_fd(), number(1, size) as _, &raw mut request) };
    }
}
