//! What is there after the daemon was ended and started again.

use crate::harness::{Daemon, PATIENCE, is_running, wait_until};
use xenstore_client::{Access, Permission};

#[test]
fn the_store_is_kept_when_it_is_ended_and_when_it_is_killed() {
    for replicas in ["1", "3"] {
        let mut daemon = Daemon::start(&["-D", "--replicas", replicas]);
        let mut client = daemon.client();
        let owned =
            [Permission { domid: 5, access: Access::None }, Permission { domid: 0, access: Access::Read }];
        for round in 0..4 {
            for number in 0..200 {
                client.write(0, &format!("/kept/{number}"), format!("{round}").as_bytes()).expect("written");
            }
            client.remove(0, &format!("/kept/{round}")).expect("removed");
            client.set_permissions(0, "/kept/100", &owned).expect("set");
            // What was not committed is not kept.
            let transaction = client.transaction_start().expect("begun");
            client.write(transaction, "/kept/never", b"x").expect("written");
            drop(client);
            let before = daemon.replicas();
            if round % 2 == 0 {
                daemon.terminate()
            } else {
                daemon.kill()
            }
            for pid in before {
                wait_until("the replicas end with their supervisor", || !is_running(pid));
            }
            daemon.restart();
            client = daemon.client();
            assert_eq!(client.directory(0, "/kept").expect("there").len(), 199, "round {round}");
            for number in (0..200).filter(|number| *number != round) {
                let value = client.read(0, &format!("/kept/{number}")).expect("there");
                assert_eq!(value, format!("{round}").into_bytes(), "/kept/{number}");
            }
            assert_eq!(client.permissions(0, "/kept/100").expect("there"), owned);
        }
    }
}

#[test]
fn the_watches_of_clients_that_are_gone_are_gone_too() {
    let mut daemon = Daemon::start(&["-D"]);
    let mut client = daemon.client();
    client.watch("/watched", "old").expect("watched");
    daemon.kill();
    daemon.restart();
    let mut client = daemon.client();
    client.watch("/watched", "new").expect("watched");
    client.next_event(PATIENCE).expect("read").expect("the first event");
    client.write(0, "/watched", b"x").expect("written");
    let event = client.next_event(PATIENCE).expect("read").expect("an event");
    assert_eq!(event.token, b"new");
}

#[test]
fn recovery_can_be_refused() {
    let mut daemon = Daemon::start(&["-D", "--no-recovery"]);
    daemon.client().write(0, "/gone", b"x").expect("written");
    daemon.terminate();
    daemon.restart();
    assert!(daemon.client().read(0, "/gone").is_err());
}

#[test]
fn a_store_outgrows_nothing_while_it_is_rewritten() {
    // Some hundred times what the vault can hold goes through it.
    let mut daemon = Daemon::start(&["-D", "--state-size", "1"]);
    let mut client = daemon.client();
    let value = vec![b'v'; 2000];
    for round in 0..100 {
        for number in 0..20 {
            client.write(0, &format!("/round/{number}"), &value[round..]).expect("written");
        }
    }
    drop(client);
    daemon.kill();
    daemon.restart();
    let mut client = daemon.client();
    for number in 0..20 {
        assert_eq!(client.read(0, &format!("/round/{number}")).expect("there"), value[99..]);
    }
}

#[test]
fn a_full_store_refuses_to_grow_and_goes_on() {
    let mut daemon = Daemon::start(&["-D", "--state-size", "1"]);
    let mut client = daemon.client();
    let value = vec![b'v'; 2000];
    let full = (0..2000).find(|number| client.write(0, &format!("/full/{number}"), &value).is_err());
    let full = full.expect("a mebibyte is not enough");
    assert!(full > 50, "refused after {full} nodes");
    // What is there can be read and removed, and is kept.
    assert_eq!(client.read(0, "/full/0").expect("there"), value);
    for number in 0..50 {
        client.remove(0, &format!("/full/{number}")).expect("removed");
    }
    drop(client);
    daemon.kill();
    daemon.restart();
    assert_eq!(daemon.client().directory(0, "/full").expect("there").len(), full - 50);
}
