//! Replicas, killed one after the other under the eyes of clients that check everything.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use rustix::process::Signal;
use xenstore_client::wire::Kind;
use xenstore_client::{Client, Request};

use crate::harness::{Daemon, PATIENCE, Stop, is_running, signal, wait_until};

/// How often somebody is killed.
const KILLS: usize = 25;

/// A client that sends many requests at once, and checks that each is answered once, in order, with what it should.
fn pipeline(mut client: Client, name: &str, stop: &AtomicBool, progress: &AtomicU32) {
    client.set_timeout(PATIENCE);
    let mut round = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        let mut requests = Vec::new();
        let mut expected: VecDeque<Vec<u8>> = VecDeque::new();
        for number in 0..40_u32 {
            let path = format!("/{name}/{}", number % 7);
            let value = format!("{round}.{number}");
            let write = format!("{path}\0{value}").into_bytes();
            requests.push(Request { kind: Kind::Write, transaction: 0, payload: write });
            expected.push_back(b"OK\0".to_vec());
            requests.push(Request {
                kind: Kind::Read,
                transaction: 0,
                payload: format!("{path}\0").into_bytes(),
            });
            expected.push_back(value.into_bytes());
        }
        for answer in client.pipeline(&requests).expect("the connection lives") {
            assert_eq!(
                answer.expect("no error"),
                expected.pop_front().expect("no answer too many"),
                "{name}"
            );
        }
        assert!(expected.is_empty());
        round += 1;
        progress.fetch_add(1, Ordering::Relaxed);
    }
}

/// A client that increments a counter, which only works out if each request is carried out exactly once.
fn increment(mut client: Client, name: &str, stop: &AtomicBool, progress: &AtomicU32) {
    client.set_timeout(PATIENCE);
    let path = format!("/counter/{name}");
    let mut value = 0_u32;
    client.write(0, &path, b"0").expect("written");
    while !stop.load(Ordering::Relaxed) {
        let found = client.read(0, &path).expect("there");
        assert_eq!(found, format!("{value}").into_bytes(), "{name}");
        let transaction = client.transaction_start().expect("begun");
        client.write(transaction, &path, format!("{}", value + 1).as_bytes()).expect("written");
        if client.transaction_end(transaction, true).expect("ended") {
            value += 1;
            progress.fetch_add(1, Ordering::Relaxed);
        }
        // A node that is made and removed: a request that was carried out twice would fail the second time.
        let once = format!("/once/{name}");
        client.mkdir(0, &once).expect("made");
        client.remove(0, &once).expect("removed once");
    }
}

