//! One bit flips somewhere: nobody gets a wrong answer, the scrubber finds it, and a good copy puts it right.

mod support;

use support::{Received, World, scrub};
use xen_abi::Domid;
use xenstore::wire::Kind;
use xenstore::{Config, ConnectionId, Damage, Engine, Items, Spot};

const PATHS: [&str; 9] =
    ["/", "/tool", "/a", "/a/b", "/a/b/c", "/a/b/d", "/a/empty", "/local/domain/5", "/local/domain/5/x"];

/// A store with some of everything.
fn world() -> World {
    let mut world = World::new(Config::default());
    let dom0 = world.connect(1, false);
    let guest = world.introduce(5);
    let requests: [(ConnectionId, Kind, &[u8]); 14] = [
        (dom0, Kind::Write, b"/a/b/c\0value"),
        (dom0, Kind::Write, b"/a/b/d\0"),
        (dom0, Kind::Mkdir, b"/a/empty\0"),
        (dom0, Kind::SetPerms, b"/a/b\0n0\0r5\0"),
        (dom0, Kind::SetPerms, b"/a/b/c\0n0\0b5\0"),
        (dom0, Kind::Mkdir, b"/local/domain/5\0"),
        (dom0, Kind::SetPerms, b"/local/domain/5\0n5\0"),
        (guest, Kind::Write, b"x\0guest's"),
        (guest, Kind::Watch, b"x\0token\0"),
        (guest, Kind::Watch, b"/a/b\0token\0"),
        (dom0, Kind::Watch, b"/a\0all\0"),
        (dom0, Kind::Watch, b"@releaseDomain\0gone\0"),
        (dom0, Kind::SetPerms, b"@releaseDomain\0n0\0r5\0"),
        (guest, Kind::TransactionStart, b"\0"),
    ];
    for (from, kind, payload) in requests {
        assert!(world.ask(from, kind, 0, payload).iter().all(|one| one.error().is_none()), "{payload:?}");
    }
    world
}

/// What each client may ask of each node: first what only reads.
fn questions() -> Vec<Question> {
    let clients = [ConnectionId(1), ConnectionId::of_domain(Domid(5))];
    let mut questions = Vec::new();
    for kind in [Kind::Read, Kind::Directory, Kind::GetPerms, Kind::DirectoryPart] {
        for path in PATHS.into_iter().chain(["/a/b/none", "/none/x"]) {
            let offset = if kind == Kind::DirectoryPart { "0\0" } else { "" };
            questions.extend(clients.map(|from| (from, kind, format!("{path}\0{offset}").into_bytes())));
        }
    }
    questions
}

fn changes() -> Vec<Question> {
    let clients = [ConnectionId(1), ConnectionId::of_domain(Domid(5))];
    let mut changes = Vec::new();
    for path in PATHS {
        for from in clients {
            changes.push((from, Kind::Write, format!("{path}\0new").into_bytes()));
            changes.push((from, Kind::Mkdir, format!("{path}/new\0").replace("//", "/").into_bytes()));
            changes.push((from, Kind::Rm, format!("{path}\0").into_bytes()));
            changes.push((from, Kind::SetPerms, format!("{path}\0r5\0w0\0").into_bytes()));
        }
    }
    changes.push((clients[0], Kind::Release, b"5\0".to_vec()));
    changes.push((clients[0], Kind::Introduce, b"5\x001\x001\0".to_vec()));
    changes.push((clients[1], Kind::Unwatch, b"x\0token\0".to_vec()));
    changes.push((clients[1], Kind::ResetWatches, b"\0".to_vec()));
    changes
}

type Question = (ConnectionId, Kind, Vec<u8>);
type Answer = Result<Vec<Received>, Damage>;

/// What is answered to each question. None of them changes anything.
fn read_everything(world: &mut World, questions: &[Question]) -> Vec<Answer> {
    questions.iter().map(|(from, kind, payload)| world.try_ask(*from, kind.number(), 0, payload)).collect()
}

/// What is answered to each change, when it is the only one.
fn change_everything(world: &World, changes: &[Question]) -> Vec<Answer> {
    let change = |(from, kind, payload): &Question| {
        let mut copy = world.clone();
        copy.try_ask(*from, kind.number(), 0, payload)
    };
    changes.iter().map(change).collect()
}

/// What is asked, and what is answered while all is well.
struct Expected {
    questions: Vec<Question>,
    answers: Vec<Answer>,
    changes: Vec<Question>,
    changed: Vec<Answer>,
}

impl Expected {
    fn of(world: &mut World) -> Self {
        let (questions, changes) = (questions(), changes());
        let answers = read_everything(world, &questions);
        let changed = change_everything(world, &changes);
        Self { questions, answers, changes, changed }
    }
}

/// Puts right whatever is found, from the replica.
fn mend(engine: &mut Engine, good: &Engine) -> usize {
    for repairs in 0..20 {
        let Err(damage) = scrub(engine) else { return repairs };
        let mut copy = Items::new();
        assert!(good.copy(&damage.subject, &mut copy), "{damage}: there is no good copy");
        engine.repair(&damage.subject, copy.list()).expect("a copy is whole");
    }
    panic!("it is not whole after 20 repairs: {:?}", scrub(engine));
}

/// Each answer is right or none is given.
fn compare(what: &str, asked: &[Question], expected: &[Answer], answers: &[Answer]) {
    for ((question, good), answer) in asked.iter().zip(expected).zip(answers) {
        assert!(answer.is_err() || answer == good, "{what}: {question:?} is answered with {answer:?}");
    }
}

