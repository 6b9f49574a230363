//! Errors of hypercalls (`errno.h`): Xen answers `-errno`, numbered as Linux numbers them.

use core::fmt;

numbers! {
    /// The errors that Xen's interface names.
    pub enum Errno: u32 {
        /// Operation not permitted.
        Eperm = 1,
        /// No such file or directory; in Xen, an object that is not there.
        Enoent = 2,
        /// No such process; in Xen mostly: no such domain or vCPU.
        Esrch = 3,
        /// Interrupted. Private to Xen: no caller sees it.
        Eintr = 4,
        /// Input/output error.
        Eio = 5,
        /// No such device or address.
        Enxio = 6,
        /// Argument list too long.
        E2big = 7,
        /// Not an executable of a known format.
        Enoexec = 8,
        /// Bad file number.
        Ebadf = 9,
        /// No child processes.
        Echild = 10,
        /// Try again.
        Eagain = 11,
        /// Out of memory.
        Enomem = 12,
        /// Permission denied; from domctl and sysctl: an interface version that this Xen does not speak.
        Eacces = 13,
        /// A guest handle that does not point to accessible memory.
        Efault = 14,
        /// Busy.
        Ebusy = 16,
        /// The object exists already.
        Eexist = 17,
        /// Crosses a device's bounds.
        Exdev = 18,
        /// No such device.
        Enodev = 19,
        /// Not a directory.
        Enotdir = 20,
        /// Is a directory.
        Eisdir = 21,
        /// Invalid argument.
        Einval = 22,
        /// File table overflow.
        Enfile = 23,
        /// Too many open files.
        Emfile = 24,
        /// No space left.
        Enospc = 28,
        /// Read-only.
        Erofs = 30,
        /// Too many links.
        Emlink = 31,
        /// Argument outside of the function's domain.
        Edom = 33,
        /// Result out of range.
        Erange = 34,
        /// Would deadlock.
        Edeadlk = 35,
        /// Name too long.
        Enametoolong = 36,
        /// No locks available.
        Enolck = 37,
        /// This Xen does not have the operation.
        Enosys = 38,
        /// Not empty.
        Enotempty = 39,
        /// No data available.
        Enodata = 61,
        /// Timer expired.
        Etime = 62,
        /// Not a data message.
        Ebadmsg = 74,
        /// Value too large for its type.
        Eoverflow = 75,
        /// Invalid byte sequence.
        Eilseq = 84,
        /// To be restarted. Private to Xen, which resumes a preempted hypercall by itself: no caller sees it.
        Erestart = 85,
        /// Not a socket.
        Enotsock = 88,
        /// Message too long.
        Emsgsize = 90,
        /// Not supported for this object.
        Eopnotsupp = 95,
        /// Address in use.
        Eaddrinuse = 98,
        /// Address not available.
        Eaddrnotavail = 99,
        /// The buffer is too small.
        Enobufs = 105,
        /// Already connected.
        Eisconn = 106,
        /// Not connected.
        Enotconn = 107,
        /// Timed out.
        Etimedout = 110,
        /// Connection refused.
        Econnrefused = 111,
    }
}

/// Why a hypercall failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum XenError {
    /// An error that Xen's headers name.
    Known(Errno),
    /// Some other negative answer, as it came.
    Unknown(i64),
}

impl XenError {
    /// Splits a hypercall's answer into a result and an error.
    ///
    /// # Errors
    /// A negative answer is the error.
    pub fn check(answer: i64) -> Result<u64, Self> {
        u64::try_from(answer).map_err(|_| Self::from_negative(answer))
    }

    /// Whether this is the error named.
    pub fn is(self, errno: Errno) -> bool {
        self == Self::Known(errno)
    }

    /// The error in a status field that holds 0 or `-errno`; none if the status is not negative.
    pub fn from_status(status: i32) -> Option<Self> {
        (status < 0).then(|| Self::from_negative(i64::from(status)))
    }

    fn from_negative(answer: i64) -> Self {
        let errno = u32::try_from(answer.unsigned_abs()).ok().and_then(Errno::from_raw);
        errno.map_or(Self::Unknown(answer), Self::Known)
    }
}

impl From<Errno> for XenError {
    fn from(errno: Errno) -> Self {
        Self::Known(errno)
    }
}

impl fmt::Display for XenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(errno) => write!(f, "{errno:?} (-{})", errno.raw()),
            Self::Unknown(answer) => write!(f, "unknown error ({answer})"),
        }
    }
}

impl core::error::Error for XenError {}
