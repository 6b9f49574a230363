//! Domains, played by this test through files: see `xenstored::domains`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use peers::{Ring, State, Xen};
use tempfile::TempDir;
use xenstore_client::{Access, Client, Permission};

use crate::harness::{Daemon, PATIENCE, Stop, is_running, wait_until};

/// A machine with a daemon.
fn machine(arguments: &[&str]) -> (Daemon, Xen) {
    let folder = TempDir::new().expect("a folder");
    let xen = Xen::create(&folder.path().join("xen")).expect("made");
    let arguments = [&["--xen-of-files", "xen"], arguments].concat();
    (Daemon::start_in(folder, &arguments), xen)
}

/// A domain that is introduced, with its client.
fn domain(daemon: &Daemon, xen: &mut Xen, domid: u32) -> Client<Ring> {
    xen.create_domain(domid).expect("made");
    let port = 100 + domid;
    let mut tools = daemon.client();
    let home = format!("/local/domain/{domid}");
    tools.write(0, &home, b"").expect("written");
    let own = [Permission { domid, access: Access::None }];
    tools.set_permissions(0, &home, &own).expect("set");
    tools.introduce(domid, 0x1000 + u64::from(domid), port).expect("introduced");
    let mut client = Client::new(xen.ring(domid, port).expect("a ring"));
    client.set_timeout(PATIENCE);
    client
}

#[test]
fn a_domain_uses_its_ring_as_others_use_the_socket() {
    let (daemon, mut xen) = machine(&[]);
    let mut guest = domain(&daemon, &mut xen, 3);
    let mut tools = daemon.client();
    tools.watch("/local/domain/3/control", "tools").expect("watched");
    tools.next_event(PATIENCE).expect("read").expect("the first event");
    guest.watch("device", "guest").expect("watched");
    guest.next_event(PATIENCE).expect("read").expect("the first event");
    guest.write(0, "control/ready", b"1").expect("its own");
    assert!(guest.write(0, "/tool/x", b"1").is_err(), "not its own");
    // A value that is larger than the ring goes through it in parts, both ways.
    let large = vec![b'l'; 1900];
    guest.write(0, "large", &large).expect("written");
    assert_eq!(guest.read(0, "large").expect("there"), large);
    let event = tools.next_event(PATIENCE).expect("read").expect("an event");
    assert_eq!(event.path, b"/local/domain/3/control/ready");
    tools.write(0, "/local/domain/3/device/0", b"x").expect("written");
    let event = guest.next_event(PATIENCE).expect("read").expect("an event");
    assert_eq!(event.path, b"device/0");
}

#[test]
fn the_kernel_of_the_own_domain_has_a_ring_too() {
    let (daemon, xen) = machine(&[]);
    let mut kernel = Client::new(xen.ring(0, 1).expect("a ring"));
    kernel.set_timeout(PATIENCE);
    kernel.write(0, "/kernel", b"here").expect("written");
    assert_eq!(daemon.client().read(0, "/kernel").expect("there"), b"here");
}

#[test]
fn a_domain_that_dies_takes_its_nodes_along() {
    let (daemon, mut xen) = machine(&[]);
    let mut guest = domain(&daemon, &mut xen, 4);
    let mut tools = daemon.client();
    guest.write(0, "mine", b"x").expect("written");
    tools.watch("@releaseDomain", "release").expect("watched");
    tools.next_event(PATIENCE).expect("read").expect("the first event");
    xen.set_state(4, State::Shutdown).expect("set");
    xen.raise_dom_exc().expect("raised");
    tools.next_event(PATIENCE).expect("read").expect("it has shut down");
    assert_eq!(tools.read(0, "/local/domain/4/mine").expect("it is kept"), b"x");
    xen.destroy_domain(4).expect("destroyed");
    xen.raise_dom_exc().expect("raised");
    tools.next_event(PATIENCE).expect("read").expect("it is gone");
    assert!(tools.read(0, "/local/domain/4/mine").is_err());
    // The number can be used again.
    let mut guest = domain(&daemon, &mut xen, 4);
    let found = guest.read(0, "mine");
    assert!(matches!(found, Err(xenstore_client::Error::Refused { .. })), "{found:?}\n{}", daemon.log());
    guest.write(0, "mine", b"y").expect("written");
}

