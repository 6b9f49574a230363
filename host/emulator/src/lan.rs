//! A small network with one machine of ours on it: the other end of the cable of an emulated card.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::icmp::{Endpoint, PacketBuffer, PacketMetadata, Socket};
use smoltcp::time::Instant as Timestamp;
use smoltcp::wire::{EthernetAddress, Icmpv4Packet, Icmpv4Repr, IpAddress, IpCidr};
use tempfile::TempDir;
use thiserror::Error;

use crate::cable::Cable;

/// The address of our machine.
pub const OUR_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 1);

/// The prefix of the network.
const PREFIX_LENGTH: u8 = 24;

/// Our hardware address: locally administered.
const OUR_HARDWARE_ADDRESS: EthernetAddress = EthernetAddress([0x02, 0, 0, 0, 0, 1]);

/// From one echo request to the next that is sent for want of an answer: short, because the answer tells for how long there was none.
const ASK_EVERY: Duration = Duration::from_millis(1);

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
        asked: u32,
        /// How long.
        guard: Duration,
    },
}

/// The network. It must be there before the machine whose card is on it starts.
pub struct Lan {
    listener: UnixListener,
    station: Option<Station>,
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
        Ok(Lan { listener, station: None, folder })
    }

    /// The Unix socket that [`Nic::lan`](crate::device::Nic::lan) connects a card to.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    /// Sends echo requests to `address` until it answers, for `guard` at most.
    ///
    /// # Errors
    /// When there is no answer, no card, or the socket fails.
    pub fn ping(&mut self, address: Ipv4Addr, guard: Duration) -> Result<(), LanError> {
        let station = self.station(guard)?;
        station.begin_round();
        station.wait_for_answer(address, guard)
    }

    /// Sends echo requests to `address`, one after the other, until `done` and until the next answer after that, and returns the longest
    /// time between two answers: for so long it was out of service, and a little longer for the way.
    ///
    /// # Errors
    /// When an answer does not come within `guard`, there is no card, or the socket fails.
    pub fn longest_silence(
        &mut self,
        address: Ipv4Addr,
        guard: Duration,
        done: impl Fn() -> bool,
    ) -> Result<Duration, LanError> {
        let station = self.station(guard)?;
        station.begin_round();
        station.wait_for_answer(address, guard)?;
        let mut longest = Duration::ZERO;
        loop {
            let is_last = done();
            let answered = Instant::now();
            station.wait_for_answer(address, guard)?;
            longest = longest.max(answered.elapsed());
            if is_last {
                return Ok(longest);
            }
        }
    }

    /// Is there, and answers whoever asks, until `done`; returns the numbers of the echo requests that came meanwhile,
    /// whomever they were for, each once.
    ///
    /// # Errors
    /// When there is no card, or the socket fails.
    pub fn listen(&mut self, guard: Duration, done: impl Fn() -> bool) -> Result<BTreeSet<u16>, LanError> {
        let station = self.station(guard)?;
        let mut numbers = BTreeSet::new();
        station.cable.take_echo_requests();
        while !done() {
            station.poll()?;
            numbers.extend(station.cable.take_echo_requests());
            station.cable.wait(ASK_EVERY);
        }
        Ok(numbers)
    }

    fn station(&mut self, guard: Duration) -> Result<&mut Station, LanError> {
        let station = match self.station.take() {
            Some(station) => station,
            None => Station::new(plugged_in(&self.listener, guard)?),
        };
        Ok(self.station.insert(station))
    }
}

/// Waits until a card is plugged in.
fn plugged_in(listener: &UnixListener, guard: Duration) -> Result<Cable, LanError> {
    let end = Instant::now() + guard;
    loop {
        match listener.accept() {
            Ok((stream, _)) => return Ok(Cable::new(stream)?),
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
            Err(_) if Instant::now() >= end => return Err(LanError::NoCard(guard)),
            Err(_) => std::thread::sleep(ASK_EVERY),
        }
    }
}

