//! A master alone: what it refuses, what it reports, and what it makes of a domain that begins anew.

use crate::ring::Pipe;
use crate::world::Memory;
use replica::master::{Config, ConnectError, Connected, Master, XenStoreFraming};
use replica::report::Report;
use replica::session::Sessions;
use uk_abi::testing::Fuse;
use xen_abi::Domid;
use xenstore::wire::{self, Decoded, Header, Kind};
use xenstore::{ConnectionId, DomainAction, Peer};

pub(crate) const CLIENT: ConnectionId = ConnectionId(1);
pub(crate) const PEER: Peer = Peer::Socket { read_only: false };

pub(crate) struct Host {
    vault: Memory,
    sessions: Memory,
    pub(crate) fuse: Fuse,
    lives: u64,
}

impl Host {
    pub(crate) fn new(vault: usize) -> Self {
        let fuse = Fuse::default();
        let sessions = Memory::new(2 * Sessions::<Memory, XenStoreFraming>::SLOT_WORDS, &fuse);
        Host { vault: Memory::new(vault, &fuse), sessions, fuse, lives: 0 }
    }

    /// Starts the service anew.
    pub(crate) fn start(&mut self) -> Master<Memory> {
        self.lives += 1;
        let config = Config { store: xenstore::Config::default(), seed: self.lives };
        Master::open(config, self.vault.clone(), self.sessions.clone(), Vec::new()).expect("large enough")
    }
}

/// Sends a request and returns the payload of the answer.
pub(crate) fn ask(
    master: &mut Master<Memory>,
    id: ConnectionId,
    pipe: &mut Pipe,
    kind: Kind,
    payload: &[u8],
) -> Vec<u8> {
    let header = Header { kind: kind.number(), request: 9, length: payload.len() as u32, transaction: 0 };
    let request = [&header.encode()[..], payload].concat();
    assert_eq!(pipe.send(&request), request.len());
    assert_eq!(master.serve(id, pipe, 4).expect("an honest client").requests, 1);
    let answer = pipe.receive(usize::MAX);
    let Decoded::Message(message) = wire::decode(&answer) else { panic!("{answer:?}") };
    assert_eq!((message.header.request, message.size()), (9, answer.len()));
    message.payload.to_vec()
}

fn reports(master: &mut Master<Memory>) -> Vec<Report> {
    let mut reports = Vec::new();
    master.take_reports(&mut reports);
    reports
}

#[test]
fn a_service_begins_once_and_then_goes_on() {
    let mut host = Host::new(1 << 14);
    let mut pipe = Pipe::ring(7, &host.fuse);
    let mut master = host.start();
    assert_eq!(reports(&mut master), [Report::Begun]);
    assert_eq!(master.connect(CLIENT, PEER, &pipe), Ok(Connected::New));
    assert_eq!(ask(&mut master, CLIENT, &mut pipe, Kind::Write, b"/a\0b"), b"OK\0");
    let stamp = master.stamp();
    let mut master = host.start();
    assert_eq!(reports(&mut master), [Report::Recovered { stamp }]);
    assert_eq!(master.connections().collect::<Vec<_>>(), [CLIENT]);
    assert_eq!(master.connect(CLIENT, PEER, &pipe), Ok(Connected::Resumed));
    assert_eq!(ask(&mut master, CLIENT, &mut pipe, Kind::Read, b"/a\0"), b"b");
    let other = Pipe::ring(0, &host.fuse);
    assert_eq!(master.connect(ConnectionId(2), PEER, &other), Ok(Connected::New));
    let full = master.connect(ConnectionId(3), PEER, &other);
    assert_eq!(full, Err(ConnectError::NoSession { sessions: 2 }));
    assert!(master.disconnect(ConnectionId(2)));
    assert_eq!(master.connect(ConnectionId(3), PEER, &other), Ok(Connected::New));
}

