//! Requests of several clients to XenStore, and a replica that follows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rvmm_fuzz::{byte, take};
use xen_abi::Domid;
use xenstore::wire::{Header, Message};
use xenstore::{Config, ConnectionId, Cursor, Effects, Engine, Peer};

/// Who asks: programs in dom0, and two domains.
const SOCKETS: [ConnectionId; 2] = [ConnectionId(1), ConnectionId(2)];

fuzz_target!(|bytes: &[u8]| {
    let mut effects = Effects::new();
    let mut engine = Engine::new(Config::default());
    for (id, read_only) in SOCKETS.into_iter().zip([false, true]) {
        engine.connect(id, Peer::Socket { read_only }, &mut effects);
    }
    for domid in [1, 2] {
        if let Err(damage) = engine.introduce(Domid(domid), 1, 1, &mut effects) {
            panic!("{damage}");
        }
    }
    let mut replica = Engine::new(Config::default());
    follow(&mut replica, &effects);

    let mut rest = bytes;
    while !rest.is_empty() {
        let from = byte(&mut rest);
        let id = match from % 4 {
            0 | 1 => SOCKETS[usize::from(from % 4)],
            domid => ConnectionId::of_domain(Domid(u16::from(domid) - 1)),
        };
        let (kind, transaction, length) = (byte(&mut rest), byte(&mut rest), byte(&mut rest));
        let payload = take(&mut rest, length.into());
        let header = Header {
            kind: u32::from(kind) % 30,
            request: 0,
            transaction: u32::from(transaction) % 4,
            length: payload.len() as u32,
        };
        effects.clear();
        if let Err(damage) = engine.handle(id, &Message { header, payload }, &mut effects) {
            panic!("nothing was damaged, and yet: {damage}");
        }
        follow(&mut replica, &effects);
    }
    assert_eq!(engine.digest(), replica.digest(), "a replica that follows has the same state");
    let mut cursor = Cursor::default();
    while !engine.scrub(&mut cursor, 1000).unwrap_or_else(|damage| panic!("{damage}")).finished {}
});

fn follow(replica: &mut Engine, effects: &Effects) {
    if let Err(error) = replica.apply_all(effects.items.list()) {
        panic!("{error}");
    }
}
