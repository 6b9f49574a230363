//! Every message is answered exactly once, by a server that dies at every moment and whose memory is damaged.

use crate::ring::{Broken, Pipe, RING};
use crate::world::{Memory, Random};
use replica::frame::Stamp;
use replica::session::{Framing, Next, OUT_BYTES, Recovered, SessionError, Sessions, Stream};
use uk_abi::testing::Fuse;

/// Messages: two bytes with the length, and so many more.
struct Prefixed;

impl Framing for Prefixed {
    const HEADER: usize = 2;
    const MESSAGE_MAX: usize = 3002;

    fn length(header: &[u8]) -> Option<usize> {
        let length = 2 + usize::from(u16::from_le_bytes([header[0], header[1]]));
        (length <= Self::MESSAGE_MAX).then_some(length)
    }
}

type Table = Sessions<Memory, Prefixed>;

const OWNER: u32 = 77;

fn message(content: &[u8]) -> Vec<u8> {
    let mut message = (content.len() as u16).to_le_bytes().to_vec();
    message.extend_from_slice(content);
    message
}

/// Opens the sessions, and begins the one of the test if it is not there.
fn open(memory: &Memory, pipe: &Pipe) -> Table {
    let (mut sessions, recovered) = Table::open(memory.clone());
    match recovered[..] {
        [Recovered::Open { slot: 1, owner: OWNER, .. }] => {}
        [] => sessions.begin(1, OWNER, Stamp::default(), pipe).expect("the ring is sound"),
        _ => panic!("{recovered:?}"),
    }
    sessions
}

/// Answers each message with the same one, up to four at a time.
fn serve(sessions: &mut Table, pipe: &mut Pipe) -> Result<(), SessionError<Broken>> {
    sessions.deliver(1, pipe)?;
    let mut request = Vec::new();
    for _ in 0..4 {
        if sessions.room(1) < Prefixed::MESSAGE_MAX
            || sessions.next_message(1, pipe, &mut request)? == Next::Nothing
        {
            break;
        }
        sessions.queue(1, &request);
        sessions.applied(1, request.len());
        sessions.commit(1);
    }
    sessions.deliver(1, pipe)?;
    sessions.consume(1, pipe)
}

/// What a client sends: short messages, some that just fit into the ring, some that do not.
fn conversation(random: &mut Random) -> Vec<u8> {
    let lengths = [0, 5, 19, 40, 333, RING - 2, RING - 1, 2500, 3000];
    (0..5)
        .flat_map(|_| {
            let length = lengths[random.below(lengths.len())];
            message(&(0..length).map(|_| random.next() as u8).collect::<Vec<_>>())
        })
        .collect()
}

/// Runs a conversation with a server that dies at `moment`, then lives. Bits are flipped when it is dead.
fn run(seed: u64, start: u32, moment: u64, flips: bool) -> u64 {
    let mut random = Random(seed);
    let fuse = Fuse::default();
    let memory = Memory::new(3 * Table::SLOT_WORDS, &fuse);
    let mut pipe = Pipe::ring(start, &fuse);
    let sent = conversation(&mut random);
    let (mut to_send, mut received) = (&sent[..], Vec::new());
    let mut left = moment;
    let mut sessions = None;
    let mut idle = 0;
    while received.len() < sent.len() {
        assert!(idle < 200, "seed {seed} start {start} moment {moment} stuck at {}", received.len());
        idle += 1;
        let before = (to_send.len(), received.len());
        to_send = &to_send[pipe.send(&to_send[..random.below(1500).min(to_send.len())])..];
        let passed = fuse.passed();
        let alive = fuse.run(left, || {
            let sessions = sessions.get_or_insert_with(|| open(&memory, &pipe));
            serve(sessions, &mut pipe).expect("the client is honest");
            assert_eq!(sessions.scrub(1), Ok(false));
        });
        left = left.saturating_sub(fuse.passed() - passed);
        if alive.is_none() {
            left = u64::MAX;
            sessions = None;
        }
        // Only a slot that was in use has two copies.
        let in_use = || Table::open(memory.clone()).0.open_slots().count() == 1;
        if flips && in_use() && (alive.is_none() || random.once_in(3)) {
            // Anywhere in the slot: found and mended by who opens it, by the scrubber, or before it is delivered.
            memory.flip(Table::SLOT_WORDS + random.below(Table::SLOT_WORDS), random.below(64) as u32);
            if random.once_in(2) {
                sessions = None;
            } else if let Some(sessions) = &mut sessions {
                sessions.scrub(1).expect("one copy is sound");
            }
        }
        received.extend(pipe.receive(random.below(900)));
        assert!(sent.starts_with(&received), "seed {seed} start {start} moment {moment}");
        if before != (to_send.len(), received.len()) {
            idle = 0;
        }
    }
    assert_eq!(received, sent);
    fuse.passed()
}

