//! A client that sends random requests, and knows what it must be answered.
//!
//! It works in a subtree of its own, so what it is answered follows from its own requests alone: a store beside it that
//! never dies executes the same requests in the same order. A request that were applied twice, or lost, or applied
//! in another order, shows in an answer.

use crate::ring::Pipe;
use crate::world::Random;
use std::collections::{BTreeMap, VecDeque};
use uk_abi::testing::Fuse;
use xenstore::wire::{self, Decoded, Header, Kind};
use xenstore::{Config, ConnectionId, Effects, Engine, Peer};

/// The token of the watch that hears of everybody's changes.
const EVERYTHING: &[u8] = b"everything";

/// What a client is to be sent.
#[derive(Debug)]
struct Expected {
    bytes: Vec<u8>,
    /// When the request that causes it was made.
    since: u64,
    /// For an answer in a transaction: the interruptions of the service before it began. If there was another one, the
    /// answer need not be this one.
    within: Option<u64>,
}

#[derive(Debug)]
struct Transaction {
    number: u32,
    number_beside: u32,
    /// Interruptions of the service before it began.
    interruptions: u64,
    left: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Waiting {
    No,
    /// For the number of a transaction.
    Start,
    /// For the end of a transaction.
    End,
}

pub(crate) struct Client {
    pub(crate) id: ConnectionId,
    pub(crate) pipe: Pipe,
    number: usize,
    beside: Engine,
    unsent: Vec<u8>,
    received: Vec<u8>,
    expected: VecDeque<Expected>,
    /// When each event of its own watches came last.
    events: BTreeMap<Vec<u8>, u64>,
    /// When events of the watch on everything came, for each path.
    pub(crate) heard: BTreeMap<Vec<u8>, Vec<u64>>,
    /// When it has written to its shared node.
    pub(crate) told: Vec<u64>,
    /// Since when it watches everything.
    pub(crate) listens: Option<u64>,
    transaction: Option<Transaction>,
    waiting: Waiting,
    /// Interruptions of the service when a transaction was asked for.
    started: u64,
    /// Whether the transaction that is ending is to be given up.
    aborting: bool,
    /// What came since a transaction's end was asked for: what it must be follows from how it ended.
    held: Vec<Vec<u8>>,
    requests: u32,
    pub(crate) answered: u32,
}

impl Client {
    pub(crate) fn new(number: usize, fuse: &Fuse, random: &mut Random) -> Self {
        let id = ConnectionId(number as u32);
        let start = random.next() as u32;
        let window = if number.is_multiple_of(3) { 1 << 16 } else { crate::ring::RING };
        let mut beside = Engine::new(Config::default());
        beside.connect(id, Peer::Socket { read_only: false }, &mut Effects::new());
        Client {
            id,
            pipe: Pipe::with_window(window, start, fuse),
            number,
            beside,
            unsent: Vec::new(),
            received: Vec::new(),
            expected: VecDeque::new(),
            events: BTreeMap::new(),
            heard: BTreeMap::new(),
            told: Vec::new(),
            listens: None,
            transaction: None,
            waiting: Waiting::No,
            started: 0,
            aborting: false,
            held: Vec::new(),
            requests: 0,
            answered: 0,
        }
    }

    /// Its shared node.
    pub(crate) fn shared(&self) -> Vec<u8> {
        format!("/s{}", self.number).into_bytes()
    }

    /// Whether everything that was asked has been answered, and sent what had to be.
    pub(crate) fn is_done(&mut self) -> bool {
        let events = &self.events;
        let only_merged = self.expected.iter().all(|expected| was_merged(events, expected));
        self.unsent.is_empty() && self.waiting == Waiting::No && only_merged && self.transaction.is_none()
    }

    /// Whether it is in a transaction.
    pub(crate) fn wants_to_end(&self) -> bool {
        self.transaction.is_some() && self.waiting == Waiting::No
    }

