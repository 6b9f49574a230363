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

/// The same where each of them has to be answered.
const ASK_ALL_EVERY: Duration = Duration::from_millis(5);

/// For how long the last answers are waited for: only one that is lost takes so long.
const LAST_ANSWERS: Duration = Duration::from_secs(20);

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
    /// Nobody who is listened to says anything.
    #[error("no echo request came within {} s", .0.as_secs())]
    Silent(Duration),
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

/// What has passed while somebody [listened](Lan::listen).
#[derive(Clone, Debug, Default)]
pub struct Passed {
    /// The numbers of the echo requests that came, each once. They count on where a request's own number begins again.
    pub heard: BTreeSet<u64>,
    /// How many echo requests were sent.
    pub asked: u64,
    /// Those of them that were never answered.
    pub unanswered: BTreeSet<u64>,
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

    /// Is there, and answers whoever asks, until `done` and until the next echo request that comes after that, for which it waits for `guard`
    /// at most. Meanwhile it asks `whom` again and again, and waits for the last answers at the end.
    ///
    /// # Errors
    /// When nobody asks, there is no card, or the socket fails.
    pub fn listen(
        &mut self,
        guard: Duration,
        whom: Option<Ipv4Addr>,
        done: impl Fn() -> bool,
    ) -> Result<Passed, LanError> {
        let station = self.station(guard)?;
        let mut passed = Passed::default();
        let (mut ask_at, mut ended) = (Instant::now(), None);
        loop {
            let is_done = done();
            if is_done && ended.is_none() {
                ended = Some((Instant::now(), passed.heard.last().copied()));
            }
            station.take_numbered(&mut passed)?;
            if let Some((since, last)) = ended {
                let is_over = passed.heard.last().copied() > last
                    && (passed.unanswered.is_empty() || since.elapsed() > LAST_ANSWERS);
                match is_over {
                    true => return Ok(passed),
                    false if since.elapsed() > guard => return Err(LanError::Silent(guard)),
                    false => {}
                }
            } else if let Some(address) = whom.filter(|_| Instant::now() >= ask_at) {
                ask_at = Instant::now() + ASK_ALL_EVERY;
                station.ask_numbered(address, &mut passed);
            }
            station.cable.wait(ASK_EVERY);
        }
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
    /// The last number that was heard, and the next to be asked with, counted on.
    heard: u64,
    number: u64,
}

impl Station {
    fn new(mut cable: Cable) -> Self {
        let mut interface =
            Interface::new(Config::new(OUR_HARDWARE_ADDRESS.into()), &mut cable, Timestamp::ZERO);
        interface.update_ip_addrs(|addresses| {
            // The list is empty and holds one at least.
            let _ = addresses.push(IpCidr::new(OUR_ADDRESS.into(), PREFIX_LENGTH));
        });
        // For all answers that can come at once: those of the seconds in which nobody had time.
        let buffer = || PacketBuffer::new(vec![PacketMetadata::EMPTY; 4096], vec![0; 128 << 10]);
        let mut socket = Socket::new(buffer(), buffer());
        // A new socket can be bound, and the identifier is not 0.
        let _ = socket.bind(Endpoint::Ident(IDENTIFIER));
        let mut sockets = SocketSet::new(Vec::new());
        let icmp = sockets.add(socket);
        Station { cable, interface, sockets, icmp, started: Instant::now(), round: 0, heard: 0, number: 0 }
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
            if from == IpAddress::from(address) && reply(data) == Some(self.round) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sends and receives, and notes whose numbers have come.
    fn take_numbered(&mut self, passed: &mut Passed) -> Result<(), LanError> {
        self.poll()?;
        for number in self.cable.take_echo_requests() {
            self.heard = counted_on(self.heard, number);
            passed.heard.insert(self.heard);
        }
        while let Ok((data, _)) = self.sockets.get_mut::<Socket<'_>>(self.icmp).recv() {
            if let Some(number) = reply(data) {
                passed.unanswered.remove(&counted_on(self.number, number));
            }
        }
        Ok(())
    }

    /// Sends the next numbered echo request to `address`, if there is room for one.
    fn ask_numbered(&mut self, address: Ipv4Addr, passed: &mut Passed) {
        self.round = self.number as u16;
        if self.ask(address) {
            passed.asked += 1;
            passed.unanswered.insert(self.number);
            self.number += 1;
        }
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

/// The number that an answer to one of our requests has.
fn reply(data: &[u8]) -> Option<u16> {
    let packet = Icmpv4Packet::new_checked(data).ok()?;
    match Icmpv4Repr::parse(&packet, &ChecksumCapabilities::default()).ok()? {
        Icmpv4Repr::EchoReply { ident: IDENTIFIER, seq_no, .. } => Some(seq_no),
        _ => None,
    }
}

/// The number near `last` that has these last 16 bits.
fn counted_on(last: u64, number: u16) -> u64 {
    let ahead = number.wrapping_sub(last as u16) as i16;
    last.checked_add_signed(ahead.into()).unwrap_or(number.into())
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
        let begun = Instant::now();
        let done = || begun.elapsed() > Duration::from_millis(50);
        // Nobody asks us, so that it ends with that.
        assert!(matches!(
            lan.listen(Duration::from_millis(100), Some(present), done),
            Err(LanError::Silent(_))
        ));
        drop(stop);
        machine.join().unwrap();
        assert!(matches!(lan.ping(present, GUARD), Err(LanError::Socket(_))));
    }

    #[test]
    fn numbers_count_on() {
        for (last, number, counted) in [
            (0, 0, 0),
            (0, 65_535, 65_535),
            (65_535, 0, 65_536),
            (65_536, 65_535, 65_535),
            (200_000, 3_393, 200_001),
        ] {
            assert_eq!(counted_on(last, number), counted, "{number} after {last}");
        }
    }

    #[test]
    fn without_a_card_it_is_said() {
        let mut lan = Lan::new().unwrap();
        let error = lan.ping(OUR_ADDRESS, Duration::ZERO).unwrap_err();
        assert_eq!(error.to_string(), "no card was plugged in within 0 s");
    }
}
