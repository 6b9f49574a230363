//! The state as items: followed, copied while it changes, and kept in a log from which old items are dropped.

mod support;

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use support::{World, engine_of, scrub};
use xen_abi::Domid;
use xenstore::item::ItemList;
use xenstore::wire::{Header, Kind, Message};
use xenstore::{Config, ConnectionId, Effects, Engine, Item, ItemCursor, Items, Peer};

/// Requests of two clients that change things, and a domain that comes and goes.
fn steps() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    vec((0..12u8, any::<u8>(), any::<u8>()), 1..120)
}

fn path(number: u8) -> &'static str {
    ["/a", "/a/b", "/a/b/c", "/a/b/d", "/a/e", "/f", "/local/domain/5", "/local/domain/5/x", "/g/h/i", "/g/h"]
        [usize::from(number % 10)]
}

fn step(engine: &mut Engine, effects: &mut Effects, (what, one, two): (u8, u8, u8)) {
    let from = if one.is_multiple_of(3) { ConnectionId::of_domain(Domid(5)) } else { ConnectionId(1) };
    let path = path(two);
    let transaction = if what < 6 && two > 200 { u32::from(one % 3) } else { 0 };
    let (kind, payload) = match what {
        0..=2 => (Kind::Write, format!("{path}\0{one}")),
        3 => (Kind::Mkdir, format!("{path}\0")),
        4 => (Kind::Rm, format!("{path}\0")),
        5 => (Kind::SetPerms, format!("{path}\0n{}\0r{}\0", one % 2 * 5, two % 7)),
        6 => (Kind::Watch, format!("{path}\0{}\0", one % 4)),
        7 => (Kind::Unwatch, format!("{path}\0{}\0", one % 4)),
        8 => (Kind::TransactionStart, "\0".to_owned()),
        9 => {
            let payload = "T\0";
            return ask(engine, effects, from, Kind::TransactionEnd, u32::from(one % 3), payload);
        }
        10 => (Kind::Introduce, "5\x001\x001\0".to_owned()),
        _ if one < 50 => return engine.domain_died(Domid(5), effects).expect("nothing is damaged"),
        _ if one < 100 => return engine.connect(ConnectionId(1), Peer::Socket { read_only: false }, effects),
        _ => (Kind::ResetWatches, "\0".to_owned()),
    };
    ask(engine, effects, from, kind, transaction, &payload);
}

fn ask(
    engine: &mut Engine,
    effects: &mut Effects,
    from: ConnectionId,
    kind: Kind,
    transaction: u32,
    payload: &str,
) {
    let payload = payload.as_bytes();
    let header = Header { kind: kind.number(), request: 1, transaction, length: payload.len() as u32 };
    engine.handle(from, &Message { header, payload }, effects).expect("nothing is damaged");
}

fn beginning() -> (Engine, Items) {
    let mut engine = Engine::new(Config::default());
    let mut effects = Effects::new();
    engine.connect(ConnectionId(1), Peer::Socket { read_only: false }, &mut effects);
    engine.introduce(Domid(5), 0, 1, &mut effects).expect("nothing is damaged");
    let items = support::all_items(&engine);
    (engine, items)
}

