//! What a box does for who uses it.

use crate::common::{PAYLOAD, Request, SLOTS, Small, Text, WORDS, open, text};
use recovery_box::{Entry, OpenReport, Origin, PutError, ReadError, Record, RecoveryBox, Scrubbed, TooSmall};
use serde::{Deserialize, Serialize};
use uk_abi::testing::Mortal;

/// The record that [`Text`] was two versions ago.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct OldText(u8);

impl Record for OldText {
    const TYPE: u16 = Text::TYPE;
    const VERSION: u16 = 0;
}

/// Another type, by mistake of the same number and version.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Impostor(bool, u64);

impl Record for Impostor {
    const TYPE: u16 = Text::TYPE;
    const VERSION: u16 = Text::VERSION;
}

#[test]
fn records_are_there_after_a_restart() {
    let memory = Mortal::zeroed(WORDS);
    let (mut first, report) = open(&memory);
    assert_eq!(report.origin, Origin::Fresh);
    assert!(first.is_empty());
    let request = Request { ring: 3, sector: 1 << 40, write: true };
    first.put(7, &request).expect("room");
    first.put(7, &text("another type, so another record")).expect("room");
    first.put(8, &text("")).expect("room");
    first.put(8, &text("put twice")).expect("room");
    assert!(first.remove::<Request>(9).eq(&false));

    let (second, report) = open(&memory);
    assert_eq!(report, OpenReport { origin: Origin::Kept, records: 3, mended: 0, lost: 0, duplicates: 0 });
    assert!(report.is_sound());
    assert_eq!(second.len(), 3);
    assert_eq!(second.get(7), Ok(Some(request)));
    assert_eq!(second.get(7), Ok(Some(text("another type, so another record"))));
    assert_eq!(second.get(8), Ok(Some(text("put twice"))));
    assert_eq!(second.get::<Text>(9), Ok(None));
}

#[test]
fn what_was_removed_stays_away() {
    let memory = Mortal::zeroed(WORDS);
    let (mut first, _) = open(&memory);
    first.put(1, &text("gone")).expect("room");
    assert!(first.remove::<Text>(1));
    assert!(!first.remove::<Text>(1));
    let (second, report) = open(&memory);
    assert_eq!((second.get::<Text>(1), report.records, report.lost), (Ok(None), 0, 0));
}

#[test]
fn records_tell_the_order_of_their_puts() {
    let memory = Mortal::zeroed(WORDS);
    let (mut first, _) = open(&memory);
    for key in [5, 3, 4] {
        first.put(key, &text("x")).expect("room");
    }
    first.put(3, &text("again, so now the last")).expect("room");
    first.put(0, &Request { ring: 0, sector: 0, write: false }).expect("room");
    let (mut second, _) = open(&memory);
    second.put(6, &text("after the restart")).expect("room");
    let mut entries: Vec<Entry<Text>> = second.iter().collect();
    entries.sort_by_key(|entry| entry.sequence);
    assert_eq!(entries.iter().map(|entry| entry.key).collect::<Vec<_>>(), [5, 4, 3, 6]);
    assert!(entries.iter().all(|entry| entry.value.is_ok()));
}

#[test]
fn a_full_box_says_so_and_can_still_replace() {
    let memory = Mortal::zeroed(WORDS);
    let (mut full, _) = open(&memory);
    for key in 0..SLOTS as u32 {
        full.put(key, &text("x")).expect("room");
    }
    assert_eq!(full.put(99, &text("one more")), Err(PutError::Full { slots: SLOTS }));
    assert_eq!(full.put(3, &text("replaced")), Ok(()));
    assert!(full.remove::<Text>(2));
    assert_eq!(full.put(99, &text("one more")), Ok(()));
    assert_eq!(full.get(99), Ok(Some(text("one more"))));
    assert_eq!(full.get(3), Ok(Some(text("replaced"))));
}

#[test]
fn a_record_that_is_too_large_leaves_the_old_one() {
    let memory = Mortal::zeroed(WORDS);
    let (mut small, _) = open(&memory);
    let fits = text(&"y".repeat(PAYLOAD - 1));
    assert_eq!(small.put(1, &fits), Ok(()));
    assert_eq!(small.put(1, &text(&"z".repeat(PAYLOAD))), Err(PutError::TooLarge { max: PAYLOAD }));
    assert_eq!(small.get(1), Ok(Some(fits)));
}

