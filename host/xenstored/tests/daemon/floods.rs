//! A client that floods the daemon, or does not read, hurts nobody else and makes no memory grow.

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Instant;

use crate::harness::{Daemon, PATIENCE};

/// Resident memory of a process, in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn write_request(number: u32, path: &str) -> Vec<u8> {
    let payload = [path.as_bytes(), b"\0value"].concat();
    let words = [11, number, 0, payload.len() as u32];
    words.iter().flat_map(|word| word.to_le_bytes()).chain(payload).collect()
}

/// Sends until nothing more is taken for a while. Answers how many bytes that were.
fn send_until_stuck(stream: &mut UnixStream, most: usize, mut request: impl FnMut(u32) -> Vec<u8>) -> usize {
    stream.set_nonblocking(true).expect("set");
    let (mut sent, mut number, mut left) = (0, 0, Vec::new());
    let mut since = Instant::now();
    while sent < most && since.elapsed().as_millis() < 300 {
        if left.is_empty() {
            left = (0..100)
                .flat_map(|_| {
                    number += 1;
                    request(number)
                })
                .collect();
        }
        match stream.write(&left) {
            Ok(length) => {
                sent += length;
                left.drain(..length);
                since = Instant::now();
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                thread::yield_now();
            }
        }
    }
    sent
}

#[test]
fn a_client_that_reads_no_answers_is_not_read_from() {
    for replicas in ["1", "2"] {
        let daemon = Daemon::start(&["-D", "--replicas", replicas]);
        let mut flood = UnixStream::connect(daemon.socket()).expect("connected");
        let most = 64 << 20;
        let sent = send_until_stuck(&mut flood, most, |number| write_request(number, "/flood"));
        assert!(sent < most, "{sent} bytes were taken from somebody who reads nothing");
        // Others do not notice.
        let mut client = daemon.client();
        for number in 0..100 {
            client.write(0, "/calm", format!("{number}").as_bytes()).expect("written");
        }
        assert_eq!(client.read(0, "/calm").expect("there"), b"99");
        // And it goes on where it was when it does read.
        flood.set_nonblocking(false).expect("set");
        flood.set_read_timeout(Some(PATIENCE)).expect("set");
        let answers = sent / write_request(0, "/flood").len();
        let mut bytes = vec![0; answers * 19];
        std::io::Read::read_exact(&mut flood, &mut bytes).expect("every answer");
        for (number, answer) in (1_u32..).zip(bytes.chunks(19)) {
            assert_eq!(answer[4..8], number.to_le_bytes(), "answers are in order, none is missing");
        }
    }
}

#[test]
fn a_watcher_that_reads_no_events_takes_no_memory() {
    let daemon = Daemon::start(&["-D"]);
    let mut watcher = daemon.client();
    watcher.watch("/noise", "token").expect("watched");
    let mut client = daemon.client();
    let mut make_noise = |from: u32, to: u32| {
        for number in from..to {
            let path = format!("/noise/{}/{number}", "x".repeat(1000));
            client.write(0, &path, b"").expect("written");
            client.remove(0, &path).expect("removed");
        }
    };
    make_noise(0, 3000);
    let before = resident(daemon.pid());
    make_noise(3000, 12_000);
    let grown = resident(daemon.pid()).saturating_sub(before);
    // Nine thousand events of a kilobyte each, twice, would be eighteen megabytes.
    assert!(grown < 6000, "{grown} KiB more for events that nobody reads");
    // It is still served.
    watcher.next_event(PATIENCE).expect("read").expect("an event");
    watcher.write(0, "/watcher", b"lives").expect("written");
}

#[test]
fn floods_from_all_sides_leave_a_turn_to_everybody() {
    let daemon = Daemon::start(&["-D"]);
    thread::scope(|scope| {
        let floods: Vec<_> = (0..4)
            .map(|flood| {
                let mut client = daemon.client();
                scope.spawn(move || {
                    let request = |_| xenstore_client::Request {
                        kind: xenstore_client::wire::Kind::Write,
                        transaction: 0,
                        payload: format!("/flood/{flood}\0x").into_bytes(),
                    };
                    let requests: Vec<_> = (0..20_000).map(request).collect();
                    client.pipeline(&requests).expect("answered").len()
                })
            })
            .collect();
        let mut client = daemon.client();
        for number in 0..200 {
            client.write(0, "/calm", format!("{number}").as_bytes()).expect("written");
            assert_eq!(client.read(0, "/calm").expect("there"), format!("{number}").into_bytes());
        }
        for flood in floods {
            assert_eq!(flood.join().expect("answered"), 20_000);
        }
    });
}
