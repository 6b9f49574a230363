//! A small network with one machine of ours on it: the other end of the cable of an emulated card.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::icmp::{Endpoint, PacketBuffer, PacketMetadata, Socket};
use smoltcp::time::Instant as Timestamp;
use smoltcp::wire::{EthernetAddress, Icmpv4Packet, Icmpv4Repr, IpAddress, IpCidr};
use tempfile::TempDir;
use thiserror::Error;

/// The address of our machine.
pub const OUR_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 1);

/// The prefix of the network.
const PREFIX_LENGTH: u8 = 24;

/// Our hardware address: locally administered.
const OUR_HARDWARE_ADDRESS: EthernetAddress = EthernetAddress([0x02, 0, 0, 0, 0, 1]);

/// The largest frame: 1500 bytes and an Ethernet header.
const MAX_FRAME: usize = 1514;

/// Bytes before each frame on QEMU's stream: its length, big-endian.
const LENGTH_BYTES: usize = 4;

/// How long one look for a frame takes at most.
const LOOK: Duration = Duration::from_millis(1);

/// When an unanswered echo request is sent again: a frame may be lost while a card is being repaired.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Our requests' identifier.
const IDENTIFIER: u16 = 0x5d5d;

/// Why there was no answer.
#[derive(Debug, Error)]
pub enum LanError {
    /// The socket failed.
    #[error("the LAN's socket: {0}")]
    Socket(#[from] io::Error),
    /// The emulated card was not plugged in.
    #[error("no card was plugged in within {} s", .0.as_secs())]
    NoCard(Duration),
    /// There was no echo reply.
    #[error("{address} did not answer {asked} echo requests in {} s", .guard.as_secs())]
    NoAnswer {
        /// Who was asked.
        address: Ipv4Addr,
        /// How many times.
        asked: u16,
        /// How long.
        guard: Duration,
    },
}

/// The network. It must be there before the machine whose card is on it starts.
pub struct Lan {
    listener: UnixListener,
    cable: Option<Cable>,
    /// Removed with the socket in it when the network ends. The name of a socket must be short, so it lies in none of the folders
    /// that a test has chosen.
    folder: TempDir,
}

/// The name of the socket in its folder.
const SOCKET: &str = "lan";

impl Lan {
    /// A network that nothing is plugged into yet.
    ///
    /// # Errors
    /// When its socket cannot be made.
    pub fn new() -> Result<Self, LanError> {
        let folder = TempDir::with_prefix("rvmm-")?;
        let listener = UnixListener::bind(folder.path().join(SOCKET))?;
        listener.set_nonblocking(true)?;
        Ok(Lan { listener, cable: None, folder })
    }