#[test]
fn another_version_is_reported_and_not_misread() {
    let memory = Mortal::zeroed(WORDS);
    let (mut first, _) = open(&memory);
    first.put(1, &OldText(65)).expect("room");
    let (mut second, report) = open(&memory);
    assert_eq!(report.records, 1);
    let error = ReadError::Version { asked: 1, found: 0 };
    assert_eq!(second.get::<Text>(1), Err(error));
    assert_eq!(second.iter::<Text>().map(|entry| entry.value).collect::<Vec<_>>(), [Err(error)]);
    assert_eq!(error.to_string(), "the record has version 0, not 1");
    second.put(1, &text("migrated")).expect("in place of the old version");
    assert_eq!((second.get(1), second.len()), (Ok(Some(text("migrated"))), 1));
}

#[test]
fn a_type_that_changed_without_its_version_is_malformed() {
    let memory = Mortal::zeroed(WORDS);
    let (mut first, _) = open(&memory);
    first.put(1, &text("no boolean starts like that")).expect("room");
    first.put(2, &Impostor(true, 5)).expect("room");
    assert_eq!(first.get::<Impostor>(1), Err(ReadError::Malformed));
    assert_eq!(first.get::<Text>(2), Ok(Some(text("\u{5}"))), "what decodes cannot be told");
    first.put(3, &Impostor(false, 5)).expect("room");
    assert_eq!(first.get::<Text>(3), Err(ReadError::Malformed), "bytes are left over");
}

#[test]
fn a_box_of_another_shape_is_reported_and_formatted() {
    let memory = Mortal::zeroed(2 * WORDS);
    let (mut first, _) = open(&memory);
    first.put(1, &text("old shape")).expect("room");
    let (second, report) = RecoveryBox::<_, SLOTS, 48>::open(&memory).expect("large enough");
    assert_eq!(report.origin, Origin::OtherShape { slots: SLOTS as u32, payload: PAYLOAD as u32 });
    assert!(second.is_empty() && !report.is_sound());
    let (_, report) = RecoveryBox::<_, SLOTS, 48>::open(&memory).expect("large enough");
    assert_eq!(report.origin, Origin::Kept);
}

#[test]
fn memory_that_is_too_small_is_an_error() {
    let memory = Mortal::zeroed(WORDS - 1);
    assert_eq!(Small::open(&memory).err(), Some(TooSmall { needed: WORDS, found: WORDS - 1 }));
}

#[test]
fn scrubbing_a_sound_box_changes_nothing() {
    let memory = Mortal::zeroed(WORDS);
    let (mut sound, _) = open(&memory);
    sound.put(1, &text("sound")).expect("room");
    sound.put(2, &text("removed")).expect("room");
    sound.remove::<Text>(2);
    let before = memory.contents();
    for _ in 0..2 * SLOTS {
        assert_eq!(sound.scrub_step(), Scrubbed::Sound);
    }
    assert_eq!(memory.contents(), before);
}

/// A hot path puts and removes records: what that costs must not grow with the box.
#[test]
fn a_put_touches_its_record_and_not_the_box() {
    let few = accesses_of_a_put::<8>();
    let many = accesses_of_a_put::<4096>();
    assert_eq!(few, many);
    let (loads, stores) = few;
    // Three words of header and five of payload, twice; one copy is read.
    assert!(loads <= 8 && stores <= 16, "{few:?}");
}

fn accesses_of_a_put<const SLOTS: usize>() -> (usize, usize) {
    let memory = Mortal::zeroed(RecoveryBox::<&Mortal, SLOTS, PAYLOAD>::WORDS);
    let (mut filled, _) = RecoveryBox::<_, SLOTS, PAYLOAD>::open(&memory).expect("large enough");
    for key in 0..SLOTS as u32 {
        filled.put(key, &text(&"#".repeat(PAYLOAD - 1))).expect("room");
    }
    let (loads, stores) = memory.accesses();
    filled.put(SLOTS as u32 / 2, &text(&"+".repeat(PAYLOAD - 1))).expect("in place");
    let (loads_after, stores_after) = memory.accesses();
    (loads_after - loads, stores_after - stores)
}
