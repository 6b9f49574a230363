//! Requests over the encrypted channel, one after the other.

use crate::access::Access;
use api::http::{Method, NotAnAnswer, read_answer};
use api::{Problem, Status};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secure::{Broken, Handshake, LENGTH, MAX_RECORD, MAX_TEXT, Seed, Transport, record_length};
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long a host has to say something, beyond what it is asked to wait. One that was revived meanwhile does not know of the
/// connection, and never will say anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it has to finish the handshake: that takes milliseconds, and one that is being revived never does.
const HANDSHAKE: Duration = Duration::from_secs(3);

/// How old a connection may be for something to be changed over it. An older one may have been closed by the host, which is found out
/// only when it is used, and then nobody knows whether what was asked for is done.
const YOUNG: Duration = Duration::from_secs(5);

/// How long a connection is tried for. A toolstack that is being revived is back long before.
const TRIED_FOR: Duration = Duration::from_secs(10);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// What stands for itself in a name in a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The host says no.
    #[error("{}", .0.message)]
    Refused(Problem),
    /// The host cannot be reached, or the connection broke.
    #[error("the host at {address} cannot be spoken to: {error}")]
    Connection {
        /// Where it should be.
        address: String,
        /// The system's reason.
        error: io::Error,
    },
    /// The connection broke before the host had said what has become of it.
    #[error("the host at {address} has not answered: {error}; whether it is done, nobody knows")]
    Unsure {
        /// Where it is.
        address: String,
        /// The system's reason.
        error: io::Error,
    },
    /// What is there has not the host's key.
    #[error("what is at {0} has not the key of the host")]
    Stranger(String),
    /// What came makes no sense.
    #[error("the host has answered something that makes no sense: {0}")]
    Strange(String),
}

impl ClientError {
    /// Whether it is about the way to the host, or whoever is asking, and not about what was asked.
    pub fn is_access(&self) -> bool {
        match self {
            Self::Refused(problem) => matches!(problem.status(), Status::Unauthorized | Status::Forbidden),
            Self::Connection { .. } | Self::Stranger(_) => true,
            Self::Strange(_) | Self::Unsure { .. } => false,
        }
    }
}

/// A connection to a host.
pub struct Client {
    access: Access,
    link: Option<Link>,
}

struct Link {
    stream: TcpStream,
    transport: Transport,
    text: Vec<u8>,
    used: Instant,
}

/// What went wrong on a link.
enum Broke {
    Io(io::Error),
    Key,
    Nonsense(NotAnAnswer),
}

impl From<io::Error> for Broke {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Broken> for Broke {
    fn from(_: Broken) -> Self {
        Self::Key
    }
}

impl From<NotAnAnswer> for Broke {
    fn from(error: NotAnAnswer) -> Self {
        Self::Nonsense(error)
    }
}

/// Whether something may be asked for a second time where nobody knows whether it was done.
fn may_repeat(method: Method) -> bool {
    matches!(method, Method::Get | Method::Put)
}

/// A name as part of a path.
pub fn part(name: &str) -> String {
    utf8_percent_encode(name, PLAIN).to_string()
}

impl Client {
    /// A client of a host. It connects when it has something to ask, and again when the connection was lost.
    pub const fn new(access: Access) -> Self {
        Self { access, link: None }
    }

    /// Asks to see something.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        read(&self.ask(Method::Get, path, &[])?)
    }

