//! Debian's `xenstore-*` tools and `test-xenstore`, unmodified, against our daemon: alone, and with replicas.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use peers::{Daemon, Options};
use xenstore_tests::{our_daemon, target};

/// How long a program may take that is not told how long: what hangs is ended, and fails.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often a program is asked whether it has ended.
const PAUSE: Duration = Duration::from_millis(5);

fn daemon(replicas: u32) -> Daemon {
    let arguments = vec![OsString::from(format!("--replicas={replicas}"))];
    Daemon::start(&target(), our_daemon(arguments), Options::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

fn command(daemon: &Daemon, name: &str, arguments: &[&str]) -> Command {
    let mut command = daemon.tool(name).unwrap_or_else(|error| panic!("{error}"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a program to its end; it must end.
fn run(daemon: &Daemon, name: &str, arguments: &[&str]) -> Output {
    let mut child =
        command(daemon, name, arguments).spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().expect("a child can be waited for").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("a child can be killed");
            panic!("`{name} {}` hangs; the daemon's log:\n{}", arguments.join(" "), daemon.log());
        }
        thread::sleep(PAUSE);
    }
    child.wait_with_output().expect("a child can be waited for")
}

/// Runs a program that must succeed; answers what it printed.
fn succeeds(daemon: &Daemon, name: &str, arguments: &[&str]) -> String {
    let output = run(daemon, name, arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success(),
        "`{name} {}`: {}\n{said}{complained}\nthe daemon's log:\n{}",
        arguments.join(" "),
        output.status,
        daemon.log()
    );
    said
}

/// A program that is ended when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tools(replicas: u32) {
    let daemon = daemon(replicas);
    let tool = |name: &str, arguments: &[&str]| succeeds(&daemon, name, arguments);
    tool("xenstore-write", &["/vm/a", "one", "/vm/b", "two words"]);
    assert_eq!(tool("xenstore-read", &["/vm/a"]), "one\n");
    assert_eq!(tool("xenstore-read", &["-p", "/vm/b"]), "/vm/b: two words\n");
    assert_eq!(tool("xenstore-list", &["/vm"]), "a\nb\n");
    tool("xenstore-exists", &["/vm/a"]);
    assert!(!run(&daemon, "xenstore-exists", &["/vm/c"]).status.success());
    tool("xenstore-chmod", &["/vm/a", "n0", "r7"]);
    let listing = tool("xenstore-ls", &["-p", "/vm"]);
    // Dots lead from each value to its permissions.
    let words: Vec<&str> = listing.split_whitespace().filter(|word| *word != ".").collect();
    assert_eq!(words, ["a", "=", "\"one\"", "(n0,r7)", "b", "=", "\"two", "words\"", "(n0)"]);
    tool("xenstore-rm", &["/vm"]);
    let error = run(&daemon, "xenstore-read", &["/vm/a"]);
    assert!(!error.status.success());
    assert!(String::from_utf8_lossy(&error.stderr).contains("couldn't read path /vm/a"));
}

fn watches(replicas: u32) {
    let daemon = daemon(replicas);
    let mut watcher = Running(
        command(&daemon, "xenstore-watch", &["-n", "2", "/seen"]).spawn().expect("it was there before"),
    );
    let mut lines = BufReader::new(watcher.0.stdout.take().expect("it is piped")).lines();
    let mut next = || lines.next().expect("the watcher goes on").expect("it prints text");
    assert_eq!(next(), "/seen");
    succeeds(&daemon, "xenstore-write", &["/seen/it", ""]);
    assert_eq!(next(), "/seen/it");
    assert!(watcher.0.wait().expect("a child can be waited for").success());
}

fn large_directory(replicas: u32) {
    let daemon = daemon(replicas);
    let names: Vec<String> = (0..2000).map(|number| format!("a-rather-long-name-{number}")).collect();
    for chunk in names.chunks(200) {
        let arguments: Vec<String> =
            chunk.iter().flat_map(|name| [format!("/large/{name}"), String::new()]).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        succeeds(&daemon, "xenstore-write", &arguments);
    }
    let listed: Vec<String> =
        succeeds(&daemon, "xenstore-list", &["/large"]).lines().map(str::to_owned).collect();
    assert_eq!(listed, names);
}

macro_rules! against_our_daemon {
    ($($name:ident;)*) => {
        mod alone {
            $(#[test]
            fn $name() {
                super::$name(1);
            })*
        }

        mod with_replicas {
            $(#[test]
            fn $name() {
                super::$name(3);
            })*
        }
    };
}

fn test_xenstore(replicas: u32) {
    succeeds(&daemon(replicas), "test-xenstore", &["-i", "200"]);
}

fn test_xenstore_at_random(replicas: u32) {
    succeeds(&daemon(replicas), "test-xenstore", &["-r", "20"]);
}

against_our_daemon! {
    tools;
    watches;
    large_directory;
    test_xenstore;
    test_xenstore_at_random;
}
