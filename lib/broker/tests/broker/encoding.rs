//! What is said arrives as it was said.

use crate::arbitrary::{outcome, request};
use broker::answer::EVENT_TEXT;
use broker::layout::{DATA_WORDS, WORDS};
use broker::{Answer, AskError, Client, EventLine, MAX_DATA, Refusal, Request, SLOTS, Server};
use proptest::prelude::*;
use uk_abi::testing::Mortal;
use xen_abi::errno::{Errno, XenError};
use xen_abi::{Domid, Mfn};
use zerocopy::IntoBytes;

/// Both ends of fresh memory.
fn ends(memory: &Mortal) -> (Client<&Mortal>, Server<&Mortal>) {
    (Client::open(memory).unwrap(), Server::new(memory).unwrap())
}

proptest! {
    #[test]
    fn both_ways(request in request(), outcome in outcome(), data in prop::collection::vec(any::<u8>(), 0..200)) {
        let memory = Mortal::zeroed(WORDS);
        let (mut client, server) = ends(&memory);
        let ticket = client.ask(&request, &data).unwrap();
        prop_assert!(!client.is_ready(&ticket));
        let mut room = [0; DATA_WORDS];
        let asked = server.take(&mut room).unwrap();
        prop_assert_eq!(asked.request, Ok(request));
        prop_assert_eq!(&room.as_bytes()[..asked.length], &data[..]);
        let ticket = client.take(ticket).unwrap_err();
        server.answer(&asked, &outcome);
        prop_assert!(!server.is_asked());
        prop_assert!(client.is_ready(&ticket));
        prop_assert_eq!(client.take(ticket), Ok(outcome));
    }
}

#[test]
fn the_longest_fit() {
    let memory = Mortal::zeroed(WORDS);
    let (mut client, server) = ends(&memory);
    let mut room = [0; DATA_WORDS];
    let data = vec![0xa5; MAX_DATA];
    let ticket = client.ask(&Request::Find { handle: [0xff; 16] }, &data).unwrap();
    let asked = server.take(&mut room).unwrap();
    assert_eq!(room.as_bytes(), data);
    let longest = Ok(Answer::Frames([Mfn(u64::MAX); 8].into_iter().collect()));
    server.answer(&asked, &longest);
    assert_eq!(client.take(ticket), Ok(longest));
    let ticket = client.ask(&Request::Event { from: u64::MAX }, &[]).unwrap();
    let asked = server.take(&mut room).unwrap();
    let text = "x".repeat(EVENT_TEXT).as_str().try_into().unwrap();
    let longest = Ok(Answer::Event(Some(EventLine { sequence: u64::MAX, at_us: u64::MAX, text })));
    server.answer(&asked, &longest);
    assert_eq!(client.take(ticket), Ok(longest));
    let length = MAX_DATA + 1;
    assert_eq!(client.ask(&Request::Host, &vec![0; length]), Err(AskError::TooLong { length }));
}

#[test]
fn there_is_room_for_so_many() {
    let memory = Mortal::zeroed(WORDS);
    let (mut client, server) = ends(&memory);
    let mut tickets: Vec<_> = (0..SLOTS).map(|_| client.ask(&Request::Host, &[]).unwrap()).collect();
    assert_eq!(client.room(), 0);
    assert_eq!(client.ask(&Request::Host, &[]), Err(AskError::Busy));
    let asked = server.take(&mut [0; DATA_WORDS]).unwrap();
    server.answer(&asked, &Ok(Answer::Done));
    assert_eq!(client.room(), 0, "its answer was not taken");
    let ticket = tickets.remove(tickets.iter().position(|ticket| client.is_ready(ticket)).unwrap());
    client.take(ticket).unwrap().unwrap();
    assert_eq!(client.room(), 1);
}

#[test]
fn too_little_memory_is_no_slots() {
    let memory = Mortal::zeroed(WORDS - 1);
    assert!(Client::open(&memory).is_none() && Server::new(&memory).is_none());
}

#[test]
fn refusals_say_what_was_asked_and_found() {
    let text = |refusal: Refusal| refusal.to_string();
    assert_eq!(text(Refusal::NotYours { domain: Domid(7) }), "d7 is none of the asker's domains");
    let refused = Refusal::xen(XenError::from(Errno::Eexist));
    assert!(refused.is_xen(Errno::Eexist) && !refused.is_misuse());
    assert_eq!(text(refused), format!("Xen: {}", XenError::from(Errno::Eexist)));
}