    /// Asks for news, from a place on, and has the host wait for some if there are none.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn news<T: DeserializeOwned>(
        &mut self,
        path: &str,
        from: u64,
        wait_s: u64,
    ) -> Result<T, ClientError> {
        let path = format!("{path}?from={from}&wait={wait_s}");
        let patience = PATIENCE + Duration::from_secs(wait_s);
        read(&self.ask_within(patience, Method::Get, &path, &[])?)
    }

    /// Asks to have something done.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn post<T: DeserializeOwned>(&mut self, path: &str, body: &[u8]) -> Result<T, ClientError> {
        read(&self.ask(Method::Post, path, body)?)
    }

    /// Asks to have something be as `body` says. To ask that a second time does no harm.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn put<T: DeserializeOwned>(&mut self, path: &str, body: &[u8]) -> Result<T, ClientError> {
        read(&self.ask(Method::Put, path, body)?)
    }

    /// Asks to have something taken away.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn delete<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        read(&self.ask(Method::Delete, path, &[])?)
    }

    /// Makes a request; answers with the body of the answer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ask(&mut self, method: Method, path: &str, body: &[u8]) -> Result<Vec<u8>, ClientError> {
        self.ask_within(PATIENCE, method, path, body)
    }

    fn ask_within(
        &mut self,
        patience: Duration,
        method: Method,
        path: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, ClientError> {
        let (code, bytes) = match self.try_ask(patience, method, path, body) {
            // To look a second time does no harm. To do something a second time may.
            Err(ClientError::Unsure { .. }) if may_repeat(method) => {
                match self.try_ask(patience, method, path, body) {
                    Err(ClientError::Unsure { address, error }) => {
                        return Err(ClientError::Connection { address, error });
                    }
                    asked => asked?,
                }
            }
            asked => asked?,
        };
        if Status::from_code(code).is_some_and(Status::is_success) {
            return Ok(bytes);
        }
        let problem = serde_json::from_slice(&bytes);
        Err(problem.map_or_else(|_| ClientError::Strange(format!("status {code}")), ClientError::Refused))
    }

    fn try_ask(
        &mut self,
        patience: Duration,
        method: Method,
        path: &str,
        body: &[u8],
    ) -> Result<(u16, Vec<u8>), ClientError> {
        let is_good = |link: &Link| may_repeat(method) || link.used.elapsed() < YOUNG;
        let mut link = match self.link.take().filter(is_good) {
            Some(link) => link,
            None => self.connect()?,
        };
        let Access { address, token, .. } = &self.access;
        let head = format!(
            "{} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
            method.name(),
            body.len()
        );
        let set = link.stream.set_read_timeout(Some(patience)).map_err(Broke::Io);
        let sent = set.and_then(|()| link.send(head.as_bytes())).and_then(|()| link.send(body));
        let answer = sent.and_then(|()| link.receive()).map_err(|broke| match self.because(broke) {
            ClientError::Connection { address, error } => ClientError::Unsure { address, error },
            error => error,
        })?;
        link.used = Instant::now();
        self.link = Some(link);
        Ok(answer)
    }

    fn because(&self, broke: Broke) -> ClientError {
        let address = self.access.address.clone();
        match broke {
            // So the system says that the time to wait is over.
            Broke::Io(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let error = io::Error::new(io::ErrorKind::TimedOut, "it has said nothing in time");
                ClientError::Connection { address, error }
            }
            Broke::Io(error) => ClientError::Connection { address, error },
            Broke::Key => ClientError::Stranger(address),
            Broke::Nonsense(error) => ClientError::Strange(error.to_string()),
        }
    }

    /// Connects, and tries for a while where nobody is there: who serves may be being revived.
    fn connect(&self) -> Result<Link, ClientError> {
        let until = Instant::now() + TRIED_FOR;
        loop {
            match Link::open(&self.access) {
                Err(Broke::Io(_)) if Instant::now() < until => std::thread::sleep(PAUSE),
                opened => return opened.map_err(|broke| self.because(broke)),
            }
        }
    }
}

