//! Requests and their answers, as written down in `scripts/`.
//!
//! A line `dom0> READ /a|` is a request (a bar stands for a NUL, `{x*9}` for nine x); `dom0[1]>` asks in a
//! transaction. The lines after it are all that is sent because of it, in this order: `OK`, the name of an error,
//! `EVENT` with a path and a token, or an answer in quotation marks. `dom0`, `other` and `reader` (which may only
//! read) are programs on sockets; `d5` is the ring of domain 5, once it is introduced. `host> died 5` is what the
//! host tells.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use support::{Received, World};
use xen_abi::Domid;
use xenstore::wire::Kind;
use xenstore::{Census, Config, ConnectionId, Existence, Quota, Version};

const KINDS: [(&str, Kind); 21] = [
    ("CONTROL", Kind::Control),
    ("DIRECTORY", Kind::Directory),
    ("READ", Kind::Read),
    ("GET_PERMS", Kind::GetPerms),
    ("WATCH", Kind::Watch),
    ("UNWATCH", Kind::Unwatch),
    ("TRANSACTION_START", Kind::TransactionStart),
    ("TRANSACTION_END", Kind::TransactionEnd),
    ("INTRODUCE", Kind::Introduce),
    ("RELEASE", Kind::Release),
    ("GET_DOMAIN_PATH", Kind::GetDomainPath),
    ("WRITE", Kind::Write),
    ("MKDIR", Kind::Mkdir),
    ("RM", Kind::Rm),
    ("SET_PERMS", Kind::SetPerms),
    ("WATCH_EVENT", Kind::WatchEvent),
    ("IS_DOMAIN_INTRODUCED", Kind::IsDomainIntroduced),
    ("RESUME", Kind::Resume),
    ("SET_TARGET", Kind::SetTarget),
    ("RESET_WATCHES", Kind::ResetWatches),
    ("DIRECTORY_PART", Kind::DirectoryPart),
];

/// The domains that exist, as a script has told.
#[derive(Debug, Default)]
struct Existing(Mutex<BTreeSet<Domid>>);

impl Existing {
    fn tell(&self, domid: Domid, exists: bool) {
        let mut known = self.0.lock().expect("nobody panics meanwhile");
        if exists {
            known.insert(domid)
        } else {
            known.remove(&domid)
        };
    }
}

impl Census for Existing {
    fn exists(&self, domid: Domid) -> bool {
        self.0.lock().expect("nobody panics meanwhile").contains(&domid)
    }

    fn has_ring(&self, domid: Domid) -> bool {
        self.exists(domid)
    }
}

/// Everything before the first request: what the engine is told when it is made.
fn settings(script: &str, existing: &Arc<Existing>) -> Config {
    let mut config = Config::default();
    for line in script.lines().filter(|line| !line.contains("> ")) {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["version", version] => {
                config.version = match version {
                    "4.17" => Version::Xen4_17,
                    "4.20" => Version::Xen4_20,
                    "4.22" => Version::Xen4_22,
                    other => panic!("no version {other}"),
                }
            }
            ["only", "known", "domains", "exist"] => {
                config.existence = Existence::Asked(existing.clone());
            }
            ["privileged", domid] => config.privileged.push(Domid(domid.parse().expect("a domid"))),
            ["quota", name, value] => {
                let quota = Quota::ALL.into_iter().find(|quota| quota.name() == name).expect("a quota");
                config.quotas.set(quota, value.parse().expect("a number"));
            }
            _ => {}
        }
    }
    config
}

fn connection(name: &str) -> ConnectionId {
    match name {
        "dom0" => ConnectionId(1),
        "other" => ConnectionId(2),
        "reader" => ConnectionId(3),
        _ => {
            let domid = name.strip_prefix('d').and_then(|domid| domid.parse().ok());
            ConnectionId::of_domain(Domid(domid.unwrap_or_else(|| panic!("who is {name}?"))))
        }
    }
}

/// A name with perhaps a transaction behind it: `dom0[1]`.
fn client(text: &str) -> (ConnectionId, u32) {
    match text.split_once('[') {
        Some((name, transaction)) => {
            let number = transaction.trim_end_matches(']').parse().expect("a transaction's number");
            (connection(name), number)
        }
        None => (connection(text), 0),
    }
}

/// A text with its repetitions, such as `{x*9}`, written out.
fn expand(text: &str) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, repeated)) = rest.split_once('{') {
        let (inside, after) = repeated.split_once('}').expect("a closing brace");
        let (what, times) = inside.split_once('*').expect("what*times");
        expanded.push_str(before);
        expanded.push_str(&what.repeat(times.parse().expect("a number")));
        rest = after;
    }
    expanded + rest
}