#[test]
fn a_full_vault_refuses_what_grows_and_serves_the_rest() {
    let mut host = Host::new(1 << 14);
    let mut pipe = Pipe::with_window(1 << 16, 0, &host.fuse);
    let mut master = host.start();
    master.connect(CLIENT, PEER, &pipe).expect("a session");
    let write = |number: usize| [format!("/n{number}\0").as_bytes(), &[b'x'; 1000]].concat();
    let is_full = |number: &usize| {
        let answer = ask(&mut master, CLIENT, &mut pipe, Kind::Write, &write(*number));
        assert!(answer == b"OK\0" || answer == b"ENOSPC\0");
        answer == b"ENOSPC\0"
    };
    let full = (0..100).find(is_full).expect("it cannot take all that");
    assert!(full > 8, "only {full} nodes");
    assert!(reports(&mut master).iter().any(|report| matches!(report, Report::VaultFull { .. })));
    assert_eq!(ask(&mut master, CLIENT, &mut pipe, Kind::Read, b"/n0\0"), vec![b'x'; 1000]);
    for number in 0..full {
        let path = format!("/n{number}\0");
        assert_eq!(ask(&mut master, CLIENT, &mut pipe, Kind::Rm, path.as_bytes()), b"OK\0");
    }
    // The next pass leaves them behind.
    for _ in 0..100 {
        master.work();
    }
    assert_eq!(ask(&mut master, CLIENT, &mut pipe, Kind::Write, &write(1)), b"OK\0");
    let (digest, mut again) = (master.engine().digest(), host.start());
    assert_eq!(again.engine().digest(), digest);
    again.connect(CLIENT, PEER, &pipe).expect("a session");
    assert_eq!(ask(&mut again, CLIENT, &mut pipe, Kind::Read, b"/n1\0"), vec![b'x'; 1000]);
}

#[test]
fn a_single_copy_that_is_damaged_says_so_and_serves_the_rest() {
    let mut host = Host::new(1 << 14);
    let mut pipe = Pipe::ring(0, &host.fuse);
    let mut master = host.start();
    master.connect(CLIENT, PEER, &pipe).expect("a session");
    for path in [&b"/first\0lost"[..], b"/second\0kept"] {
        assert_eq!(ask(&mut master, CLIENT, &mut pipe, Kind::Write, path), b"OK\0");
    }
    let bytes: Vec<u8> = host.vault.contents().iter().flat_map(|word| word.to_le_bytes()).collect();
    let byte = bytes.windows(6).position(|window| window == b"/first").expect("the path is in the vault");
    let word = byte / 8;
    host.vault.flip(word, 5);
    let mut master = host.start();
    let found = reports(&mut master);
    assert!(found.iter().any(|report| matches!(report, Report::Lost { .. })), "{found:?}");
    master.connect(CLIENT, PEER, &pipe).expect("a session");
    assert_eq!(ask(&mut master, CLIENT, &mut pipe, Kind::Read, b"/second\0"), b"kept");
    // What is left is whole again.
    assert!(matches!(reports(&mut host.start())[..], [Report::Recovered { .. }]));
}

#[test]
fn a_domain_that_begins_anew_has_a_new_session() {
    let mut host = Host::new(1 << 14);
    let mut master = host.start();
    let domid = Domid(7);
    let id = ConnectionId::of_domain(domid);
    let mut pipe = Pipe::ring(0, &host.fuse);
    let actions = |master: &mut Master<Memory>| {
        let mut actions = Vec::new();
        master.take_domain_actions(&mut actions);
        actions
    };
    let introduce = |master: &mut Master<Memory>, port| {
        assert!(master.with_engine(|engine, effects| engine.introduce(domid, 33, port, effects)));
    };
    introduce(&mut master, 4);
    assert_eq!(actions(&mut master), [DomainAction::Connect { domid, gfn: 33, port: 4 }]);
    let peer = Peer::Domain(domid);
    assert_eq!(master.connect(id, peer, &pipe), Ok(Connected::New));
    assert_eq!(ask(&mut master, id, &mut pipe, Kind::GetDomainPath, b"7\0"), b"/local/domain/7\0");
    introduce(&mut master, 5);
    assert_eq!(actions(&mut master), [DomainAction::Reconnect { domid, port: 5 }]);
    // Its ring begins at 0 again.
    let mut pipe = Pipe::ring(0, &host.fuse);
    assert_eq!(master.connect(id, peer, &pipe), Ok(Connected::New));
    assert_eq!(ask(&mut master, id, &mut pipe, Kind::GetDomainPath, b"7\0"), b"/local/domain/7\0");
    assert!(master.with_engine(|engine, effects| engine.release(domid, effects)));
    assert_eq!(actions(&mut master), [DomainAction::Disconnect { domid }]);
    assert_eq!(master.connections().count(), 0);
}
