//! Whatever clients send, replicas hear and logs hold: there is an answer or an error, never a panic, and the store
//! stays whole.

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use support::World;
use xenstore::item::ItemList;
use xenstore::wire::{Decoded, Header, MESSAGE_MAX, decode};
use xenstore::{Config, ConnectionId, Engine, Version};

/// Bytes that look a little like payloads.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(&b"\0"[..]).prop_map(<[u8]>::to_vec),
        prop::sample::select(vec![
            &b"/"[..],
            b"/a",
            b"a",
            b"/tool",
            b"//",
            b"@releaseDomain",
            b"@",
            b"n0",
            b"r5",
            b"b-1",
            b"x",
            b"T",
            b"F",
            b"1",
            b"5",
            b"0",
            b"-1",
            b"99999999999999999999",
            b"quota",
            b"set",
            b"check",
            b"local/domain",
        ])
        .prop_map(<[u8]>::to_vec),
        vec(any::<u8>(), 0..6),
        (any::<u8>(), 0..4096usize).prop_map(|(byte, times)| std::vec::from_elem(byte, times)),
    ];
    vec(piece, 0..8).prop_map(|pieces| {
        let mut bytes = pieces.concat();
        bytes.truncate(4096);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_request_is_answered_once(
        requests in vec((0..3usize, 0..24u32, 0..3u32, payload()), 1..40),
        version in prop::sample::select(vec![Version::Xen4_17, Version::Xen4_20, Version::Xen4_22]),
    ) {
        let mut world = World::new(Config { version, ..Config::default() });
        let clients = [world.connect(1, false), world.connect(2, true), world.introduce(5)];
        for (client, kind, transaction, payload) in requests {
            let client = clients[client];
            let was_connected = world.engine.is_connected(client);
            let received = world.try_ask(client, kind, transaction, &payload).expect("nothing is damaged");
            let answers = received.iter().filter(|one| one.to == client && one.header.request == 77).count();
            prop_assert_eq!(answers, usize::from(was_connected));
            prop_assert!(received.iter().all(|one| one.payload.len() <= 4096));
        }
        world.check();
    }

    #[test]
    fn any_stream_is_taken_apart(bytes in vec(any::<u8>(), 0..200), length in 0..5000u32) {
        let mut bytes = bytes;
        if bytes.len() >= 16 {
            bytes[12..16].copy_from_slice(&length.to_le_bytes());
        }
        match decode(&bytes) {
            Decoded::NeedMore(more) => prop_assert!(more > 0 && bytes.len() + more <= MESSAGE_MAX),
            Decoded::Message(message) => prop_assert_eq!(message.size(), Header::SIZE + length as usize),
            Decoded::Broken(broken) => prop_assert!(broken.length > 4096),
        }
    }

    #[test]
    fn any_items_are_taken_or_refused(
        flips in vec((any::<prop::sample::Index>(), 0..8u32), 0..6),
        rubbish in vec(any::<u8>(), 0..40),
    ) {
        let mut world = World::new(Config::default());
        let dom0 = world.connect(1, false);
        world.introduce(5);
        for (kind, payload) in [(11, &b"/a/b\0value"[..]), (4, b"/a\0token\0"), (4, b"x\0y\0"), (6, b"\0"), (14, b"/a\0n0\0r5\0")] {
            world.try_ask(dom0, kind, 0, payload).expect("nothing is damaged");
        }
        let mut bytes = support::all_items(&world.engine).as_bytes().to_vec();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        bytes.extend_from_slice(&rubbish);
        let mut engine = Engine::blank(Config::default());
        for item in ItemList::new(&bytes).flatten() {
            engine.apply(&item);
            engine.is_current(&item);
        }
        support::scrub(&engine).expect("what was taken is whole");
        engine.disconnect(ConnectionId(1), &mut world.effects);
    }
}
