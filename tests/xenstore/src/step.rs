//! What happens to a daemon, one thing at a time, in terms that are the same for every daemon.

use std::fmt;

use peers::State;
use xenstore_client::wire::{Header, Kind};

/// Who acts: one of several sockets, all of which are domain 0, or a guest through its ring.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Seat {
    /// A socket, by its number.
    Socket(usize),
    /// A guest, by its domid.
    Guest(u32),
}

/// A transaction, by a name that does not depend on the number that a daemon gives it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transaction {
    /// None.
    None,
    /// The one whose start has this label, be it open or not.
    Label(u32),
    /// One that was never started.
    Bogus(u32),
}

/// A request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// The number of its kind, which may be that of none.
    pub kind: u32,
    /// The transaction that it belongs to.
    pub transaction: Transaction,
    /// What it asks for.
    pub payload: Vec<u8>,
    /// For a start: the label of the transaction that starts.
    pub label: u32,
}

/// What happens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// One request.
    Request(Request),
    /// Several in one go.
    Batch(Vec<Request>),
    /// One, in pieces of so many bytes.
    Pieces(Request, usize),
    /// A header that announces more than a message may have.
    Broken {
        /// The bytes announced.
        length: u32,
    },
    /// A socket is closed, and another takes its place.
    Reconnect,
    /// The guest comes to be. The daemon learns of it when somebody introduces it.
    Create,
    /// The guest's state changes, and the daemon is told to look.
    Change(State),
    /// The guest is gone, and the daemon is told to look.
    Destroy,
}

/// One thing that happens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// Whose doing it is, or whom it happens to.
    pub seat: Seat,
    /// What.
    pub action: Action,
}

impl Request {
    /// A request outside of transactions.
    pub fn new(kind: Kind, payload: impl Into<Vec<u8>>) -> Self {
        Request { kind: kind.number(), transaction: Transaction::None, payload: payload.into(), label: 0 }
    }

    /// Whether it is of this kind.
    pub fn is(&self, kind: Kind) -> bool {
        self.kind == kind.number()
    }

    /// As it is sent, with the numbers that the daemon at hand knows.
    pub fn to_bytes(&self, number: u32, transaction: u32) -> Vec<u8> {
        let length = self.payload.len() as u32;
        let header = Header { kind: self.kind, request: number, transaction, length };
        [&header.encode(), &*self.payload].concat()
    }
}

impl Action {
    /// The requests in it.
    pub fn requests(&self) -> &[Request] {
        match self {
            Action::Request(request) | Action::Pieces(request, _) => std::slice::from_ref(request),
            Action::Batch(requests) => requests,
            _ => &[],
        }
    }
}

/// The name of a kind, or its number.
pub fn kind_name(kind: u32) -> String {
    let known = Kind::from_number(kind);
    known.map_or_else(|| format!("kind {kind}"), |known| format!("{known:?}"))
}

/// Bytes as text, cut short.
pub fn brief(bytes: &[u8]) -> String {
    const SHOWN: usize = 60;
    match bytes.get(..SHOWN) {
        Some(start) if bytes.len() > SHOWN => format!("{}... ({} bytes)", start.escape_ascii(), bytes.len()),
        _ => bytes.escape_ascii().to_string(),
    }
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seat::Socket(number) => write!(f, "socket {number}"),
            Seat::Guest(domid) => write!(f, "guest {domid}"),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} \"{}\"", kind_name(self.kind), brief(&self.payload))?;
        if self.is(Kind::TransactionStart) {
            write!(f, " as #{}", self.label)?;
        }
        match self.transaction {
            Transaction::None => Ok(()),
            Transaction::Label(label) => write!(f, " in #{label}"),
            Transaction::Bogus(number) => write!(f, " in {number}, which was never started"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.seat)?;
        match &self.action {
            Action::Request(request) => write!(f, "{request}"),
            Action::Pieces(request, size) => write!(f, "{request}, in pieces of {size} bytes"),
            Action::Batch(requests) => {
                let texts: Vec<_> = requests.iter().map(Request::to_string).collect();
                write!(f, "at once: {}", texts.join("; "))
            }
            Action::Broken { length } => write!(f, "a header that announces {length} bytes"),
            Action::Reconnect => f.write_str("connects anew"),
            Action::Create => f.write_str("is created"),
            Action::Change(state) => write!(f, "is {state:?}"),
            Action::Destroy => f.write_str("is destroyed"),
        }
    }
}
