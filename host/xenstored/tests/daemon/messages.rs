//! Messages as they come over a socket: in pieces, many at once, and broken.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use xenstore_client::wire::Kind;
use xenstore_client::{Request, terminated};

use crate::harness::{Daemon, PATIENCE};

/// A request as it goes over the wire.
fn message(kind: u32, id: u32, payload: &[u8]) -> Vec<u8> {
    let words = [kind, id, 0, payload.len() as u32];
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend_from_slice(payload);
    bytes
}

fn raw(daemon: &Daemon) -> UnixStream {
    let stream = UnixStream::connect(daemon.socket()).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream
}

/// The kind, number and payload of the next message.
fn answer(stream: &mut UnixStream) -> (u32, u32, Vec<u8>) {
    let mut header = [0; 16];
    stream.read_exact(&mut header).expect("a header");
    let word = |index: usize| u32::from_le_bytes(*header[4 * index..].first_chunk().expect("four bytes"));
    let mut payload = vec![0; word(3) as usize];
    stream.read_exact(&mut payload).expect("a payload");
    (word(0), word(1), payload)
}

const WRITE: u32 = 11;
const READ: u32 = 2;
const ERROR: u32 = 16;

#[test]
fn a_request_may_come_byte_by_byte() {
    let daemon = Daemon::start(&["-D"]);
    let mut stream = raw(&daemon);
    for byte in message(WRITE, 7, b"/slow\0value") {
        stream.write_all(&[byte]).expect("sent");
        // Another client is answered in between.
        assert_eq!(daemon.client().domain_path(1).expect("answered"), "/local/domain/1");
    }
    assert_eq!(answer(&mut stream), (WRITE, 7, b"OK\0".to_vec()));
    assert_eq!(daemon.client().read(0, "/slow").expect("there"), b"value");
}

#[test]
fn the_largest_request_fits_and_a_larger_one_ends_the_connection() {
    let daemon = Daemon::start(&["-D"]);
    let mut stream = raw(&daemon);
    let mut payload = b"/large\0".to_vec();
    payload.resize(4096, b'x');
    stream.write_all(&message(WRITE, 1, &payload)).expect("sent");
    assert_eq!(answer(&mut stream), (WRITE, 1, b"OK\0".to_vec()));
    assert_eq!(daemon.client().read(0, "/large").expect("there"), payload[7..]);
    // What comes before it is still answered, what comes with it is not.
    let mut two = message(READ, 2, b"/large\0");
    two.extend(message(WRITE, 3, &[0; 4097]));
    stream.write_all(&two).expect("sent");
    assert_eq!(answer(&mut stream).1, 2);
    assert_eq!(stream.read(&mut [0; 1]).expect("closed"), 0);
    assert_eq!(daemon.client().domain_path(1).expect("answered"), "/local/domain/1");
}

#[test]
fn a_kind_that_does_not_exist_is_an_error_and_no_more() {
    let daemon = Daemon::start(&["-D"]);
    let mut stream = raw(&daemon);
    for kind in [20, 23, 1000, u32::MAX] {
        stream.write_all(&message(kind, 5, b"x\0")).expect("sent");
        assert_eq!(answer(&mut stream), (ERROR, 5, b"ENOSYS\0".to_vec()), "kind {kind}");
    }
}

#[test]
fn a_client_that_hangs_up_gets_what_it_asked_for_before() {
    let daemon = Daemon::start(&["-D"]);
    let mut stream = raw(&daemon);
    let mut all = Vec::new();
    for number in 0..500 {
        all.extend(message(WRITE, number, format!("/parting/{number}\0x").as_bytes()));
    }
    stream.write_all(&all).expect("sent");
    stream.shutdown(std::net::Shutdown::Write).expect("shut");
    for number in 0..500 {
        assert_eq!(answer(&mut stream), (WRITE, number, b"OK\0".to_vec()));
    }
    assert_eq!(stream.read(&mut [0; 1]).expect("closed"), 0);
    assert_eq!(daemon.client().directory(0, "/parting").expect("there").len(), 500);
}

#[test]
fn many_requests_at_once_are_answered_in_order() {
    let daemon = Daemon::start(&["-D"]);
    let mut client = daemon.client();
    let writes: Vec<Request> = (0..2000)
        .map(|number| Request {
            kind: Kind::Write,
            transaction: 0,
            payload: format!("/many/{}\0{number}", number % 100).into_bytes(),
        })
        .collect();
    let answers = client.pipeline(&writes).expect("answered");
    assert!(answers.iter().all(|answer| answer.as_deref().is_ok_and(|payload| payload == b"OK\0")));
    let reads: Vec<Request> = (0..100)
        .map(|number| Request {
            kind: Kind::Read,
            transaction: 0,
            payload: terminated(&[&format!("/many/{number}")]),
        })
        .collect();
    for (number, answer) in (0..).zip(client.pipeline(&reads).expect("answered")) {
        assert_eq!(answer.expect("there"), format!("{}", 1900 + number).into_bytes());
    }
}

#[test]
fn events_and_answers_come_in_the_order_of_what_happened() {
    let daemon = Daemon::start(&["-D"]);
    let (mut watcher, mut writer) = (daemon.client(), daemon.client());
    watcher.watch("/seen", "token").expect("watched");
    watcher.next_event(PATIENCE).expect("read").expect("the first event");
    for number in 0..300 {
        writer.write(0, &format!("/seen/{number}"), b"x").expect("written");
    }
    for number in 0..300 {
        let event = watcher.next_event(PATIENCE).expect("read").expect("an event");
        assert_eq!(event.path, format!("/seen/{number}").into_bytes());
    }
}