#[test]
fn a_domain_that_dies_before_it_was_introduced_leaves_nothing() {
    let (daemon, mut xen) = machine(&[]);
    let mut tools = daemon.client();
    xen.create_domain(8).expect("made");
    tools.write(0, "/early", b"x").expect("written");
    tools.set_permissions(0, "/early", &[Permission { domid: 8, access: Access::None }]).expect("set");
    xen.set_state(8, State::Dying).expect("set");
    xen.raise_dom_exc().expect("raised");
    wait_until("what it owns is gone", || tools.read(0, "/early").is_err());
}

#[test]
fn a_ring_with_rubbish_in_its_indexes_hurts_nobody_else() {
    let (daemon, mut xen) = machine(&[]);
    let mut broken = domain(&daemon, &mut xen, 5);
    let mut sound = domain(&daemon, &mut xen, 6);
    broken.link().break_producer(5000).expect("broken");
    wait_until("the page says why", || {
        let page = std::fs::read(xen.folder().join("page-5")).expect("a page");
        // `error` of `struct xenstore_domain_interface`: XENSTORE_ERROR_RINGIDX.
        page[2072..2076] == 2_u32.to_le_bytes()
    });
    sound.write(0, "fine", b"x").expect("written");
    assert_eq!(daemon.client().read(0, "/local/domain/6/fine").expect("there"), b"x");
}

/// Writes numbers over a ring until it is told to stop. Each has to be answered once and in order. Answers how many.
fn count_up(mut guest: Client<Ring>, stop: &AtomicBool) -> u32 {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let transaction = if number % 5 == 0 { guest.transaction_start().expect("begun") } else { 0 };
        guest.write(transaction, "number", format!("{number}").as_bytes()).expect("written");
        if transaction != 0 && !guest.transaction_end(transaction, true).expect("ended") {
            // It was open when the daemon died.
            continue;
        }
        assert_eq!(guest.read(0, "number").expect("there"), format!("{number}").into_bytes());
        number += 1;
    }
    number
}

/// Three domains count while trouble is made for the daemon, and notice nothing of it.
fn domains_count_through(daemon: &mut Daemon, xen: &mut Xen, make_trouble: impl FnOnce(&mut Daemon)) {
    let guests: Vec<_> = (7..10).map(|domid| domain(daemon, xen, domid)).collect();
    let stop = &AtomicBool::new(false);
    thread::scope(|scope| {
        let stopped_in_any_case = Stop(stop);
        let guests: Vec<_> =
            guests.into_iter().map(|guest| scope.spawn(move || count_up(guest, stop))).collect();
        make_trouble(daemon);
        drop(stopped_in_any_case);
        for (domid, guest) in (7..).zip(guests) {
            let count = guest.join().expect("it noticed nothing");
            assert!(count > 0);
            let value = daemon.client().read(0, &format!("/local/domain/{domid}/number")).expect("there");
            assert_eq!(value, format!("{}", count - 1).into_bytes());
        }
    });
}

/// Some progress between two deaths, another number of steps each time, so that each comes at another moment.
fn go_on(tools: &mut Client, round: u8) {
    (0..20 + round).for_each(|number| tools.write(0, "/round", &[number]).expect("written"));
}

#[test]
fn domains_do_not_notice_that_the_daemon_was_killed() {
    for arguments in [&["--replicas", "1"], &["--replicas", "3"]] {
        let (mut daemon, mut xen) = machine(arguments);
        domains_count_through(&mut daemon, &mut xen, |daemon| {
            for round in 0..8 {
                go_on(&mut daemon.client(), round);
                let replicas = daemon.replicas();
                daemon.kill();
                for pid in replicas {
                    wait_until("the replicas end with their supervisor", || !is_running(pid));
                }
                daemon.restart();
            }
        });
    }
}

#[test]
fn domains_do_not_notice_that_the_master_was_killed() {
    let (mut daemon, mut xen) = machine(&["--replicas", "3"]);
    domains_count_through(&mut daemon, &mut xen, |daemon| {
        let mut tools = daemon.client();
        for round in 0..12 {
            go_on(&mut tools, round);
            daemon.kill_one_of(3, round.into());
        }
        // Whose connection goes on, too.
        tools.write(0, "/round", b"over").expect("written");
    });
}
