//! A recovery box whose pages hold anything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recovery_box::{Record, RecoveryBox};
use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicU64;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Note(u64, u32);

impl Record for Note {
    const TYPE: u16 = 7;
    const VERSION: u16 = 1;
}

/// As many records as fit into a page.
type PageBox<'a> = RecoveryBox<&'a [AtomicU64], 12, 64>;

fuzz_target!(|bytes: &[u8]| {
    let words = rvmm_fuzz::words(bytes, 512);
    let Ok((mut records, _)) = PageBox::open(&words[..]) else { panic!("one page is enough") };
    let _: Vec<_> = records.iter::<Note>().collect();
    for _ in 0..64 {
        records.scrub_step();
    }
    records.discard_lost();
    // Whatever was there, what is put is what is got, unless the box is full.
    if records.put(3, &Note(1, 2)).is_ok() {
        assert_eq!(records.get::<Note>(3), Ok(Some(Note(1, 2))));
        drop(records);
        let Ok((records, _)) = PageBox::open(&words[..]) else { panic!("it was opened before") };
        assert_eq!(records.get::<Note>(3), Ok(Some(Note(1, 2))));
    }
});
