//! Memory that somebody else has written to: found, reported, and never taken for a value.

use crate::common::{HEADER, Request, SLOT, SLOTS, Text, WORDS, open, text, word};
use proptest::prelude::*;
use recovery_box::{Lost, Origin, ReadError, Record, Scrubbed};
use uk_abi::testing::Mortal;

/// Shows where the box has not written.
const UNTOUCHED: u64 = 0xa5a5_5a5a_a5a5_5a5a;

/// A box with three records, and three free slots, in memory that was not zero before.
fn filled() -> Mortal {
    let memory = Mortal::new(std::iter::repeat_n(UNTOUCHED, WORDS));
    let (mut small, report) = open(&memory);
    assert_eq!(report.origin, Origin::Rubbish);
    for key in 0..3 {
        small.put(key, &value(key)).expect("room");
    }
    memory
}

fn value(key: u32) -> Text {
    Text(format!("record {key}"))
}

#[test]
fn each_flipped_bit_is_found_and_mended() {
    for index in 0..WORDS {
        for bit in 0..64 {
            let memory = filled();
            let sound = memory.contents();
            memory.flip(index, 1 << bit);
            let (small, report) = open(&memory);
            for key in 0..3 {
                assert_eq!(small.get(key), Ok(Some(value(key))), "word {index} bit {bit}");
            }
            assert_eq!((report.origin, report.records, report.lost), (Origin::Kept, 3, 0));
            if sound[index] != UNTOUCHED {
                assert_eq!(report.mended, 1, "word {index} bit {bit}");
                assert_eq!(memory.contents(), sound);
            }
        }
    }
}

#[test]
fn damage_before_a_reset_in_a_put_loses_nothing() {
    for index in 0..WORDS {
        for life in 0.. {
            let memory = filled();
            let (mut small, _) = open(&memory);
            memory.flip(index, 1);
            memory.die_after(life);
            small.put(3, &value(3)).expect("room");
            let died = memory.revive();
            let (small, report) = open(&memory);
            assert_eq!((report.origin, report.lost), (Origin::Kept, 0), "word {index} after {life} stores");
            for key in 0..3 {
                assert_eq!(small.get(key), Ok(Some(value(key))), "word {index} after {life} stores");
            }
            let put = small.get(3).expect("the old or the new");
            assert!(put.is_none_or(|put: Text| put == value(3)), "word {index} after {life} stores");
            if !died {
                break;
            }
        }
    }
}

#[test]
fn a_running_program_reads_around_damage_and_the_scrubber_mends_it() {
    for copy in 0..2 {
        let memory = filled();
        let (mut small, _) = open(&memory);
        let sound = memory.contents();
        memory.flip(word(1, copy, 3), 1 << 20);
        assert_eq!(small.get(1), Ok(Some(value(1))));
        let steps: Vec<_> = (0..SLOTS).map(|_| small.scrub_step()).collect();
        let mut expected = [Scrubbed::Sound; SLOTS];
        expected[1] = Scrubbed::Mended;
        assert_eq!(steps, expected);
        assert_eq!(memory.contents(), sound);
    }
}

#[test]
fn damage_to_both_copies_is_an_error_until_it_is_dealt_with() {
    let memory = filled();
    let (mut small, _) = open(&memory);
    memory.flip(word(1, 0, 3), 1);
    memory.flip(word(1, 1, 3), 1);
    assert_eq!(small.get::<Text>(1), Err(ReadError::Damaged), "although both copies are the same");
    assert_eq!(small.iter::<Text>().filter(|entry| entry.value.is_err()).count(), 1);
    let lost = Lost { slot: 1, record: Some((Text::TYPE, 1)) };
    assert_eq!((small.scrub_step(), small.scrub_step()), (Scrubbed::Sound, Scrubbed::Lost(lost)));

    // Each incarnation hears of it, until one has dealt with it.
    for _ in 0..2 {
        let (small, report) = open(&memory);
        assert_eq!((report.records, report.lost, report.is_sound()), (2, 1, false));
        assert_eq!(small.lost().collect::<Vec<_>>(), [lost], "the headers still name the record");
        assert_eq!(small.get::<Text>(1), Ok(None));
    }
    let (mut small, _) = open(&memory);
    assert_eq!(small.discard_lost(), 1);
    assert_eq!(small.discard_lost(), 0);
    for key in 3..=SLOTS as u32 {
        small.put(key, &value(key)).expect("the slot can be used again");
    }
    assert_eq!(open(&memory).1.lost, 0);
}

#[test]
fn a_damaged_record_can_be_put_again_or_removed() {
    for put in [true, false] {
        let memory = filled();
        let (mut small, _) = open(&memory);
        memory.flip(word(2, 0, 2), 1);
        memory.flip(word(2, 1, 2), 1);
        if put {
            small.put(2, &text("known from elsewhere")).expect("in place");
            assert_eq!(small.get(2), Ok(Some(text("known from elsewhere"))));
        } else {
            assert!(small.remove::<Text>(2));
            assert_eq!(small.get::<Text>(2), Ok(None));
        }
        assert!(open(&memory).1.is_sound());
    }
}

