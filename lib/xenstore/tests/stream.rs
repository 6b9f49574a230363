//! A store goes through Xen's migration stream and is the same; rubbish in the stream is refused.

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use support::{World, scrub};
use xen_abi::Domid;
use xenstore::stream::{Attachment, Dump, Global, Loaded, Loader, Problem};
use xenstore::wire::Kind;
use xenstore::{Config, ConnectionId, Engine, Version};

const GLOBAL: Global = Global { socket: 3, event_channels: -1 };

fn dump(engine: &Engine) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut dump = Dump::new(engine, Some(GLOBAL));
    while !dump.write(50, &mut bytes, attachment) {}
    bytes
}

fn attachment(id: ConnectionId) -> Attachment<'static> {
    match id {
        ConnectionId(1) => {
            Attachment { socket: 9, input: b"half", partial: 2, output: b"xyz", ..Attachment::default() }
        }
        _ => Attachment { port: 17, ..Attachment::default() },
    }
}

fn load(bytes: &[u8], piece: usize) -> Result<Loaded, xenstore::stream::StreamError> {
    let mut loader = Loader::new(Config { version: Version::Xen4_22, ..Config::default() });
    for piece in bytes.chunks(piece) {
        loader.take(piece)?;
    }
    loader.finish()
}

fn world() -> World {
    let mut world = World::new(Config { version: Version::Xen4_22, ..Config::default() });
    let dom0 = world.connect(1, false);
    let guest = world.introduce(5);
    world.introduce(6);
    let requests: [(ConnectionId, Kind, &[u8]); 13] = [
        (dom0, Kind::Write, b"/a/b/c\0val\0ue"),
        (dom0, Kind::Write, b"/a/z\0"),
        (dom0, Kind::Write, b"/a/y\0"),
        (dom0, Kind::SetPerms, b"/a/b\0n0\0r5\0b6\0"),
        (dom0, Kind::Mkdir, b"/local/domain/5\0"),
        (dom0, Kind::SetPerms, b"/local/domain/5\0n5\0"),
        (dom0, Kind::SetTarget, b"6\x005\0"),
        (guest, Kind::Write, b"x\0guest's"),
        (guest, Kind::Watch, b"x\0token\0"),
        (dom0, Kind::Watch, b"/a\0shallow\x001\0"),
        (dom0, Kind::SetPerms, b"@releaseDomain\0n0\0r5\0"),
        (dom0, Kind::Control, b"quota\0set\0nodes\x0055\0"),
        (guest, Kind::TransactionStart, b"\0"),
    ];
    for (from, kind, payload) in requests {
        assert!(world.ask(from, kind, 0, payload).iter().all(|one| one.error().is_none()), "{payload:?}");
    }
    world
}

#[test]
fn a_store_goes_through_a_stream() {
    let mut before = world();
    let bytes = dump(&before.engine);
    assert_eq!(&bytes[..16], b"xenstore\0\0\0\x02\0\0\0\0");
    for piece in [1, 7, 64, 100_000] {
        let loaded = load(&bytes, piece).unwrap_or_else(|error| panic!("{error}"));
        scrub(&loaded.engine).expect("it is whole");
        assert_eq!(loaded.global, Some(GLOBAL));
        let of = |id| loaded.connections.iter().find(|one| one.id == id).expect("it comes along");
        let socket = of(ConnectionId(1));
        assert_eq!(
            (socket.socket, &socket.input[..], &socket.output[..]),
            (Some(9), &b"half"[..], &b"xyz"[..])
        );
        assert_eq!((socket.partial, of(ConnectionId::of_domain(Domid(5))).port), (2, 17));
        let mut after = World { engine: loaded.engine, ..before.clone() };
        let guest = ConnectionId::of_domain(Domid(5));
        let questions: [(ConnectionId, Kind, &[u8]); 9] = [
            (ConnectionId(1), Kind::Read, b"/a/b/c\0"),
            (ConnectionId(1), Kind::Directory, b"/a\0"),
            (ConnectionId(1), Kind::GetPerms, b"/a/b\0"),
            (ConnectionId(1), Kind::GetPerms, b"@releaseDomain\0"),
            (ConnectionId(1), Kind::Control, b"quota\0"),
            (guest, Kind::Read, b"/a/b\0"),
            (guest, Kind::Read, b"x\0"),
            (ConnectionId::of_domain(Domid(6)), Kind::Read, b"/local/domain/5/x\0"),
            (ConnectionId(1), Kind::IsDomainIntroduced, b"6\0"),
        ];
        for (from, kind, payload) in questions {
            assert_eq!(after.ask(from, kind, 0, payload), before.ask(from, kind, 0, payload), "{payload:?}");
        }
        let heard = after.ask(ConnectionId(1), Kind::Write, 0, b"/local/domain/5/x\0news");
        assert_eq!(heard[0].payload, b"x\0token\0");
        assert_eq!(after.ask(guest, Kind::TransactionEnd, 1, b"T\0")[0].error(), Some("EAGAIN"));
    }
}

