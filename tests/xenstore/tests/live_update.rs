//! A store goes from daemon to daemon in one process, and its clients go along: from the C daemon to ours and back.

use std::path::Path;
use std::time::Duration;

use peers::{Daemon, Debian, Options, Program, Ring};
use rustix::process::{Pid, Signal, kill_process};
use xenstore_client::wire::Kind;
use xenstore_client::{Access, Client, Link, Permission, terminated};
use xenstore_tests::{our_daemon, target};

const PATIENCE: Duration = Duration::from_secs(20);
/// The guest, and the port of its ring.
const GUEST: (u32, u32) = (5, 17);

/// Clients of a store that is to be handed over.
struct Clients {
    dom0: Client,
    watcher: Client,
    guest: Client<Ring>,
}

impl Clients {
    /// Fills a store, and leaves things under way.
    fn of(daemon: &mut Daemon) -> Self {
        let (mut dom0, mut watcher) =
            (daemon.connect().expect("connected"), daemon.connect().expect("connected"));
        let (domid, port) = GUEST;
        daemon.xen().create_domain(domid).expect("made");
        let mut guest = Client::new(daemon.xen().ring(domid, port).expect("there"));
        dom0.introduce(domid, 0, port).expect("introduced");
        dom0.mkdir(0, "/local/domain/5").expect("made");
        let owner = Permission { access: Access::None, domid };
        dom0.set_permissions(0, "/local/domain/5", &[owner]).expect("set");
        for number in 0..300 {
            dom0.write(0, &format!("/kept/{number}"), number.to_string().as_bytes()).expect("written");
        }
        guest.write(0, "name", b"guest").expect("written");
        guest.watch("name", "mine").expect("watched");
        guest.next_event(PATIENCE).expect("there").expect("in time");
        watcher.watch("/kept", "kept").expect("watched");
        watcher.next_event(PATIENCE).expect("there").expect("in time");
        Self { dom0, watcher, guest }
    }

    /// Uses everything that was there before.
    fn go_on(&mut self, round: u32) {
        for number in (0..300).step_by(7) {
            let value = self.dom0.read(0, &format!("/kept/{number}")).expect("there");
            assert_eq!(value, number.to_string().into_bytes());
        }
        let path = format!("/kept/{}", 1000 + round);
        self.dom0.write(0, &path, b"new").expect("written");
        let event = self.watcher.next_event(PATIENCE).expect("there").expect("in time");
        assert_eq!((event.path, event.token), (path.into_bytes(), b"kept".to_vec()));
        let name = format!("guest {round}").into_bytes();
        self.guest.write(0, "name", &name).expect("written");
        let event = self.guest.next_event(PATIENCE).expect("there").expect("in time");
        assert_eq!((event.path, event.token), (b"name".to_vec(), b"mine".to_vec()));
        assert_eq!(self.dom0.read(0, "/local/domain/5/name").expect("there"), name);
        assert_eq!(self.guest.permissions(0, "name").expect("there")[0].domid, 5);
        self.guest.read(0, "/kept/1").expect_err("it may not");
    }

    /// Hands the store over to another program, with half a request under way from a socket and from a ring.
    fn hand_over(&mut self, daemon: &Daemon, program: &Path, arguments: &str) {
        let halves = [read_of("/kept/77"), read_of("name")];
        let middle = halves.each_ref().map(|request| request.len() - 3);
        self.watcher.send_raw(&halves[0][..middle[0]]).expect("sent");
        self.guest.send_raw(&halves[1][..middle[1]]).expect("sent");
        let program = program.to_str().expect("a path in UTF-8");
        for command in [&["live-update", "-f", program][..], &["live-update", "-c", arguments]] {
            assert_eq!(control(daemon, &mut self.dom0, command), "OK", "{command:?}");
        }
        assert_eq!(control(daemon, &mut self.dom0, &["live-update", "-s", "-t", "60"]), "OK");
        self.watcher.send_raw(&halves[0][middle[0]..]).expect("sent");
        self.guest.send_raw(&halves[1][middle[1]..]).expect("sent");
        assert_eq!(answer(&mut self.watcher), b"77");
        assert!(answer(&mut self.guest).starts_with(b"guest"));
    }
}

fn control(daemon: &Daemon, client: &mut Client, command: &[&str]) -> String {
    let answer = client.call(Kind::Control, 0, &terminated(command));
    let answer = answer.unwrap_or_else(|error| panic!("{error}; the log:\n{}", daemon.log()));
    String::from_utf8_lossy(&answer).trim_end_matches('\0').to_owned()
}

