//! Checksums and segments: whoever gets a frame can use it, whatever the sender left undone.

use crate::frames::{HEADERS_V4, HEADERS_V6, check_tcp, filler, mac, tcp};
use crate::guest::{Got, Special};
use crate::host::Host;
use network::netback::{Abilities, Checksum, Family, Offload, Segments};
use xen_abi::netif::{ExtraType, Gso, GsoType, RxFlags};
use zerocopy::FromBytes;

/// A frontend that takes nothing off the sender.
const PLAIN: [(&str, &str); 4] = [
    ("feature-gso-tcpv4", "0"),
    ("feature-gso-tcpv6", "0"),
    ("feature-no-csum-offload", "1"),
    ("feature-ipv6-csum-offload", "0"),
];

fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|at| filler(9, at)).collect()
}

fn segments(is_v6: bool, size: u16) -> Special {
    let kind = if is_v6 { GsoType::TcpV6 } else { GsoType::TcpV4 };
    Special { blank: true, segments: Some((kind, size)) }
}

/// What guest 2 gets when guest 1 sends a frame; guest 1 sends to it whatever is in the frame.
fn to_guest(otherwise: &[(&str, &str)], frame: &[u8], special: Special) -> (Host, Vec<Got>) {
    let mut host = Host::new(3, 2, Abilities::ALL, otherwise);
    host.guests[0].send(frame, &[200, 4000, 4096, 100], special);
    host.settle();
    host.check_nothing_leaks();
    let got = std::mem::take(&mut host.guests[1].got);
    (host, got)
}

/// What is on the wire when guest 1 sends a frame to somebody else.
fn to_card(abilities: Abilities, frame: &[u8], special: Special) -> Vec<(Vec<u8>, Offload)> {
    let mut host = Host::new(3, 1, abilities, &[]);
    host.guests[0].send(frame, &[200, 4000, 4096, 100], special);
    host.settle();
    host.check_nothing_leaks();
    host.card.wire.iter().map(|frame| (frame.bytes.clone(), frame.offload)).collect()
}

/// Frames of a stream, right in everything, that together have the payload.
fn check_stream<'f>(frames: impl Iterator<Item = &'f [u8]>, expected: &[u8], most: usize) {
    let mut stream = vec![0; expected.len()];
    let mut covered = 0;
    let mut frames = frames.peekable();
    while let Some(frame) = frames.next() {
        let (place, payload, packet) = check_tcp(frame);
        assert_eq!(place, covered, "in order");
        assert!(payload.len() <= most);
        assert_eq!(packet.psh(), frames.peek().is_none(), "only the last one says that that was all");
        stream[place..place + payload.len()].copy_from_slice(&payload);
        covered += payload.len();
    }
    assert_eq!(stream, expected);
}

#[test]
fn a_guest_that_can_gets_frames_as_they_were_sent() {
    for (is_v6, family) in [(false, GsoType::TcpV4), (true, GsoType::TcpV6)] {
        let payload = payload(60_000);
        let frame = tcp(is_v6, &payload, true);
        let (_, got) = to_guest(&[], &frame, segments(is_v6, 1400));
        let [got] = &got[..] else { panic!("one frame, not {}", got.len()) };
        assert!(got.flags.contains(RxFlags::CSUM_BLANK | RxFlags::DATA_VALIDATED | RxFlags::EXTRA_INFO));
        assert_eq!(got.extras.len(), 1);
        assert_eq!(got.extras[0].kind, ExtraType::Gso.raw());
        let gso = Gso::read_from_bytes(&got.extras[0].data).expect("as long");
        assert_eq!((gso.size, gso.kind), (1400, family.raw()));
        let headers = if is_v6 { HEADERS_V6 } else { HEADERS_V4 };
        assert_eq!(got.bytes[headers..], payload);
    }
}

#[test]
fn a_guest_that_cannot_gets_frames_that_are_whole() {
    for is_v6 in [false, true] {
        for (length, size) in [(60_000, 1400), (1401, 1400), (1, 1400), (30_001, 8961), (5000, 536)] {
            let payload = payload(length);
            let (_, got) = to_guest(&PLAIN, &tcp(is_v6, &payload, true), segments(is_v6, size));
            assert_eq!(got.len(), length.div_ceil(size.into()));
            for got in &got {
                assert_eq!(got.flags & (RxFlags::CSUM_BLANK | RxFlags::EXTRA_INFO), RxFlags::empty());
            }
            check_stream(got.iter().map(|got| &got.bytes[..]), &payload, size.into());
        }
        let payload = payload(1000);
        let blank = Special { blank: true, segments: None };
        let (_, got) = to_guest(&PLAIN, &tcp(is_v6, &payload, true), blank);
        check_stream(got.iter().map(|got| &got.bytes[..]), &payload, 1000);
        assert_eq!(got[0].flags & RxFlags::DATA_VALIDATED, RxFlags::DATA_VALIDATED);
    }
}

