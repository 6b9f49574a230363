//! Random requests of dom0 and two guests, with transactions and watches: the engine answers as the model does.

mod model;
mod support;

use model::{Domid, Model, Permission, Request, Sent};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{Received, World, all_items, engine_of};
use xen_abi::Domid as Number;
use xenstore::wire::Kind;
use xenstore::{Config, ConnectionId};

fn path() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "/", "/a", "/a/b", "/a/b/c", "/a/b/d", "/a/x", "/g1", "/g1/p", "/g1/p/q", "/g2", "/g2/r", "/tool",
        "/n/o/p",
    ])
    .prop_map(str::to_owned)
}

fn permissions() -> impl Strategy<Value = Vec<Permission>> {
    vec((0..3u32, any::<bool>(), any::<bool>()), 1..4)
}

fn request() -> impl Strategy<Value = Request> {
    let token = || prop::sample::select(vec!["t", "u"]).prop_map(str::to_owned);
    prop_oneof![
        4 => path().prop_map(Request::Read),
        3 => path().prop_map(Request::Directory),
        1 => path().prop_map(Request::GetPerms),
        8 => (path(), "[a-c]{0,3}").prop_map(|(path, value)| Request::Write(path, value)),
        3 => path().prop_map(Request::Mkdir),
        4 => path().prop_map(Request::Rm),
        4 => (path(), permissions()).prop_map(|(path, permissions)| Request::SetPerms(path, permissions)),
        2 => (path(), token()).prop_map(|(path, token)| Request::Watch(path, token)),
        1 => (path(), token()).prop_map(|(path, token)| Request::Unwatch(path, token)),
        3 => Just(Request::Start),
        2 => any::<bool>().prop_map(Request::End),
    ]
}

fn connection(who: Domid) -> ConnectionId {
    if who == 0 { ConnectionId(1) } else { ConnectionId::of_domain(Number(who as u16)) }
}

fn encoded(request: &Request) -> (Kind, String) {
    match request {
        Request::Read(path) => (Kind::Read, format!("{path}\0")),
        Request::Directory(path) => (Kind::Directory, format!("{path}\0")),
        Request::GetPerms(path) => (Kind::GetPerms, format!("{path}\0")),
        Request::Write(path, value) => (Kind::Write, format!("{path}\0{value}")),
        Request::Mkdir(path) => (Kind::Mkdir, format!("{path}\0")),
        Request::Rm(path) => (Kind::Rm, format!("{path}\0")),
        Request::SetPerms(path, permissions) => {
            let letter = |read, write| ["n", "r", "w", "b"][usize::from(read) + 2 * usize::from(write)];
            let entries = permissions.iter().map(|&(domid, r, w)| format!("{}{domid}\0", letter(r, w)));
            (Kind::SetPerms, format!("{path}\0{}", entries.collect::<String>()))
        }
        Request::Watch(path, token) => (Kind::Watch, format!("{path}\0{token}\0")),
        Request::Unwatch(path, token) => (Kind::Unwatch, format!("{path}\0{token}\0")),
        Request::Start => (Kind::TransactionStart, "\0".to_owned()),
        Request::End(commit) => (Kind::TransactionEnd, (if *commit { "T\0" } else { "F\0" }).to_owned()),
    }
}

/// What was sent, as the model says it.
fn said(received: &Received) -> (ConnectionId, String) {
    let text = String::from_utf8_lossy(&received.payload);
    let text = match received.kind() {
        Kind::WatchEvent => format!("event {text}"),
        Kind::Error => format!("error {}", text.trim_end_matches('\0')),
        _ => format!("answer {text}"),
    };
    (received.to, text)
}

fn expected(sent: &Sent) -> (ConnectionId, String) {
    match sent {
        Sent::Event(to, path, token) => (connection(*to), format!("event {path}\0{token}\0")),
        Sent::Answer(to, Ok(text)) => (connection(*to), format!("answer {text}")),
        Sent::Answer(to, Err(error)) => (connection(*to), format!("error {error}")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_answers_as_the_model(requests in vec((0..3u32, 0..4u32, request()), 1..80)) {
        let mut world = World::new(Config::default());
        world.connect(1, false);
        world.introduce(1);
        world.introduce(2);
        let mut model = Model::new();
        for setup in [Request::Mkdir("/g1".into()), Request::Mkdir("/g2".into())] {
            let (kind, payload) = encoded(&setup);
            world.ask(connection(0), kind, 0, payload.as_bytes());
            model.ask(0, 0, &setup);
        }
        for domid in 1..3 {
            let setup = Request::SetPerms(format!("/g{domid}"), vec![(domid, false, false)]);
            let (kind, payload) = encoded(&setup);
            world.ask(connection(0), kind, 0, payload.as_bytes());
            model.ask(0, 0, &setup);
        }
        for (who, transaction, request) in &requests {
            let transaction = if matches!(request, Request::Start) { 0 } else { *transaction };
            let (kind, payload) = encoded(request);
            let received = world.ask(connection(*who), kind, transaction, payload.as_bytes());
            let answers: Vec<_> = received.iter().map(said).collect();
            let should: Vec<_> = model.ask(*who, transaction, request).iter().map(expected).collect();
            prop_assert_eq!(answers, should, "{} asks {:?} in {}", who, request, transaction);
        }
        world.check();
        let copy = engine_of(&Config::default(), all_items(&world.engine).list());
        prop_assert_eq!(copy.digest(), world.engine.digest(), "a copy from all items differs");
    }
}
