//! A vault whose pages hold anything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use replica::frame::{Frame, Kind, Stamp};
use replica::vault::{Base, Entry, Vault, WORDS_MIN};

fuzz_target!(|bytes: &[u8]| {
    let words = rvmm_fuzz::words(bytes, WORDS_MIN.max(512));
    let Ok((mut vault, _)) = Vault::open(&words[..], 1) else { panic!("so many words are enough") };
    read(&vault);
    let stamp = Stamp { term: u32::MAX, sequence: (1 << 48) - 1 };
    if vault.append(&Frame::new(Kind::Step, stamp, &[1, 2, 3])).is_err() {
        vault.begin_pass(Base::Replaced);
        let _ = vault.end_pass(stamp, &[]);
    }
    read(&vault);
});

fn read(vault: &Vault<&[std::sync::atomic::AtomicU64]>) {
    let (mut cursor, mut payload) = (vault.beginning(), Vec::new());
    let mut entries = 0;
    while let Some(entry) = vault.next(&mut cursor, &mut payload) {
        let _: Entry = entry;
        entries += 1;
        assert!(entries <= 512, "no entry takes less than a word");
    }
}