/// A client that writes numbers and one that watches them: every one is seen, in order, none twice.
fn watch(mut writer: Client, mut watcher: Client, stop: &AtomicBool, progress: &AtomicU32) {
    for client in [&mut writer, &mut watcher] {
        client.set_timeout(PATIENCE);
    }
    watcher.watch("/seen", "token").expect("watched");
    watcher.next_event(PATIENCE).expect("read").expect("the first event");
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let many = 1 + number % 30;
        for seen in number..number + many {
            writer.write(0, &format!("/seen/{seen}"), b"x").expect("written");
        }
        for seen in number..number + many {
            let event = watcher.next_event(PATIENCE).expect("read").expect("every event comes");
            assert_eq!(event.path, format!("/seen/{seen}").into_bytes());
            assert_eq!(event.token, b"token");
        }
        for seen in number..number + many {
            writer.remove(0, &format!("/seen/{seen}")).expect("removed");
            let event = watcher.next_event(PATIENCE).expect("read").expect("every event comes");
            assert_eq!(event.path, format!("/seen/{seen}").into_bytes());
        }
        number += many;
        progress.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn no_client_notices_that_replicas_are_killed() {
    let daemon = Daemon::start(&["-D", "--replicas", "3"]);
    let stop = &AtomicBool::new(false);
    let progress: [AtomicU32; 5] = Default::default();
    let progress = &progress;
    let sum = || progress.iter().map(|client| client.load(Ordering::Relaxed)).collect::<Vec<_>>();
    thread::scope(|scope| {
        let stopped_in_any_case = Stop(stop);
        let connect = || daemon.client();
        let (one, two, three, four) = (connect(), connect(), connect(), connect());
        let (writer, watcher) = (connect(), connect());
        let clients = [
            scope.spawn(move || pipeline(one, "a", stop, &progress[0])),
            scope.spawn(move || pipeline(two, "b", stop, &progress[1])),
            scope.spawn(move || increment(three, "c", stop, &progress[2])),
            scope.spawn(move || increment(four, "d", stop, &progress[3])),
            scope.spawn(move || watch(writer, watcher, stop, &progress[4])),
        ];
        for kill in 0..KILLS {
            // Everybody has been served since the last time, and two others live.
            let before = sum();
            wait_until("everybody is served", || {
                let fine = !clients.iter().any(|client| client.is_finished());
                assert!(fine, "a client has found something wrong:\n{}", daemon.log());
                sum().iter().zip(&before).all(|(now, before)| now > before)
            });
            daemon.kill_one_of(3, kill);
        }
        drop(stopped_in_any_case);
        for client in clients {
            client.join().expect("it has noticed nothing");
        }
    });
    // The last death may not have been noticed yet.
    let deaths = || daemon.log().matches("has died: signal: 9").count();
    wait_until("every death is noticed", || deaths() >= KILLS);
    let log = daemon.log();
    assert_eq!(deaths(), KILLS, "{log}");
    assert!(log.matches("is the master").count() > 1, "the master was among them:\n{log}");
}

#[test]
fn when_all_replicas_are_killed_at_once_clients_see_a_pause() {
    let daemon = Daemon::start(&["-D", "--replicas", "3"]);
    let mut client = daemon.client();
    client.set_timeout(PATIENCE);
    for round in 0..10 {
        for number in 0..50 {
            client.write(0, &format!("/all/{number}"), format!("{round}").as_bytes()).expect("written");
        }
        daemon.replicas().into_iter().for_each(|pid| signal(pid, Signal::KILL));
        for number in 0..50 {
            let value = client.read(0, &format!("/all/{number}")).expect("the same connection");
            assert_eq!(value, format!("{round}").into_bytes());
        }
    }
}

#[test]
fn a_replica_that_comes_late_gets_everything() {
    let daemon = Daemon::start(&["-D", "--replicas", "2"]);
    let mut client = daemon.client();
    client.set_timeout(PATIENCE);
    for number in 0..3000 {
        client.write(0, &format!("/much/{}/{number}", number % 50), &[b'm'; 100]).expect("written");
    }
    // Each in turn has to be good enough to go on alone with what the other has told it.
    for round in 0..6 {
        let log = daemon.log().len();
        daemon.kill_one_of(2, round);
        wait_until("two replicas follow", || daemon.log()[log..].contains("follows"));
        assert_eq!(client.directory(0, "/much").expect("there").len(), 50);
        let value = client.read(0, &format!("/much/{}/{}", round, round + 50)).expect("there");
        assert_eq!(value, [b'm'; 100]);
    }
}

#[test]
fn a_master_that_hangs_is_killed_and_clients_see_a_pause() {
    let daemon = Daemon::start(&["-D", "--replicas", "3", "--patience", "1"]);
    let mut client = daemon.client();
    client.set_timeout(PATIENCE);
    client.write(0, "/kept", b"value").expect("written");
    // Replicas are started in the order of their numbers.
    let masters: Vec<usize> = daemon
        .log()
        .lines()
        .filter_map(|line| line.strip_suffix(" is the master")?.rsplit(' ').next()?.parse().ok())
        .collect();
    let replicas = daemon.replicas();
    assert_eq!((masters.len(), replicas.len()), (1, 3));
    let master = replicas[masters[0]];
    signal(master, Signal::STOP);
    assert_eq!(client.read(0, "/kept").expect("answered"), b"value");
    wait_until("the one that hung is gone", || !is_running(master));
    assert!(daemon.log().contains("has said nothing for"), "{}", daemon.log());
}
