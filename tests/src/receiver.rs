//! A receiver of notifications: a program on this machine, which QEMU's own network shows to the host's toolstack.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use api::types::Notification;
use hooks::signature;
use secure::{Secret, SigningKey};

use crate::api::SECRET;

/// This machine, on QEMU's own network.
const HERE: &str = "10.0.2.2";

/// The most bytes of a request.
const MOST: usize = 8 << 10;

/// How a receiver takes what it is told.
#[derive(Clone, Debug, Default)]
pub enum Mood {
    /// It takes it.
    #[default]
    Up,
    /// It says no.
    Cross,
    /// It says so much, which is no HTTP.
    Rubbish(usize),
    /// It says nothing, and keeps the connection.
    Stalling,
}

#[derive(Default)]
struct State {
    mood: Mood,
    /// How many have called.
    called: usize,
    heard: Vec<Notification>,
    stalled: Vec<TcpStream>,
}

/// A receiver, which is there until the test ends.
pub struct Receiver {
    address: String,
    state: Arc<Mutex<State>>,
}

impl Receiver {
    /// One that takes what it is told.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = format!("http://{HERE}:{}/rvmm?site=1", listener.local_addr()?.port());
        let state = Arc::new(Mutex::new(State::default()));
        let (key, shared) = (Secret::new(SECRET).signing_key(&address), Arc::clone(&state));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever calls may die at any time.
                let _ = answer(stream, &key, &shared);
            }
        });
        Ok(Self { address, state })
    }

    /// Where it is, as a host's description names it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// From now on it behaves so.
    pub fn set(&self, mood: Mood) {
        let mut state = self.state();
        state.mood = mood;
        state.stalled.clear();
    }

    /// How many have called so far.
    pub fn called(&self) -> usize {
        self.state().called
    }

    /// What it was told and has taken, in order.
    pub fn heard(&self) -> Vec<Notification> {
        self.state().heard.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn answer(mut stream: TcpStream, key: &SigningKey, state: &Mutex<State>) -> io::Result<()> {
    let (head, body) = request(&mut stream)?;
    let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    state.called += 1;
    if signature(&head) != Some(key.sign(&body)) {
        return stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n");
    }
    match state.mood {
        Mood::Up => {
            state.heard.push(serde_json::from_slice(&body)?);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        }
        Mood::Cross => stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"),
        Mood::Rubbish(bytes) => stream.write_all(&b"rubbish ".repeat(bytes / 8)),
        Mood::Stalling => {
            state.stalled.push(stream);
            Ok(())
        }
    }
}

/// The head and the body of a request.
fn request(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let body = end + 4..end + 4 + length.unwrap_or(0);
            if bytes.len() >= body.end {
                return Ok((head, bytes[body].to_vec()));
            }
        }
        let mut more = [0; 1024];
        match stream.read(&mut more)? {
            count if count > 0 && bytes.len() < MOST => bytes.extend_from_slice(&more[..count]),
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