/// Checks all that is said of a store in which one bit has flipped.
fn check(what: &str, mut hurt: World, expected: &Expected) {
    compare(what, &expected.questions, &expected.answers, &read_everything(&mut hurt, &expected.questions));
    compare(what, &expected.changes, &expected.changed, &change_everything(&hurt, &expected.changes));
    assert!(mend(&mut hurt.engine, &hurt.replica) > 0, "{what}: the scrubber finds nothing");
    assert_eq!(hurt.engine.digest(), hurt.replica.digest(), "{what}: the digest is not as before");
    let answers = read_everything(&mut hurt, &expected.questions);
    assert!(answers == expected.answers, "{what}: the answers are not as before");
}

#[test]
fn a_bit_flips_in_a_node() {
    let mut world = world();
    let expected = Expected::of(&mut world);
    let mut flips = 0;
    for path in PATHS {
        for spot in Spot::ALL {
            for bit in [0, 1, 5, 7, 8, 14, 17, 23, 31, 33, 40, 52, 63, 64, 70, 77, 90, 101, 127] {
                let mut hurt = world.clone();
                if hurt.engine.harm_node(path.as_bytes(), spot, bit) {
                    flips += 1;
                    check(&format!("bit {bit} of the {spot:?} of {path}"), hurt, &expected);
                }
            }
        }
    }
    assert!(flips > 1000, "only {flips} bits could be flipped");
}

#[test]
fn a_bit_flips_elsewhere() {
    let mut world = world();
    let expected = Expected::of(&mut world);
    let mut flips = 0;
    for bit in (0..230).step_by(3) {
        for watch in 0..4 {
            let mut hurt = world.clone();
            assert!(hurt.engine.harm_watch(watch, bit));
            check(&format!("bit {bit} of watch {watch}"), hurt, &expected);
        }
        for domid in [0, 5] {
            let mut hurt = world.clone();
            assert!(hurt.engine.harm_domain(Domid(domid), bit));
            check(&format!("bit {bit} of domain {domid}"), hurt, &expected);
        }
        for connection in [ConnectionId(1), ConnectionId::of_domain(Domid(5))] {
            let mut hurt = world.clone();
            assert!(hurt.engine.harm_connection(connection, bit));
            check(&format!("bit {bit} of {connection:?}"), hurt, &expected);
        }
        flips += 8;
    }
    assert!(flips > 500);
}

/// Nothing but the transaction itself knows what it has done: if that is damaged, it is as after a crash.
#[test]
fn a_bit_flips_in_a_transaction() {
    let mut world = world();
    let dom0 = ConnectionId(1);
    let number = 1;
    let steps: [(Kind, u32, &[u8]); 6] = [
        (Kind::TransactionStart, 0, b"\0"),
        (Kind::Read, number, b"/a/b/c\0"),
        (Kind::Write, number, b"/a/b/d\0written"),
        (Kind::Write, number, b"/a/new/child\0created"),
        (Kind::Rm, number, b"/a/empty\0"),
        (Kind::SetPerms, number, b"/a/b\0r0\0"),
    ];
    for (kind, transaction, payload) in steps {
        assert!(world.ask(dom0, kind, transaction, payload)[0].error().is_none(), "{payload:?}");
    }
    let (mut spoiled, mut flips) = (0, 0);
    let mut committed = world.clone();
    committed.ask(dom0, Kind::TransactionEnd, number, b"T\0");
    for bit in (0..512 * 10).step_by(7) {
        let mut hurt = world.clone();
        assert!(hurt.engine.harm_transaction(dom0, bit));
        flips += 1;
        let read = hurt.ask(dom0, Kind::Read, number, b"/a/b/d\0").remove(0);
        assert!([&b"written"[..], b""].contains(&&read.payload[..]), "bit {bit}: {read:?}");
        let end = hurt.ask(dom0, Kind::TransactionEnd, number, b"T\0");
        match end.last().expect("an answer").error() {
            None => {
                assert_eq!(hurt.engine.digest(), committed.engine.digest(), "bit {bit} changes what is done")
            }
            Some(error) => {
                assert_eq!(error, "EAGAIN", "bit {bit}");
                assert_eq!(hurt.ask(dom0, Kind::Read, 0, b"/a/b/d\0")[0].payload, b"");
                spoiled += 1;
            }
        }
        hurt.check();
    }
    assert!(spoiled * 10 > flips * 9, "of {flips} flips only {spoiled} were found");
}

#[test]
fn what_has_no_good_copy_reads_as_an_error() {
    let mut world = world();
    assert!(world.engine.harm_node(b"/a/b/c", Spot::Record, 60));
    let dom0 = ConnectionId(1);
    assert!(world.try_ask(dom0, Kind::Read.number(), 0, b"/a/b/c\0").is_err());
    let message = xenstore::wire::Message {
        header: xenstore::wire::Header { kind: Kind::Read.number(), request: 77, transaction: 0, length: 7 },
        payload: b"/a/b/c\0",
    };
    let damage = world.engine.handle_damaged(dom0, &message, &mut world.effects).expect("it is damaged");
    assert!(damage.to_string().contains("/a/b/c"), "{damage}");
    let received = world.collect();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].error(), Some("EIO"));
    assert!(world.ask(dom0, Kind::Read, 0, b"/a/b\0")[0].error().is_none(), "its neighbours are well");
}
