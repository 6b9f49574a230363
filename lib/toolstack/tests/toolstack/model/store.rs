//! XenStore: the real engine, at the other end of the toolstack's ring.

use ring::xenstore::Interface;
use xen_abi::Domid;
use xen_abi::xs_wire::Connection;
use xenstore::wire::{self, Decoded, Header, Kind, Message};
use xenstore::{Config, ConnectionId, Effects, Engine, Peer};

/// Somebody who may see and do everything, as dom0 may.
const ADMIN: ConnectionId = ConnectionId(1);

pub struct Store {
    interface: Interface<'static>,
    tool: Domid,
    engine: Engine,
    received: Vec<u8>,
    unsent: Vec<u8>,
    has_news: bool,
}

impl Store {
    pub fn new(interface: Interface<'static>, tool: Domid) -> Self {
        let mut engine = Engine::new(Config { privileged: vec![tool], ..Config::default() });
        engine.connect(ADMIN, Peer::Socket { read_only: false }, &mut Effects::new());
        Self { interface, tool, engine, received: Vec::new(), unsent: Vec::new(), has_news: false }
    }

    pub fn take_news(&mut self) -> bool {
        core::mem::take(&mut self.has_news)
    }

    /// Serves the toolstack's ring.
    pub fn turn(&mut self) {
        if self.interface.connection() == Some(Connection::Reconnect) {
            self.engine.introduce(self.tool, 1, 1, &mut Effects::new()).expect("nothing is damaged");
            (self.received, self.unsent) = (Vec::new(), Vec::new());
            self.interface.reset();
            self.has_news = true;
        }
        let requests = self.interface.requests().reader();
        let mut bytes = vec![0; requests.available().unwrap() as usize];
        requests.peek(requests.position(), &mut bytes);
        requests.consume_to(requests.position().wrapping_add(bytes.len() as u32));
        self.received.extend(&bytes);
        self.has_news |= !bytes.is_empty();
        while let Decoded::Message(message) = wire::decode(&self.received) {
            let size = message.size();
            let mut effects = Effects::new();
            self.engine
                .handle(ConnectionId::of_domain(self.tool), &message, &mut effects)
                .expect("nothing is damaged");
            self.send(&effects);
            self.received.drain(..size);
        }
        self.deliver();
    }

    fn send(&mut self, effects: &Effects) {
        let tool = ConnectionId::of_domain(self.tool);
        effects.outputs.iter().filter(|(to, _)| *to == tool).for_each(|(_, bytes)| self.unsent.extend(bytes));
    }

    fn deliver(&mut self) {
        let responses = self.interface.responses().writer();
        let count = self.unsent.len().min(responses.free().unwrap() as usize);
        responses.write(responses.position(), &self.unsent[..count]);
        responses.publish(responses.position().wrapping_add(count as u32));
        self.unsent.drain(..count);
        self.has_news |= count > 0;
    }

    /// Makes a request with the rights of dom0. None if it is refused.
    fn admin(&mut self, kind: Kind, payload: &[u8]) -> Option<Vec<u8>> {
        let length = payload.len() as u32;
        let header = Header { kind: kind.number(), request: 1, transaction: 0, length };
        let mut effects = Effects::new();
        self.engine.handle(ADMIN, &Message { header, payload }, &mut effects).expect("nothing is damaged");
        self.send(&effects);
        self.deliver();
        let (_, reply) = effects.outputs.iter().find(|(to, _)| *to == ADMIN).expect("there is an answer");
        let Decoded::Message(reply) = wire::decode(reply) else { panic!("half an answer") };
        (reply.kind() == Some(kind)).then(|| reply.payload.to_vec())
    }

    pub fn read(&mut self, path: &str) -> Option<String> {
        let value = self.admin(Kind::Read, format!("{path}\0").as_bytes())?;
        Some(String::from_utf8(value).expect("text"))
    }

    fn permissions(&mut self, path: &str) -> String {
        let entries = self.admin(Kind::GetPerms, format!("{path}\0").as_bytes()).expect("it is there");
        let entries = String::from_utf8(entries).expect("text");
        entries.trim_end_matches('\0').replace('\0', ",")
    }

    pub fn write(&mut self, path: &str, value: &str) {
        self.admin(Kind::Write, format!("{path}\0{value}").as_bytes()).expect("dom0 may write");
    }

    pub fn children(&self, path: &str) -> Vec<String> {
        let children = self.engine.children(path.as_bytes()).into_iter();
        children.map(|child| String::from_utf8(child).expect("text")).collect()
    }

    /// All nodes, with values and permissions, in the order of their paths.
    pub fn dump(&mut self) -> Vec<String> {
        let mut nodes = Vec::new();
        let mut paths = vec!["/".to_owned()];
        while let Some(path) = paths.pop() {
            paths.extend(self.children(&path));
            let (value, permissions) = (self.read(&path).expect("it is there"), self.permissions(&path));
            nodes.push(format!("{path} ({permissions}) = {value:?}"));
        }
        nodes.sort();
        nodes
    }
}
