//! Memory that says anything, and changes while it is read.

use crate::arbitrary::request;
use broker::layout::{DATA_WORDS, WORDS};
use broker::{Answer, Client, Refusal, Request, SLOTS, Server};
use core::cell::Cell;
use core::sync::atomic::Ordering;
use proptest::prelude::*;
use uk_abi::Words;
use uk_abi::testing::Mortal;

/// Words that are something else at each look.
struct Restless(Cell<u64>);

impl Words for &Restless {
    fn count(&self) -> usize {
        WORDS
    }

    fn load(&self, _: usize, _: Ordering) -> u64 {
        // Xorshift; small numbers now and then, since lengths are.
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.set(state);
        if state & 1 == 0 { state } else { state >> 56 }
    }

    fn store(&self, _: usize, _: u64, _: Ordering) {}
}

/// Answers all that is asked, and says how much that was.
fn answer_all(server: Server<&Mortal>) -> Vec<Result<Request, Refusal>> {
    let mut found = Vec::new();
    while let Some(asked) = server.take(&mut [0; DATA_WORDS]) {
        found.push(asked.request);
        server.answer(&asked, &asked.request.map(|_| Answer::Done));
        assert!(found.len() <= SLOTS, "one slot is answered once");
    }
    found
}

proptest! {
    /// Whatever stands there: at most one request a slot, none of which the asker has not made, and afterwards the asker
    /// can ask again.
    #[test]
    fn rubbish_is_answered_and_done_with(
        words in prop::collection::vec((0..WORDS, any::<u64>()), 1..400),
        heads in prop::collection::vec((0..SLOTS, 0usize..80, any::<u64>()), 0..200),
    ) {
        let memory = Mortal::zeroed(WORDS);
        for (index, value) in words {
            memory.flip(index, value);
        }
        for (slot, word, value) in heads {
            memory.flip(slot * (WORDS / SLOTS) + word, value);
        }
        for request in answer_all(Server::new(&memory).unwrap()) {
            prop_assert_eq!(request, Err(Refusal::Malformed));
        }
        let mut client = Client::open(&memory).unwrap();
        prop_assert!(client.is_settled());
        let ticket = client.ask(&Request::Host, &[]).unwrap();
        prop_assert_eq!(answer_all(Server::new(&memory).unwrap()), [Ok(Request::Host)]);
        prop_assert_eq!(client.take(ticket), Ok(Ok(Answer::Done)));
    }

    /// A request of which any bit was changed is none.
    #[test]
    fn a_damaged_request_is_none(request in request(), word in 3usize..64, bit in 0..64) {
        let memory = Mortal::zeroed(WORDS);
        let mut client = Client::open(&memory).unwrap();
        let ticket = client.ask(&request, &[5; 16]).unwrap();
        let bytes = memory.contents()[3] as usize & 0xffff;
        memory.flip(word, 1u64 << bit);
        let is_covered = word < 5 || (8..8 + bytes.div_ceil(8)).contains(&word) && (word - 8) * 64 + (bit as usize) < bytes * 8;
        let expected = if is_covered { Err(Refusal::Malformed) } else { Ok(request) };
        prop_assert_eq!(answer_all(Server::new(&memory).unwrap()), [expected]);
        prop_assert!(client.is_ready(&ticket));
        client.abandon(ticket);
    }

    #[test]
    fn nobody_trips_over_what_changes_meanwhile(seed in 1u64..) {
        let memory = Restless(Cell::new(seed));
        let server = Server::new(&memory).unwrap();
        if let Some(asked) = server.take(&mut [0; DATA_WORDS]) {
            prop_assert_eq!(asked.request, Err(Refusal::Malformed));
            server.answer(&asked, &Ok(Answer::Done));
        }
        let mut client = Client::open(&memory).unwrap();
        if let Ok(ticket) = client.ask(&Request::Host, &[]) {
            drop(client.take(ticket));
        }
    }
}