    /// Makes another request, if it does not have to wait.
    pub(crate) fn ask(&mut self, now: u64, interruptions: u64, random: &mut Random) {
        if self.waiting != Waiting::No || self.unsent.len() > 6000 || self.expected.len() > 40 {
            return;
        }
        if let Some(transaction) = &mut self.transaction {
            if transaction.left == 0 {
                return self.end_transaction(random);
            }
            transaction.left -= 1;
        } else if random.once_in(12) {
            self.waiting = Waiting::Start;
            self.started = interruptions;
            return self.request(now, Kind::TransactionStart.number(), b"\0");
        }
        if self.transaction.is_none() && random.once_in(5) {
            let payload = [&self.shared(), b"\0".as_slice(), &random.next().to_le_bytes()].concat();
            self.told.push(now);
            return self.request(now, Kind::Write.number(), &payload);
        }
        let mut path = format!("/c{}", self.number);
        for _ in 0..random.below(3) {
            path += ["/a", "/b", "/c"][random.below(3)];
        }
        let path = path.as_bytes();
        let nul = b"\0".as_slice();
        let value: Vec<u8> =
            (0..[3, 0, 60, 300, 1200][random.below(5)]).map(|_| random.next() as u8).collect();
        let token = [b'0' + random.below(3) as u8, 0];
        let (kind, payload) = match random.below(20) {
            0..7 => (Kind::Write, [path, nul, &value].concat()),
            7..11 => (Kind::Read, [path, nul].concat()),
            11..13 => (Kind::Directory, [path, nul].concat()),
            13 => (Kind::Mkdir, [path, nul].concat()),
            14..16 => (Kind::Rm, [path, b"/a\0"].concat()),
            16 => (Kind::GetPerms, [path, nul].concat()),
            17 => (Kind::SetPerms, [path, b"\0n0\0r7\0"].concat()),
            18 if self.transaction.is_none() => {
                let kind = if random.once_in(3) { Kind::Unwatch } else { Kind::Watch };
                (kind, [path, nul, &token].concat())
            }
            // Nonsense.
            _ => (Kind::Read, value),
        };
        self.request(now, kind.number(), &payload);
    }

    /// Makes its nodes, so that afterwards it changes nothing that others share.
    pub(crate) fn begin(&mut self) {
        self.request(0, Kind::Mkdir.number(), format!("/c{}\0", self.number).as_bytes());
        self.request(0, Kind::Mkdir.number(), &[&self.shared(), b"\0".as_slice()].concat());
    }

    /// Watches everything that happens.
    pub(crate) fn listen(&mut self, now: u64) {
        self.request(now, Kind::Watch.number(), &[b"/\0", EVERYTHING, b"\0"].concat());
    }

    /// Makes a request, and finds out what it must be answered.
    fn request(&mut self, now: u64, kind: u32, payload: &[u8]) {
        self.requests += 1;
        let open = self.transaction.as_ref();
        let (number, beside) = open.map_or((0, 0), |open| (open.number, open.number_beside));
        let within = open.map(|open| open.interruptions);
        let header =
            Header { kind, request: self.requests, transaction: number, length: payload.len() as u32 };
        self.unsent.extend_from_slice(&header.encode());
        self.unsent.extend_from_slice(payload);
        self.beside_does(Header { transaction: beside, ..header }, payload, now, within);
    }

    fn beside_does(&mut self, header: Header, payload: &[u8], since: u64, within: Option<u64>) {
        let mut effects = Effects::new();
        let message = wire::Message { header, payload };
        self.beside.handle(self.id, &message, &mut effects).expect("nobody damages the store beside");
        for (_, bytes) in effects.outputs.iter().filter(|(_, bytes)| !hears_everything(bytes)) {
            self.expected.push_back(Expected { bytes: bytes.to_vec(), since, within });
        }
    }

    fn end_transaction(&mut self, random: &mut Random) {
        let Some(open) = &self.transaction else { return };
        self.requests += 1;
        self.aborting = random.once_in(4);
        let payload = if self.aborting { b"F\0" } else { b"T\0" };
        let kind = Kind::TransactionEnd.number();
        let header = Header { kind, request: self.requests, transaction: open.number, length: 2 };
        self.unsent.extend_from_slice(&header.encode());
        self.unsent.extend_from_slice(payload);
        self.waiting = Waiting::End;
    }

    /// Ends what it has begun.
    pub(crate) fn wind_up(&mut self, random: &mut Random) {
        if self.wants_to_end() {
            self.end_transaction(random);
        }
    }

    /// Lets bytes go both ways, and checks what has come.
    pub(crate) fn exchange(&mut self, now: u64, interruptions: u64, random: &mut Random) {
        let sent = self.pipe.send(&self.unsent[..random.below(3000).min(self.unsent.len())]);
        self.unsent.drain(..sent);
        self.received.extend(self.pipe.receive(random.below(3000)));
        while let Decoded::Message(message) = wire::decode(&self.received) {
            let bytes = self.received[..message.size()].to_vec();
            self.check(&bytes, now, interruptions);
            self.received.drain(..bytes.len());
        }
    }

