//! A domain's end of its XenStore ring: one page with two rings of 1024 bytes (`struct xenstore_domain_interface` in Xen's
//! `public/io/xs_wire.h`), and an event channel.
//!
//! The page is a file that the daemon has mapped. Reading and writing the file is reading and writing the page, and each system
//! call is a barrier.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use xenstore_client::Link;

use crate::xen::Fifo;

/// Bytes of each ring.
const SIZE: u32 = 1024;
/// Where things are in the page.
const REQUESTS: u64 = 0;
const RESPONSES: u64 = 1024;
const REQUEST_CONSUMER: u64 = 2048;
const REQUEST_PRODUCER: u64 = 2052;
const RESPONSE_CONSUMER: u64 = 2056;
const RESPONSE_PRODUCER: u64 = 2060;

/// The longest wait before the indexes are looked at again: another ring of the same machine may have taken the event.
const NAP: Duration = Duration::from_millis(2);

/// The guest's end of a ring.
#[derive(Debug)]
pub struct Ring {
    page: File,
    port: u32,
    to_daemon: Fifo,
    from_daemon: Fifo,
}

impl Ring {
    pub(crate) fn new(page: File, port: u32, to_daemon: Fifo, from_daemon: Fifo) -> Self {
        Ring { page, port, to_daemon, from_daemon }
    }

    /// Makes both rings empty, as they are before a domain is introduced.
    ///
    /// # Errors
    /// When the page cannot be written.
    pub fn reset(&mut self) -> io::Result<()> {
        self.page.write_all_at(&[0; 16], REQUEST_CONSUMER)
    }

    /// Writes rubbish over the index that the daemon reads requests up to.
    ///
    /// # Errors
    /// When the page cannot be written, or the event not raised.
    pub fn break_producer(&mut self, by: u32) -> io::Result<()> {
        let producer = self.word(REQUEST_PRODUCER)?;
        self.set_word(REQUEST_PRODUCER, producer.wrapping_add(by))?;
        self.to_daemon.put(self.port)
    }

    fn word(&self, at: u64) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.page.read_exact_at(&mut bytes, at)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn set_word(&self, at: u64, word: u32) -> io::Result<()> {
        self.page.write_all_at(&word.to_ne_bytes(), at)
    }

    /// Waits for an event from the daemon, or a nap.
    fn wait(&mut self, deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        let nap = Timespec::try_from(left.min(NAP)).map_err(io::Error::other)?;
        let mut files = [PollFd::new(self.from_daemon.file(), PollFlags::IN)];
        match poll(&mut files, Some(&nap)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(()),
            Ok(_) => self.from_daemon.drain(),
            Err(error) => Err(error.into()),
        }
    }
}

/// How much of `wanted` can go to or come from a ring at once, from `index` on, where `available` bytes are free or filled.
fn chunk(index: u32, available: u32, wanted: usize) -> usize {
    let to_the_end = SIZE - index % SIZE;
    wanted.min(to_the_end.min(available) as usize)
}

impl Link for Ring {
    fn send(&mut self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            let (consumer, producer) = (self.word(REQUEST_CONSUMER)?, self.word(REQUEST_PRODUCER)?);
            let free = SIZE.saturating_sub(producer.wrapping_sub(consumer));
            match chunk(producer, free, bytes.len()) {
                0 => self.wait(deadline)?,
                count => {
                    self.page.write_all_at(&bytes[..count], REQUESTS + u64::from(producer % SIZE))?;
                    self.set_word(REQUEST_PRODUCER, producer.wrapping_add(count as u32))?;
                    self.to_daemon.put(self.port)?;
                    bytes = &bytes[count..];
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        loop {
            let (consumer, producer) = (self.word(RESPONSE_CONSUMER)?, self.word(RESPONSE_PRODUCER)?);
            match chunk(consumer, producer.wrapping_sub(consumer).min(SIZE), buffer.len()) {
                0 => self.wait(deadline)?,
                count => {
                    self.page.read_exact_at(&mut buffer[..count], RESPONSES + u64::from(consumer % SIZE))?;
                    self.set_word(RESPONSE_CONSUMER, consumer.wrapping_add(count as u32))?;
                    self.to_daemon.put(self.port)?;
                    return Ok(count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xen::{PAGE, Xen};

    #[test]
    fn a_chunk_ends_at_the_end_of_the_ring_and_at_what_is_there() {
        assert_eq!(chunk(1020, 1024, 100), 4);
        assert_eq!(chunk(0, 10, 100), 10);
        assert_eq!(chunk(u32::MAX, 1024, 100), 1);
        assert_eq!(chunk(5, 0, 100), 0);
    }

    #[test]
    fn both_ends_see_one_page() {
        let folder = tempfile::tempdir().unwrap();
        let mut xen = Xen::create(&folder.path().join("xen")).unwrap();
        xen.create_domain(7).unwrap();
        let mut ring = xen.ring(7, 7).unwrap();
        ring.send(b"request", Instant::now() + Duration::from_secs(9)).unwrap();
        let page = File::options().read(true).write(true).open(xen.folder().join("page-7")).unwrap();
        let mut bytes = [0; PAGE as usize];
        page.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes[..7], b"request");
        assert_eq!(bytes[REQUEST_PRODUCER as usize], 7);
        page.write_all_at(b"reply", RESPONSES).unwrap();
        page.write_all_at(&5u32.to_ne_bytes(), RESPONSE_PRODUCER).unwrap();
        let mut buffer = [0; 9];
        let count = ring.receive(&mut buffer, Instant::now() + Duration::from_secs(9)).unwrap();
        assert_eq!(&buffer[..count], b"reply");
        let silence = ring.receive(&mut buffer, Instant::now() + Duration::from_millis(1));
        assert_eq!(silence.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
