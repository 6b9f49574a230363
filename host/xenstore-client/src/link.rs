//! What carries bytes between a client and the daemon.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A two-way stream of bytes. Whoever waits past a deadline gets [`ErrorKind::TimedOut`].
pub trait Link {
    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// When the other end is gone, or does not take them by the `deadline`.
    fn send(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<()>;

    /// Waits for bytes and puts some into `buffer`; answers how many, and 0 if the other end is gone.
    ///
    /// # Errors
    /// When the link is broken, or nothing comes by the `deadline`.
    fn receive(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize>;
}

/// The daemon's socket.
#[derive(Debug)]
pub struct Socket {
    stream: UnixStream,
    /// The timeouts that the kernel knows, so that it is told new ones only.
    send_timeout: Option<Duration>,
    receive_timeout: Option<Duration>,
}

/// How far a timeout may be off. It keeps most requests to one system call for sending and one for receiving.
const SLACK: Duration = Duration::from_millis(50);

impl Socket {
    /// A link over a stream that is connected.
    pub fn new(stream: UnixStream) -> Self {
        Socket { stream, send_timeout: None, receive_timeout: None }
    }
}

/// Answers the timeout to set so that a wait ends at the `deadline`; `None` if the one that is set will do.
fn timeout(deadline: Instant, set: Option<Duration>) -> io::Result<Option<Duration>> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(ErrorKind::TimedOut.into());
    }
    Ok((set.is_none_or(|set| set.abs_diff(left) > SLACK)).then_some(left))
}

/// Sockets say that they would block where they have waited for too long.
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}

impl Link for Socket {
    fn send(&mut self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            if let Some(new) = timeout(deadline, self.send_timeout)? {
                self.stream.set_write_timeout(Some(new))?;
                self.send_timeout = Some(new);
            }
            match self.stream.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(timed_out(error)),
            }
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        loop {
            if let Some(new) = timeout(deadline, self.receive_timeout)? {
                self.stream.set_read_timeout(Some(new))?;
                self.receive_timeout = Some(new);
            }
            match self.stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // So a socket says that the other end was closed before it had read everything.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(0),
                result => return result.map_err(timed_out),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_arrives_and_silence_times_out() {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut one, mut other) = (Socket::new(one), Socket::new(other));
        one.send(b"abc", Instant::now() + Duration::from_secs(9)).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(other.receive(&mut buffer, Instant::now() + Duration::from_secs(9)).unwrap(), 3);
        let silence = other.receive(&mut buffer, Instant::now() + Duration::from_millis(1));
        assert_eq!(silence.unwrap_err().kind(), ErrorKind::TimedOut);
        drop(one);
        assert_eq!(other.receive(&mut buffer, Instant::now() + Duration::from_secs(9)).unwrap(), 0);
    }

    #[test]
    fn a_deadline_that_has_passed_is_no_wait_for_ever() {
        let (one, other) = UnixStream::pair().unwrap();
        let error = Socket::new(one).receive(&mut [0], Instant::now()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(other);
    }
}
