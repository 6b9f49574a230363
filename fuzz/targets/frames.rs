//! Frames of all kinds: whom the switch lets pass, and what becomes of those that are summed and cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netback::{
    Checksum, CutError, Family, Offload, PAGE, PageId, Pages, Pool, Segments, Transport, cut, fill_checksum,
};
use rvmm_fuzz::{FRAMES, MACS, byte, take};
use std::num::NonZeroU16;
use switch::{
    Arrival, EthernetAddress, Identity, Ipv4Address, Ipv6Address, PortConfig, PortId, Role, Switch, Verdict,
};
use xen_abi::Mfn;

/// Pages of the pool.
const PAGES: usize = 160;
/// The guests' addresses.
const IPV4: [[u8; 4]; 2] = [[10, 0, 0, 1], [10, 0, 0, 2]];
const IPV6: [u8; 16] = [0x20, 1, 13, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// Ports: the guests bound to their addresses, one bound to no internet address, a card, and one that hears nobody of them.
const BOUND: [usize; 2] = [0, 1];
const UNBOUND: usize = 2;
const CARD: usize = 3;
const ELSEWHERE: usize = 4;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes;
    let mut switch = switch();
    let mut now_us = 0;
    while !bytes.is_empty() {
        let (from, how) = (usize::from(byte(&mut bytes)) % 5, byte(&mut bytes));
        let size = u16::from(byte(&mut bytes)) << 4 | u16::from(byte(&mut bytes));
        let frame = frame(&mut bytes, how);
        now_us += u64::from(how) << 20;
        check_passage(&mut switch, now_us, from, &frame);
        if !frame.is_empty() {
            check_pieces(&frame, NonZeroU16::new(size).unwrap_or(NonZeroU16::MIN));
        }
    }
});

/// A frame that begins as one that there is, but for some bytes, perhaps with a VLAN's tag.
fn frame(bytes: &mut &[u8], how: u8) -> Vec<u8> {
    let mut frame = FRAMES.get(usize::from(how & 7)).map_or(Vec::new(), |head| head.to_vec());
    for _ in 0..how >> 3 & 3 {
        let (at, value) = (usize::from(byte(bytes)), byte(bytes));
        frame.iter_mut().skip(at).take(1).for_each(|byte| *byte = value);
    }
    if how & 32 != 0 && frame.len() > 12 {
        frame.splice(12..12, [0x81, 0, 0, 5]);
    }
    let count = usize::from(byte(bytes));
    let rest = take(bytes, count);
    let times = if how & 64 == 0 { 1 } else { 80 };
    (0..times).for_each(|_| frame.extend_from_slice(rest));
    frame
}

fn port(number: usize) -> PortId {
    PortId::new(number).expect("a small number")
}

fn switch() -> Switch {
    let mut switch = Switch::new(1, 1_000_000_000);
    for number in 0..5 {
        let mut identity = Identity::new(EthernetAddress(MACS[number % 2]));
        if BOUND.contains(&number) {
            identity.allow_ipv4(Ipv4Address::from(IPV4[number])).expect("one");
            identity.allow_ipv6(Ipv6Address::from(IPV6)).expect("one");
        }
        if number == UNBOUND {
            identity = Identity::new(EthernetAddress([2, 0, 0, 0, 0, 3]));
        }
        let bridge = if number == ELSEWHERE { "b" } else { "a" }.try_into().expect("short");
        let role = if number == CARD { Role::Uplink } else { Role::Guest(identity) };
        switch.connect(port(number), PortConfig { bridge, role, isolated: number == UNBOUND });
    }
    switch
}

/// A frame goes nowhere that it must not, and nobody passes as somebody else.
fn check_passage(switch: &mut Switch, now_us: u64, from: usize, frame: &[u8]) {
    let head = &frame[..frame.len().min(switch::HEAD)];
    let arrival = Arrival { port: port(from), head, length: frame.len() };
    let Verdict::Forward(ports) = switch.forward(now_us, &arrival) else { return };
    assert!(!ports.is_empty() && !ports.contains(port(from)) && !ports.contains(port(ELSEWHERE)));
    assert!(from != ELSEWHERE && frame.len() >= 14);
    let (to, sender) = (&head[..6], &head[6..12]);
    assert_eq!(sender[0] & 1, 0, "one sender");
    for number in BOUND {
        let is_for_it = to == MACS[number] || to[0] & 1 == 1;
        assert!(is_for_it || !ports.contains(port(number)), "a guest hears what is for others");
        assert!(from == number || sender != MACS[number], "somebody has a guest's address");
    }
    if BOUND.contains(&from) {
        assert!(is_honest(from, head), "{head:02x?}");
    }
}

