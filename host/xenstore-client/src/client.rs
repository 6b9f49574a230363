//! One connection: requests out; replies and watch events in.

use std::collections::VecDeque;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorName};
use crate::link::{Link, Socket};
use xenstore::wire::{Header, Kind, MESSAGE_MAX};

/// How long a client waits for an answer, unless it is told otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// How many requests a pipeline has under way. All of them, and their answers, fit into the buffers of a socket, so that neither side
/// ever waits for the other to read.
pub const WINDOW: usize = 16;

/// A message from the daemon.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// Its header.
    pub header: Header,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// A watch has fired.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// What has changed.
    pub path: Vec<u8>,
    /// The watch's token.
    pub token: Vec<u8>,
}

/// What a client asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// What to do.
    pub kind: Kind,
    /// In which transaction, or 0.
    pub transaction: u32,
    /// With what.
    pub payload: Vec<u8>,
}

/// A client with one connection to a daemon.
#[derive(Debug)]
pub struct Client<L: Link = Socket> {
    link: L,
    timeout: Duration,
    /// Bytes that have come and have not been handed out as messages yet.
    received: Vec<u8>,
    /// Events that came while a reply was waited for.
    events: VecDeque<Event>,
    next_request: u32,
}

impl Client {
    /// Connects to the daemon whose socket is at `path`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(path: &Path) -> Result<Self, Error> {
        Ok(Client::new(Socket::new(UnixStream::connect(path)?)))
    }
}

impl<L: Link> Client<L> {
    /// A client over a link that leads to a daemon.
    pub fn new(link: L) -> Self {
        Client { link, timeout: TIMEOUT, received: Vec::new(), events: VecDeque::new(), next_request: 1 }
    }

    /// Changes how long answers are waited for.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// What carries the messages.
    pub fn link(&mut self) -> &mut L {
        &mut self.link
    }

