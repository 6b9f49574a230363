//! Xen's migration stream, from a daemon that writes what it likes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rvmm_fuzz::{byte, take};
use xenstore::stream::{Attachment, Dump, Loader};
use xenstore::{Config, Cursor, Engine};

/// How a stream of this host's byte order begins: the identification, version 1, no flags.
const PREAMBLE: [u8; 16] = *b"xenstore\0\0\0\x01\0\0\0\0";
/// Record types that there are, and two that there are not.
const KINDS: u8 = 10;

fuzz_target!(|bytes: &[u8]| {
    let _ = load(bytes);
    let Ok(engine) = load(&proper(bytes)) else { return };
    scrub(&engine);
    // What has been taken can be given, and taken again.
    let again = load(&dump(&engine)).expect("our own stream is taken");
    assert_eq!(dump(&again), dump(&engine));
});

/// A stream whose records are well formed: of each, a type, a length and a body.
fn proper(mut bytes: &[u8]) -> Vec<u8> {
    let mut stream = PREAMBLE.to_vec();
    while !bytes.is_empty() {
        let kind = u32::from(byte(&mut bytes) % KINDS);
        let length = byte(&mut bytes).into();
        let body = take(&mut bytes, length);
        stream.extend_from_slice(&kind.to_le_bytes());
        stream.extend_from_slice(&(body.len() as u32).to_le_bytes());
        stream.extend_from_slice(body);
        stream.resize(stream.len().next_multiple_of(8), 0);
    }
    stream.extend_from_slice(&[0; 8]);
    stream
}

/// The store that a stream brings, if it is one; the bytes come in pieces of seven.
fn load(bytes: &[u8]) -> Result<Engine, xenstore::stream::StreamError> {
    let mut loader = Loader::new(Config::default());
    for piece in bytes.chunks(7) {
        loader.take(piece)?;
    }
    loader.finish().map(|loaded| loaded.engine)
}

fn dump(engine: &Engine) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut dump = Dump::new(engine, None);
    while !dump.write(1000, &mut bytes, |_| Attachment::default()) {}
    bytes
}

fn scrub(engine: &Engine) {
    let mut cursor = Cursor::default();
    loop {
        match engine.scrub(&mut cursor, 1000) {
            Ok(progress) if progress.finished => return,
            Ok(_) => {}
            Err(damage) => panic!("{damage}"),
        }
    }
}