/// Whether all that a frame says of its sender is so.
fn is_honest(guest: usize, head: &[u8]) -> bool {
    let packet = &head[14..];
    let is_own_ipv6 = |address: &[u8]| address == IPV6 || address[0] == 0xfe && address[1] & 0xc0 == 0x80;
    match [head[12], head[13]] {
        [8, 6] => {
            let sender = &packet[14..18];
            packet[8..14] == MACS[guest] && (sender == IPV4[guest] || sender == [0; 4])
        }
        [8, 0] => packet[12..16] == IPV4[guest] || packet[12..16] == [0; 4] && packet[9] == 17,
        [0x86, 0xdd] => {
            let sender = &packet[8..24];
            let is_silent = packet[6] != 58 || {
                let message = &packet[40..];
                match message[0] {
                    134 | 137 => false,
                    136 => is_own_ipv6(&message[8..24]),
                    _ => true,
                }
            };
            (is_own_ipv6(sender) || sender == [0; 16]) && is_silent
        }
        _ => false,
    }
}

struct Memory(Vec<[u8; PAGE]>);

impl Pages for Memory {
    fn place(&self, page: PageId) -> Mfn {
        Mfn(page.0.into())
    }

    fn bytes(&self, page: PageId) -> &[u8] {
        &self.0[usize::from(page.0)]
    }

    fn bytes_mut(&mut self, page: PageId) -> &mut [u8] {
        &mut self.0[usize::from(page.0)]
    }
}

/// Checksums are right, and the pieces of a frame are the frame.
fn check_pieces(frame: &[u8], size: NonZeroU16) {
    let (mut pool, mut memory) = (Pool::new(PAGES), Memory(vec![[0x55; PAGE]; PAGES]));
    let whole = pool.allocate(frame.len(), 0).expect("there is room");
    pool.write(whole, &mut memory, 0, frame);
    let located = Transport::locate(pool.head(whole, &memory));
    let families = [Family::TcpV4, Family::TcpV6];
    let fitting = located.and_then(|transport| {
        families
            .map(|family| Segments { family, size })
            .into_iter()
            .find(|segments| segments.is_of(&transport))
    });
    let segments = fitting.unwrap_or(Segments { family: Family::TcpV4, size });
    let outcome = cut(&mut pool, &mut memory, whole, segments);
    let read = |pool: &Pool, memory: &Memory, id| {
        let mut bytes = vec![0; pool.length(id)];
        pool.read(id, memory, 0, &mut bytes);
        bytes
    };
    match (outcome, located) {
        (Ok(pieces), Some(transport)) => {
            assert!(fitting.is_some(), "only TCP is cut");
            let mut payload = Vec::new();
            for piece in &pieces {
                fill_checksum(&mut pool, &mut memory, *piece, &transport);
                let bytes = read(&pool, &memory, *piece);
                check_packet(&bytes, &transport, true);
                let sequence = |bytes: &[u8]| {
                    let field: [u8; 4] = bytes[transport.start + 4..][..4].try_into().expect("four");
                    u32::from_be_bytes(field)
                };
                assert_eq!(sequence(&bytes), sequence(frame).wrapping_add(payload.len() as u32));
                assert!(bytes.len() - transport.payload <= usize::from(size.get()));
                payload.extend_from_slice(&bytes[transport.payload..]);
            }
            assert!(payload == frame[transport.payload..], "the pieces are the whole");
            pieces.into_iter().for_each(|piece| _ = pool.release(piece));
        }
        (Ok(_), None) => panic!("what is no TCP was cut"),
        (Err(CutError::NoRoom | CutError::Impossible), _) => {}
    }
    assert_eq!(read(&pool, &memory, whole), frame, "the whole is as it was");
    if let Some(transport) = located {
        pool.set_offload(whole, Offload { checksum: Checksum::Blank, segments: None });
        fill_checksum(&mut pool, &mut memory, whole, &transport);
        check_packet(&read(&pool, &memory, whole), &transport, false);
        assert_eq!(pool.offload(whole).checksum, Checksum::Valid);
    }
    pool.release(whole);
    assert_eq!((pool.frames(), pool.free_pages()), (0, PAGES));
}

/// Whether the sums of a packet, and its lengths where they were written, are right.
fn check_packet(bytes: &[u8], transport: &Transport, has_lengths: bool) {
    let packet = &bytes[transport.internet..];
    let segment = &bytes[transport.start..];
    let is_tcp = transport.field == transport.start + 16;
    let mut pseudo = vec![0, if is_tcp { 6 } else { 17 }];
    pseudo.extend_from_slice(&(segment.len() as u16).to_be_bytes());
    pseudo.extend_from_slice(if transport.is_v6 { &packet[8..40] } else { &packet[12..20] });
    pseudo.extend_from_slice(segment);
    assert_eq!(sum(&pseudo), 0xffff, "its checksum");
    let said = |at: usize| usize::from(packet[at]) << 8 | usize::from(packet[at + 1]);
    if has_lengths && transport.is_v6 {
        assert_eq!(said(4) + 40, packet.len());
    } else if has_lengths {
        assert_eq!(said(2), packet.len());
        assert_eq!(sum(&packet[..usize::from(packet[0] & 15) * 4]), 0xffff, "that of the header");
    }
}

/// The sum of the internet's protocols (RFC 1071).
fn sum(bytes: &[u8]) -> u32 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let sum: u32 = bytes.chunks(2).map(word).sum();
    let sum = (sum >> 16) + (sum & 0xffff);
    (sum >> 16) + (sum & 0xffff)
}
