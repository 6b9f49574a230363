//! Streams of bytes that say nothing, in either direction, and datagrams.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

/// Bytes that are read or written with one call.
const PIECE: usize = 128 << 10;

/// The longest datagram that is counted.
const DATAGRAM: usize = 2048;

/// Takes connections, reads each to its end and closes it, for ever.
pub fn swallow(listener: &TcpListener) {
    // Whoever sends notices if something is wrong.
    for mut stream in listener.incoming().flatten() {
        thread::spawn(move || drain(&mut stream));
    }
}

/// Takes connections, writes so many bytes to each and closes it, for ever.
pub fn pour_for_all(listener: &TcpListener, bytes: u64) {
    // As above: whoever reads.
    for mut stream in listener.incoming().flatten() {
        thread::spawn(move || write(&mut stream, bytes));
    }
}

/// Reads to the end; returns how many bytes there were.
///
/// # Errors
/// When the connection breaks.
pub fn drain(stream: &mut TcpStream) -> Result<u64> {
    let (mut sum, mut piece) = (0, vec![0; PIECE]);
    loop {
        match stream.read(&mut piece)? {
            0 => return Ok(sum),
            count => sum += count as u64,
        }
    }
}

/// Connects, writes so many bytes and waits until the other end has read them and closes; returns how many there were.
///
/// # Errors
/// When the connection breaks.
pub fn pour(to: SocketAddrV4, bytes: u64) -> Result<u64> {
    let mut stream = TcpStream::connect(to)?;
    write(&mut stream, bytes)?;
    ensure!(drain(&mut stream)? == 0, "the other end has sent something back");
    Ok(bytes)
}

fn write(stream: &mut TcpStream, bytes: u64) -> Result<()> {
    let piece = vec![0x5d; PIECE];
    let mut left = bytes;
    while left > 0 {
        let count = left.min(PIECE as u64);
        stream.write_all(&piece[..count as usize])?;
        left -= count;
    }
    Ok(stream.shutdown(Shutdown::Write)?)
}

/// Counts datagrams, until the socket is gone.
pub fn count(socket: &UdpSocket, counted: &AtomicU64) {
    let mut datagram = [0; DATAGRAM];
    while socket.recv(&mut datagram).is_ok() {
        counted.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends datagrams of `payload` bytes, one after the other, for so long; returns how many.
///
/// # Errors
/// When the system refuses one.
pub fn flood(to: SocketAddrV4, payload: usize, time: Duration) -> Result<u64> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(to)?;
    let (end, datagram, mut count) = (Instant::now() + time, vec![0x5d; payload], 0);
    while Instant::now() < end {
        socket.send(&datagram)?;
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn what_is_poured_is_swallowed() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let Ok(SocketAddr::V4(at)) = listener.local_addr() else { panic!("an address of another kind") };
        thread::spawn(move || swallow(&listener));
        let bytes = 3 * PIECE as u64 + 7;
        assert_eq!(pour(at, bytes).unwrap(), bytes);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let from = listener.local_addr().unwrap();
        thread::spawn(move || pour_for_all(&listener, bytes));
        assert_eq!(drain(&mut TcpStream::connect(from).unwrap()).unwrap(), bytes);
    }
}
