//! The client over a ring whose other end is XenStore's engine.

use ring::Page;
use ring::xenstore::Interface;
use std::sync::atomic::AtomicU32;
use xen_abi::Domid;
use xenstore::wire::Kind;
use xenstore_ring::testing::Server;
use xenstore_ring::{Client, ConnectionLost};

const DOMAIN: Domid = Domid(1);

fn page() -> Page {
    [const { AtomicU32::new(0) }; 1024]
}

/// Takes turns until as many messages have come as are wanted; answers their kinds and payloads.
fn receive(client: &mut Client<'_>, server: &mut Server<'_>, wanted: usize) -> Vec<(Kind, Vec<u8>)> {
    let mut messages = Vec::new();
    for _ in 0..100 {
        client.step().unwrap();
        server.turn();
        while let Some(message) = client.receive().unwrap() {
            messages.push((message.kind().unwrap(), message.payload.to_vec()));
        }
    }
    assert_eq!(messages.len(), wanted, "{messages:?}");
    messages
}

#[test]
fn what_is_larger_than_the_ring_goes_through_in_parts() {
    let page = page();
    let interface = Interface::new(&page);
    let (mut client, mut server) = (Client::new(interface), Server::new(interface, DOMAIN));
    let value: Vec<u8> = (0..3000_u32).map(|byte| byte as u8).collect();
    client.request(Kind::Write, 0, &[b"/large\0", &value]);
    client.request(Kind::Read, 0, &[b"/large\0"]);
    let messages = receive(&mut client, &mut server, 2);
    assert_eq!(messages[0], (Kind::Write, b"OK\0".to_vec()));
    assert_eq!(messages[1], (Kind::Read, value));
}

#[test]
fn events_come_besides_replies_and_replies_have_the_numbers_of_their_requests() {
    let page = page();
    let interface = Interface::new(&page);
    let (mut client, mut server) = (Client::new(interface), Server::new(interface, DOMAIN));
    let numbers = [
        client.request(Kind::Watch, 0, &[b"/seen\0", b"token\0"]),
        client.request(Kind::Write, 0, &[b"/seen\0", b"1"]),
        client.request(Kind::Read, 0, &[b"/nothing\0"]),
    ];
    assert_eq!(numbers, [1, 2, 3]);
    let kinds: Vec<Kind> = receive(&mut client, &mut server, 5).into_iter().map(|(kind, _)| kind).collect();
    let count = |wanted| kinds.iter().filter(|kind| **kind == wanted).count();
    assert_eq!([Kind::Watch, Kind::Write, Kind::Error, Kind::WatchEvent].map(count), [1, 1, 1, 2]);
}

#[test]
fn a_reset_forgets_what_was_under_way() {
    let page = page();
    let interface = Interface::new(&page);
    let (mut client, mut server) = (Client::new(interface), Server::new(interface, DOMAIN));
    client.request(Kind::Read, 0, &[b"/\0"]);
    client.step().unwrap();
    client.reset();
    assert!(!client.is_connected());
    interface.reset();
    assert!(client.is_connected());
    client.request(Kind::GetDomainPath, 0, &[b"1\0"]);
    assert_eq!(receive(&mut client, &mut server, 1)[0].1, b"/local/domain/1\0");
}

#[test]
fn a_server_that_sends_rubbish_is_told_from_one_that_is_slow() {
    let page = page();
    let interface = Interface::new(&page);
    let mut client = Client::new(interface);
    assert_eq!(client.receive(), Ok(None));
    let responses = interface.responses().writer();
    responses.write(0, &[0xff; 16]);
    responses.publish(16);
    client.step().unwrap();
    assert!(matches!(client.receive(), Err(ConnectionLost::Message(_))));
    responses.publish(5000);
    assert!(matches!(client.step(), Err(ConnectionLost::Ring(_))));
}