impl Link {
    fn open(access: &Access) -> Result<Self, Broke> {
        let addresses = access.address.to_socket_addrs()?.collect::<Vec<_>>();
        let address = addresses.first().ok_or(io::ErrorKind::NotFound).map_err(io::Error::from)?;
        let mut stream = TcpStream::connect_timeout(address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(HANDSHAKE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
        let mut handshake = Handshake::client(&access.key, Seed::new(seed))?;
        let mut message = [0; LENGTH + MAX_RECORD];
        let length = handshake.write(&mut message)?;
        stream.write_all(&message[..length])?;
        handshake.read(&read_record(&mut stream)?)?;
        Ok(Self { stream, transport: handshake.finish()?, text: Vec::new(), used: Instant::now() })
    }

    fn send(&mut self, text: &[u8]) -> Result<(), Broke> {
        let mut sealed = [0; LENGTH + MAX_RECORD];
        for piece in text.chunks(MAX_TEXT) {
            let length = self.transport.seal(piece, &mut sealed)?;
            self.stream.write_all(&sealed[..length])?;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<(u16, Vec<u8>), Broke> {
        loop {
            if let Some((code, head, length)) = read_answer(&self.text)?
                && self.text.len() >= head + length
            {
                let body = self.text[head..head + length].to_vec();
                self.text.drain(..head + length);
                return Ok((code, body));
            }
            let record = read_record(&mut self.stream)?;
            let from = self.text.len();
            self.text.resize(from + MAX_TEXT, 0);
            let length = self.transport.open(&record, &mut self.text[from..])?;
            self.text.truncate(from + length);
        }
    }
}

fn read_record(stream: &mut TcpStream) -> Result<Vec<u8>, Broke> {
    let mut announced = [0; LENGTH];
    stream.read_exact(&mut announced)?;
    let mut record = vec![0; record_length(announced)?];
    stream.read_exact(&mut record)?;
    Ok(record)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(bytes).map_err(|error| ClientError::Strange(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Role;
    use api::types::Done;
    use secure::Secret;
    use std::net::TcpListener;
    use std::thread::{JoinHandle, spawn};

    fn secret() -> Secret {
        Secret::new([3; 32])
    }

    /// Takes one connection after the other, each with one request, and answers as `answers` says, or goes. Answers with the requests.
    fn serve(answers: &'static [Option<&str>]) -> (Client, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = spawn(move || answers.iter().map(|answer| serve_one(&listener, *answer)).collect());
        (Client::new(Access::of(address, &secret(), Role::Operator)), server)
    }

    fn serve_one(listener: &TcpListener, answer: Option<&str>) -> String {
        let (mut stream, _) = listener.accept().unwrap();
        let mut handshake = Handshake::server(&secret(), Seed::new([4; 32])).unwrap();
        let mut record = [0; LENGTH + MAX_RECORD];
        handshake.read(&read_record(&mut stream).ok().unwrap()).unwrap();
        let length = handshake.write(&mut record).unwrap();
        stream.write_all(&record[..length]).unwrap();
        let mut link =
            Link { stream, transport: handshake.finish().unwrap(), text: Vec::new(), used: Instant::now() };
        let record = read_record(&mut link.stream).ok().unwrap();
        let mut text = vec![0; MAX_TEXT];
        let length = link.transport.open(&record, &mut text).unwrap();
        if let Some(body) = answer {
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            link.send(answer.as_bytes()).ok().unwrap();
        }
        String::from_utf8_lossy(&text[..length]).lines().next().unwrap_or_default().into()
    }

    #[test]
    fn what_changes_something_is_asked_for_once() {
        let (mut client, server) = serve(&[None]);
        let error = client.post::<Done>("/v1/vms/web/console", b"line").unwrap_err();
        assert!(matches!(error, ClientError::Unsure { .. }) && !error.is_access(), "{error}");
        assert_eq!(server.join().unwrap(), ["POST /v1/vms/web/console HTTP/1.1"]);
    }

    #[test]
    fn what_only_looks_is_asked_for_again() {
        let (mut client, server) = serve(&[None, Some(r#"{"message":"it is there"}"#)]);
        assert_eq!(client.get::<Done>("/v1/host").unwrap().message, "it is there");
        assert_eq!(server.join().unwrap().len(), 2);
    }

    #[test]
    fn what_says_how_something_is_to_be_is_said_again() {
        let (mut client, server) = serve(&[None, Some(r#"{"message":"it is written"}"#)]);
        assert_eq!(client.put::<Done>("/v1/volumes/disk0/content", b"x").unwrap().message, "it is written");
        assert_eq!(server.join().unwrap().len(), 2);
    }

    #[test]
    fn a_host_that_never_answers_cannot_be_reached() {
        let (mut client, server) = serve(&[None, None]);
        assert!(client.get::<Done>("/v1/host").unwrap_err().is_access());
        server.join().unwrap();
    }
}
