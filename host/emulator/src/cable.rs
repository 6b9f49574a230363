//! The cable of an emulated network card: QEMU's stream of frames, each with its length before it, as a device for smoltcp.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant as Timestamp;

/// How long one look for a frame takes at most.
pub(crate) const LOOK: Duration = Duration::from_millis(1);

/// The largest frame: 1500 bytes and an Ethernet header.
const MAX_FRAME: usize = 1514;

/// Bytes before each frame on QEMU's stream: its length, big-endian.
const LENGTH_BYTES: usize = 4;

/// Bytes that may wait for QEMU, which takes none while the card has no room. What is more is lost, as frames may be.
const WAITING_MAX: usize = 64 * 1024;

/// The cable to the emulated card.
pub(crate) struct Cable {
    stream: UnixStream,
    /// What has arrived and is not a whole frame yet.
    arrived: Vec<u8>,
    /// What QEMU has not taken yet.
    leaving: Vec<u8>,
    /// Why the cable carries nothing any more.
    broken: Option<io::Error>,
}

impl Cable {
    /// The cable at whose other end `stream` is.
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(LOOK))?;
        Ok(Cable { stream, arrived: Vec::new(), leaving: Vec::new(), broken: None })
    }

    /// Why the cable carries nothing any more, once.
    pub(crate) fn take_error(&mut self) -> Option<io::Error> {
        self.broken.take()
    }

    /// Takes a whole frame off what has arrived.
    fn next_frame(&mut self) -> Option<Vec<u8>> {
        let length = self.arrived.first_chunk::<LENGTH_BYTES>().map(|bytes| u32::from_be_bytes(*bytes))?;
        let end = LENGTH_BYTES + length as usize;
        let frame = self.arrived.get(LENGTH_BYTES..end)?.to_vec();
        self.arrived.drain(..end);
        Some(frame)
    }

    fn read_more(&mut self) {
        let mut buffer = [0; 2 * MAX_FRAME];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.broken = Some(ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.arrived.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => self.broken = Some(error),
        }
    }

    fn send(&mut self, frame: &[u8]) {
        if self.leaving.len() + frame.len() <= WAITING_MAX {
            self.leaving.extend_from_slice(&(frame.len() as u32).to_be_bytes());
            self.leaving.extend_from_slice(frame);
        }
        match self.stream.write(&self.leaving) {
            Ok(count) => {
                self.leaving.drain(..count);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => self.broken = Some(error),
        }
    }
}

/// A frame that has arrived.
pub(crate) struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

/// Leave to send a frame.
pub(crate) struct Sending<'a>(&'a mut Cable);

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = vec![0; length];
        let result = f(&mut frame);
        self.0.send(&frame);
        result
    }
}

impl Device for Cable {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Timestamp) -> Option<(Received, Sending<'_>)> {
        let frame = self.next_frame().or_else(|| {
            self.read_more();
            self.next_frame()
        })?;
        Some((Received(frame), Sending(self)))
    }

    fn transmit(&mut self, _: Timestamp) -> Option<Sending<'_>> {
        Some(Sending(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = MAX_FRAME;
        capabilities
    }
}
