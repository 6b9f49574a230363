//! Requests are taken in the order in which they were asked.

use broker::layout::{DATA_WORDS, WORDS};
use broker::{Answer, Client, Request, Server, Ticket};
use proptest::prelude::*;
use std::collections::VecDeque;
use uk_abi::testing::Mortal;
use xen_abi::Domid;

proptest! {
    /// Asking, answering and taking in any order, with tickets that are given up among them.
    #[test]
    fn first_asked_first_taken(acts in prop::collection::vec(0..4, 1..300)) {
        let memory = Mortal::zeroed(WORDS);
        let mut client = Client::open(&memory).unwrap();
        let server = Server::new(&memory).unwrap();
        let mut room = [0; DATA_WORDS];
        let (mut next, mut expected) = (0, 0);
        let mut waiting: VecDeque<(u16, Ticket)> = VecDeque::new();
        for act in acts {
            match act {
                0 => if let Ok(ticket) = client.ask(&Request::Info { domain: Domid(next) }, &[]) {
                    waiting.push_back((next, ticket));
                    next += 1;
                },
                1 => match server.take(&mut room) {
                    Some(asked) => {
                        prop_assert_eq!(asked.request, Ok(Request::Info { domain: Domid(expected) }));
                        server.answer(&asked, &Ok(Answer::Domain(Some((Domid(expected), [0; 16])))));
                        expected += 1;
                    }
                    None => prop_assert_eq!(next, expected),
                },
                2 => if let Some((number, ticket)) = waiting.pop_front() {
                    match client.take(ticket) {
                        Ok(outcome) => {
                            prop_assert!(number < expected);
                            prop_assert_eq!(outcome, Ok(Answer::Domain(Some((Domid(number), [0; 16])))));
                        }
                        Err(ticket) => {
                            prop_assert!(number >= expected);
                            waiting.push_front((number, ticket));
                        }
                    }
                },
                _ => if let Some((_, ticket)) = waiting.pop_back() {
                    client.abandon(ticket);
                },
            }
            prop_assert_eq!(client.is_quiet(), next == expected);
        }
    }
}
