//! One daemon with its clients: steps go in, and what every client hears comes out, in terms that are the same for every daemon.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use peers::{Daemon, DaemonError, Options, Program, Ring, State};
use xenstore_client::wire::Kind;
use xenstore_client::{Client, Error, Link, Message, Socket};

use crate::generate::SOCKETS;
use crate::step::{Action, Request, Seat, Step, Transaction, brief, kind_name};

/// How long an answer may take. A daemon that takes longer has none to give.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is asked whether the daemon is still there: a ring does not tell.
const SLICE: Duration = Duration::from_millis(100);
/// Ports that guests may have are below this: a larger one cannot be told from an error.
const PORTS: u32 = 0x4000_0000;
/// The number of a transaction that no daemon ever gave.
const NEVER_STARTED: u32 = 0x3fff_0000;
/// The number of the request that shows what has gone without an answer.
const QUESTION: u32 = u32::MAX;

/// What a client hears.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Heard {
    /// An answer to a request.
    Reply {
        /// The number of its kind.
        kind: u32,
        /// What it says; what every daemon numbers in its own way is left out.
        payload: Vec<u8>,
        /// Whether it names another transaction than the request.
        astray: bool,
    },
    /// A watch has fired.
    Event {
        /// The path and the token, each with a zero byte.
        payload: Vec<u8>,
    },
    /// There is no answer to a request, but there is one to the next.
    Silence,
    /// The daemon has closed the connection.
    Closed,
    /// Something that the protocol does not have.
    Trouble(String),
}

/// What all clients hear of one step. A client that hears nothing is left out.
pub type Observation = BTreeMap<Seat, Vec<Heard>>;

/// A client's connection.
struct Seated {
    client: Client<Carrier>,
    /// Whether it may have watches, and so hear of what others do.
    watches: bool,
    /// The daemon's number for each label.
    transactions: BTreeMap<u32, u32>,
}

/// Either kind of connection.
enum Carrier {
    Socket(Socket),
    Ring(Ring),
}

impl Link for Carrier {
    fn send(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        match self {
            Carrier::Socket(socket) => socket.send(bytes, deadline),
            Carrier::Ring(ring) => ring.send(bytes, deadline),
        }
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        match self {
            Carrier::Socket(socket) => socket.receive(buffer, deadline),
            Carrier::Ring(ring) => ring.receive(buffer, deadline),
        }
    }
}

/// A daemon and its clients.
pub struct World {
    daemon: Daemon,
    seats: BTreeMap<Seat, Seated>,
    /// Guests that exist, whether or not the daemon knows them.
    guests: Vec<u32>,
    /// Guests that have broken the protocol: the C daemon does not serve them until they are released.
    ruined: Vec<u32>,
}

impl World {
    /// Starts a daemon, in a folder below the target directory, and connects the sockets.
    ///
    /// # Errors
    /// When it does not start.
    pub fn new(target: &Path, program: Program) -> Result<Self, DaemonError> {
        let options = Options { hurry: true, processor: None };
        let daemon = Daemon::start(target, program, options)?;
        Ok(World { daemon, seats: BTreeMap::new(), guests: Vec::new(), ruined: Vec::new() })
    }

    /// The end of the daemon's log, and how it has ended if it has: for people.
    pub fn state(&mut self) -> String {
        match self.daemon.ended() {
            Some(status) => format!("{} has ended ({status}): {}", self.daemon.program(), self.daemon.log()),
            None => format!("{} runs", self.daemon.program()),
        }
    }

    /// Does one step, and answers what everybody hears of it.
    pub fn perform(&mut self, step: &Step) -> Observation {
        let mut heard = Observation::new();
        if let Err(error) = self.act(step, &mut heard) {
            heard.entry(step.seat).or_default().push(trouble(error));
            self.seats.remove(&step.seat);
        }
        self.listen(&mut heard);
        heard.retain(|_, list| !list.is_empty());
        heard
    }

