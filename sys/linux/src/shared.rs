//! Memory that several processes map at once, or that outlives the one that wrote it.
//!
//! It is only ever seen as a slice of atomic words: another process may change any of it at any time, and with atomics
//! that is a value nobody expected at worst, never undefined behaviour.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags};

/// Bytes in a word.
const WORD: usize = size_of::<u64>();

/// A shared, writable mapping of the beginning of a file (a `memfd`, a file on a tmpfs, a device that can be mapped).
///
/// The mapping goes with the value; the file stays with whoever else has it.
#[derive(Debug)]
pub struct SharedMemory {
    start: NonNull<u64>,
    words: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and every access to it is an atomic one or made by the
// kernel.
unsafe impl Send for SharedMemory {}
// SAFETY: as above; `&SharedMemory` gives out atomics only.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// Maps the first `bytes` of `file`, which must be a multiple of eight and not zero.
    ///
    /// The file must be at least that long for as long as the mapping lives: whoever may shorten it can end this
    /// process by SIGBUS, so it must not be writable for others.
    ///
    /// # Errors
    /// `InvalidInput` for a length that is zero or no multiple of eight or longer than the file, and what `mmap` says.
    pub fn map(file: &File, bytes: usize) -> io::Result<Self> {
        let length = file.metadata()?.len();
        if bytes == 0 || !bytes.is_multiple_of(WORD) || length < bytes as u64 {
            let what = format!("cannot map {bytes} bytes of a file of {length}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        Self::map_at(file.as_fd(), bytes, 0)
    }

    /// Maps the first `bytes` of a device whose driver says what there is, such as `/proc/xen/xsd_kva`.
    ///
    /// # Errors
    /// What `mmap` says.
    pub fn map_device(device: &File, bytes: usize) -> io::Result<Self> {
        Self::map_at(device.as_fd(), bytes, 0)
    }

    /// Maps `bytes` of a device at `offset`, a position the device gave out (see [`crate::gntdev`]).
    pub(crate) fn map_at(fd: BorrowedFd<'_>, bytes: usize, offset: u64) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses the address (null), so no mapping of this process is replaced; what it returns is
        // `bytes` long, page-aligned, and unmapped by `drop` alone.
        let start = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), bytes, protection, MapFlags::SHARED, fd, offset)
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, words: bytes / WORD })
    }

    /// The memory.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is `self.words` words long, page-aligned, readable and writable, and lives as long as
        // `self`; `AtomicU64` has the layout of `u64`, any bits are a value of it, and shared changes are allowed to it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.words) }
    }

    /// The memory as halves of words, as rings of Xen's have them.
    pub fn halves(&self) -> &[AtomicU32] {
        // SAFETY: as in `words`; twice as many values of half the size and alignment cover the same mapping. Atomics of
        // two sizes on one address are not mixed: a mapping is used by one of the two views throughout.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.words * 2) }
    }

    /// Where the memory begins in this process, to be told to the kernel or to Xen.
    pub(crate) fn address(&self) -> u64 {
        self.start.as_ptr().expose_provenance() as u64
    }

    /// Copies `bytes` to a position that is a multiple of eight.
    pub(crate) fn store_bytes(&self, position: usize, bytes: &[u8]) {
        for (word, part) in self.words()[position / WORD..].iter().zip(bytes.chunks(WORD)) {
            let mut whole = [0; WORD];
            whole[..part.len()].copy_from_slice(part);
            word.store(u64::from_ne_bytes(whole), Ordering::Relaxed);
        }
    }

    /// Copies `length` bytes from a position that is a multiple of eight.
    pub(crate) fn load_bytes(&self, position: usize, length: usize) -> Vec<u8> {
        let words = &self.words()[position / WORD..][..length.div_ceil(WORD)];
        let mut bytes: Vec<u8> =
            words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect();
        bytes.truncate(length);
        bytes
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.words * WORD
    }

    /// Never: a mapping has at least one word.
    pub fn is_empty(&self) -> bool {
        self.words == 0
    }

    /// One `readv(2)` from `fd` into the byte ranges of the memory, in order. Bytes lie in a word as the machine has
    /// them, least significant first on x86-64.
    ///
    /// # Errors
    /// What `readv` says. Nothing has been read then.
    ///
    /// # Panics
    /// A range that does not lie in the memory: the caller's own arithmetic is wrong.
    pub fn read_from(&self, fd: BorrowedFd<'_>, ranges: [Range<usize>; 2]) -> io::Result<usize> {
        let parts = ranges.map(|range| self.part(range));
        // SAFETY: both parts lie in the mapping (`part` checks), which is writable and outlives the call; nothing in
        // this process holds a reference to the bytes other than as atomics.
        let read = unsafe { libc::readv(fd.as_raw_fd(), parts.as_ptr(), 2) };
        usize::try_from(read).map_err(|_| io::Error::last_os_error())
    }

    fn part(&self, range: Range<usize>) -> libc::iovec {
        assert!(range.start <= range.end && range.end <= self.len(), "{range:?} of {} bytes", self.len());
        // SAFETY: `range.start` is at most the mapping's length (asserted), so the sum stays inside or one past it.
        let base = unsafe { self.start.as_ptr().cast::<u8>().add(range.start) };
        libc::iovec { iov_base: base.cast(), iov_len: range.end - range.start }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: `start` and the length are those of the mapping made in `map_at`, which nothing else unmaps, and no
        // slice of it outlives `self`. An error could only mean that it was not mapped.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len()) };
    }
}
