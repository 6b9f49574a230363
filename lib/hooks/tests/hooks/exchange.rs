//! Receivers of all kinds, and what becomes of one request.

use api::server::{Closed, Wire};
use futures::executor::block_on;
use hooks::{Failure, MAX_ANSWER, exchange};
use proptest::prelude::*;

/// A receiver that answers with these pieces, one at a time, and then ends the connection.
struct Receiver<'a> {
    pieces: Vec<&'a [u8]>,
    heard: Vec<u8>,
    read: usize,
}

impl<'a> Receiver<'a> {
    fn of(pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut pieces: Vec<&[u8]> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        pieces.reverse();
        Self { pieces, heard: Vec::new(), read: 0 }
    }

    fn asked(&mut self) -> Result<(), Failure> {
        block_on(exchange(self, b"POST"))
    }
}

impl Wire for Receiver<'_> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Closed> {
        assert!(!buffer.is_empty());
        let Some(piece) = self.pieces.pop() else { return Ok(0) };
        let (now, later) = piece.split_at(piece.len().min(buffer.len()));
        buffer[..now.len()].copy_from_slice(now);
        if !later.is_empty() {
            self.pieces.push(later);
        }
        self.read += now.len();
        Ok(now.len())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        self.heard.extend_from_slice(bytes);
        Ok(())
    }
}

fn answer(text: &str) -> Result<(), Failure> {
    Receiver::of([text.as_bytes()]).asked()
}

#[test]
fn only_who_says_so_has_it() {
    assert_eq!(answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"), Ok(()));
    assert_eq!(answer("HTTP/1.0 204 No Content\r\n\r\n"), Ok(()));
    assert_eq!(answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n"), Ok(()));
    assert_eq!(answer("HTTP/1.1 301 Moved\r\nlocation: /\r\n\r\n"), Err(Failure::Refused(301)));
    assert_eq!(answer("HTTP/1.1 503 Busy\r\n\r\n"), Err(Failure::Refused(503)));
    assert_eq!(answer("HTTP/1.1 100 Continue\r\n\r\n"), Err(Failure::Closed));
    assert_eq!(answer("HTTP/1.1 200 OK\r\ncontent-"), Err(Failure::Closed));
    assert_eq!(answer("SSH-2.0-OpenSSH_9.2\r\n"), Err(Failure::Rubbish));
    assert_eq!(answer(""), Err(Failure::Closed));
}

#[test]
fn who_says_too_much_is_not_heard_out() {
    let flood = "HTTP/1.1 200 OK\r\n".to_owned() + &"a: b\r\n".repeat(MAX_ANSWER);
    let mut receiver = Receiver::of([flood.as_bytes()]);
    assert_eq!(receiver.asked(), Err(Failure::Rubbish));
    let endless =
        "HTTP/1.1 100 Continue\r\n\r\n".repeat(100) + "HTTP/1.1 200 OK\r\n\r\n" + &"x".repeat(1 << 20);
    let mut receiver = Receiver::of([endless.as_bytes()]);
    assert_eq!(receiver.asked(), Ok(()));
    assert!(receiver.read < 3 * MAX_ANSWER, "a body is nobody's concern");
}

proptest! {
    /// It does not matter how an answer is cut into pieces.
    #[test]
    fn pieces_are_put_together(cuts in prop::collection::vec(0..60_usize, 0..10)) {
        let text = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nserver: some\r\n\r\n";
        let mut cuts: Vec<usize> = cuts.into_iter().chain([0, text.len()]).collect();
        cuts.sort_unstable();
        let mut receiver = Receiver::of(cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]));
        prop_assert_eq!(receiver.asked(), Ok(()));
        prop_assert_eq!(receiver.heard, b"POST");
    }

    /// Rubbish ends, and is never taken for a yes.
    #[test]
    fn rubbish_is_no_answer(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
        prop_assume!(!bytes.starts_with(b"HTTP/1."));
        prop_assert!(Receiver::of([&bytes[..]]).asked().is_err());
    }
}