    fn act(&mut self, step: &Step, heard: &mut Observation) -> Result<(), Error> {
        let Step { seat, action } = step;
        match (action, *seat) {
            (Action::Create, Seat::Guest(domid)) if !self.guests.contains(&domid) => {
                self.guests.push(domid);
                self.daemon.xen().create_domain(domid)?;
            }
            (Action::Change(state), Seat::Guest(domid)) if self.guests.contains(&domid) => {
                self.daemon.xen().set_state(domid, *state)?;
                if *state == State::Dying {
                    self.forget(domid);
                }
                self.look()?;
            }
            (Action::Destroy, Seat::Guest(domid)) if self.guests.contains(&domid) => {
                self.guests.retain(|guest| *guest != domid);
                self.forget(domid);
                self.daemon.xen().destroy_domain(domid)?;
                self.look()?;
            }
            (Action::Reconnect, Seat::Socket(_)) => drop(self.seats.remove(seat)),
            (Action::Broken { length }, _) => {
                self.sit_down(*seat)?;
                let Some(seated) = self.seats.get_mut(seat) else { return Ok(()) };
                let header = Request::new(Kind::Read, vec![0; 8]).to_bytes(1, 0);
                let header = [&header[..12], &length.to_le_bytes(), &header[16..]].concat();
                seated.client.send_raw(&header)?;
                // oxenstored leaves the socket open and does not read it any more.
                if matches!((seat, self.daemon.program()), (Seat::Socket(_), Program::C | Program::Ours(..)))
                {
                    let list = heard.entry(*seat).or_default();
                    while !matches!(list.last(), Some(Heard::Closed | Heard::Trouble(_))) {
                        list.push(hear(&mut self.daemon, seated).unwrap_or_else(trouble));
                    }
                }
                self.seats.remove(seat);
                if let Seat::Guest(domid) = seat {
                    self.ruined.push(*domid);
                }
            }
            (Action::Request(_) | Action::Batch(_) | Action::Pieces(..), _) => {
                self.ask(*seat, action, heard)?
            }
            _ => {}
        }
        Ok(())
    }

    /// Tells the daemon that a domain has changed, and waits until it has seen that.
    fn look(&mut self) -> io::Result<()> {
        self.daemon.xen().raise_dom_exc()?;
        self.daemon.xen().wait_until_seen(PATIENCE)
    }

    /// Opens a socket that is closed.
    fn sit_down(&mut self, seat: Seat) -> Result<(), Error> {
        if let (Seat::Socket(_), false) = (seat, self.seats.contains_key(&seat)) {
            let stream = UnixStream::connect(self.daemon.socket())?;
            self.seats.insert(seat, Seated::new(Carrier::Socket(Socket::new(stream))));
        }
        Ok(())
    }

