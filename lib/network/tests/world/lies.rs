//! Frontends and cards that lie: each harms itself and nobody else.

use crate::frames::{Name, mac, name_of, named};
use crate::guest::{RingPages, SLOTS, Special};
use crate::host::{CARD, Host, port};
use crate::numbers::{Numbers, for_each_seed};
use network::netback::{Abilities, FrameId, Lie, Offload, RingKind, Stopped};
use network::{Arrived, DriverFault};
use std::sync::atomic::Ordering::Relaxed;
use xen_abi::GrantRef;
use xen_abi::grant_table::{GrantError, GrantStatus};
use xen_abi::netif::{ExtraType, ResponseStatus, TxFlags, TxRequest};

const LIAR: usize = 1;
const HONEST: usize = 2;

/// Words of a ring's header.
const REQ_PROD: usize = 0;
const SLOTS_BEGIN: usize = 16;

fn host() -> Host {
    Host::new(1, 2, Abilities::ALL, &[])
}

/// A good request; its grant is the liar's first.
fn good() -> TxRequest {
    TxRequest { gref: GrantRef(8), offset: 0, flags: TxFlags::empty(), id: 0, size: 100 }
}

/// What the backend says of requests that a guest puts into its ring.
fn verdict(requests: &[TxRequest]) -> Option<Lie> {
    let mut host = host();
    let liar = &mut host.guests[LIAR - 1];
    // One good frame, so that the grant is there.
    liar.send(&named(Name { sender: 1, flow: 0, number: 0 }, mac(9), 100), &[], Special::default());
    liar.send_raw(requests);
    host.serve(LIAR);
    check_others_are_well(&mut host);
    host.gone.first().map(|gone| gone.lie)
}

/// The other guest can send and receive, and nothing that was the liar's is left.
fn check_others_are_well(host: &mut Host) {
    let name = |number| Name { sender: 2, flow: 0, number };
    for number in 0..10 {
        host.guests[HONEST - 1].send(&named(name(number), mac(9), 500), &[100, 200], Special::default());
    }
    let before = host.card.wire.len();
    host.settle();
    let all = (before..host.card.wire.len()).map(|at| name_of(&host.card.wire[at].bytes));
    let heard: Vec<_> = all.filter(|name| name.sender == 2).collect();
    assert_eq!(heard, (0..10).map(name).collect::<Vec<_>>());
    let liar_is_gone = host.plane.device(port(LIAR)).is_none();
    assert_eq!(liar_is_gone, host.gone.iter().any(|gone| gone.port == port(LIAR)));
    if liar_is_gone {
        host.check_nothing_leaks();
    }
}

#[test]
fn a_piece_that_leaves_its_page() {
    let request = TxRequest { offset: 4000, ..good() };
    assert!(matches!(verdict(&[request]), Some(Lie::BeyondPage { offset: 4000, size: 100, .. })));
    let first = TxRequest { flags: TxFlags::MORE_DATA, size: 200, ..good() };
    let second = TxRequest { offset: u16::MAX, size: 100, ..good() };
    assert!(matches!(verdict(&[first, second]), Some(Lie::BeyondPage { offset: u16::MAX, .. })));
}

#[test]
fn a_frame_that_is_cut_short() {
    let request = TxRequest { flags: TxFlags::MORE_DATA, ..good() };
    assert!(matches!(verdict(&[request]), Some(Lie::CutShort { .. })));
    let request = TxRequest { flags: TxFlags::EXTRA_INFO, ..good() };
    assert!(matches!(verdict(&[request]), Some(Lie::CutShort { .. })));
}

#[test]
fn a_frame_without_end() {
    let more = TxRequest { flags: TxFlags::MORE_DATA, size: 1, ..good() };
    assert!(matches!(verdict(&vec![more; 40]), Some(Lie::TooManyPieces { .. })));
    let extra = extra(ExtraType::Hash.raw(), 1);
    let first = TxRequest { flags: TxFlags::EXTRA_INFO, ..good() };
    let requests: Vec<_> = std::iter::once(first).chain(vec![extra; 20]).collect();
    assert!(matches!(verdict(&requests), Some(Lie::TooManyPieces { .. })));
}