#[test]
fn a_guest_without_scatter_gather_gets_pages() {
    let otherwise = [("feature-sg", "0")];
    let payload = payload(30_000);
    let (_, got) = to_guest(&otherwise, &tcp(false, &payload, true), segments(false, 1400));
    assert_eq!(got.len(), 30_000_usize.div_ceil(1400));
    let (host, got) = to_guest(&otherwise, &tcp(false, &payload, false), Special::default());
    assert!(got.is_empty() && host.plane.counters().impossible == 1, "it has no page for that");
    let (host, got) = to_guest(&otherwise, &tcp(false, &payload, true), segments(false, 8961));
    assert!(got.is_empty() && host.plane.counters().impossible == 1, "nor for what that is cut into");
}

#[test]
fn a_card_never_gets_what_is_longer_than_the_wire_takes() {
    for abilities in [Abilities::ALL, Abilities::default()] {
        let mut host = Host::new(3, 1, abilities, &[]);
        host.guests[0].send(&tcp(false, &payload(20_000), true), &[4096], segments(false, 8961));
        host.settle();
        host.check_nothing_leaks();
        assert!(host.card.wire.is_empty());
    }
}

#[test]
fn a_card_that_can_is_told_what_to_do() {
    for (is_v6, family) in [(false, Family::TcpV4), (true, Family::TcpV6)] {
        let sent = to_card(Abilities::ALL, &tcp(is_v6, &payload(20_000), true), segments(is_v6, 1428));
        let [(bytes, offload)] = &sent[..] else { panic!("one frame") };
        let size = 1428.try_into().expect("not 0");
        let expected = Offload { checksum: Checksum::Blank, segments: Some(Segments { family, size }) };
        assert_eq!(*offload, expected);
        let start = if is_v6 { HEADERS_V6 } else { HEADERS_V4 } - 20;
        assert_ne!(bytes[start + 16..start + 18], [0xde, 0xad], "the sum of the pseudo header is there");
    }
}

#[test]
fn a_card_that_cannot_gets_what_the_wire_permits() {
    for is_v6 in [false, true] {
        let payload = payload(50_000);
        let sent = to_card(Abilities::default(), &tcp(is_v6, &payload, true), segments(is_v6, 1400));
        check_stream(sent.iter().map(|(bytes, _)| &bytes[..]), &payload, 1400);
        let able_to_sum = Abilities { segments_v4: false, segments_v6: false, ..Abilities::ALL };
        let sent = to_card(able_to_sum, &tcp(is_v6, &payload, true), segments(is_v6, 1400));
        assert!(sent.iter().all(|(_, offload)| offload.checksum == Checksum::Blank));
        assert_eq!(sent.len(), 50_000_usize.div_ceil(1400));
    }
}

#[test]
fn a_frame_that_is_no_tcp_is_not_cut() {
    let mut host = Host::new(3, 1, Abilities::ALL, &[]);
    let frame = [&mac(9).0[..], &mac(1).0, &[0x88, 0xb5], &[7; 3000]].concat();
    host.guests[0].send(&frame, &[], segments(false, 1400));
    // IPv4 that says it is IPv6.
    host.guests[0].send(&tcp(false, &payload(3000), true), &[], segments(true, 1400));
    host.settle();
    assert!(host.card.wire.is_empty());
    assert_eq!(host.guests[0].statuses.get(&0), None, "both failed");
}

#[test]
fn a_frame_that_is_too_long_for_the_wire_is_dropped() {
    let sent = to_card(Abilities::ALL, &tcp(false, &payload(3000), false), Special::default());
    assert!(sent.is_empty());
}

#[test]
fn guests_hear_the_groups_that_they_name() {
    let otherwise = [("request-multicast-control", "1")];
    let group = [0x01, 0x00, 0x5e, 0, 0, 1];
    let mut host = Host::new(3, 2, Abilities::ALL, &otherwise);
    let frame = [&group[..], &mac(1).0, &[0x88, 0xb5], &[1; 50]].concat();
    let heard = |host: &mut Host| {
        host.guests[0].send(&frame, &[], Special::default());
        host.settle();
        std::mem::take(&mut host.guests[1].got).len()
    };
    assert_eq!(heard(&mut host), 0);
    host.guests[1].ask_group(group, true);
    host.settle();
    assert_eq!(heard(&mut host), 1);
    host.rebirth();
    assert_eq!(heard(&mut host), 1, "the successor knows");
    host.guests[1].ask_group(group, false);
    host.settle();
    assert_eq!(heard(&mut host), 0);
}
