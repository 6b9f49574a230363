//! How often and how much.

use api::limits::{BURST, CONSOLE_BYTES, EVENTS, MAX_ANSWER, REQUESTS_PER_S, VOLUMES};
use api::types::{Console, Event, Events, Volume, VolumeUser, Volumes};
use api::{Bucket, Checksum};

#[test]
fn a_burst_is_served_and_then_a_steady_rate() {
    let mut bucket = Bucket::new();
    let served = (0..1000).filter(|_| bucket.take(5_000_000) == 0).count();
    assert_eq!(served, BURST as usize);
    // Who is refused does not wait longer for it.
    let wait_us = bucket.take(5_000_000);
    assert_eq!(wait_us, 1_000_000 / u64::from(REQUESTS_PER_S));
    assert_eq!(bucket.take(5_000_000 + wait_us), 0);
    let in_ten_seconds = (0..100_000).filter(|n| bucket.take(6_000_000 + n * 100) == 0).count();
    assert!((10 * REQUESTS_PER_S as usize..=11 * REQUESTS_PER_S as usize).contains(&in_ten_seconds));
}

#[test]
fn a_checksum_is_that_of_sha256sum() {
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(Checksum::of(b"abc"), expected);
    let mut checksum = Checksum::default();
    b"abc".iter().for_each(|byte| checksum.add(&[*byte]));
    assert_eq!(checksum.finish(), expected);
}

#[test]
fn the_largest_answers_fit() {
    let console = Console::new(u64::MAX - CONSOLE_BYTES as u64, &[0xff; CONSOLE_BYTES]);
    assert_eq!(console.bytes().unwrap(), [0xff; CONSOLE_BYTES]);
    assert!(serde_json::to_vec(&console).unwrap().len() <= MAX_ANSWER);
    // A label is of 36 units of UTF-16, and control characters of them take six bytes each in JSON; sixteen frontends can be connected.
    let user = VolumeUser { domid: u16::MAX, id: u32::MAX };
    let volume = Volume {
        name: "disk255/p128".into(),
        label: "\u{1}".repeat(36),
        bytes: u64::MAX,
        sector_bytes: 4096,
        read_only: false,
        state: "exclusive".into(),
        users: vec![user; 16],
    };
    let volumes = Volumes { volumes: vec![volume; VOLUMES], next: Some(u64::MAX) };
    assert!(serde_json::to_vec(&volumes).unwrap().len() <= MAX_ANSWER);
    // Root cuts a line at 232 bytes; the worst of them take six each in JSON.
    let event = Event { sequence: u64::MAX, at_us: u64::MAX, text: "x".repeat(232) };
    let events = Events { events: vec![event; EVENTS], next: u64::MAX };
    assert!(serde_json::to_vec(&events).unwrap().len() <= MAX_ANSWER);
}