    /// Sends bytes as they are: for tests of what a daemon does with rubbish.
    ///
    /// # Errors
    /// When they cannot be sent in time.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.link.send(bytes, Instant::now() + self.timeout)?)
    }

    /// Sends a request without waiting; answers its number, which the reply will have.
    ///
    /// # Errors
    /// When it cannot be sent in time.
    pub fn send(&mut self, kind: Kind, transaction: u32, payload: &[u8]) -> Result<u32, Error> {
        let mut bytes = Vec::with_capacity(Header::SIZE + payload.len());
        let request = self.encode(kind, transaction, payload, &mut bytes);
        self.send_raw(&bytes)?;
        Ok(request)
    }

    /// Appends a request to `bytes`; answers its number.
    fn encode(&mut self, kind: Kind, transaction: u32, payload: &[u8], bytes: &mut Vec<u8>) -> u32 {
        let request = self.next_request;
        self.next_request = request.wrapping_add(1);
        let header = Header { kind: kind.number(), request, transaction, length: payload.len() as u32 };
        bytes.extend(header.encode());
        bytes.extend(payload);
        request
    }

    /// The next message, be it a reply or an event, in the daemon's order.
    ///
    /// # Errors
    /// When none comes in time, or what comes is none.
    pub fn receive(&mut self) -> Result<Message, Error> {
        self.receive_by(Instant::now() + self.timeout)
    }

    fn receive_by(&mut self, deadline: Instant) -> Result<Message, Error> {
        loop {
            if let Some(message) = self.take_message()? {
                return Ok(message);
            }
            let mut buffer = [0; 4 * MESSAGE_MAX];
            match self.link.receive(&mut buffer, deadline)? {
                0 => return Err(Error::Closed),
                count => self.received.extend(&buffer[..count]),
            }
        }
    }

    /// Takes the first whole message off what has been received.
    fn take_message(&mut self) -> Result<Option<Message>, Error> {
        let Some(header) = self.received.first_chunk() else { return Ok(None) };
        let header = Header::decode(header);
        let length = header.length as usize;
        // oxenstored answers a socket with more than the protocol allows, where a directory is long.
        if length > 1 << 24 {
            let found = format!("a header with a length of {length}");
            return Err(Error::Malformed { asked: "a message", found });
        }
        if self.received.len() < Header::SIZE + length {
            return Ok(None);
        }
        let payload = self.received[Header::SIZE..Header::SIZE + length].to_vec();
        self.received.drain(..Header::SIZE + length);
        Ok(Some(Message { header, payload }))
    }

    /// Sends a request and waits for its reply; answers the payload. Events that come in between are kept.
    ///
    /// # Errors
    /// When the daemon refuses, does not answer, or answers something else.
    pub fn call(&mut self, kind: Kind, transaction: u32, payload: &[u8]) -> Result<Vec<u8>, Error> {
        let request = self.send(kind, transaction, payload)?;
        self.reply_to(kind, request, payload)
    }

    /// Waits for the reply to a request that was sent.
    fn reply_to(&mut self, kind: Kind, request: u32, asked: &[u8]) -> Result<Vec<u8>, Error> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let Message { header, payload } = self.receive_by(deadline)?;
            if header.kind == Kind::WatchEvent.number() {
                self.events.push_back(parse_event(&payload)?);
            } else if header.request != request {
                let found = format!("request {}, and {request} was expected", header.request);
                return Err(Error::Malformed { asked: "the replies in order", found });
            } else if header.kind == Kind::Error.number() {
                let what = asked.escape_ascii().to_string();
                return Err(Error::Refused { kind, what, name: ErrorName::of_payload(&payload) });
            } else if header.kind != kind.number() {
                let found = format!("a message of kind {}", header.kind);
                return Err(Error::Malformed { asked: "a reply of the request's kind", found });
            } else {
                return Ok(payload);
            }
        }
    }

    /// Sends many requests, [`WINDOW`] in one piece, and answers their replies in order.
    ///
    /// # Errors
    /// When the connection breaks. That a request is refused is an answer like others, and the rest goes on.
    pub fn pipeline(&mut self, requests: &[Request]) -> Result<Vec<Result<Vec<u8>, Error>>, Error> {
        let mut answers = Vec::with_capacity(requests.len());
        let mut bytes = Vec::new();
        for window in requests.chunks(WINDOW) {
            bytes.clear();
            let first = self.next_request;
            for request in window {
                self.encode(request.kind, request.transaction, &request.payload, &mut bytes);
            }
            self.send_raw(&bytes)?;
            for (index, request) in (0..).zip(window) {
                match self.reply_to(request.kind, first.wrapping_add(index), &request.payload) {
                    Err(error) if error.name().is_none() => return Err(error),
                    answer => answers.push(answer),
                }
            }
        }
        Ok(answers)
    }

    /// The next event; `None` if there is none within `patience`.
    ///
    /// # Errors
    /// When the connection breaks, or a reply comes that nobody waits for.
    pub fn next_event(&mut self, patience: Duration) -> Result<Option<Event>, Error> {
        if let Some(event) = self.events.pop_front() {
            return Ok(Some(event));
        }
        match self.receive_by(Instant::now() + patience) {
            Ok(Message { header, payload }) if header.kind == Kind::WatchEvent.number() => {
                parse_event(&payload).map(Some)
            }
            Ok(Message { header, .. }) => {
                let found = format!("a reply to request {}", header.request);
                Err(Error::Malformed { asked: "an event", found })
            }
            Err(Error::Link(error)) if error.kind() == std::io::ErrorKind::TimedOut => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// An event's payload: a path and a token, each with a zero byte.
fn parse_event(payload: &[u8]) -> Result<Event, Error> {
    let mut parts = payload.strip_suffix(b"\0").unwrap_or_default().splitn(2, |byte| *byte == 0);
    match (parts.next(), parts.next()) {
        (Some(path), Some(token)) => Ok(Event { path: path.to_vec(), token: token.to_vec() }),
        _ => Err(Error::Malformed { asked: "a path and a token", found: payload.escape_ascii().to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::thread;
    use xenstore::wire::Errno;

    fn message(kind: Kind, request: u32, payload: &[u8]) -> Vec<u8> {
        let header = Header { kind: kind.number(), request, transaction: 0, length: payload.len() as u32 };
        [&header.encode(), payload].concat()
    }

    /// A client whose daemon has said `bytes` and nothing else.
    fn client_of(bytes: &[u8]) -> (Client, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(bytes).unwrap();
        (Client::new(Socket::new(ours)), theirs)
    }

    #[test]
    fn events_wait_while_a_reply_is_read() {
        let event = message(Kind::WatchEvent, 0, b"/a\0token\0");
        let (mut client, _daemon) = client_of(&[event, message(Kind::Read, 1, b"value")].concat());
        assert_eq!(client.call(Kind::Read, 0, b"/a\0").unwrap(), b"value");
        let event = client.next_event(Duration::ZERO).unwrap().unwrap();
        assert_eq!((event.path, event.token), (b"/a".to_vec(), b"token".to_vec()));
    }

    #[test]
    fn a_refusal_has_a_name_and_other_answers_are_errors_of_the_protocol() {
        let (mut client, _daemon) = client_of(&message(Kind::Error, 1, b"EACCES\0"));
        let error = client.call(Kind::Read, 0, b"/a\0").unwrap_err();
        assert_eq!(error.name(), Some(&ErrorName::Known(Errno::Access)));
        for wrong in [message(Kind::Write, 1, b"OK\0"), message(Kind::Read, 9, b"")] {
            let (mut client, _daemon) = client_of(&wrong);
            let error = client.call(Kind::Read, 0, b"/a\0").unwrap_err();
            assert!(matches!(error, Error::Malformed { .. }), "{error}");
        }
    }

    #[test]
    fn half_a_message_is_waited_for_and_the_end_is_told() {
        let whole = message(Kind::Read, 1, b"value");
        let (mut client, mut daemon) = client_of(&whole[..18]);
        client.set_timeout(Duration::from_millis(10));
        let error = client.call(Kind::Read, 0, b"/a\0").unwrap_err();
        assert!(matches!(error, Error::Link(_)), "{error}");
        daemon.write_all(&whole[18..]).unwrap();
        assert_eq!(client.receive().unwrap().payload, b"value");
        drop(daemon);
        assert!(matches!(client.receive().unwrap_err(), Error::Closed));
    }

    #[test]
    fn a_pipeline_answers_in_order_and_goes_on_after_a_refusal() {
        const COUNT: usize = 3 * WINDOW;
        let (ours, mut daemon) = UnixStream::pair().unwrap();
        let server = thread::spawn(move || {
            for number in 1..=COUNT as u32 {
                let mut request = [0; Header::SIZE + 3];
                daemon.read_exact(&mut request).unwrap();
                let answer = match number {
                    2 => message(Kind::Error, number, b"ENOENT\0"),
                    _ => message(Kind::Read, number, &number.to_le_bytes()),
                };
                daemon.write_all(&answer).unwrap();
            }
        });
        let request = Request { kind: Kind::Read, transaction: 0, payload: b"/a\0".to_vec() };
        let answers = Client::new(Socket::new(ours)).pipeline(&vec![request; COUNT]).unwrap();
        server.join().unwrap();
        for (number, answer) in (1u32..).zip(answers) {
            match answer {
                Ok(payload) => assert_eq!(payload, number.to_le_bytes()),
                Err(error) => {
                    assert_eq!((number, error.name()), (2, Some(&ErrorName::Known(Errno::NotFound))))
                }
            }
        }
    }

    #[test]
    fn a_long_directory_is_read_by_parts_and_again_when_it_changes() {
        let parts = [
            message(Kind::Error, 1, b"E2BIG\0"),
            message(Kind::DirectoryPart, 2, b"7\0old\0"),
            message(Kind::DirectoryPart, 3, b"8\0rest\0\0"),
            message(Kind::DirectoryPart, 4, b"8\0a\0"),
            message(Kind::DirectoryPart, 5, b"8\0b\0\0"),
        ];
        let (mut client, _daemon) = client_of(&parts.concat());
        assert_eq!(client.directory(0, "/long").unwrap(), ["a", "b"]);
    }
}