fn encoded(item: &Item<'_>) -> Vec<u8> {
    let mut items = Items::new();
    items.push(item);
    items.as_bytes().to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whoever_applies_all_items_is_the_same(steps in steps(), twice in any::<bool>()) {
        let (mut engine, items) = beginning();
        let mut follower = engine_of(&Config::default(), items.list());
        let mut effects = Effects::new();
        for one in steps {
            effects.clear();
            step(&mut engine, &mut effects, one);
            for _ in 0..=usize::from(twice) {
                follower.apply_all(effects.items.list()).expect("an engine's items are whole");
            }
            prop_assert_eq!(follower.digest(), engine.digest());
        }
        scrub(&engine).expect("it is whole");
        scrub(&follower).expect("it is whole");
        prop_assert_eq!(follower.node_count(), engine.node_count());
    }

    #[test]
    fn a_copy_is_made_while_the_store_changes(steps in steps(), budget in 1..5usize) {
        let (mut engine, _) = beginning();
        let mut copy = Engine::blank(Config::default());
        let (mut cursor, mut effects, mut finished) = (ItemCursor::default(), Effects::new(), false);
        for one in steps {
            effects.clear();
            step(&mut engine, &mut effects, one);
            copy.apply_all(effects.items.list()).expect("an engine's items are whole");
            let mut some = Items::new();
            finished = finished || engine.items(&mut cursor, budget, &mut some);
            copy.apply_all(some.list()).expect("an engine's items are whole");
        }
        let mut rest = Items::new();
        while !finished {
            finished = engine.items(&mut cursor, budget, &mut rest);
        }
        copy.apply_all(rest.list()).expect("an engine's items are whole");
        prop_assert_eq!(copy.digest(), engine.digest());
        scrub(&copy).expect("it is whole");
    }

    #[test]
    fn a_log_need_only_keep_what_is_current(steps in steps(), room in 5..60usize) {
        let (mut engine, items) = beginning();
        let mut log: VecDeque<Vec<u8>> =
            items.list().map(|item| encoded(&item.expect("an engine's items are whole"))).collect();
        let mut effects = Effects::new();
        for one in steps {
            effects.clear();
            step(&mut engine, &mut effects, one);
            for item in effects.items.list() {
                log.push_back(encoded(&item.expect("an engine's items are whole")));
            }
            // The oldest go: what is still so is written anew at the end.
            for _ in 0..log.len().saturating_sub(room) {
                let oldest = log.pop_front().expect("it is not empty");
                let item = ItemList::new(&oldest).next().expect("one item").expect("an engine's items are whole");
                if engine.is_current(&item) {
                    log.push_back(oldest.clone());
                }
            }
        }
        let bytes = log.make_contiguous().concat();
        let recovered = engine_of(&Config::default(), ItemList::new(&bytes));
        prop_assert_eq!(recovered.digest(), engine.digest());
        scrub(&recovered).expect("it is whole");
    }
}

#[test]
fn an_interrupted_transaction_ends_in_eagain_and_nothing_else() {
    let mut world = World::new(Config::default());
    let dom0 = world.connect(1, false);
    world.ask(dom0, Kind::Write, 0, b"/a\0before");
    world.ask(dom0, Kind::TransactionStart, 0, b"\0");
    world.ask(dom0, Kind::Write, 1, b"/a\0lost");
    let mut after = World { engine: world.replica.clone(), ..world };
    assert_eq!(after.ask(dom0, Kind::Read, 1, b"/a\0")[0].payload, b"before");
    assert_eq!(after.ask(dom0, Kind::Write, 1, b"/b\0new")[0].payload, b"OK\0");
    assert_eq!(after.ask(dom0, Kind::Read, 1, b"/b\0")[0].payload, b"new");
    assert_eq!(after.ask(dom0, Kind::Read, 0, b"/b\0")[0].error(), Some("ENOENT"));
    assert_eq!(after.ask(dom0, Kind::TransactionEnd, 1, b"T\0")[0].error(), Some("EAGAIN"));
    assert_eq!(after.ask(dom0, Kind::Read, 0, b"/b\0")[0].error(), Some("ENOENT"));
    assert_eq!(after.ask(dom0, Kind::TransactionStart, 0, b"\0")[0].payload, b"2\0");
    after.check();
}

#[test]
fn one_guest_cannot_make_the_store_grow() {
    let mut world = World::new(Config::default());
    let dom0 = world.connect(1, false);
    let guest = world.introduce(5);
    world.ask(dom0, Kind::Mkdir, 0, b"/local/domain/5\0");
    world.ask(dom0, Kind::SetPerms, 0, b"/local/domain/5\0n5\0");
    let value = "v".repeat(4000);
    for round in 0..800u32 {
        for length in [4000, 1900] {
            let payload = format!("n{}/{}\0{}", round % 50, round / 50, &value[..length]);
            world.ask(guest, Kind::Write, 0, payload.as_bytes());
        }
        world.ask(guest, Kind::Watch, 0, format!("{}\0{round}\0", "w/".repeat(900) + "x").as_bytes());
        world.ask(guest, Kind::TransactionStart, 0, b"\0");
        for transaction in [1, 5, 11] {
            let payload = format!("t{round}\0{}", &value[..1900]);
            world.ask(guest, Kind::Write, transaction, payload.as_bytes());
        }
    }
    let limit = world.engine.quota(xenstore::Quota::Memory);
    assert!(world.engine.memory(Domid(5)) > limit / 4, "it has done what it could");
    // Transactions are bounded by how many nodes each may touch, not by memory: the host stops serving the domain.
    assert!(world.engine.memory(Domid(5)) < limit + 11 * 1024 * 2200);
    assert!(world.engine.node_count() < 1100);
    world.check();
}
