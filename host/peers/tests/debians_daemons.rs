//! Both of Xen's daemons run here, for domain 0 and for guests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use peers::{Daemon, Options, Program, State};
use xenstore_client::wire::{Errno, Kind};
use xenstore_client::{Access, Client, ErrorName, Permission, Request, terminated};

/// Where `./x` puts what it fetches.
fn target() -> PathBuf {
    std::env::var_os("RVMM_TARGET")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from)
}

fn start(program: Program) -> Daemon {
    Daemon::start(&target(), program, Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn domain_0_reads_what_it_has_written() {
    for program in [Program::C, Program::OCaml] {
        let daemon = start(program);
        let mut client = daemon.connect().unwrap();
        client.write(0, "/a/b", b"value").unwrap();
        assert_eq!(client.read(0, "/a/b").unwrap(), b"value");
        assert_eq!(client.directory(0, "/a").unwrap(), ["b"]);
        assert_eq!(client.read(0, "/none").unwrap_err().name(), Some(&ErrorName::Known(Errno::NotFound)));
        client.watch("/a", "token").unwrap();
        client.write(0, "/a/b", b"other").unwrap();
        let patience = Duration::from_secs(10);
        let paths = [(); 2].map(|()| client.next_event(patience).unwrap().unwrap().path);
        assert_eq!(paths, [b"/a".to_vec(), b"/a/b".to_vec()]);
        let transaction = client.transaction_start().unwrap();
        client.write(transaction, "/a/c", b"").unwrap();
        assert!(client.transaction_end(transaction, true).unwrap());
        let read = Request { kind: Kind::Read, transaction: 0, payload: terminated(&["/a/b"]) };
        let answers = client.pipeline(&vec![read; 100]).unwrap();
        assert!(answers.len() == 100 && answers.into_iter().all(|answer| answer.unwrap() == b"other"));
    }
}

#[test]
fn a_guest_speaks_through_its_ring_until_it_dies() {
    for program in [Program::C, Program::OCaml] {
        let mut daemon = start(program);
        let mut dom0 = daemon.connect().unwrap();
        dom0.watch("@releaseDomain", "gone").unwrap();
        let patience = Duration::from_secs(10);
        assert_eq!(dom0.next_event(patience).unwrap().unwrap().token, b"gone");
        daemon.xen().create_domain(3).unwrap();
        let mut guest = Client::new(daemon.xen().ring(3, 30).unwrap());
        dom0.introduce(3, 0, 30).unwrap();
        dom0.mkdir(0, "/local/domain/3").unwrap();
        dom0.set_permissions(0, "/local/domain/3", &[Permission { access: Access::None, domid: 3 }]).unwrap();
        guest.write(0, "relative", &[b'x'; 2000]).unwrap();
        assert_eq!(dom0.read(0, "/local/domain/3/relative").unwrap().len(), 2000);
        assert_eq!(
            guest.write(0, "/tool/x", b"").unwrap_err().name(),
            Some(&ErrorName::Known(Errno::Access))
        );
        daemon.xen().set_state(3, State::Dying).unwrap();
        daemon.xen().raise_dom_exc().unwrap();
        assert_eq!(dom0.next_event(patience).unwrap().unwrap().path, b"@releaseDomain");
    }
}

#[test]
fn a_killed_daemon_starts_again_in_its_folder() {
    for program in [Program::C, Program::OCaml] {
        let mut daemon = start(program);
        let pid = daemon.pid();
        daemon.kill_and_restart().unwrap();
        assert_ne!(daemon.pid(), pid);
        assert_eq!(daemon.connect().unwrap().domain_path(7).unwrap(), "/local/domain/7");
    }
}

#[test]
fn debians_tools_find_the_daemon() {
    let daemon = start(Program::C);
    assert!(daemon.tool("xenstore-write").unwrap().args(["/t", "v"]).status().unwrap().success());
    let output = daemon.tool("xenstore-read").unwrap().arg("/t").output().unwrap();
    assert_eq!(output.stdout, b"v\n");
}