    fn check(&mut self, bytes: &[u8], now: u64, interruptions: u64) {
        let header = header_of(bytes);
        if hears_everything(bytes) {
            let path = bytes[Header::SIZE..].split(|byte| *byte == 0).next().expect("a path").to_vec();
            self.listens = self.listens.or(Some(now));
            self.heard.entry(path).or_default().push(now);
            return;
        }
        self.answered += u32::from(!is_event(bytes));
        if self.waiting != Waiting::End {
            return self.compare(bytes, now, interruptions);
        }
        self.held.push(bytes.to_vec());
        if !is_event(bytes) && header.request == self.requests {
            self.transaction_ended(bytes, now, interruptions);
            for held in core::mem::take(&mut self.held) {
                self.compare(&held, now, interruptions);
            }
        }
    }

    /// Compares a message with what must come now.
    fn compare(&mut self, bytes: &[u8], now: u64, interruptions: u64) {
        loop {
            let expected = self.expected.pop_front();
            let expected = expected
                .unwrap_or_else(|| panic!("client {}: nobody asked for {}", self.number, show(bytes)));
            if expected.allows(bytes, interruptions) {
                break;
            }
            let merged = was_merged(&self.events, &expected);
            assert!(merged, "client {}: {} instead of {}", self.number, show(bytes), show(&expected.bytes));
        }
        if is_event(bytes) {
            self.events.insert(bytes.to_vec(), now);
        } else if self.waiting == Waiting::Start && header_of(bytes).kind == Kind::TransactionStart.number() {
            let text = core::str::from_utf8(&bytes[Header::SIZE..bytes.len() - 1]).expect("a number");
            let number = text.parse().expect("a number");
            let number_beside = self.number_beside();
            let interruptions = self.started;
            self.transaction = Some(Transaction { number, number_beside, interruptions, left: 4 });
            self.waiting = Waiting::No;
        }
    }

    /// The number that the store beside has given to the open transaction: each store counts for itself.
    fn number_beside(&self) -> u32 {
        let (mut cursor, mut items) = (xenstore::ItemCursor::default(), xenstore::Items::new());
        while !self.beside.items(&mut cursor, 100, &mut items) {}
        let open = items.list().flatten().find_map(|item| match item {
            xenstore::Item::TransactionOpen { id, .. } => Some(id),
            _ => None,
        });
        open.expect("a transaction is open")
    }

    /// A transaction has ended: as it was asked for, or because the service was interrupted. The store beside does the same.
    fn transaction_ended(&mut self, answer: &[u8], now: u64, interruptions: u64) {
        let open = self.transaction.take().expect("a transaction was open");
        self.waiting = Waiting::No;
        let header = header_of(answer);
        let refused = header.kind == Kind::Error.number();
        if refused {
            let interrupted = open.interruptions != interruptions;
            assert!(interrupted && answer.ends_with(b"EAGAIN\0"), "client {}: {}", self.number, show(answer));
        }
        let verdict = if refused || self.aborting { b"F\0" } else { b"T\0" };
        let kind = Kind::TransactionEnd.number();
        let request = Header { kind, request: header.request, transaction: open.number_beside, length: 2 };
        self.beside_does(request, verdict, now, None);
        let last = self.expected.iter_mut().rfind(|expected| !is_event(&expected.bytes)).expect("an answer");
        assert_eq!(header_of(&last.bytes).kind, kind, "{}", show(&last.bytes));
        if refused {
            last.bytes = answer.to_vec();
        }
    }
}

impl Expected {
    /// Whether this message may come for it.
    fn allows(&self, bytes: &[u8], interruptions: u64) -> bool {
        let (theirs, ours) = (header_of(bytes), header_of(&self.bytes));
        if theirs.request != ours.request || is_event(bytes) != is_event(&self.bytes) {
            return false;
        }
        let starts = ours.kind == Kind::TransactionStart.number() && theirs.kind == ours.kind;
        let loose = self.within.is_some_and(|before| before != interruptions);
        starts || loose || (theirs.kind == ours.kind && bytes[Header::SIZE..] == self.bytes[Header::SIZE..])
    }
}

fn header_of(bytes: &[u8]) -> Header {
    Header::decode(bytes.first_chunk().expect("a header"))
}

fn is_event(bytes: &[u8]) -> bool {
    header_of(bytes).kind == Kind::WatchEvent.number()
}

fn show(bytes: &[u8]) -> String {
    let text: String = bytes[Header::SIZE..].escape_ascii().take(80).map(char::from).collect();
    format!("{:?} {text}", header_of(bytes))
}

/// Whether an event did not come because an equal one was waiting already: that one has come since.
fn was_merged(events: &BTreeMap<Vec<u8>, u64>, expected: &Expected) -> bool {
    events.get(&expected.bytes).is_some_and(|last| *last >= expected.since)
}

/// Whether a message is an event of the watch on everything.
fn hears_everything(bytes: &[u8]) -> bool {
    is_event(bytes) && bytes.ends_with(&[EVERYTHING, b"\0"].concat())
}
