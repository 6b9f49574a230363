//! What a service manager and an init script see.

use std::fs;
use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::{Daemon, command, signal, wait_until};

#[test]
fn it_goes_into_the_background_when_it_serves_and_says_its_pid() {
    let folder = TempDir::new().expect("a folder");
    let started = command(folder.path(), &["-D", "-P", "--pid-file", "pid"])
        .stdout(std::process::Stdio::piped())
        .output()
        .expect("started");
    assert!(started.status.success(), "{started:?}");
    // Whoever gets the prompt back can use the socket at once.
    let mut client = xenstore_client::Client::connect(&folder.path().join("socket")).expect("it listens");
    assert_eq!(client.domain_path(0).expect("answered"), "/local/domain/0");
    let said: u32 = String::from_utf8_lossy(&started.stdout).trim().parse().expect("a number");
    let file = fs::read_to_string(folder.path().join("pid")).expect("written");
    assert_eq!(file, format!("{said}\n"));
    signal(said, Signal::TERM);
    wait_until("the socket and the pid file are removed", || {
        !folder.path().join("socket").exists() && !folder.path().join("pid").exists()
    });
}

#[test]
fn a_second_daemon_with_the_same_pid_file_leaves_the_first_alone() {
    let daemon = Daemon::start(&["-D", "--pid-file", "pid"]);
    let second = command(daemon.folder.path(), &["-D", "-N", "--pid-file", "pid"]).status().expect("run");
    assert!(second.success(), "the C daemon ends without an error too");
    assert_eq!(daemon.client().domain_path(0).expect("answered"), "/local/domain/0");
    let file = fs::read_to_string(daemon.folder.path().join("pid")).expect("written");
    assert_eq!(file, format!("{}\n", daemon.pid()));
}

#[test]
fn two_daemons_do_not_share_a_store() {
    let daemon = Daemon::start(&["-D"]);
    let second = command(daemon.folder.path(), &["-D", "-N"]).status().expect("run");
    assert!(!second.success());
    assert!(daemon.log().contains("another daemon keeps its store in"), "{}", daemon.log());
    assert_eq!(daemon.client().domain_path(0).expect("answered"), "/local/domain/0");
}

#[test]
fn it_tells_the_service_manager_when_it_is_ready() {
    for replicas in ["1", "2"] {
        let folder = TempDir::new().expect("a folder");
        let manager = UnixDatagram::bind(folder.path().join("manager")).expect("bound");
        let mut child = command(folder.path(), &["-D", "-N", "--replicas", replicas])
            .env("NOTIFY_SOCKET", folder.path().join("manager"))
            .spawn()
            .expect("started");
        let mut bytes = [0; 256];
        let length = manager.recv(&mut bytes).expect("told");
        let told = String::from_utf8_lossy(&bytes[..length]).into_owned();
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines.contains(&"READY=1"), "{told}");
        assert!(lines.contains(&format!("MAINPID={}", child.id()).as_str()), "{told}");
        let mut client = xenstore_client::Client::connect(&folder.path().join("socket")).expect("it listens");
        client.write(0, "/a", b"1").expect("it serves");
        signal(child.id(), Signal::TERM);
        assert!(child.wait().expect("ended").success());
    }
}

#[test]
fn an_option_that_makes_no_sense_is_refused_with_what_would() {
    for (arguments, said) in [
        (["--quota", "spoons=4"], "found \"spoons\""),
        (["--quota", "nodes"], "expected WHAT=NUMBER"),
        (["--timeout", "lunch=1"], "--timeout knows watch-event"),
        (["--replicas", "9"], "9 is not in 1..=5"),
    ] {
        let folder = TempDir::new().expect("a folder");
        let status = command(folder.path(), &["-D", "-N"]).args(arguments).status().expect("run");
        let log = fs::read_to_string(folder.path().join("log")).expect("a log");
        assert!(!status.success(), "{arguments:?}");
        assert!(log.contains(said), "{arguments:?}: {log}");
    }
}

#[test]
fn it_takes_what_the_init_scripts_pass_to_the_c_daemon() {
    let daemon = Daemon::start(&[
        "-D",
        "-F",
        "pid",
        "-E",
        "2000",
        "-S",
        "4096",
        "-W",
        "256",
        "-t",
        "20",
        "-A",
        "8",
        "-M",
        "1024",
        "-Q",
        "outstanding=40",
        "-Q",
        "transaction-nodes=2048",
        "-q",
        "memory=1000000",
        "-w",
        "watch-event=30",
        "-R",
        "-I",
        "--internal-db=off",
        "-V",
        "-T",
        "trace.log",
        "-m",
        "0",
        "-p",
        "3",
        "-e",
        "5",
        "-K",
        "--trace-control=+io",
    ]);
    assert_eq!(daemon.client().domain_path(0).expect("answered"), "/local/domain/0");
}

#[test]
fn requests_and_answers_are_logged_and_the_file_can_be_moved_away() {
    for replicas in ["1", "2"] {
        let daemon = Daemon::start(&["-D", "-T", "trace.log", "--replicas", replicas]);
        let mut client = daemon.client();
        client.write(0, "/traced", b"value").expect("written");
        let [log, moved] = ["trace.log", "moved.log"].map(|name| daemon.folder.path().join(name));
        // An answer is logged when it has been sent, so the client may have it before.
        let read = || fs::read_to_string(&log).unwrap_or_default();
        wait_until("the answer is logged", || read().contains("OUT Write"));
        let text = read();
        assert_eq!(text.matches("IN Write request=").count(), 1, "{text}");
        assert!(text.contains("(/traced value)"), "{text}");
        fs::rename(&log, &moved).expect("moved");
        signal(daemon.pid(), Signal::HUP);
        wait_until("requests go to a new file", || {
            assert_eq!(client.read(0, "/traced").expect("there"), b"value");
            read().contains("IN Read")
        });
    }
}
