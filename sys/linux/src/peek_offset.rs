//! `SO_PEEK_OFF` (socket(7)): where the next peek begins, a number that the kernel keeps in the socket itself.
//!
//! Besides its purpose it is a counter that outlives the process: while it is not negative, every byte that is
//! *received* lowers it by one, in the same step of the kernel that takes the byte off the queue. Set high once and
//! never used for a peek, it tells any later holder of the socket exactly how much was received meanwhile.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets the offset.
///
/// # Errors
/// What `setsockopt` says: `EOPNOTSUPP` for a kind of socket that cannot.
pub fn set(socket: BorrowedFd<'_>, offset: i32) -> io::Result<()> {
    let length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the value pointed to is an `i32` that outlives the call, and `length` is its size.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEEK_OFF,
            (&raw const offset).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads the offset.
///
/// # Errors
/// What `getsockopt` says.
pub fn get(socket: BorrowedFd<'_>) -> io::Result<i32> {
    let mut offset = 0_i32;
    let mut length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: both pointers are to locals that outlive the call; `length` is the size of what the first points to, and
    // the kernel writes no more than that.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEEK_OFF,
            (&raw mut offset).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(offset) } else { Err(io::Error::last_os_error()) }
}
