//! The log that root reads, in the hands of a unikernel that writes what it likes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use uk_abi::log_ring::LogReader;

fuzz_target!(|bytes: &[u8]| {
    let words = rvmm_fuzz::words(bytes, 512);
    let Ok(mut reader) = LogReader::new(&words[..]) else { panic!("one page is enough") };
    for _ in 0..4 {
        reader.drain(4096, |record| {
            assert!(record.text.len() <= 4096);
        });
    }
});