#[test]
fn a_second_dump_is_the_same() {
    let bytes = dump(&world().engine);
    let again = dump(&load(&bytes, 1000).expect("it can be loaded").engine);
    assert_eq!(bytes, again);
}

/// One record that the C daemon writes at a live update: its lengths include the padding.
fn node(path: &str, value: &[u8], permissions: &[(u8, u16)]) -> Vec<u8> {
    let mut body = vec![0; 8];
    for field in [path.len() + 1, value.len(), 0, permissions.len()] {
        body.extend_from_slice(&(field as u16).to_le_bytes());
    }
    for (letter, domid) in permissions {
        body.extend_from_slice(&[*letter, 0]);
        body.extend_from_slice(&domid.to_le_bytes());
    }
    body.extend_from_slice(path.as_bytes());
    body.push(0);
    body.extend_from_slice(value);
    body.resize(body.len().next_multiple_of(8), 0);
    let mut record = vec![5, 0, 0, 0];
    record.extend_from_slice(&(body.len() as u32).to_le_bytes());
    record.extend(body);
    record
}

fn stream(records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"xenstore\0\0\0\x01\0\0\0\0".to_vec();
    bytes.extend(records.concat());
    bytes.extend([0; 8]);
    bytes
}

#[test]
fn what_cannot_be_is_refused() {
    let root = || node("/", b"", &[(b'n', 0)]);
    let problem = |records: &[Vec<u8>]| load(&stream(records), 10).expect_err("it cannot be loaded").problem;
    assert!(load(&stream(&[root(), node("/a", b"1", &[(b'b', 7)])]), 10).is_ok());
    assert_eq!(problem(&[root(), node("/a/b", b"", &[(b'n', 0)])]), Problem::Orphan);
    assert_eq!(
        problem(&[root(), node("/tool", b"", &[(b'n', 0)]), node("/tool", b"", &[(b'n', 0)])]),
        Problem::Twice
    );
    assert_eq!(problem(&[node("/a b", b"", &[(b'n', 0)])]), Problem::Path);
    assert_eq!(problem(&[node("/a", b"", &[])]), Problem::Owner);
    assert_eq!(problem(&[node("/a", b"", &[(b'n', 0x7ff1)])]), Problem::Owner);
    assert_eq!(problem(&[node("/a", b"", &[(b'x', 0)])]), Problem::Permission(b'x'));
    assert_eq!(
        problem(&[vec![3, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0]]),
        Problem::UnknownConnection(1)
    );
    assert_eq!(problem(&[vec![2, 0, 0, 0, 0, 0, 0, 1]]), Problem::Length(1 << 24));
    let whole = stream(&[root()]);
    assert_eq!(load(&whole[..whole.len() - 8], 10).expect_err("it has no end").problem, Problem::Unfinished);
    let error = load(&[&whole[..], b"!"].concat(), 10).expect_err("it goes on after its end");
    assert_eq!((error.problem, error.offset), (Problem::Surplus, whole.len() as u64));
    assert_eq!(load(b"oxenstore dumps!", 10).expect_err("it is something else").problem, Problem::Preamble);
    assert_eq!(
        load(b"xenstore\0\0\0\x03\0\0\0\0", 10).expect_err("it is too new").problem,
        Problem::Version(3)
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn any_stream_is_loaded_or_refused(
        flips in vec((any::<prop::sample::Index>(), 0..8u32), 1..8),
        cut in any::<prop::sample::Index>(),
        piece in 1..300usize,
    ) {
        let mut bytes = dump(&world().engine);
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        let cut = 1 + cut.index(bytes.len());
        for bytes in [&bytes[..], &bytes[..cut]] {
            if let Ok(loaded) = load(bytes, piece) {
                scrub(&loaded.engine).expect("what was loaded is whole");
            }
        }
    }
}