    /// Sends the requests of an action, and a question behind them: what has not been answered by then has no answer.
    fn ask(&mut self, seat: Seat, action: &Action, heard: &mut Observation) -> Result<(), Error> {
        self.sit_down(seat)?;
        // The daemon does not know every guest.
        let Some(seated) = self.seats.get_mut(&seat) else { return Ok(()) };
        let requests = action.requests();
        // Of a transaction that starts in the same batch nobody knows the number yet.
        let headers: Vec<(u32, u32)> =
            (1u32..).zip(requests.iter().map(|request| seated.number(request.transaction))).collect();
        let mut bytes: Vec<u8> = requests
            .iter()
            .zip(&headers)
            .flat_map(|(request, (number, transaction))| request.to_bytes(*number, *transaction))
            .collect();
        bytes.extend(question());
        let size = if let Action::Pieces(_, size) = action { *size } else { bytes.len() };
        for piece in bytes.chunks(size) {
            seated.client.send_raw(piece)?;
        }
        let list = heard.entry(seat).or_default();
        let mut waiting: VecDeque<_> = requests.iter().zip(headers).collect();
        let mut changes = Vec::new();
        loop {
            let message = next_message(&mut self.daemon, seated)?;
            if message.header.kind == Kind::WatchEvent.number() {
                list.push(Heard::Event { payload: message.payload });
                continue;
            }
            let found = (message.header.request, message.header.transaction);
            let skipped = waiting.iter().position(|(_, header)| header.0 == found.0).unwrap_or(waiting.len());
            list.extend(waiting.drain(..skipped).map(|_| Heard::Silence));
            let Some((request, header)) = waiting.pop_front() else {
                if found != (QUESTION, 0) {
                    list.push(Heard::Trouble(format!("an answer to {found:?}, which was not asked")));
                }
                break;
            };
            seated.watches |= request.is(Kind::Watch);
            if [Kind::Introduce, Kind::Release].into_iter().any(|kind| message.header.kind == kind.number()) {
                changes.push(request);
            }
            list.push(seated.note(request, message, header != found));
        }
        if !changes.is_empty() {
            // A daemon may answer first, and begin or end to serve the ring then; not after the next answer.
            seated.client.send_raw(&question())?;
            while !hear(&mut self.daemon, seated).map(|heard| heard.is_reply())? {}
        }
        for request in changes {
            self.note_domain(request)?;
        }
        Ok(())
    }

    /// The daemon has nothing to do with a guest any more.
    fn forget(&mut self, domid: u32) {
        self.seats.remove(&Seat::Guest(domid));
        self.ruined.retain(|one| *one != domid);
    }

    /// A guest was introduced or released.
    fn note_domain(&mut self, request: &Request) -> io::Result<()> {
        let words: Vec<u32> = request.payload.split(|byte| *byte == 0).map(atoi).collect();
        let &[domid, ref rest @ ..] = &*words else { return Ok(()) };
        let seat = Seat::Guest(domid);
        if request.is(Kind::Release) {
            self.forget(domid);
            return Ok(());
        }
        let watches = self.seats.remove(&seat).is_some_and(|old| old.watches);
        let can_be_served = self.guests.contains(&domid) && !self.ruined.contains(&domid);
        let port = rest.get(1).copied().filter(|port| *port < PORTS);
        if let (Some(port), true) = (port, can_be_served) {
            let mut ring = self.daemon.xen().ring(domid, port)?;
            ring.reset()?;
            let mut seated = Seated::new(Carrier::Ring(ring));
            // Who is introduced again may have kept its watches.
            seated.watches = watches;
            self.seats.insert(seat, seated);
        }
        Ok(())
    }

    /// Lets everybody who may have watches ask for something harmless: what they hear before the answer was under way.
    fn listen(&mut self, heard: &mut Observation) {
        for seat in (0..SOCKETS).map(Seat::Socket).chain(self.guests.clone().into_iter().map(Seat::Guest)) {
            let Some(seated) = self.seats.get_mut(&seat).filter(|seated| seated.watches) else { continue };
            let list = heard.entry(seat).or_default();
            let mut result = seated.client.send_raw(&question());
            while result.is_ok() {
                match hear(&mut self.daemon, seated) {
                    Ok(Heard::Reply { .. }) => break,
                    Ok(event) => list.push(event),
                    Err(error) => result = Err(error),
                }
            }
            if let Err(error) = result {
                list.push(trouble(error));
                self.seats.remove(&seat);
            }
        }
    }
}

impl Seated {
    fn new(carrier: Carrier) -> Self {
        let mut client = Client::new(carrier);
        client.set_timeout(SLICE);
        Seated { client, watches: false, transactions: BTreeMap::new() }
    }

    /// The daemon's number of a transaction.
    fn number(&self, transaction: Transaction) -> u32 {
        match transaction {
            Transaction::None => 0,
            Transaction::Bogus(number) => number,
            Transaction::Label(label) => self.transactions.get(&label).copied().unwrap_or(NEVER_STARTED),
        }
    }

