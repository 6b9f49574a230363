//! The channel between two replicas, when the other one writes what it likes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use replica::channel::{Reader, Writer};
use replica::frame::{Frame, Kind, Stamp};

fuzz_target!(|bytes: &[u8]| {
    let words = rvmm_fuzz::words(bytes, 512);
    let mut reader = Reader::open(&words[..]);
    let mut payload = Vec::new();
    for _ in 0..64 {
        let _ = reader.next(&mut payload);
        reader.release();
    }
    let (mut writer, _) = Writer::open(&words[..]);
    let _ = writer.write(&Frame::new(Kind::Step, Stamp::default(), &[1, 2, 3]));
    writer.reset();
    assert!(writer.is_drained());
});
