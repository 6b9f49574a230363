//! Signals, as bytes that arrive on a socket: what a signal asks for is done by the event loop, between two requests.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// What a signal asked for since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// End, and keep the store (SIGTERM, SIGINT).
    pub stop: bool,
    /// Open the trace file anew (SIGHUP).
    pub reopen: bool,
}

/// The ends at which signals arrive.
#[derive(Debug)]
pub struct Signals {
    stop: UnixStream,
    reopen: UnixStream,
}

impl Signals {
    /// Takes the signals over. `SIGPIPE` needs nothing: Rust's runtime ignores it.
    ///
    /// # Errors
    /// What `socketpair` and `sigaction` say.
    pub fn take() -> io::Result<Self> {
        let (stop, stop_sender) = UnixStream::pair()?;
        pipe::register(SIGTERM, stop_sender.try_clone()?)?;
        pipe::register(SIGINT, stop_sender)?;
        let (reopen, reopen_sender) = UnixStream::pair()?;
        pipe::register(SIGHUP, reopen_sender)?;
        for end in [&stop, &reopen] {
            end.set_nonblocking(true)?;
        }
        Ok(Self { stop, reopen })
    }

    /// What to wait at.
    pub fn ends(&self) -> [BorrowedFd<'_>; 2] {
        [self.stop.as_fd(), self.reopen.as_fd()]
    }

    /// What was asked for since the last call.
    pub fn asked(&self) -> Asked {
        Asked { stop: drain(&self.stop), reopen: drain(&self.reopen) }
    }
}

/// Whether anything was there.
fn drain(mut end: &UnixStream) -> bool {
    let mut bytes = [0; 16];
    let mut any = false;
    while matches!(end.read(&mut bytes), Ok(1..)) {
        any = true;
    }
    any
}
