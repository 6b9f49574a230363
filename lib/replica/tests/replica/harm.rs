//! Bits that are flipped on demand: a service finds and mends each, and says so.

use crate::master::{CLIENT, Host, PEER, ask};
use crate::ring::Pipe;
use crate::world::Memory;
use replica::master::Master;
use replica::report::{Report, Stage};
use uk_abi::fault::Fault;
use xenstore::wire::Kind;

/// Bits of each kind.
const SEEDS: u64 = 100;

/// A service with a client, a watch and some nodes.
fn service() -> (Host, Master<Memory>, Pipe) {
    let mut host = Host::new(1 << 14);
    let mut pipe = Pipe::ring(7, &host.fuse);
    let mut master = host.start();
    assert!(master.connect(CLIENT, PEER, &pipe).is_ok());
    for number in 0..8 {
        let payload = format!("/a/{number}\0value {number}");
        ask(&mut master, CLIENT, &mut pipe, Kind::Write, payload.as_bytes());
    }
    (host, master, pipe)
}

/// What is reported while nobody asks for anything.
fn idle(master: &mut Master<Memory>, turns: usize) -> Vec<Report> {
    let mut reports = Vec::new();
    for _ in 0..turns {
        master.work();
        master.take_reports(&mut reports);
    }
    reports
}

#[test]
fn each_is_mended_and_told_of() {
    let (_host, mut master, mut pipe) = service();
    idle(&mut master, 100);
    let digest = master.engine().digest();
    for fault in [
        Fault::FlipNode,
        Fault::FlipTree,
        Fault::FlipDigest,
        Fault::FlipClient,
        Fault::FlipVault,
        Fault::FlipSession,
    ] {
        for seed in 0..SEEDS {
            let what = master.harm(fault, seed);
            assert!(what.is_some(), "{fault} {seed}");
            let reports = idle(&mut master, 100);
            let is_mended =
                |report: &Report| matches!(report.stage(), Stage::Mended | Stage::FoundAndMended { .. });
            assert!(reports.iter().any(is_mended), "{fault} {seed}, {what:?}: {reports:?}");
            assert_eq!(master.engine().digest(), digest, "{fault} {seed}, {what:?}");
        }
        assert_eq!(ask(&mut master, CLIENT, &mut pipe, Kind::Read, b"/a/3\0"), b"value 3");
    }
    assert!(idle(&mut master, 100).is_empty(), "nothing is left");
}

#[test]
fn what_has_no_good_copy_is_told_of_once_and_reads_as_an_error() {
    let (_host, mut master, mut pipe) = service();
    let what = master.harm(Fault::FlipCopies, 1).expect("there are nodes");
    let reports = idle(&mut master, 1000);
    let unmended = reports.iter().filter(|report| matches!(report, Report::Unmended { .. }));
    assert_eq!(unmended.count(), 1, "{what}: {reports:?}");
    let (path, _) = what.split_once(' ').expect("it says which");
    let request = format!("{path}\0");
    assert_eq!(ask(&mut master, CLIENT, &mut pipe, Kind::Read, request.as_bytes()), b"EIO\0");
    let others = (0..8).map(|number| format!("/a/{number}\0")).filter(|other| *other != request);
    for other in others {
        assert!(ask(&mut master, CLIENT, &mut pipe, Kind::Read, other.as_bytes()).starts_with(b"value"));
    }
}
