//! A server of small documents, and clients that ask it for one after the other, as Apache's `ab` does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};

use crate::order::Figures;

/// Bytes of the document.
const DOCUMENT: usize = 1024;

/// The most clients that are answered at a time.
const CLIENTS: usize = 16;

/// For how long an answer is waited for. QEMU's own network sends again what was lost after up to a minute.
const PATIENCE: Duration = Duration::from_secs(150);

const KEEP_ALIVE: &str = "Connection: keep-alive";

/// What the clients do.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Load {
    /// Where the server is.
    pub at: SocketAddrV4,
    /// How many clients there are at a time.
    pub clients: usize,
    /// How many requests they make in all.
    pub requests: usize,
    /// Whether a client stays connected from one request to the next.
    pub keep_alive: bool,
}

impl Load {
    /// Makes the requests. A time is that from the connection, or with `keep_alive` from the request, to the end of the answer.
    ///
    /// # Errors
    /// When a request fails, however late.
    pub fn run(&self) -> Result<Figures> {
        let left = AtomicUsize::new(self.requests);
        let started = Instant::now();
        let times_us = thread::scope(|scope| {
            let clients: Vec<_> = (0..self.clients).map(|_| scope.spawn(|| self.ask(&left))).collect();
            let mut all = Vec::new();
            for client in clients {
                all.append(&mut client.join().map_err(|_| anyhow!("a client has ended itself"))??);
            }
            anyhow::Ok(all)
        })?;
        let took_us = started.elapsed().as_micros() as u64;
        Ok(Figures { took_us, count: times_us.len() as u64, times_us })
    }

    /// What one client does: asks while requests are left.
    fn ask(&self, left: &AtomicUsize) -> Result<Vec<u64>> {
        let mut times_us = Vec::new();
        let mut connection = None;
        while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            let started = Instant::now();
            let mut open = match connection.take() {
                Some(open) => open,
                None => Connection::open(self.at)?,
            };
            open.request(self.keep_alive)?;
            times_us.push(started.elapsed().as_micros() as u64);
            connection = Some(open).filter(|_| self.keep_alive);
        }
        Ok(times_us)
    }
}

/// A client's connection.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(at: SocketAddrV4) -> Result<Self> {
        let stream = TcpStream::connect(at).with_context(|| format!("connecting to {at}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn request(&mut self, keep_alive: bool) -> Result<()> {
        let connection = if keep_alive { KEEP_ALIVE } else { "Connection: close" };
        let request = format!("GET /document HTTP/1.0\r\nHost: guest\r\nAccept: */*\r\n{connection}\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes())?;
        let (mut length, mut line) = (None, String::new());
        loop {
            line.clear();
            ensure!(self.0.read_line(&mut line)? > 0, "the server has closed the connection");
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            length = text.strip_prefix("Content-Length: ").and_then(|text| text.parse().ok()).or(length);
        }
        ensure!(length == Some(DOCUMENT), "a document of {DOCUMENT} bytes was expected, found {length:?}");
        Ok(self.0.read_exact(&mut [0; DOCUMENT])?)
    }
}

/// Answers requests at `listener`, for ever, so many clients at a time. A thread for each of them would be what is measured: guests make
/// threads more slowly than they answer.
pub fn serve(listener: &TcpListener) {
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            // A client that goes ends its connection, and nothing else.
            scope.spawn(|| listener.incoming().flatten().for_each(|stream| _ = answer(stream)));
        }
    });
}

fn answer(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut sink = stream.try_clone()?;
    let mut source = BufReader::new(stream);
    let head = format!("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {DOCUMENT}\r\n\r\n");
    let answer = [head.as_bytes(), &[b'x'; DOCUMENT]].concat();
    loop {
        let (mut stays, mut line) = (false, String::new());
        loop {
            line.clear();
            if source.read_line(&mut line)? == 0 {
                return Ok(());
            }
            stays |= line.trim_end() == KEEP_ALIVE;
            if line.trim_end().is_empty() {
                break;
            }
        }
        sink.write_all(&answer)?;
        if !stays {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddr};

    #[test]
    fn every_request_is_answered_and_timed() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let Ok(SocketAddr::V4(at)) = listener.local_addr() else { panic!("an address of another kind") };
        thread::spawn(move || serve(&listener));
        for (clients, keep_alive) in [(1, true), (1, false), (8, true), (8, false)] {
            let figures = Load { at, clients, requests: 50, keep_alive }.run().unwrap();
            assert_eq!((figures.count, figures.times_us.len()), (50, 50));
        }
    }
}
