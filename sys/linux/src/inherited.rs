//! Descriptors that a process has got from the one whose place it has taken (`execve(2)`), and leaving some to the next.
//!
//! Whatever a Rust program opens is closed at an `execve`. A descriptor that is not to be closed has come through one, and
//! nothing in the program can be its owner yet.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

/// The last of the standard descriptors, which have owners.
const STANDARD: i32 = 2;

/// Takes the ownership of an inherited descriptor by its number. From now on it is closed at an `execve`.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] for one that was not inherited, or was taken before.
pub fn take(number: i32) -> io::Result<OwnedFd> {
    if number <= STANDARD {
        return Err(io::ErrorKind::NotFound.into());
    }
    // SAFETY: it is borrowed for two calls that change nothing but its own flag, and both refuse a number that is not open.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(descriptor).map_err(|_| io::ErrorKind::NotFound)?;
    if flags.contains(FdFlags::CLOEXEC) {
        return Err(io::ErrorKind::NotFound.into());
    }
    fcntl_setfd(descriptor, flags | FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and without the flag it had no owner here: whatever this program opens has the flag, `leave` takes
    // it away only for an `execve`, and a second caller finds it set.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Leaves a descriptor open at the next `execve`, or takes that back.
///
/// # Errors
/// What `fcntl` says.
pub fn leave(descriptor: impl AsFd, open: bool) -> io::Result<()> {
    Ok(fcntl_setfd(descriptor, if open { FdFlags::empty() } else { FdFlags::CLOEXEC })?)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn only_what_has_come_through_an_exec_can_be_taken_and_only_once() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(take(file.as_raw_fd()).unwrap_err().kind(), io::ErrorKind::NotFound);
        for never in [-1, 0, 1, 2, 1 << 20] {
            assert_eq!(take(never).unwrap_err().kind(), io::ErrorKind::NotFound, "{never}");
        }
        leave(&file, true).unwrap();
        let number = std::os::fd::IntoRawFd::into_raw_fd(file);
        let taken = take(number).unwrap();
        assert_eq!(taken.as_raw_fd(), number);
        assert_eq!(take(number).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