#[test]
fn each_message_is_answered_once_whenever_the_server_dies() {
    for seed in 0..4 {
        // Positions wrap around in some of the conversations.
        let start = 0_u32.wrapping_sub(seed as u32 * 1500);
        let moments = run(seed, start, u64::MAX, false);
        for moment in (0..moments).step_by(if seed == 0 { 1 } else { 7 }) {
            run(seed, start, moment, false);
        }
    }
}

#[test]
fn flipped_bits_change_nothing() {
    for seed in 0..2000 {
        let mut random = Random(seed);
        run(seed, random.next() as u32, random.below(4000) as u64, true);
    }
}

#[test]
fn damage_to_both_copies_is_found() {
    let fuse = Fuse::default();
    let memory = Memory::new(3 * Table::SLOT_WORDS, &fuse);
    let mut pipe = Pipe::with_window(4, 0, &fuse);
    let mut sessions = open(&memory, &pipe);
    let stamp = Stamp { term: 2, sequence: 9 };
    sessions.queue(1, &message(b"not taken yet"));
    sessions.stamped(1, stamp);
    sessions.commit(1);
    assert_eq!(sessions.deliver(1, &mut pipe), Ok(false));
    let byte = sessions.out_byte(1, 0) + 8;
    for half in [0, Table::SLOT_WORDS / 2] {
        memory.flip(byte / 8 + half, 3);
    }
    pipe.receive(4);
    assert_eq!(sessions.deliver(1, &mut pipe), Err(SessionError::Damaged));
    assert_eq!(pipe.receive(100), b"");
    assert_eq!(sessions.scrub(1), Err(SessionError::Damaged));
    let (sessions, recovered) = Table::open(memory.clone());
    assert_eq!(recovered, [Recovered::Lost { slot: 1, owner: Some(OWNER) }]);
    assert_eq!((sessions.free_slot(), sessions.stamp()), (Some(0), stamp));
    assert_eq!(Table::open(memory).1, []);
}

#[test]
fn a_slot_is_used_again_and_keeps_its_stamp() {
    let fuse = Fuse::default();
    let memory = Memory::new(3 * Table::SLOT_WORDS, &fuse);
    let pipe = Pipe::ring(500, &fuse);
    let mut sessions = open(&memory, &pipe);
    assert_eq!(sessions.open_slots().collect::<Vec<_>>(), [(1, OWNER)]);
    let stamp = Stamp { term: 2, sequence: 9 };
    sessions.end(1, stamp);
    let (mut sessions, recovered) = Table::open(memory.clone());
    assert_eq!((recovered.len(), sessions.stamp(), sessions.capacity()), (0, stamp, 3));
    sessions.begin(1, OWNER + 1, Stamp::default(), &pipe).expect("the ring is sound");
    assert_eq!((sessions.stamp_of(1), sessions.room(1)), (stamp, OUT_BYTES));
    assert_eq!(Table::open(memory).0.open_slots().collect::<Vec<_>>(), [(1, OWNER + 1)]);
}

#[test]
fn hostile_counters_and_nonsense_end_the_session_only() {
    let fuse = Fuse::default();
    let memory = Memory::new(3 * Table::SLOT_WORDS, &fuse);
    let mut pipe = Pipe::ring(0, &fuse);
    let mut sessions = open(&memory, &pipe);
    let mut other = Pipe::ring(5000, &fuse);
    let mut found = Vec::new();
    assert_eq!(
        sessions.next_message(1, &mut other, &mut found),
        Err(SessionError::Input { staged: 0, consumed: 5000 })
    );
    assert_eq!(
        sessions.deliver(1, &mut other),
        Err(SessionError::Output { from: 0, queued: 0, produced: 5000 })
    );
    pipe.send(&[0xff; 100]);
    assert_eq!(sessions.next_message(1, &mut pipe, &mut found), Err(SessionError::NoMessage));
    assert_eq!(pipe.consumed(), Ok(0));
}

#[test]
fn equal_messages_are_seen_until_one_of_their_bytes_is_gone() {
    let fuse = Fuse::default();
    let memory = Memory::new(3 * Table::SLOT_WORDS, &fuse);
    let mut pipe = Pipe::with_window(20, 0, &fuse);
    let mut sessions = open(&memory, &pipe);
    let (first, second) = (message(b"a first message"), message(b"another"));
    sessions.queue(1, &first);
    assert!(sessions.holds(1, &first));
    sessions.queue(1, &second);
    sessions.commit(1);
    assert!(sessions.holds(1, &second));
    assert_eq!(sessions.deliver(1, &mut pipe), Ok(false));
    // All of the first and a part of the second are gone.
    assert!(!sessions.holds(1, &first) && !sessions.holds(1, &second));
    sessions.queue(1, &second);
    assert!(sessions.holds(1, &second));
    sessions.commit(1);
    assert!(!sessions.is_drained(1));
    let mut received = pipe.receive(100);
    while !sessions.deliver(1, &mut pipe).expect("sound") {
        received.extend(pipe.receive(100));
    }
    received.extend(pipe.receive(100));
    assert_eq!(received, [first, second.clone(), second].concat());
}
