use super::*;
use crate::testing::Mortal;
use crate::text::Printable;
use core::sync::atomic::AtomicU64;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, thread, vec};

/// Room for a few records only.
const SMALL: usize = RING + 61;

fn drain<W: Words>(reader: &mut LogReader<W>, budget: u64) -> (Vec<String>, Drained) {
    let mut texts = vec![];
    let drained = reader.drain(budget, |record| texts.push(Printable(record.text).to_string()));
    (texts, drained)
}

#[test]
fn records_come_out_as_they_went_in() {
    let memory = Mortal::zeroed(SMALL);
    let writer = LogWriter::new(&memory).expect("room");
    let mut reader = LogReader::new(&memory).expect("room");
    assert!(writer.write(Level::Warn, 17, format_args!("ring {} has {}", 3, "stalled")));
    assert!(writer.write(Level::Info, 18, format_args!("")));
    let mut records = vec![];
    let drained = reader.drain(u64::MAX, |record| {
        records.push((record.level, record.time_us, record.text.to_vec()));
    });
    assert_eq!(records, [(Level::Warn, 17, b"ring 3 has stalled".to_vec()), (Level::Info, 18, vec![])]);
    assert_eq!(drained, Drained { records: 2, bytes: 56, ..Drained::default() });
    assert_eq!(reader.drain(u64::MAX, |_| ()), Drained::default());
}

#[test]
fn what_finds_no_room_is_dropped_and_counted_and_what_was_said_stays() {
    let memory = Mortal::zeroed(SMALL);
    let writer = LogWriter::new(&memory).expect("room");
    let mut reader = LogReader::new(&memory).expect("room");
    let written = (0..100).take_while(|n| writer.write(Level::Info, 0, format_args!("record {n:3}"))).count();
    assert!(!writer.write(Level::Error, 0, format_args!("important, but late")));
    let (texts, drained) = drain(&mut reader, u64::MAX);
    assert_eq!(texts, (0..written).map(|n| format!("record {n:3}")).collect::<Vec<_>>());
    assert_eq!(drained.dropped, 2);
    assert!(writer.write(Level::Info, 0, format_args!("room again")));
    let (texts, drained) = drain(&mut reader, u64::MAX);
    assert_eq!((texts, drained.dropped), (vec!["room again".to_string()], 0));
}

#[test]
fn long_text_is_cut_between_characters() {
    let memory = Mortal::zeroed(SMALL);
    let writer = LogWriter::new(&memory).expect("room");
    let mut reader = LogReader::new(&memory).expect("room");
    writer.write(Level::Info, 0, format_args!("{}é", "x".repeat(TEXT_MAX - 1)));
    assert_eq!(drain(&mut reader, u64::MAX).0, ["x".repeat(TEXT_MAX - 1)]);
}

#[test]
fn a_drain_ends_with_its_budget() {
    let memory = Mortal::zeroed(4096);
    let writer = LogWriter::new(&memory).expect("room");
    let mut reader = LogReader::new(&memory).expect("room");
    while writer.write(Level::Info, 0, format_args!("flood")) {}
    let (texts, drained) = drain(&mut reader, 100);
    assert_eq!((texts.len(), drained.bytes, drained.more), (5, 120, true), "24 bytes each");
    let mut left = 0;
    loop {
        let drained = reader.drain(100, |_| left += 1);
        assert!(drained.bytes < 100 + RECORD_MAX * 8);
        if !drained.more {
            break;
        }
    }
    assert_eq!(5 + left, (4096 - RING) / 3);
}

#[test]
fn too_small_is_an_error() {
    let needed = RING + RECORD_MAX as usize;
    let memory = Mortal::zeroed(needed - 1);
    assert_eq!(LogWriter::new(&memory).err(), Some(RingTooSmall { needed, found: needed - 1 }));
    assert!(LogReader::new(&memory).is_err());
}

#[test]
fn root_restarts_and_goes_on_where_it_was() {
    let memory = Mortal::zeroed(SMALL);
    let writer = LogWriter::new(&memory).expect("room");
    writer.write(Level::Info, 0, format_args!("before"));
    assert_eq!(drain(&mut LogReader::new(&memory).expect("room"), u64::MAX).0, ["before"]);
    writer.write(Level::Info, 0, format_args!("after"));
    while writer.write(Level::Info, 0, format_args!("flood")) {}
    assert_eq!(drain(&mut LogReader::new(&memory).expect("room"), 8).1.dropped, 1);
    assert!(!writer.write(Level::Info, 0, format_args!("{}", "x".repeat(TEXT_MAX))));
    let (texts, drained) = drain(&mut LogReader::new(&memory).expect("room"), u64::MAX);
    assert_eq!((&texts[0], drained.dropped), (&"flood".to_string(), 1), "each drop is reported once");
}

