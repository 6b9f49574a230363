//! Requests over the encrypted channel, one after the other.

use crate::access::Access;
use api::http::{Method, NotAnAnswer, read_answer};
use api::limits::MAX_WAIT_S;
use api::{Problem, Status};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secure::{Broken, Handshake, LENGTH, MAX_RECORD, MAX_TEXT, Seed, Transport, record_length};
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long a host has to say something, beyond what it is asked to wait.
const PATIENCE: Duration = Duration::from_secs(MAX_WAIT_S + 10);

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
            Self::Strange(_) => false,
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

    /// Asks to have something done.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn post<T: DeserializeOwned>(&mut self, path: &str, body: &[u8]) -> Result<T, ClientError> {
        read(&self.ask(Method::Post, path, body)?)
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
        let is_new = self.link.is_none();
        let (code, bytes) = match self.try_ask(method, path, body) {
            // A host closes a connection that was idle, and a toolstack that was revived knows none. To look again does no harm.
            Err(ClientError::Connection { .. }) if method == Method::Get || !is_new => {
                self.try_ask(method, path, body)?
            }
            asked => asked?,
        };
        if Status::from_code(code).is_some_and(Status::is_success) {
            return Ok(bytes);
        }
        let problem = serde_json::from_slice(&bytes);
        Err(problem.map_or_else(|_| ClientError::Strange(format!("status {code}")), ClientError::Refused))
    }

    fn try_ask(&mut self, method: Method, path: &str, body: &[u8]) -> Result<(u16, Vec<u8>), ClientError> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => self.connect()?,
        };
        let Access { address, token, .. } = &self.access;
        let head = format!(
            "{} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
            method.name(),
            body.len()
        );
        let answer = link.send(head.as_bytes()).and_then(|()| link.send(body)).and_then(|()| link.receive());
        let answer = answer.map_err(|broke| self.because(broke))?;
        self.link = Some(link);
        Ok(answer)
    }

    fn because(&self, broke: Broke) -> ClientError {
        let address = self.access.address.clone();
        match broke {
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
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
        let mut handshake = Handshake::client(&access.key, Seed::new(seed))?;
        let mut message = [0; LENGTH + MAX_RECORD];
        let length = handshake.write(&mut message)?;
        stream.write_all(&message[..length])?;
        handshake.read(&read_record(&mut stream)?)?;
        Ok(Self { stream, transport: handshake.finish()?, text: Vec::new() })
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