    /// The Unix socket that [`Nic::lan`](crate::device::Nic::lan) connects a card to.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    /// Sends echo requests to `address` until it answers, for `guard` at most, and returns how many it took.
    ///
    /// # Errors
    /// When there is no answer, no card, or the socket fails.
    pub fn ping(&mut self, address: Ipv4Addr, guard: Duration) -> Result<u16, LanError> {
        let end = Instant::now() + guard;
        let cable = match self.cable.take() {
            Some(cable) => cable,
            None => Cable::plugged_in(&self.listener, end)?.ok_or(LanError::NoCard(guard))?,
        };
        ping(self.cable.insert(cable), address, guard, end)
    }
}

fn ping(cable: &mut Cable, address: Ipv4Addr, guard: Duration, end: Instant) -> Result<u16, LanError> {
    let start = Instant::now();
    let timestamp = || Timestamp::from_micros_const(start.elapsed().as_micros() as i64);
    let mut interface = Interface::new(Config::new(OUR_HARDWARE_ADDRESS.into()), cable, timestamp());
    interface.update_ip_addrs(|addresses| {
        // The list is empty and holds one at least.
        let _ = addresses.push(IpCidr::new(OUR_ADDRESS.into(), PREFIX_LENGTH));
    });
    let mut sockets = SocketSet::new(Vec::new());
    let buffer = || PacketBuffer::new(vec![PacketMetadata::EMPTY; 8], vec![0; 512]);
    let socket = sockets.add(Socket::new(buffer(), buffer()));
    let mut asked = 0;
    let mut ask_at = Instant::now();
    while Instant::now() < end {
        interface.poll(timestamp(), cable, &mut sockets);
        if let Some(error) = cable.broken.take() {
            return Err(LanError::Socket(error));
        }
        let socket = sockets.get_mut::<Socket<'_>>(socket);
        if !socket.is_open() {
            // A closed socket can be bound, and the identifier is not 0.
            let _ = socket.bind(Endpoint::Ident(IDENTIFIER));
        }
        while let Ok((data, from)) = socket.recv() {
            if from == IpAddress::from(address) && is_reply(data) {
                return Ok(asked);
            }
        }
        if Instant::now() >= ask_at && socket.can_send() {
            asked += 1;
            ask_at = Instant::now() + ASK_AGAIN_AFTER;
            let request =
                Icmpv4Repr::EchoRequest { ident: IDENTIFIER, seq_no: asked, data: b"are you there" };
            if let Ok(space) = socket.send(request.buffer_len(), address.into()) {
                request.emit(&mut Icmpv4Packet::new_unchecked(space), &ChecksumCapabilities::default());
            }
        }
    }
    Err(LanError::NoAnswer { address, asked, guard })
}

fn is_reply(data: &[u8]) -> bool {
    Icmpv4Packet::new_checked(data)
        .and_then(|packet| Icmpv4Repr::parse(&packet, &ChecksumCapabilities::default()))
        .is_ok_and(|reply| matches!(reply, Icmpv4Repr::EchoReply { ident: IDENTIFIER, .. }))
}

/// The cable to the emulated card.
struct Cable {
    stream: UnixStream,
    /// What has arrived and is not a whole frame yet.
    arrived: Vec<u8>,
    /// Why the cable carries nothing any more.
    broken: Option<io::Error>,
}

impl Cable {
    fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(LOOK))?;
        Ok(Cable { stream, arrived: Vec::new(), broken: None })
    }

    fn plugged_in(listener: &UnixListener, end: Instant) -> io::Result<Option<Self>> {
        while Instant::now() < end {
            match listener.accept() {
                Ok((stream, _)) => return Cable::new(stream).map(Some),
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(LOOK),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
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
        let mut bytes = (frame.len() as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(frame);
        if let Err(error) = self.stream.write_all(&bytes) {
            self.broken = Some(error);
        }
    }
}

struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Sending<'a>(&'a mut Cable);

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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Far more than the answers take: only a defect reaches it.
    const GUARD: Duration = Duration::from_secs(60);

    /// A machine at `address` that answers pings until the sender is dropped: smoltcp's interface does it by itself.
    fn answer_pings(stream: UnixStream, address: Ipv4Addr, stop: &mpsc::Receiver<()>) {
        let mut cable = Cable::new(stream).unwrap();
        let hardware = EthernetAddress([0x02, 0, 0, 0, 0, 2]);
        let mut interface = Interface::new(Config::new(hardware.into()), &mut cable, Timestamp::ZERO);
        interface.update_ip_addrs(|list| list.push(IpCidr::new(address.into(), PREFIX_LENGTH)).unwrap());
        let start = Instant::now();
        while stop.try_recv() == Err(mpsc::TryRecvError::Empty) {
            let now = Timestamp::from_micros(start.elapsed().as_micros() as i64);
            interface.poll(now, &mut cable, &mut SocketSet::new(Vec::new()));
        }
    }

    #[test]
    fn whoever_is_there_answers_and_nobody_else() {
        let mut lan = Lan::new().unwrap();
        let (present, absent) = (Ipv4Addr::new(10, 0, 3, 2), Ipv4Addr::new(10, 0, 3, 3));
        let (stop, stopped) = mpsc::channel();
        let card = UnixStream::connect(lan.socket()).unwrap();
        let machine = std::thread::spawn(move || answer_pings(card, present, &stopped));
        assert!(lan.ping(present, GUARD).unwrap() >= 1);
        let silence = lan.ping(absent, Duration::from_millis(250));
        assert!(matches!(silence, Err(LanError::NoAnswer { address, .. }) if address == absent));
        drop(stop);
        machine.join().unwrap();
        assert!(matches!(lan.ping(present, GUARD), Err(LanError::Socket(_))));
    }

    #[test]
    fn without_a_card_it_is_said() {
        let mut lan = Lan::new().unwrap();
        let error = lan.ping(OUR_ADDRESS, Duration::ZERO).unwrap_err();
        assert_eq!(error.to_string(), "no card was plugged in within 0 s");
    }
}