#[test]
fn a_damaged_tail_does_not_cost_what_was_said() {
    let memory = Mortal::zeroed(SMALL);
    let writer = LogWriter::new(&memory).expect("room");
    let mut reader = LogReader::new(&memory).expect("room");
    writer.write(Level::Info, 0, format_args!("first"));
    for damage in [1 << 63, 1 << 20] {
        memory.flip(TAIL, damage);
        assert!(!writer.write(Level::Info, 0, format_args!("no room, as far as the writer can see")));
    }
    assert_eq!(drain(&mut reader, u64::MAX).0, ["first"]);
    assert!(writer.write(Level::Info, 0, format_args!("root has mended it")));
}

#[test]
fn what_is_no_record_is_skipped_and_not_delivered() {
    let memory = Mortal::zeroed(SMALL);
    let writer = LogWriter::new(&memory).expect("room");
    let mut reader = LogReader::new(&memory).expect("room");
    writer.write(Level::Info, 0, format_args!("overwritten"));
    memory.flip(RING, 1 << 50);
    assert_eq!(drain(&mut reader, u64::MAX), (vec![], Drained { skipped: 32, ..Drained::default() }));
}

#[test]
fn a_head_that_is_too_far_away_is_rubbish() {
    let memory = Mortal::zeroed(SMALL);
    let writer = LogWriter::new(&memory).expect("room");
    let mut reader = LogReader::new(&memory).expect("room");
    while writer.write(Level::Info, 0, format_args!("flood")) {}
    let words = &memory;
    words.store(HEAD, (SMALL - RING) as u64 + 1, Relaxed);
    let (texts, drained) = drain(&mut reader, u64::MAX);
    assert_eq!((texts.len(), drained.skipped), (0, (SMALL - RING) as u64 * 8), "more than the ring can hold");
}

#[test]
fn the_next_incarnation_mends_a_damaged_head_itself() {
    let memory = Mortal::zeroed(SMALL);
    let mut reader = LogReader::new(&memory).expect("room");
    memory.flip(HEAD, 0xdead_beef_0000);
    let writer = LogWriter::new(&memory).expect("room");
    assert!(writer.write(Level::Info, 0, format_args!("it was not me")));
    assert_eq!(drain(&mut reader, u64::MAX).0, ["it was not me"]);
}

