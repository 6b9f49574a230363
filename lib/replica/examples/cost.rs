//! What a write costs: in the engine alone, and with a vault, sessions and replicas. Prints nanoseconds per request.
//!
//! `cargo run --release -p replica --example cost`

use replica::master::{Channels, Config, Master, XenStoreFraming};
use replica::replica::Replica;
use replica::session::{Sessions, Stream};
use std::convert::Infallible;
use std::sync::atomic::AtomicU64;
use std::time::Instant;
use xenstore::wire::{self, Decoded, Header, Kind};
use xenstore::{ConnectionId, Effects, Engine, Peer};

type Memory = &'static [AtomicU64];

fn memory(words: usize) -> Memory {
    Vec::leak((0..words).map(|_| AtomicU64::new(0)).collect())
}

/// A client that asks the same over and over, and is content with any answer.
struct Endless {
    request: Vec<u8>,
    consumed: u32,
    produced: u32,
}

impl Stream for Endless {
    type Error = Infallible;

    fn window(&self) -> usize {
        1 << 16
    }

    fn consumed(&self) -> Result<u32, Infallible> {
        Ok(self.consumed)
    }

    fn peek(&mut self, _: usize, _: usize) -> Result<&[u8], Infallible> {
        Ok(&self.request)
    }

    fn consume_to(&mut self, position: u32) -> Result<(), Infallible> {
        self.consumed = position;
        Ok(())
    }

    fn produced(&self) -> Result<u32, Infallible> {
        Ok(self.produced)
    }

    fn produce(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.produced = self.produced.wrapping_add(bytes.len() as u32);
        Ok(bytes.len())
    }
}

fn request(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let header = Header { kind: kind.number(), length: payload.len() as u32, ..Header::default() };
    [&header.encode()[..], payload].concat()
}

const WRITE: &[u8] = b"/local/domain/7/device/vif/0/state\x004";
const REQUESTS: usize = 200_000;
const CLIENT: ConnectionId = ConnectionId(1);
const PEER: Peer = Peer::Socket { read_only: false };

/// The engine, with `nodes` nodes and nothing around it.
fn engine_alone(nodes: usize) -> f64 {
    let (mut engine, mut effects) = (Engine::new(xenstore::Config::default()), Effects::new());
    engine.connect(CLIENT, PEER, &mut effects);
    let mut ask = |bytes: &[u8]| {
        effects.clear();
        if let Decoded::Message(message) = wire::decode(bytes) {
            engine.handle(CLIENT, &message, &mut effects).expect("sound");
        }
    };
    for node in 0..nodes {
        ask(&request(Kind::Write, format!("/n/{}/{node}\0value", node % 100).as_bytes()));
    }
    let write = request(Kind::Write, WRITE);
    let begin = Instant::now();
    (0..REQUESTS).for_each(|_| ask(&write));
    begin.elapsed().as_nanos() as f64 / REQUESTS as f64
}

/// All of it, `batch` requests at a time. Returns the mean, and the longest time that a batch took.
fn whole(nodes: usize, replicas: usize, batch: usize) -> (f64, f64) {
    let config = || Config { store: xenstore::Config::default(), seed: 5 };
    let vault = (1 << 20) + nodes * 80;
    let channels: Vec<[Memory; 2]> = (0..replicas).map(|_| [memory(1 << 14), memory(1 << 14)]).collect();
    let ends = |[inbox, outbox]: &[Memory; 2]| Channels { inbox: *inbox, outbox: *outbox };
    let sessions = memory(4 * Sessions::<Memory, XenStoreFraming>::SLOT_WORDS);
    let mut master = Master::open(config(), memory(vault), sessions, channels.iter().map(ends).collect())
        .expect("the vault is large enough");
    let open = |ends| Replica::open(config(), memory(vault), ends).expect("the vault is large enough");
    let mut replicas: Vec<_> = channels.iter().map(ends).map(open).collect();
    let run = |master: &mut Master<Memory>, replicas: &mut Vec<Replica<Memory>>| {
        replicas.iter_mut().for_each(|replica| while replica.work(64) {});
        (0..replicas.len()).for_each(|link| master.from_replica(link));
        master.work()
    };
    while !master.is_serving() || replicas.iter().any(|replica| !replica.is_following()) {
        run(&mut master, &mut replicas);
    }
    let mut client = Endless { request: Vec::new(), consumed: 0, produced: 0 };
    master.connect(CLIENT, PEER, &client).expect("there is a session");
    for node in 0..nodes {
        client.request = request(Kind::Write, format!("/n/{}/{node}\0value", node % 100).as_bytes());
        master.serve(CLIENT, &mut client, 1).expect("an honest client");
        if node % 64 == 0 {
            run(&mut master, &mut replicas);
        }
    }
    client.request = request(Kind::Write, WRITE);
    let (mut spent, mut longest) = (0.0, 0.0_f64);
    for _ in 0..REQUESTS / batch {
        let begin = Instant::now();
        master.serve(CLIENT, &mut client, batch).expect("an honest client");
        let took = begin.elapsed().as_nanos() as f64;
        (spent, longest) = (spent + took, longest.max(took));
        run(&mut master, &mut replicas);
    }
    (spent / REQUESTS as f64, longest / 1000.0)
}

fn main() {
    for nodes in [0, 10_000, 100_000] {
        println!("{nodes} nodes: engine alone {:.0} ns", engine_alone(nodes));
        for replicas in 0..3 {
            for batch in [1, 16] {
                let (mean, longest) = whole(nodes, replicas, batch);
                println!(
                    "  vault, sessions, {replicas} replicas, {batch} at a time: {mean:.0} ns, longest {longest:.0} us"
                );
            }
        }
    }
}