/// An extra slot with nothing in it.
fn extra(kind: u8, flags: u8) -> TxRequest {
    TxRequest { gref: GrantRef(u32::from_le_bytes([kind, flags, 0, 0])), ..TxRequest::default() }
}

#[test]
fn extra_information_that_nobody_knows() {
    let first = TxRequest { flags: TxFlags::EXTRA_INFO, ..good() };
    for kind in [0, 5, 255] {
        let found = verdict(&[first, extra(kind, 0)]);
        assert!(matches!(found, Some(Lie::Extra { kind: found, .. }) if found == kind), "{found:?}");
    }
    let found = verdict(&[first, extra(ExtraType::Gso.raw(), 0)]);
    assert!(matches!(found, Some(Lie::Segments { kind: 0, size: 0, .. })), "{found:?}");
}

#[test]
fn a_page_that_is_not_granted() {
    let expected = Lie::Grant {
        ring: RingKind::Transmit,
        gref: GrantRef(4711),
        error: GrantError::Known(GrantStatus::BadGntref),
    };
    assert_eq!(verdict(&[TxRequest { gref: GrantRef(4711), ..good() }]), Some(expected));
}

#[test]
fn an_index_out_of_reach() {
    for wrong in [SLOTS + 1, u32::MAX, 1 << 31] {
        let mut host = host();
        let page = host.guests[LIAR - 1].pages.transmit;
        page[REQ_PROD].store(page[REQ_PROD].load(Relaxed).wrapping_add(wrong), Relaxed);
        host.serve(LIAR);
        assert!(matches!(host.gone[0].lie, Lie::Index { ring: RingKind::Transmit, .. }));
        check_others_are_well(&mut host);
    }
    let mut host = host();
    let page = host.guests[LIAR - 1].pages.receive;
    page[REQ_PROD].store(page[REQ_PROD].load(Relaxed).wrapping_sub(5), Relaxed);
    let frame = named(Name { sender: 2, flow: 1, number: 0 }, mac(1), 100);
    host.guests[HONEST - 1].send(&frame, &[], Special::default());
    host.serve(HONEST);
    host.deliver(LIAR);
    assert!(matches!(host.gone[0].lie, Lie::Index { ring: RingKind::Receive, .. }));
    check_others_are_well(&mut host);
}

#[test]
fn room_that_cannot_be_written() {
    let mut host = host();
    host.guests[LIAR - 1].post(4);
    for granted in host.machine.grants.borrow_mut().values_mut() {
        granted.is_writable = false;
    }
    let frame = named(Name { sender: 2, flow: 1, number: 0 }, mac(1), 100);
    host.guests[HONEST - 1].send(&frame, &[], Special::default());
    host.serve(HONEST);
    host.deliver(LIAR);
    assert!(matches!(host.gone[0].lie, Lie::Grant { ring: RingKind::Receive, .. }));
    check_others_are_well(&mut host);
}

#[test]
fn mistakes_that_are_no_lies_cost_the_frame() {
    let mut host = host();
    let guest = &mut host.guests[LIAR - 1];
    let page = [0x55; 200];
    // Shorter than Ethernet's header, and with more pieces than a frame of its length can have bytes.
    guest.send(&page[..10], &[], Special::default());
    guest.send(&page[..100], &[2; 20], Special::default());
    guest.send(&page[..100], &[], Special { blank: true, ..Special::default() });
    host.settle();
    assert!(host.gone.is_empty());
    let statuses = &host.guests[LIAR - 1].statuses;
    assert_eq!(statuses.get(&ResponseStatus::Error.raw()), Some(&(1 + 21 + 1)), "{statuses:?}");
    assert!(host.card.wire.is_empty());
}