/// A reset after any single store: the record is there or is not, and the next incarnation's records are not
/// harmed.
#[test]
fn a_reset_at_any_store_leaves_whole_records() {
    for life in 0.. {
        let memory = Mortal::zeroed(SMALL);
        let mut reader = LogReader::new(&memory).expect("room");
        let writer = LogWriter::new(&memory).expect("room");
        // Reaches the end of the ring, so that the next record goes around.
        writer.write(Level::Info, 0, format_args!("{}", "a".repeat(TEXT_MAX)));
        writer.write(Level::Info, 0, format_args!("{}", "b".repeat(150)));
        assert_eq!(drain(&mut reader, u64::MAX).1.records, 2);

        memory.die_after(life);
        writer.write(Level::Info, 0, format_args!("{}", "last words ".repeat(9)));
        let died = memory.revive();
        let writer = LogWriter::new(&memory).expect("room");
        writer.write(Level::Info, 0, format_args!("alive again"));

        let (texts, drained) = drain(&mut reader, u64::MAX);
        assert_eq!(drained.skipped, 0);
        assert_eq!(texts.last().map(String::as_str), Some("alive again"), "after {life} stores");
        match &texts[..texts.len() - 1] {
            [] => assert!(died),
            [one] => assert_eq!(one, &"last words ".repeat(9)),
            more => panic!("{more:?}"),
        }
        if !died {
            assert!(life > 10, "a record takes more stores than that");
            break;
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write(usize),
    ResetIn(usize, usize),
    Drain(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..TEXT_MAX).prop_map(Step::Write),
        2 => (0..TEXT_MAX, 0..40usize).prop_map(|(len, life)| Step::ResetIn(len, life)),
        2 => (0..600u64).prop_map(Step::Drain),
    ];
    prop::collection::vec(step, 1..80)
}

/// Words that look like records more often than not.
fn rubbish() -> impl Strategy<Value = u64> {
    prop_oneof![
        1 => any::<u64>(),
        4 => (0..300u64).prop_map(|bytes| MARK | 3 << 40 | bytes),
    ]
}

proptest! {
    /// Against a queue: order and content stay, across any number of resets, drains and full rings.
    #[test]
    fn behaves_like_a_queue(steps in steps(), words in RING + RECORD_MAX as usize..200) {
        let memory = Mortal::zeroed(words);
        let mut reader = LogReader::new(&memory).expect("room");
        let mut writer = LogWriter::new(&memory).expect("room");
        // Texts that were written, each with whether it surely was; drops that surely, or perhaps, were
        // counted.
        let mut queue = VecDeque::new();
        let (mut surely, mut perhaps, mut reported) = (0, 0, 0);
        for (number, step) in steps.into_iter().enumerate() {
            let text = |len: usize| format!("{number:04} {}", "#".repeat(len.min(TEXT_MAX - 5)));
            match step {
                Step::Write(len) => match writer.write(Level::Info, 0, format_args!("{}", text(len))) {
                    true => queue.push_back((text(len), true)),
                    false => surely += 1,
                },
                Step::ResetIn(len, life) => {
                    memory.die_after(life);
                    let written = writer.write(Level::Info, 0, format_args!("{}", text(len)));
                    let died = memory.revive();
                    writer = LogWriter::new(&memory).expect("room");
                    match (written, died) {
                        (true, _) => queue.push_back((text(len), !died)),
                        (false, true) => perhaps += 1,
                        (false, false) => surely += 1,
                    }
                }
                Step::Drain(budget) => {
                    let (texts, drained) = drain(&mut reader, budget);
                    prop_assert_eq!(drained.skipped, 0);
                    prop_assert!(drained.bytes < budget + RECORD_MAX * 8);
                    reported += drained.dropped;
                    for text in texts {
                        // Records that may have died with their writer may be missing; no other.
                        while queue.front().is_some_and(|(expected, sure)| *expected != text && !sure) {
                            queue.pop_front();
                        }
                        prop_assert_eq!(queue.pop_front().map(|(expected, _)| expected), Some(text));
                    }
                }
            }
        }
        let (texts, drained) = drain(&mut reader, u64::MAX);
        queue.retain(|(expected, sure)| *sure || texts.contains(expected));
        prop_assert!(texts.iter().eq(queue.iter().map(|(expected, _)| expected)));
        prop_assert!((surely..=surely + perhaps).contains(&(reported + drained.dropped)));
    }

    /// Whatever is in the memory: no panic, bounded work, and after one look at it the log works.
    #[test]
    fn rubbish_does_not_wedge_the_log(
        rubbish in prop::collection::vec(rubbish(), SMALL..200),
        tail: u64,
        written in prop_oneof![any::<u64>(), 0..600u64],
        budget in 1..1000u64,
    ) {
        let memory = Mortal::new(rubbish);
        let words = &memory;
        words.store(HEAD, tail.wrapping_add(written), Relaxed);
        words.store(TAIL, tail, Relaxed);
        let mut reader = LogReader::new(words).expect("room");
        let (mut rounds, mut bytes) = (0, 0);
        loop {
            let drained = reader.drain(budget, |record| assert!(record.text.len() <= TEXT_MAX));
            (rounds, bytes) = (rounds + 1, bytes + drained.bytes);
            prop_assert!(rounds <= 200, "each round takes something");
            if !drained.more {
                break;
            }
        }
        prop_assert!(bytes <= 8 * words.count() as u64, "nothing is delivered twice");
        let writer = LogWriter::new(words).expect("room");
        prop_assert!(writer.write(Level::Info, 5, format_args!("alive")));
        let (texts, drained) = drain(&mut reader, u64::MAX);
        prop_assert_eq!(texts, ["alive"]);
        prop_assert_eq!(drained.skipped, 0);
    }

    /// A wild store under a running log costs records at most: what is delivered later is right again.
    #[test]
    fn a_wild_store_costs_what_was_waiting_at_most(word in 0..SMALL, value: u64) {
        let memory = Mortal::zeroed(SMALL);
        let writer = LogWriter::new(&memory).expect("room");
        let mut reader = LogReader::new(&memory).expect("room");
        for number in 0..5 {
            writer.write(Level::Info, 0, format_args!("before {number}"));
        }
        reader.drain(40, |_| ());
        memory.flip(word, value);
        reader.drain(u64::MAX, |_| ());
        // The writer that did it may run on, or be reset: both must find their way.
        prop_assert!(writer.write(Level::Info, 0, format_args!("after")));
        prop_assert_eq!(drain(&mut reader, u64::MAX).0, ["after"]);
    }
}

#[test]
fn writer_and_reader_run_at_the_same_time() {
    const RECORDS: u64 = 20_000;
    let words: Vec<AtomicU64> = (0..512).map(|_| AtomicU64::new(0)).collect();
    let words = &words[..];
    let text = |number: u64| format!("{number:<0$}", number as usize % 64);
    let (mut delivered, mut dropped, mut next) = (0, 0, 0);
    let mut deliver = |reader: &mut LogReader<&[AtomicU64]>| {
        let drained = reader.drain(512, |record| {
            assert!(record.time_us >= next, "in order");
            next = record.time_us + 1;
            assert_eq!(Printable(record.text).to_string(), text(record.time_us));
        });
        assert_eq!(drained.skipped, 0);
        delivered += drained.records;
        dropped += drained.dropped;
        drained.more
    };
    thread::scope(|scope| {
        let mut reader = LogReader::new(words).expect("room");
        let writer = scope.spawn(move || {
            let writer = LogWriter::new(words).expect("room");
            for number in 0..RECORDS {
                if !writer.write(Level::Info, number, format_args!("{}", text(number))) {
                    thread::yield_now();
                }
            }
        });
        while !writer.is_finished() {
            deliver(&mut reader);
        }
        while deliver(&mut reader) {}
    });
    assert_eq!(delivered + dropped, RECORDS);
    assert!(delivered > 0);
}
