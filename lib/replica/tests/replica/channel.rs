//! A channel whose ends die at every store, and whose every bit is flipped.

use crate::world::{Memory, Random};
use replica::channel::{Next, Reader, Refused, WORDS_MIN, Writer};
use replica::frame::{Frame, Kind, Stamp};
use uk_abi::testing::Fuse;

fn stamp(sequence: u64) -> Stamp {
    Stamp { term: 3, sequence }
}

fn payload(sequence: u64) -> Vec<u64> {
    vec![sequence; (sequence % 9) as usize]
}

fn write(writer: &mut Writer<Memory>, sequence: u64) -> Result<(), Refused> {
    writer.write(&Frame::new(Kind::Step, stamp(sequence), &payload(sequence)))
}

/// Sends numbers over a channel; both ends die now and then. What arrives is every number, in order, and one
/// that arrived before a death perhaps again.
fn run(memory: &Memory, fuse: &Fuse, writer_dies: u64, reader_dies: u64) {
    let (mut written, mut read) = (0, 0);
    let mut random = Random(writer_dies ^ reader_dies << 20);
    let (mut writer_fuse, mut reader_fuse) = (writer_dies, reader_dies);
    let (mut writer, mut reader) = (Writer::open(memory.clone()).0, Reader::open(memory.clone()));
    while read < 60 {
        let before = fuse.passed();
        let alive = fuse.run(writer_fuse, || {
            for _ in 0..random.below(6) {
                if write(&mut writer, written + 1).is_err() {
                    break;
                }
                written += 1;
            }
        });
        writer_fuse = writer_fuse.saturating_sub(fuse.passed() - before);
        if alive.is_none() {
            writer_fuse = u64::MAX;
            let found;
            (writer, found) = Writer::open(memory.clone());
            assert!(found, "a death does not lose the writer's place");
            // Whether the last one is there nobody knows. Masters send their last record again.
        }
        let before = fuse.passed();
        let alive = fuse.run(reader_fuse, || {
            let mut found = Vec::new();
            while let Next::Frame(frame) = reader.next(&mut found) {
                assert_eq!(found, payload(frame.stamp.sequence));
                assert!(frame.stamp.sequence <= read + 1, "{} after {read}", frame.stamp.sequence);
                read = read.max(frame.stamp.sequence);
                if random.once_in(2) {
                    reader.release();
                }
            }
            assert!(!reader.is_damaged());
            reader.release();
        });
        reader_fuse = reader_fuse.saturating_sub(fuse.passed() - before);
        if alive.is_none() {
            reader_fuse = u64::MAX;
            reader = Reader::open(memory.clone());
        }
    }
}

#[test]
fn everything_arrives_in_order_whoever_dies() {
    for moment in 0..900 {
        for (writer_dies, reader_dies) in [(moment, u64::MAX), (u64::MAX, moment), (moment, moment / 2)] {
            let fuse = Fuse::default();
            // The reader follows from the first epoch on.
            let memory = Memory::new(WORDS_MIN, &fuse);
            Writer::open(memory.clone());
            assert_eq!(Reader::open(memory.clone()).next(&mut Vec::new()), Next::Reset);
            run(&memory, &fuse, writer_dies, reader_dies);
        }
    }
}

#[test]
fn the_writer_never_overwrites_what_is_still_wanted() {
    let fuse = Fuse::default();
    let memory = Memory::new(WORDS_MIN, &fuse);
    let (mut writer, found) = Writer::open(memory.clone());
    assert!(!found);
    let mut reader = Reader::open(memory.clone());
    assert_eq!(reader.next(&mut Vec::new()), Next::Reset);
    let mut sent = 0;
    while write(&mut writer, sent + 1).is_ok() {
        sent += 1;
    }
    assert!(!writer.is_drained());
    let too_large = vec![0; 64];
    assert_eq!(
        writer.write(&Frame::new(Kind::Step, stamp(1), &too_large)),
        Err(Refused::TooLarge { needed: 67, capacity: 64 })
    );
    for sequence in 1..=sent {
        let mut found = Vec::new();
        assert!(matches!(reader.next(&mut found), Next::Frame(frame) if frame.stamp == stamp(sequence)));
        assert_eq!(found, payload(sequence));
    }
    assert_eq!(reader.next(&mut Vec::new()), Next::Empty);
    // Read, but not released.
    assert!(write(&mut writer, sent + 1).is_err());
    reader.release();
    assert!(writer.is_drained());
    assert!(write(&mut writer, sent + 1).is_ok());
}

#[test]
fn no_flipped_bit_makes_a_wrong_frame() {
    let fuse = Fuse::default();
    let memory = Memory::new(WORDS_MIN, &fuse);
    let (mut writer, _) = Writer::open(memory.clone());
    let mut reader = Reader::open(memory.clone());
    assert_eq!(reader.next(&mut Vec::new()), Next::Reset);
    // Somewhere in the second lap, with three frames on the way.
    for sequence in 1..=20 {
        assert!(matches!(reader.next(&mut Vec::new()), Next::Empty));
        reader.release();
        write(&mut writer, sequence).expect("room");
        assert!(matches!(reader.next(&mut Vec::new()), Next::Frame(_)));
    }
    reader.release();
    for sequence in 21..=23 {
        write(&mut writer, sequence).expect("room");
    }
    let sound = memory.contents();
    let mut lost = 0;
    for word in 0..WORDS_MIN {
        for bit in 0..64 {
            memory.restore(&sound);
            memory.flip(word, bit);
            let mut reader = Reader::open(memory.clone());
            let (mut expected, mut found) = (21, Vec::new());
            let end = loop {
                match reader.next(&mut found) {
                    Next::Frame(frame) => {
                        assert_eq!((frame.stamp, &found), (stamp(expected), &payload(expected)));
                        expected += 1;
                    }
                    end => break end,
                }
            };
            assert!(expected == 24 || end != Next::Empty || word < 2, "word {word} bit {bit}: {end:?}");
            lost += usize::from(expected < 24);
            // Whatever it was, a new epoch is a new start.
            let (mut writer, _) = Writer::open(memory.clone());
            writer.reset();
            let mut sent = false;
            for _ in 0..3 {
                sent = sent || write(&mut writer, 50).is_ok();
                match reader.next(&mut found) {
                    Next::Frame(frame) => {
                        assert_eq!(frame.stamp, stamp(50));
                        break;
                    }
                    other => assert_eq!(other, Next::Reset),
                }
            }
            assert!(sent);
        }
    }
    assert!(lost > 64 * 9, "{lost}");
}

#[test]
fn damaged_control_words_are_written_again() {
    let fuse = Fuse::default();
    let memory = Memory::new(WORDS_MIN, &fuse);
    let (mut writer, _) = Writer::open(memory.clone());
    let mut reader = Reader::open(memory.clone());
    assert_eq!(reader.next(&mut Vec::new()), Next::Reset);
    write(&mut writer, 1).expect("room");
    for word in [0, 1] {
        memory.flip(word, 30);
        assert_eq!(reader.next(&mut Vec::new()), Next::Empty);
        writer.refresh();
    }
    assert!(matches!(reader.next(&mut Vec::new()), Next::Frame(_)));
    reader.release();
    for word in [8, 9] {
        memory.flip(word, 30);
        assert!(!writer.is_drained());
        reader.refresh();
        assert!(writer.is_drained());
    }
}