#[test]
fn a_copy_in_the_wrong_place_is_damage() {
    let memory = filled();
    let sound = memory.contents();
    for index in 0..SLOT {
        memory.flip(word(3, 0, index), sound[word(3, 0, index)] ^ sound[word(0, 0, index)]);
    }
    let (small, report) = open(&memory);
    assert_eq!((report.records, report.lost, report.duplicates), (3, 1, 0));
    assert_eq!(small.lost().collect::<Vec<_>>(), [Lost { slot: 3, record: Some((Text::TYPE, 0)) }]);
}

#[test]
fn a_zeroed_header_does_not_take_the_records_along() {
    let memory = filled();
    let sound = memory.contents();
    for (index, value) in sound.iter().enumerate().take(HEADER) {
        memory.flip(index, *value);
    }
    let (small, report) = open(&memory);
    assert_eq!((report.origin, report.records, report.is_sound()), (Origin::Salvaged, 3, false));
    assert_eq!(small.get(1), Ok(Some(value(1))));
    assert_eq!(memory.contents(), sound, "with the header mended");
}

#[test]
fn a_zeroed_slot_is_lost_and_not_free() {
    let memory = filled();
    let sound = memory.contents();
    for index in 0..SLOT {
        memory.flip(word(1, 0, index), sound[word(1, 0, index)]);
    }
    let (small, report) = open(&memory);
    assert_eq!((report.records, report.lost), (2, 1));
    assert_eq!(small.lost().collect::<Vec<_>>(), [Lost { slot: 1, record: None }]);
}

/// An old image of a slot is sound in itself: of two records under one key the later one counts.
#[test]
fn of_two_records_under_one_key_the_later_one_counts() {
    for (stale_slot, live_slot) in [(0, 1), (1, 0)] {
        let memory = Mortal::zeroed(WORDS);
        let (mut small, _) = open(&memory);
        let keys = if stale_slot == 0 { [1, 2] } else { [2, 1] };
        small.put(keys[0], &text("first")).expect("room");
        small.put(keys[1], &text("first")).expect("room");
        let old = memory.contents();
        // Moves key 1 to the other slot: both are freed, and the one that was freed last is used first.
        small.remove::<Text>(1);
        small.remove::<Text>(2);
        small.put(1, &text("moved")).expect("room");
        for copy in 0..2 {
            for index in 0..SLOT / 2 {
                let word = word(stale_slot, copy, index);
                memory.flip(word, memory.contents()[word] ^ old[word]);
            }
        }
        let (small, report) = open(&memory);
        assert_eq!((report.records, report.duplicates, report.lost), (1, 1, 0), "live in {live_slot}");
        assert!(!report.is_sound());
        assert_eq!(small.get(1), Ok(Some(text("moved"))));
        assert!(open(&memory).1.is_sound());
    }
}

proptest! {
    /// Wild stores anywhere: each record has its value, or its loss is reported. No other value, ever.
    #[test]
    fn wild_stores_never_yield_a_wrong_value(
        stores in prop::collection::vec((0..WORDS, any::<u64>()), 1..12),
        running: bool,
    ) {
        let memory = filled();
        let mut small = open(&memory).0;
        for (word, mask) in stores {
            memory.flip(word, mask);
        }
        // A running program knows what there should be; another incarnation hears how much is missing.
        let mut may_be_missing = 0;
        if !running {
            let (opened, report) = open(&memory);
            small = opened;
            may_be_missing = if report.origin == Origin::Rubbish { 3 } else { report.lost };
        }
        let mut missing = 0;
        for key in 0..3 {
            match small.get::<Text>(key) {
                Ok(Some(found)) => prop_assert_eq!(found, value(key)),
                Ok(None) => missing += 1,
                Err(error) => prop_assert!(running && error == ReadError::Damaged),
            }
        }
        prop_assert!(missing <= may_be_missing);
        prop_assert!(small.get::<Request>(0).is_ok_and(|found| found.is_none()));
        let unreadable = small.iter::<Text>().filter(|entry| entry.value.is_err()).count() + small.lost().count();
        let scrubbed_lost = (0..SLOTS).filter(|_| matches!(small.scrub_step(), Scrubbed::Lost(_))).count();
        prop_assert_eq!(scrubbed_lost, unreadable);
    }

    /// Any memory at all can be opened, and is a box then.
    #[test]
    fn rubbish_opens(words in prop::collection::vec(any::<u64>(), WORDS), copied in 0..WORDS) {
        let memory = Mortal::new(words);
        // With a part of it from a sound box, so that all paths are taken.
        for (index, word) in filled().contents().into_iter().enumerate().take(copied) {
            memory.flip(index, memory.contents()[index] ^ word);
        }
        let (mut small, report) = open(&memory);
        prop_assert_eq!(report.records, small.len());
        prop_assert_eq!(report.lost, small.lost().count());
        small.discard_lost();
        for key in 0..SLOTS as u32 {
            prop_assert_eq!(small.put(key, &value(key)), Ok(()));
        }
        let (small, report) = open(&memory);
        prop_assert!(report.is_sound() && report.mended == 0);
        for key in 0..SLOTS as u32 {
            prop_assert_eq!(small.get(key), Ok(Some(value(key))));
        }
    }
}
