//! What a receiver of notifications answers, in pieces of any size.
#![no_main]

use api::server::{Closed, Wire};
use embassy_futures::block_on;
use hooks::{Failure, MAX_ANSWER, exchange};
use libfuzzer_sys::fuzz_target;
use rvmm_fuzz::{byte, take};

/// What a byte above 127 stands for; those below stand for themselves.
const WORDS: [&[u8]; 14] = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 204 \r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n",
    b"HTTP/1.1 199\n\n",
    b"HTTP/1.1 301 Moved\r\n",
    b"HTTP/1.1 503 Busy\r\n\r\n",
    b"HTTP/1.",
    b"a: b\r\n",
    b"content-length: 5\r\n",
    b"\r\n\r\n",
    b"\r\n",
    b"\n\n",
    &[b'x'; 500],
];

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes;
    let cuts = take(&mut bytes, 8);
    let text: Vec<u8> = bytes.iter().flat_map(|byte| word(*byte)).collect();
    let whole = answer(&text, &[]);
    assert_eq!(answer(&text, cuts), whole, "it does not matter how it comes");
    match whole {
        Ok(()) => assert!(says(&text, b" 2"), "only who says so has it"),
        Err(Failure::Refused(code)) => {
            assert!(!(100..300).contains(&code));
            assert!(says(&text, code.to_string().as_bytes()));
        }
        Err(Failure::Closed) => {}
        Err(Failure::Rubbish) => assert!(!text.is_empty()),
        Err(failure @ (Failure::Unreachable | Failure::Late)) => panic!("{failure:?}"),
    }
});

fn word(byte: u8) -> Vec<u8> {
    match byte.checked_sub(128) {
        Some(number) if number < 112 => WORDS[usize::from(number) % WORDS.len()].to_vec(),
        _ => vec![byte],
    }
}

/// Whether `code` stands somewhere behind a version.
fn says(text: &[u8], code: &[u8]) -> bool {
    let mut versions = text.windows(7).enumerate().filter(|(_, window)| *window == b"HTTP/1.");
    versions.any(|(at, _)| text[at..].windows(code.len()).any(|window| window == code))
}

fn answer(text: &[u8], cuts: &[u8]) -> Result<(), Failure> {
    let mut receiver = Receiver { text, cuts, heard: Vec::new(), most: 0 };
    let outcome = block_on(exchange(&mut receiver, b"POST"));
    assert_eq!(receiver.heard, b"POST");
    assert!(receiver.most <= MAX_ANSWER);
    outcome
}

struct Receiver<'a> {
    text: &'a [u8],
    cuts: &'a [u8],
    heard: Vec<u8>,
    /// The most that was asked for at once.
    most: usize,
}

impl Wire for Receiver<'_> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Closed> {
        self.most = self.most.max(buffer.len());
        let size = if self.cuts.is_empty() { buffer.len() } else { usize::from(byte(&mut self.cuts)) + 1 };
        let piece = take(&mut self.text, size.min(buffer.len()));
        buffer[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        self.heard.extend_from_slice(bytes);
        Ok(())
    }
}
