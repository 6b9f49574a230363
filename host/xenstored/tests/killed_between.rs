//! A socket's streams survive the death of who serves them, at any moment: not a byte is lost, repeated or changed.
//!
//! A serving process receives and sends a known pattern of bytes and is killed again and again; the next one goes on with
//! the same socket. The client at the other end checks the pattern all along.
//!
//! The serving process is this test program once more.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use linux::shared::SharedMemory;
use xenstored::account;
use xenstored::socket::{self, Doubt, Sockets};
use xenstored::supervisor::{Line, News, Order, Received};

const KILLS: u32 = 300;
/// How the program is told that it is to serve.
const SERVE: &str = "XENSTORED_TEST_SERVE";

fn pattern(position: u64) -> u8 {
    (position.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// Small numbers that look random.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    *state >> 33
}

/// In the serving process: takes the memory and the socket over, settles what is in doubt, and serves until it is killed.
fn serve() -> ! {
    let line = Line::new(std::io::stdin().as_fd().try_clone_to_owned().expect("a line"));
    let mut given = Vec::new();
    let mut wrote = None;
    let mut seed = 0;
    while given.len() < 2 {
        match line.receive::<Order>().expect("an order") {
            Received::Message(Order::Lead { predecessor_wrote, live, .. }, _) => {
                (wrote, seed) = (predecessor_wrote, live)
            }
            Received::Message(_, Some(file)) => given.push(file),
            Received::Message(_, None) => panic!("a file was expected"),
            Received::Nothing => thread::yield_now(),
            Received::Gone => std::process::exit(0),
        }
    }
    let client: OwnedFd = given.pop().expect("a socket");
    let file = std::fs::File::from(given.pop().expect("a memory"));
    let memory = Box::leak(Box::new(SharedMemory::map(&file, socket::MEMORY).expect("mapped")));
    let sockets = Sockets::new(memory);
    assert_ne!(sockets.settle(wrote), Doubt::Unknown(1), "the account of the dead process was wrong");
    account::settle().expect("the kernel counts");
    line.send(&News::Leading, None).expect("sent");
    let mut stream = sockets.serve(1, client).expect("taken over");
    let mut state = u64::from(seed) + 1;
    let mut bytes = [0; 9000];
    loop {
        // What is consumed must be what the client has sent at that position.
        let more = stream.receive().expect("received");
        let length = stream.peek(0, &mut bytes[..random(&mut state) as usize % 9000]);
        let consumed = stream.consumed();
        for (position, byte) in (consumed..).zip(&bytes[..length]) {
            assert_eq!(*byte, pattern(position), "input at {position}");
        }
        stream.consume_to(consumed + length as u64);
        let length = random(&mut state) as usize % 9000;
        for (position, byte) in (stream.produced()..).zip(&mut bytes[..length]) {
            *byte = pattern(position);
        }
        let sent = stream.produce(&bytes[..length]).expect("sent");
        if !more && sent == 0 {
            thread::yield_now();
        }
    }
}

/// The client: sends the pattern and checks what comes. Answers how much of either there was.
fn client(mut socket: UnixStream, stop: &AtomicBool, received: &AtomicU64) -> u64 {
    let mut bytes = [0; 7000];
    let (mut sent, mut got, mut state) = (0_u64, 0_u64, 7);
    while !stop.load(Ordering::Relaxed) {
        match socket.read(&mut bytes) {
            Ok(0) => panic!("the socket was closed"),
            Ok(length) => {
                for (position, byte) in (got..).zip(&bytes[..length]) {
                    assert_eq!(*byte, pattern(position), "output at {position}");
                }
                got += length as u64;
                received.store(got, Ordering::Relaxed);
            }
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
        let length = random(&mut state) as usize % 7000;
        for (position, byte) in (sent..).zip(&mut bytes[..length]) {
            *byte = pattern(position);
        }
        sent += socket.write(&bytes[..length]).unwrap_or(0) as u64;
    }
    sent
}

fn main() {
    if std::env::var_os(SERVE).is_some() {
        serve();
    }
    let file = tempfile::tempfile().expect("a file");
    file.set_len(socket::MEMORY as u64).expect("room");
    let (here, there) = UnixStream::pair().expect("a pair");
    socket::prepare(there.as_fd()).expect("prepared");
    here.set_nonblocking(true).expect("set");
    let (stop, received) = (&AtomicBool::new(false), &AtomicU64::new(0));
    thread::scope(|scope| {
        let _stopped_in_any_case = Stop(stop);
        let client = scope.spawn(move || client(here, stop, received));
        let mut wrote = Some(0);
        let mut state = 1;
        for round in 0..KILLS {
            let (line, end) = Line::pair().expect("a pair");
            let mut server = Command::new(std::env::current_exe().expect("a path"))
                .env(SERVE, "1")
                .stdin(Stdio::from(end))
                .stdout(Stdio::null())
                .spawn()
                .expect("started");
            line.send(&Order::Lead { predecessor_wrote: wrote, fresh: false, live: round as u8 }, None)
                .expect("sent");
            line.send(&Order::Memory, Some(file.as_fd())).expect("sent");
            line.send(&Order::Serve(1), Some(there.as_fd())).expect("sent");
            while !matches!(line.receive::<News>().expect("received"), Received::Message(News::Leading, _)) {
                assert!(server.try_wait().expect("waited").is_none(), "the server ended by itself");
                thread::yield_now();
            }
            thread::sleep(Duration::from_micros(random(&mut state) % 2000));
            assert!(server.try_wait().expect("waited").is_none(), "the server ended by itself");
            let pid = server.id();
            server.kill().expect("killed");
            wrote = Some(account_of_the_dead(pid));
            server.wait().expect("reaped");
            assert!(!client.is_finished(), "the client found something wrong");
        }
        assert!(received.load(Ordering::Relaxed) > 0, "the client was served");
        drop(Stop(stop));
        let heard = client.join().expect("the client found nothing wrong");
        assert!(heard > 0, "the client was heard");
    });
}

/// Ends the client, so that a test that fails ends too.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What the process had written, once it is dead; it stays unreaped meanwhile.
fn account_of_the_dead(pid: u32) -> u64 {
    let stat = format!("/proc/{pid}/stat");
    while !std::fs::read_to_string(&stat).expect("not reaped yet").contains(") Z ") {
        thread::yield_now();
    }
    account::of_process(pid).expect("the kernel counts")
}