/// Our machine on the network.
struct Station {
    cable: Cable,
    interface: Interface,
    sockets: SocketSet<'static>,
    icmp: SocketHandle,
    started: Instant,
    /// Which round it is.
    round: u16,
}

impl Station {
    fn new(mut cable: Cable) -> Self {
        let mut interface =
            Interface::new(Config::new(OUR_HARDWARE_ADDRESS.into()), &mut cable, Timestamp::ZERO);
        interface.update_ip_addrs(|addresses| {
            // The list is empty and holds one at least.
            let _ = addresses.push(IpCidr::new(OUR_ADDRESS.into(), PREFIX_LENGTH));
        });
        let buffer = || PacketBuffer::new(vec![PacketMetadata::EMPTY; 8], vec![0; 512]);
        let mut socket = Socket::new(buffer(), buffer());
        // A new socket can be bound, and the identifier is not 0.
        let _ = socket.bind(Endpoint::Ident(IDENTIFIER));
        let mut sockets = SocketSet::new(Vec::new());
        let icmp = sockets.add(socket);
        Station { cable, interface, sockets, icmp, started: Instant::now(), round: 0 }
    }

    /// Begins a round: answers to what was asked before are none to what is asked from now on.
    fn begin_round(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// Sends echo requests until one is answered.
    fn wait_for_answer(&mut self, address: Ipv4Addr, guard: Duration) -> Result<(), LanError> {
        let end = Instant::now() + guard;
        let mut asked = 0;
        let mut ask_at = Instant::now();
        while Instant::now() < end {
            if Instant::now() >= ask_at {
                ask_at = Instant::now() + ASK_EVERY;
                asked += u32::from(self.ask(address));
            }
            if self.look(address)? {
                return Ok(());
            }
            self.cable.wait(ask_at.saturating_duration_since(Instant::now()));
        }
        Err(LanError::NoAnswer { address, asked, guard })
    }

    /// Sends and receives.
    fn poll(&mut self) -> Result<(), LanError> {
        let now =
            Timestamp::from_micros(i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX));
        self.interface.poll(now, &mut self.cable, &mut self.sockets);
        self.cable.take_error().map_or(Ok(()), |error| Err(LanError::Socket(error)))
    }

    /// Sends and receives, and says whether `address` has answered.
    fn look(&mut self, address: Ipv4Addr) -> Result<bool, LanError> {
        self.poll()?;
        let socket = self.sockets.get_mut::<Socket<'_>>(self.icmp);
        while let Ok((data, from)) = socket.recv() {
            if from == IpAddress::from(address) && is_reply(data, self.round) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sends an echo request to `address`, if there is room for one.
    fn ask(&mut self, address: Ipv4Addr) -> bool {
        let request =
            Icmpv4Repr::EchoRequest { ident: IDENTIFIER, seq_no: self.round, data: b"are you there" };
        let socket = self.sockets.get_mut::<Socket<'_>>(self.icmp);
        match socket.send(request.buffer_len(), address.into()) {
            Ok(space) => {
                request.emit(&mut Icmpv4Packet::new_unchecked(space), &ChecksumCapabilities::default());
                true
            }
            Err(_) => false,
        }
    }
}

fn is_reply(data: &[u8], round: u16) -> bool {
    Icmpv4Packet::new_checked(data)
        .and_then(|packet| Icmpv4Repr::parse(&packet, &ChecksumCapabilities::default()))
        .is_ok_and(|reply| matches!(reply, Icmpv4Repr::EchoReply { ident: IDENTIFIER, seq_no, .. } if seq_no == round))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
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
        lan.ping(present, GUARD).unwrap();
        let pause = Instant::now();
        let silence =
            lan.longest_silence(present, GUARD, || pause.elapsed() > Duration::from_millis(50)).unwrap();
        assert!(silence > Duration::ZERO && silence <= pause.elapsed());
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