#[test]
fn a_frame_of_too_many_bytes_is_a_mistake() {
    let mut host = host();
    let guest = &mut host.guests[LIAR - 1];
    guest.send(&named(Name { sender: 1, flow: 0, number: 0 }, mac(9), 100), &[50], Special::default());
    let word =
        SLOTS_BEGIN + (guest.pages.transmit[REQ_PROD].load(Relaxed).wrapping_sub(2) as usize % 256) * 3 + 2;
    let ids = guest.pages.transmit[word].load(Relaxed) & 0xffff;
    // The sum of the pieces did not fit into the length of the whole.
    guest.pages.transmit[word].store(ids | 20 << 16, Relaxed);
    host.settle();
    assert!(host.gone.is_empty() && host.card.wire.is_empty());
    check_others_are_well(&mut host);
}

#[test]
fn a_guest_that_poses_as_another_is_not_heard() {
    let mut host = host();
    let forged = named(Name { sender: 2, flow: 0, number: 77 }, mac(9), 100);
    host.guests[LIAR - 1].send(&forged, &[], Special::default());
    host.settle();
    assert!(host.card.wire.is_empty());
    let counters = host.plane.switch().counters(port(LIAR)).expect("it is there");
    assert_eq!(counters.dropped(network::switch::Drop::ForgedMac), 1);
}

#[test]
fn a_guest_that_posts_no_room_keeps_nobody_waiting() {
    let mut host = host();
    let mut sent = 0;
    let begun_us = host.now_us;
    while sent < 2000 {
        while host.guests[HONEST - 1].has_room(1) {
            let to = if sent % 2 == 0 { mac(1) } else { mac(9) };
            let name = Name { sender: 2, flow: 0, number: sent };
            host.guests[HONEST - 1].send(&named(name, to, 100), &[], Special::default());
            sent += 1;
        }
        host.now_us += 1000;
        host.serve(HONEST);
        host.drive().expect("an honest card");
        host.card_works();
        host.deliver(LIAR);
        host.answer(HONEST);
        host.guests[HONEST - 1].take_answers();
    }
    let took_us = host.now_us - begun_us;
    assert!(took_us < 200_000, "at least a ring in 20 ms, not {took_us} us for eight rings");
    let received = |host: &Host| host.plane.device(port(LIAR)).expect("it is no lie").passed(0).1;
    assert!(received(&host).overflowed > 0, "its queue is bounded");
    host.now_us += 10_000_000;
    host.deliver(LIAR);
    assert!(received(&host).expired > 0);
    assert!(host.gone.is_empty());
    host.check_nothing_leaks();
}

