//! What a replica is told, when the one who tells is out of its mind.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xenstore::item::ItemList;
use xenstore::{Config, Cursor, Engine};

fuzz_target!(|bytes: &[u8]| {
    let mut engine = Engine::new(Config::default());
    let _ = engine.apply_all(ItemList::new(bytes));
    // What is nonsense may be wrong, but it is wrong in a way that its digests agree with.
    let mut cursor = Cursor::default();
    loop {
        match engine.scrub(&mut cursor, 1000) {
            Ok(progress) if progress.finished => break,
            Ok(_) => {}
            Err(damage) => panic!("{damage}"),
        }
    }
});