    /// What a reply says, without what is the daemon's own numbering.
    fn note(&mut self, request: &Request, message: Message, astray: bool) -> Heard {
        let Message { header, payload } = message;
        let mut heard = payload;
        match header.kind {
            kind if request.is(Kind::TransactionStart) && kind == request.kind => {
                if let Some(number) =
                    std::str::from_utf8(&heard).ok().and_then(|text| text.trim_end_matches('\0').parse().ok())
                {
                    self.transactions.insert(request.label, number);
                    heard = b"NUMBER\0".to_vec();
                }
            }
            kind if request.is(Kind::DirectoryPart) && kind == request.kind => {
                if let Some(end) = heard.iter().position(|byte| *byte == 0) {
                    heard.splice(..end, *b"GENERATION");
                }
            }
            _ => {}
        }
        Heard::Reply { kind: header.kind, payload: heard, astray }
    }
}

/// A harmless request. What was sent before its answer comes before its answer.
fn question() -> Vec<u8> {
    Request::new(Kind::GetDomainPath, *b"0\0").to_bytes(QUESTION, 0)
}

/// The next message, unless the daemon dies first.
fn next_message(daemon: &mut Daemon, seated: &mut Seated) -> Result<Message, Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match seated.client.receive() {
            Err(Error::Link(error))
                if error.kind() == io::ErrorKind::TimedOut && Instant::now() < deadline =>
            {
                if daemon.ended().is_some() {
                    return Err(Error::Closed);
                }
            }
            result => return result,
        }
    }
}

/// The next thing that a client hears.
fn hear(daemon: &mut Daemon, seated: &mut Seated) -> Result<Heard, Error> {
    let Message { header, payload } = next_message(daemon, seated)?;
    Ok(match header.kind {
        kind if kind == Kind::WatchEvent.number() => Heard::Event { payload },
        kind => Heard::Reply { kind, payload, astray: false },
    })
}

fn trouble(error: Error) -> Heard {
    match error {
        Error::Closed => Heard::Closed,
        Error::Link(error) if error.kind() == io::ErrorKind::BrokenPipe => Heard::Closed,
        error => Heard::Trouble(error.to_string()),
    }
}

/// A number as C's `atoi` reads it.
pub(crate) fn atoi(text: &[u8]) -> u32 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits
        .fold(0u64, |number, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')))
        as u32;
    if negative { number.wrapping_neg() } else { number }
}

impl Heard {
    /// Whether it is an event.
    pub fn is_event(&self) -> bool {
        matches!(self, Heard::Event { .. })
    }

    /// Whether it is an answer.
    pub fn is_reply(&self) -> bool {
        matches!(self, Heard::Reply { .. })
    }

    /// What it says.
    pub fn said(&self) -> &[u8] {
        match self {
            Heard::Reply { payload, .. } | Heard::Event { payload } => payload,
            _ => &[],
        }
    }

    /// Whether it is an answer that grants.
    pub fn is_success(&self) -> bool {
        matches!(self, Heard::Reply { kind, .. } if *kind != Kind::Error.number())
    }

    /// Whether it is an answer that refuses.
    pub fn is_error(&self) -> bool {
        matches!(self, Heard::Reply { kind, .. } if *kind == Kind::Error.number())
    }
}

impl std::fmt::Display for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Heard::Reply { kind, payload, astray } => {
                let stray = if *astray { " of another transaction" } else { "" };
                write!(f, "{} \"{}\"{stray}", kind_name(*kind), brief(payload))
            }
            Heard::Event { payload } => write!(f, "event \"{}\"", brief(payload)),
            Heard::Silence => f.write_str("nothing"),
            Heard::Closed => f.write_str("the end of the connection"),
            Heard::Trouble(text) => write!(f, "trouble: {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_does() {
        for (text, number) in
            [("12", 12), (" 2", 2), ("1x", 1), ("x", 0), ("", 0), ("-1", u32::MAX), ("4294967297", 1)]
        {
            assert_eq!(atoi(text.as_bytes()), number, "{text}");
        }
    }
}
