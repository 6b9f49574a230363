//! A store with clients, and a replica that follows it.
#![allow(dead_code, reason = "each test uses a part of it")]

use xen_abi::Domid;
use xenstore::item::ItemList;
use xenstore::wire::{Decoded, Header, Kind, Message, decode};
use xenstore::{Config, ConnectionId, Cursor, Damage, Effects, Engine, Peer};

/// A message that a client received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub to: ConnectionId,
    pub header: Header,
    pub payload: Vec<u8>,
}

impl Received {
    pub fn kind(&self) -> Kind {
        Kind::from_number(self.header.kind).expect("the engine sends known kinds only")
    }

    /// The name of the error, if it is one.
    pub fn error(&self) -> Option<&str> {
        let name = self.payload.strip_suffix(b"\0").and_then(|name| str::from_utf8(name).ok());
        name.filter(|_| self.kind() == Kind::Error)
    }
}

/// A store with clients, and a replica that follows it.
#[derive(Clone)]
pub struct World {
    pub engine: Engine,
    pub replica: Engine,
    pub effects: Effects,
}

impl World {
    pub fn new(config: Config) -> Self {
        let engine = Engine::new(config.clone());
        let mut replica = Engine::blank(config);
        replica.apply_all(all_items(&engine).list()).expect("an engine's items are whole");
        Self { engine, replica, effects: Effects::new() }
    }

    /// Connects a program on a socket.
    pub fn connect(&mut self, id: u32, read_only: bool) -> ConnectionId {
        let id = ConnectionId(id);
        self.engine.connect(id, Peer::Socket { read_only }, &mut self.effects);
        self.collect();
        id
    }

    /// Serves a domain's ring from now on.
    pub fn introduce(&mut self, domid: u16) -> ConnectionId {
        self.engine.introduce(Domid(domid), 0, 1, &mut self.effects).expect("nothing is damaged");
        self.collect();
        ConnectionId::of_domain(Domid(domid))
    }

    /// Asks something, and answers with all that was sent because of it.
    pub fn ask(&mut self, from: ConnectionId, kind: Kind, transaction: u32, payload: &[u8]) -> Vec<Received> {
        self.try_ask(from, kind.number(), transaction, payload).expect("nothing is damaged")
    }

    pub fn try_ask(
        &mut self,
        from: ConnectionId,
        kind: u32,
        transaction: u32,
        payload: &[u8],
    ) -> Result<Vec<Received>, Damage> {
        let header = Header { kind, request: 77, transaction, length: payload.len() as u32 };
        let message = Message { header, payload };
        let result = self.engine.handle(from, &message, &mut self.effects);
        let received = self.collect();
        result.map(|()| received)
    }

    /// Takes what was sent, and lets the replica follow.
    pub fn collect(&mut self) -> Vec<Received> {
        self.replica.apply_all(self.effects.items.list()).expect("an engine's items are whole");
        let received = self.effects.outputs.iter().map(|(to, bytes)| match decode(bytes) {
            Decoded::Message(message) if message.size() == bytes.len() => {
                Received { to, header: message.header, payload: message.payload.to_vec() }
            }
            other => panic!("{to:?} got no message but {other:?}"),
        });
        let received = received.collect();
        self.effects.clear();
        received
    }

    /// The store is whole, and others that are made from its items are the same.
    pub fn check(&self) {
        scrub(&self.engine).expect("the store is whole");
        scrub(&self.replica).expect("the replica is whole");
        assert_eq!(self.engine.digest(), self.replica.digest(), "the replica differs");
    }
}

/// All items of an engine.
pub fn all_items(engine: &Engine) -> xenstore::Items {
    let mut items = xenstore::Items::new();
    let mut cursor = xenstore::ItemCursor::default();
    while !engine.items(&mut cursor, 3, &mut items) {}
    items
}

/// An engine made from a list of items.
pub fn engine_of(config: &Config, items: ItemList<'_>) -> Engine {
    let mut engine = Engine::blank(config.clone());
    engine.apply_all(items).expect("an engine's items are whole");
    engine
}

/// Walks through everything once.
pub fn scrub(engine: &Engine) -> Result<(), Damage> {
    let mut cursor = Cursor::default();
    while !engine.scrub(&mut cursor, 5)?.finished {}
    Ok(())
}