/// Rubbish in the liar's rings, at any moment: the other guest gets all of its frames through.
#[test]
fn rubbish_harms_only_who_writes_it() {
    for_each_seed(150, |seed| {
        let mut host = Host::new(seed, 2, Abilities::ALL, &[]);
        let mut numbers = Numbers::new(seed ^ 0xbad);
        let RingPages { transmit, receive } = host.guests[LIAR - 1].pages;
        host.guests[LIAR - 1].post(100);
        for number in 0..60 {
            for _ in 0..numbers.below(6) {
                let page = numbers.pick(&[transmit, receive]);
                let slot = SLOTS_BEGIN + numbers.below(200);
                let word = numbers.pick(&[REQ_PROD, 1, 2, 3, slot]);
                let old = page[word].load(Relaxed);
                let near = old.wrapping_add(numbers.below(4) as u32);
                let (flipped, any) = (old ^ 1 << numbers.below(32), numbers.next() as u32);
                let value = numbers.pick(&[near, flipped, any]);
                page[word].store(value, Relaxed);
            }
            let honest = &mut host.guests[HONEST - 1];
            let to = numbers.pick(&[mac(9), mac(1), mac(9)]);
            let flow = u8::from(to == mac(1));
            if honest.has_room(3) {
                honest.send(&named(Name { sender: 2, flow, number }, to, 200), &[60], Special::default());
            }
            host.now_us += 50;
            host.serve(LIAR);
            host.deliver(LIAR);
            host.serve(HONEST);
            host.drive().expect("an honest card");
            host.card_works();
            host.answer(HONEST);
            host.answer(LIAR);
            if numbers.once_in(20) && !host.gone.is_empty() {
                host.rebirth();
            }
        }
        assert!(host.gone.iter().all(|gone| gone.port == port(LIAR)), "{:?}", host.gone);
        // Whatever is left of the liar goes, and what was for it.
        host.plane.disconnect(port(LIAR));
        for _ in 0..50 {
            host.now_us += 50;
            host.serve(HONEST);
            host.drive().expect("an honest card");
            host.card_works();
            host.answer(HONEST);
            host.guests[HONEST - 1].take_answers();
        }
        assert_eq!(host.guests[HONEST - 1].open(), 0, "all of the honest guest's slots are answered");
        assert_eq!(host.plane.pool().frames(), host.card.posted(), "nothing leaks");
        let sound = |name: Name| (name.sender == 2).then_some(name.number);
        let heard: Vec<u32> = host
            .card
            .wire
            .iter()
            .filter(|frame| frame.bytes.get(6..12) == Some(&mac(2).0))
            .filter_map(|frame| sound(name_of(&frame.bytes)))
            .collect();
        assert!(heard.windows(2).all(|two| two[0] <= two[1] || !host.gone.is_empty()));
        assert!(!heard.is_empty());
    });
}

#[test]
fn a_driver_that_lies_is_replaced() {
    let mut host = host();
    host.guests[HONEST - 1].send(
        &named(Name { sender: 2, flow: 0, number: 5 }, mac(9), 100),
        &[],
        Special::default(),
    );
    host.serve(HONEST);
    host.card.lie_sent = Some(FrameId(4000));
    assert_eq!(host.drive(), Err(DriverFault::SentUnasked(FrameId(4000))));
    assert!(!host.plane.uplink(port(CARD)).expect("it is there").is_up());
    host.card.reset();
    host.driver_starts();
    let posted = Arrived { frame: FrameId(4001), length: 60, offload: Offload::NONE };
    host.drive().expect("honest again");
    for arrived in [posted, Arrived { length: 5000, frame: FrameId(0), ..posted }] {
        host.card.lie_arrived = Some(arrived);
        assert_eq!(host.drive(), Err(DriverFault::ArrivedUnasked(arrived.frame)));
        host.card.reset();
        host.driver_starts();
    }
    host.check_nothing_leaks();
    assert_eq!(host.card.wire.iter().filter(|frame| name_of(&frame.bytes).number == 5).count(), 1);
}

#[test]
fn a_guest_with_too_little_credit_waits() {
    let mut host = host();
    let rate = "1000,1000".parse().expect("a rate");
    host.plane.set_rate(port(HONEST), Some(rate), 0);
    let mut sent = 0;
    for number in 0..200 {
        let frame = named(Name { sender: 2, flow: 0, number }, mac(9), 1000);
        if host.guests[HONEST - 1].has_room(1) {
            host.guests[HONEST - 1].send(&frame, &[], Special::default());
            sent += 1;
        }
    }
    let stopped = loop {
        match host.serve(HONEST) {
            Some(Stopped::Turn) => {}
            stopped => break stopped,
        }
        host.drive().expect("an honest card");
        host.card_works();
    };
    let Some(Stopped::Until { at_us }) = stopped else {
        panic!("131 of {sent} frames use up the first credit, but {stopped:?}");
    };
    host.now_us = at_us - 1;
    assert_eq!(host.serve(HONEST), Some(Stopped::Until { at_us }));
    host.now_us = at_us;
    assert_eq!(host.serve(HONEST), Some(Stopped::Until { at_us: at_us + 1000 }), "one more, and no other");
    host.settle();
    assert_eq!(host.card.wire.len(), sent);
}