/// A request as it is sent.
fn read_of(path: &str) -> Vec<u8> {
    let payload = terminated(&[path]);
    let length = payload.len() as u32;
    let header =
        xenstore_client::wire::Header { kind: Kind::Read.number(), request: 7, transaction: 0, length };
    [&header.encode()[..], &payload].concat()
}

fn answer<L: Link>(client: &mut Client<L>) -> Vec<u8> {
    let message = client.receive().expect("answered");
    assert_eq!((message.header.kind, message.header.request), (Kind::Read.number(), 7));
    message.payload
}

/// How ours is started in the place of another daemon.
fn our_arguments(daemon: &mut Daemon, more: &str) -> String {
    format!("-N --log stderr --xen-of-files {} {more}", daemon.xen().folder().display())
}

fn ours() -> std::path::PathBuf {
    match our_daemon(Vec::new()) {
        Program::Ours(program, _) => program,
        other => panic!("{other} is not ours"),
    }
}

#[test]
fn a_store_goes_from_c_to_ours_and_back_and_forth() {
    let target = target();
    let mut daemon =
        Daemon::start(&target, Program::C, Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let c = Debian::in_target(&target).unwrap_or_else(|error| panic!("{error}")).program("xenstored");
    let mut clients = Clients::of(&mut daemon);
    let ours_again = our_arguments(&mut daemon, "");
    for (round, (program, arguments)) in
        [(ours(), &*ours_again), (c, "-N"), (ours(), &*ours_again), (ours(), &*ours_again)]
            .into_iter()
            .enumerate()
    {
        clients.go_on(2 * round as u32);
        clients.hand_over(&daemon, &program, arguments);
        clients.go_on(2 * round as u32 + 1);
        assert!(daemon.ended().is_none());
    }
    // New clients come by the same socket, and a crash is survived as ever.
    daemon.connect().expect("connected").read(0, "/kept/1").expect("there");
}

#[test]
fn a_store_goes_from_c_to_our_replicas_and_they_survive_their_own_death() {
    let mut daemon =
        Daemon::start(&target(), Program::C, Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let mut clients = Clients::of(&mut daemon);
    let arguments = our_arguments(&mut daemon, "--replicas 3");
    clients.hand_over(&daemon, &ours(), &arguments);
    clients.go_on(1);
    let refused = control(&daemon, &mut clients.dom0, &["live-update", "-f", "/bin/true"]);
    assert!(refused.contains("restart"), "{refused}");
    clients.go_on(2);
    let children = format!("/proc/{0}/task/{0}/children", daemon.pid());
    for (round, replica) in (3..).zip(std::fs::read_to_string(children).expect("there").split_whitespace()) {
        let replica = replica.parse().ok().and_then(Pid::from_raw).expect("the number of a process");
        kill_process(replica, Signal::KILL).expect("it is there");
        clients.go_on(round);
    }
}

#[test]
fn an_update_waits_for_transactions_and_one_that_fails_changes_nothing() {
    let mut daemon = Daemon::start(&target(), our_daemon(Vec::new()), Options::default())
        .unwrap_or_else(|error| panic!("{error}"));
    let mut clients = Clients::of(&mut daemon);
    let transaction = clients.watcher.transaction_start().expect("begun");
    assert_eq!(control(&daemon, &mut clients.dom0, &["live-update", "-f", "/bin/true"]), "OK");
    assert_eq!(control(&daemon, &mut clients.dom0, &["live-update", "-s"]), "BUSY");
    assert!(clients.watcher.transaction_end(transaction, true).expect("ended"));
    assert_eq!(control(&daemon, &mut clients.dom0, &["live-update", "-a"]), "OK");
    // Executable, and nothing that could be executed.
    let nothing = daemon.xen().folder().join("nothing");
    std::fs::write(&nothing, "#!/nowhere/interpreter\n").expect("written");
    std::fs::set_permissions(&nothing, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("set");
    let nothing = nothing.to_str().expect("a path in UTF-8").to_owned();
    assert_eq!(control(&daemon, &mut clients.dom0, &["live-update", "-f", &nothing]), "OK");
    assert_eq!(control(&daemon, &mut clients.dom0, &["live-update", "-s"]), "OK");
    clients.go_on(1);
}
