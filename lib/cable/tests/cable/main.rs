//! Frames pass whole and in order; a reset of either end, or rubbish in the memory, costs frames and nothing else.

use cable::{End, MAX_FRAME, Side};
use proptest::prelude::*;
use std::sync::atomic::AtomicU64;
use uk_abi::testing::Mortal;

/// Words of a page: the smallest cable.
const PAGE: usize = 512;

fn frame(number: u8, length: usize) -> Vec<u8> {
    (0..length).map(|at| number.wrapping_add(at as u8)).collect()
}

fn next<W: uk_abi::Words>(end: &End<W>) -> Option<Vec<u8>> {
    let mut buffer = [0; MAX_FRAME];
    end.receive(&mut buffer).map(|length| buffer[..length].to_vec())
}

#[test]
fn too_little_memory_is_no_cable() {
    assert!(End::new(&Mortal::zeroed(PAGE - 1), Side::First).is_none());
}

#[test]
fn what_is_no_frame_is_not_sent() {
    let memory = Mortal::zeroed(PAGE);
    let end = End::new(&memory, Side::First).unwrap();
    assert!(!end.send(&frame(0, 13)));
    assert!(!end.send(&frame(0, MAX_FRAME + 1)));
    assert!(end.send(&frame(0, 14)) && end.send(&frame(0, MAX_FRAME)));
}

#[test]
fn a_frame_that_is_too_long_for_the_buffer_is_passed_over() {
    let memory = Mortal::zeroed(PAGE);
    let (first, second) = (End::new(&memory, Side::First).unwrap(), End::new(&memory, Side::Second).unwrap());
    assert!(first.send(&frame(1, 200)) && first.send(&frame(2, 60)));
    let mut buffer = [0; 100];
    assert_eq!(second.receive(&mut buffer), Some(60));
    assert_eq!(buffer[..60], frame(2, 60));
    assert!(!second.has_waiting());
}

#[test]
fn a_sender_that_dies_has_sent_whole_frames() {
    let sent = [frame(1, 60), frame(2, 99), frame(3, 700)];
    for stores in 0.. {
        let memory = Mortal::zeroed(PAGE);
        memory.die_after(stores);
        let first = End::new(&memory, Side::First).unwrap();
        for frame in &sent {
            first.send(frame);
        }
        let has_died = memory.revive();
        let second = End::new(&memory, Side::Second).unwrap();
        let found: Vec<_> = std::iter::from_fn(|| next(&second)).collect();
        assert!(sent.starts_with(&found));
        // The next life sends on, and is heard.
        assert!(End::new(&memory, Side::First).unwrap().send(&frame(9, 80)));
        assert_eq!(next(&second), Some(frame(9, 80)));
        if !has_died {
            assert_eq!(found, sent);
            break;
        }
    }
}

#[test]
fn ends_on_two_threads_lose_nothing_that_had_room() {
    let memory: Vec<AtomicU64> = (0..4 * PAGE).map(|_| AtomicU64::new(0)).collect();
    let (first, second) =
        (End::new(&memory[..], Side::First).unwrap(), End::new(&memory[..], Side::Second).unwrap());
    let length = |number: u32| 14 + number as usize % (MAX_FRAME - 14);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..20_000 {
                while !first.send(&frame(number as u8, length(number))) {
                    std::thread::yield_now();
                }
            }
        });
        for number in 0..20_000 {
            let found = loop {
                match next(&second) {
                    Some(found) => break found,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(found, frame(number as u8, length(number)));
        }
    });
}

#[derive(Clone, Debug)]
enum Step {
    Send(Side, usize),
    Receive(Side),
}

fn step() -> impl Strategy<Value = Step> {
    let side = || prop_oneof![Just(Side::First), Just(Side::Second)];
    prop_oneof![
        (side(), 14..=MAX_FRAME).prop_map(|(side, length)| Step::Send(side, length)),
        side().prop_map(Step::Receive),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn frames_arrive_in_order(steps in prop::collection::vec(step(), 1..200), pages in 1..4usize) {
        let memory = Mortal::zeroed(pages * PAGE);
        let end = |side| End::new(&memory, side).unwrap();
        let mut under_way = [std::collections::VecDeque::new(), std::collections::VecDeque::new()];
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Send(side, length) => {
                    let frame = frame(number as u8, length);
                    if end(side).send(&frame) {
                        under_way[side as usize].push_back(frame);
                    } else {
                        prop_assert!(!under_way[side as usize].is_empty(), "an empty cable has room");
                    }
                }
                Step::Receive(side) => {
                    prop_assert_eq!(next(&end(side)), under_way[1 - side as usize].pop_front());
                }
            }
        }
    }

    #[test]
    fn after_rubbish_the_cable_works(words in prop::collection::vec(any::<u64>(), PAGE)) {
        let memory = Mortal::new(words);
        let (first, second) = (End::new(&memory, Side::First).unwrap(), End::new(&memory, Side::Second).unwrap());
        // Each end settles what it alone writes; what was rubbish may pass for frames once.
        while next(&first).is_some() | next(&second).is_some() {}
        prop_assert!(first.send(&frame(1, 400)));
        prop_assert_eq!(next(&second), Some(frame(1, 400)));
        prop_assert!(second.send(&frame(2, 500)));
        prop_assert_eq!(next(&first), Some(frame(2, 500)));
    }
}
