//! XenStore's engine at the other end of a ring, for tests of what asks it.

use alloc::vec;
use alloc::vec::Vec;
use ring::xenstore::Interface;
use xen_abi::Domid;
use xen_abi::xs_wire::Connection;
use xenstore::wire::{self, Decoded, Header, Kind, Message};
use xenstore::{Config, ConnectionId, Effects, Engine, Peer};

/// Somebody who may see and do everything, as dom0 may.
const ADMIN: ConnectionId = ConnectionId(1);

/// The server of one ring: takes and gives what the ring holds, whenever it gets a [turn](Self::turn). All its methods panic
/// where the client breaks the ring, or the engine is damaged.
#[derive(Debug)]
pub struct Server<'a> {
    interface: Interface<'a>,
    client: ConnectionId,
    domain: Domid,
    engine: Engine,
    received: Vec<u8>,
    unsent: Vec<u8>,
    has_news: bool,
}

impl<'a> Server<'a> {
    /// The server of `domain`, which is introduced, and may do what dom0 may.
    pub fn new(interface: Interface<'a>, domain: Domid) -> Self {
        let mut server = Self {
            interface,
            client: ConnectionId::of_domain(domain),
            domain,
            engine: Engine::new(Config { privileged: vec![domain], ..Config::default() }),
            received: Vec::new(),
            unsent: Vec::new(),
            has_news: false,
        };
        server.engine.connect(ADMIN, Peer::Socket { read_only: false }, &mut Effects::new());
        server.introduce();
        server
    }

    /// The page of the ring.
    pub fn interface(&self) -> Interface<'a> {
        self.interface
    }

    /// Whether it has moved something since this was asked last: the client's event channel would have rung.
    pub fn take_news(&mut self) -> bool {
        core::mem::take(&mut self.has_news)
    }

    /// Resets the connection if the client asks for that, answers its requests, and gives it as much as fits.
    pub fn turn(&mut self) {
        if self.interface.connection() == Some(Connection::Reconnect) {
            self.introduce();
            (self.received, self.unsent) = (Vec::new(), Vec::new());
            self.interface.reset();
            self.has_news = true;
        }
        let requests = self.interface.requests().reader();
        let mut bytes = vec![0; requests.available().expect("the client keeps the ring whole") as usize];
        requests.peek(requests.position(), &mut bytes);
        requests.consume_to(requests.position().wrapping_add(bytes.len() as u32));
        self.has_news |= !bytes.is_empty();
        self.received.extend(bytes);
        let received = core::mem::take(&mut self.received);
        let mut rest = &received[..];
        while let Decoded::Message(message) = wire::decode(rest) {
            self.handle(self.client, &message);
            rest = &rest[message.size()..];
        }
        self.received = rest.to_vec();
        self.deliver();
    }

    /// Makes a request with the rights of dom0; none if it is refused. The client hears of what it watches.
    pub fn admin(&mut self, kind: Kind, payload: &[u8]) -> Option<Vec<u8>> {
        let header = Header { kind: kind.number(), request: 1, transaction: 0, length: payload.len() as u32 };
        let effects = self.handle(ADMIN, &Message { header, payload });
        self.deliver();
        let (_, reply) = effects.outputs.iter().find(|(to, _)| *to == ADMIN).expect("there is an answer");
        let Decoded::Message(reply) = wire::decode(reply) else { panic!("half an answer") };
        (reply.kind() == Some(kind)).then(|| reply.payload.to_vec())
    }

    /// The paths of a node's children.
    pub fn children(&self, path: &[u8]) -> Vec<Vec<u8>> {
        self.engine.children(path)
    }

    fn introduce(&mut self) {
        self.engine.introduce(self.domain, 1, 1, &mut Effects::new()).expect("nothing is damaged");
    }

    fn handle(&mut self, from: ConnectionId, message: &Message<'_>) -> Effects {
        let mut effects = Effects::new();
        self.engine.handle(from, message, &mut effects).expect("nothing is damaged");
        let to_client = effects.outputs.iter().filter(|(to, _)| *to == self.client);
        to_client.for_each(|(_, bytes)| self.unsent.extend(bytes));
        effects
    }

    fn deliver(&mut self) {
        let responses = self.interface.responses().writer();
        let free = responses.free().expect("the client keeps the ring whole");
        let count = self.unsent.len().min(free as usize);
        responses.write(responses.position(), &self.unsent[..count]);
        responses.publish(responses.position().wrapping_add(count as u32));
        self.unsent.drain(..count);
        self.has_news |= count > 0;
    }
}
