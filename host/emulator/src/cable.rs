//! The cable of an emulated network card: QEMU's stream of frames, each with its length before it, as a device for smoltcp.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::Duration;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant as Timestamp;
use smoltcp::wire::{EthernetFrame, EthernetProtocol, Icmpv4Message, Icmpv4Packet, IpProtocol, Ipv4Packet};

/// The largest frame: 1500 bytes and an Ethernet header.
const MAX_FRAME: usize = 1514;

/// Bytes before each frame on QEMU's stream: its length, big-endian.
const LENGTH_BYTES: usize = 4;

/// Bytes that may wait for QEMU, which takes none while the card has no room. What is more is lost, as frames may be.
const WAITING_MAX: usize = 64 * 1024;

/// How long a frame may take to go into the stream before it has to wait.
const WRITE_PATIENCE: Duration = Duration::from_millis(1);

/// The cable to the emulated card. A thread reads what comes: waits on a socket are too coarse to measure by.
pub(crate) struct Cable {
    stream: UnixStream,
    arrivals: Receiver<Vec<u8>>,
    /// A frame that has arrived while somebody waited for one.
    next: Option<Vec<u8>>,
    /// The numbers of the echo requests that have come, each as often as it came.
    echo_requests: Vec<u16>,
    /// What QEMU has not taken yet.
    leaving: Vec<u8>,
    /// Why the cable carries nothing any more.
    broken: Option<io::Error>,
}

impl Cable {
    /// The cable at whose other end `stream` is.
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(WRITE_PATIENCE))?;
        let mut source = stream.try_clone()?;
        let (arrived, arrivals) = mpsc::channel();
        thread::Builder::new().name("cable".into()).spawn(move || {
            while let Ok(frame) = read_frame(&mut source)
                && arrived.send(frame).is_ok()
            {}
        })?;
        Ok(Cable {
            stream,
            arrivals,
            next: None,
            echo_requests: Vec::new(),
            leaving: Vec::new(),
            broken: None,
        })
    }

    /// Waits until a frame has arrived, for `guard` at most.
    pub(crate) fn wait(&mut self, guard: Duration) {
        if self.next.is_none() {
            match self.arrivals.recv_timeout(guard) {
                Ok(frame) => self.next = Some(frame),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.broken = Some(ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// Why the cable carries nothing any more, once.
    pub(crate) fn take_error(&mut self) -> Option<io::Error> {
        self.broken.take()
    }

    /// The numbers of the echo requests that have come since the last time.
    pub(crate) fn take_echo_requests(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.echo_requests)
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

impl Drop for Cable {
    fn drop(&mut self) {
        // It lets the thread end; it fails if the other end has ended it already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

fn read_frame(source: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut length = [0; LENGTH_BYTES];
    source.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    source.read_exact(&mut frame)?;
    Ok(frame)
}

/// The number of the echo request in `frame`, if it is one.
fn echo_request(frame: &[u8]) -> Option<u16> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    let internet = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
    let is_icmp =
        ethernet.ethertype() == EthernetProtocol::Ipv4 && internet.next_header() == IpProtocol::Icmp;
    let icmp = Icmpv4Packet::new_checked(internet.payload()).ok().filter(|_| is_icmp)?;
    (icmp.msg_type() == Icmpv4Message::EchoRequest).then(|| icmp.echo_seq_no())
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
        let frame = match self.next.take() {
            Some(frame) => frame,
            None => match self.arrivals.try_recv() {
                Ok(frame) => frame,
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => {
                    self.broken = Some(ErrorKind::UnexpectedEof.into());
                    return None;
                }
            },
        };
        self.echo_requests.extend(echo_request(&frame));
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