/// A payload as it is written down.
fn payload(text: &str) -> Vec<u8> {
    expand(text).bytes().map(|byte| if byte == b'|' { 0 } else { byte }).collect()
}

/// What was sent, as it is written down.
fn written(received: &Received, names: &BTreeMap<ConnectionId, String>) -> String {
    let to = &names[&received.to];
    let text = received.payload.escape_ascii().to_string().replace("\\x00", "|");
    let text = text.replace("\\n", "\n").replace("\\t", "\t");
    match (received.kind(), received.error()) {
        (_, Some(error)) => format!("{to}< {error}"),
        (Kind::WatchEvent, _) => {
            assert_eq!((received.header.request, received.header.transaction), (0, 0));
            let mut strings = text.split('|');
            let (path, token) = (strings.next().unwrap_or_default(), strings.next().unwrap_or_default());
            format!("{to}< EVENT {path} {token}")
        }
        _ if text == "OK|" => format!("{to}< OK"),
        _ => format!("{to}< \"{}\"", text.replace('\n', "/").replace('\t', " ")),
    }
}

fn perform(world: &mut World, existing: &Existing, who: &str, what: &str) -> Vec<Received> {
    if who != "host" {
        let (kind, text) = what.split_once(' ').unwrap_or((what, ""));
        let number = match KINDS.iter().find(|(name, _)| *name == kind) {
            Some((_, kind)) => kind.number(),
            None => kind.parse().unwrap_or_else(|_| panic!("what is {kind}?")),
        };
        let (from, transaction) = client(who);
        let received = world.try_ask(from, number, transaction, &payload(text)).expect("nothing is damaged");
        for answer in received.iter().filter(|answer| answer.kind() != Kind::WatchEvent) {
            assert_eq!((answer.header.request, answer.header.transaction), (77, transaction));
            assert!(answer.header.kind == number || answer.kind() == Kind::Error);
        }
        return received;
    }
    let (what, domid) = what.split_once(' ').expect("what the host tells, and of whom");
    let domid = Domid(domid.parse().expect("a domid"));
    let result = match what {
        "exists" => {
            existing.tell(domid, true);
            Ok(())
        }
        "died" => {
            existing.tell(domid, false);
            world.engine.domain_died(domid, &mut world.effects)
        }
        "shutdown" => world.engine.domain_shutdown(domid, &mut world.effects),
        "introduce" => world.engine.introduce(domid, 0, 1, &mut world.effects),
        "closes" => {
            world.engine.disconnect(ConnectionId(u32::from(domid.0)), &mut world.effects);
            Ok(())
        }
        other => panic!("the host cannot tell {other}"),
    };
    result.expect("nothing is damaged");
    world.collect()
}

/// Runs a script, and answers with what went otherwise.
fn run(script: &str, name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let existing = Arc::default();
    let mut world = World::new(settings(script, &existing));
    let mut names = BTreeMap::new();
    for (number, name) in [(1, "dom0"), (2, "other"), (3, "reader")] {
        names.insert(world.connect(number, name == "reader"), name.to_owned());
    }
    for domid in 0..20 {
        names.insert(ConnectionId::of_domain(Domid(domid)), format!("d{domid}"));
    }
    let mut lines = script.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).peekable();
    while let Some((number, line)) = lines.next() {
        let Some((who, what)) = line.split_once("> ").filter(|_| !line.starts_with('#')) else { continue };
        let received = perform(&mut world, &existing, who, what);
        let answers: Vec<String> = received.iter().map(|received| written(received, &names)).collect();
        let mut expected = Vec::new();
        while let Some((_, answer)) = lines.next_if(|(_, line)| line.contains("< ") && !line.starts_with('#'))
        {
            expected.push(expand(answer.trim_end_matches('\r')));
        }
        if answers != expected {
            let line = line.chars().take(80).collect::<String>();
            wrong.push(format!(
                "{name}:{}: {line}\n  expected {expected:.99?}\n  answered {answers:.99?}",
                number + 1
            ));
        }
    }
    world.check();
    wrong
}

#[test]
fn all_answers_are_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut scripts = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the scripts are there") {
        let path = entry.expect("a script").path();
        let script = std::fs::read_to_string(&path).expect("a text");
        wrong.extend(run(&script, &path.file_name().unwrap_or_default().to_string_lossy()));
        scripts += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(scripts >= 8, "only {scripts} scripts were found");
}
