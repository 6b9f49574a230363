//! XenStore outlives whoever serves it: two clients count every request, reply and event while master and replicas fail, and end
//! their lives if anything is lost, done twice or read wrong.

use emulator::artifacts::XenVersion::{V4_17, V4_20};
use emulator::condition::{component, everything_is_up};
use emulator::event::Rung;
use emulator::fault::Fault;
use rvmm_tests::guest::{FIRST, Guest, host_with};
use rvmm_tests::store::{CLIENTS, MASTER, REPLICAS, is_followed, is_served};
use rvmm_tests::system::{STORE, STORE_ALONE};
use rvmm_tests::trial::{Must, Program, trials};
use rvmm_tests::{Host, Setup, setting};

/// A host whose clients are served, by a master whom both replicas follow.
fn boot(test: &str, setup: Setup) -> Host {
    // Replicas may follow before everything is up, so nothing of the boot is passed over.
    let mut host = Host::switch_on(test, Setup { system: STORE, ..setup });
    host.wait_for_all(is_served());
    host.begin_chapter();
    host
}

/// No client has ended a life in this chapter.
fn clients_have_not_failed(host: &Host) {
    CLIENTS.iter().for_each(|client| host.has_not_seen(component(*client).fails()));
}

/// Waits until both clients have made a hundred rounds more, or so; they may not have ended a life.
fn clients_go_on(host: &mut Host) {
    host.wait_for(everything_is_up());
    clients_have_not_failed(host);
    host.begin_chapter();
    host.wait_for_all(CLIENTS.map(|client| component(client).logs("rounds")));
}

fn clients_miss_nothing(setup: Setup) {
    let mut host = boot(&format!("store-on-{setup}"), setup);
    for trial in trials(Program::Store).filter(|trial| matches!(trial.must, Must::BeRepaired { .. })) {
        host.inject(MASTER, trial.fault);
        host.wait_for(component(MASTER).is_repaired());
        clients_go_on(&mut host);
    }
    for rung in [Rung::MicroReboot, Rung::Rebuild] {
        host.restart(MASTER, rung);
        host.wait_for(component(MASTER).is_repaired_by(rung));
        clients_go_on(&mut host);
    }
}

#[test]
fn the_master_dies_on_xen_4_17() {
    clients_miss_nothing(Setup { xen: V4_17, ..Setup::default() });
}

#[test]
fn the_master_dies_on_xen_4_20_with_two_processors() {
    clients_miss_nothing(Setup { xen: V4_20, processors: 2, ..Setup::default() });
}

#[test]
fn replicas_die_and_follow_again() {
    let mut host = boot("store-replicas", Setup::default());
    for (number, replica) in REPLICAS.into_iter().enumerate() {
        for rung in [Rung::MicroReboot, Rung::Rebuild] {
            host.restart(replica, rung);
            host.wait_for(component(replica).is_repaired_by(rung));
            host.wait_for(component(MASTER).logs(&format!("replica {number} follows")));
            clients_go_on(&mut host);
        }
    }
}

#[test]
fn master_and_replicas_die_at_once() {
    let mut host = boot("store-at-once", Setup::default());
    host.inject(MASTER, Fault::Ud2);
    REPLICAS.iter().for_each(|replica| host.inject(replica, Fault::Ud2));
    host.wait_for_all([MASTER, REPLICAS[0], REPLICAS[1]].map(|name| component(name).is_repaired()));
    clients_go_on(&mut host);
    for name in [REPLICAS[1], REPLICAS[0], MASTER] {
        host.restart(name, Rung::Rebuild);
    }
    host.wait_for_all(
        [MASTER, REPLICAS[0], REPLICAS[1]].map(|name| component(name).is_repaired_by(Rung::Rebuild)),
    );
    clients_go_on(&mut host);
}

/// Seeds of bits in each kind of place, in each member: `RVMM_STORE_FLIPS` says how many, if not 3.
fn seeds() -> impl Iterator<Item = u64> {
    0..setting("RVMM_STORE_FLIPS", 3)
}

/// A bit is flipped in each kind of place of each member: the member finds it, mends it, and says so, and clients read what was written.
#[test]
fn flipped_bits_are_mended() {
    let mut host = boot("store-flips", Setup::default());
    for member in [MASTER, REPLICAS[0], REPLICAS[1]] {
        // Only the master has sessions, and somebody who has a good copy of what it has none left of.
        let has = |fault: &Fault| match fault {
            Fault::FlipSession | Fault::FlipCopies => member == MASTER,
            _ => true,
        };
        for fault in Fault::FLIPS.into_iter().filter(has) {
            for seed in seeds() {
                host.flip(member, fault, seed);
                if fault == Fault::FlipCopies {
                    host.wait_for_all(is_followed());
                }
                clients_have_not_failed(&host);
            }
        }
        host.begin_chapter();
        host.wait_for_all(CLIENTS.map(|client| component(client).logs("rounds")));
        clients_have_not_failed(&host);
    }
}

/// A value that is damaged in the only member, and in all that its log has of it, is an error to who reads it, and nothing else.
#[test]
fn what_has_no_good_copy_reads_as_an_error() {
    let mut host = Host::switch_on("store-alone", Setup { system: STORE_ALONE, ..Setup::default() });
    host.wait_for(everything_is_up());
    host.wait_for(component("client").logs("XenStore serves this probe"));
    host.wait_for(component(MASTER).logs("replica 0 follows"));
    host.inject(REPLICAS[0], Fault::Ud2);
    host.wait_for(component(REPLICAS[0]).is_repaired());
    host.inject(REPLICAS[0], Fault::Ud2);
    host.wait_for(component(REPLICAS[0]).is_held());
    // Until it is something that the client reads.
    for seed in 0.. {
        host.begin_chapter();
        host.inject_with(MASTER, Fault::FlipCopies, seed);
        let said = host.wait_for(component(MASTER).logs("the vault has no good copy"));
        if said.to_string().contains("/data/") {
            break;
        }
    }
    host.wait_for(component("client").dies_saying("EIO"));
}

#[test]
fn clients_die_and_begin_anew() {
    let mut host = boot("store-clients", Setup::default());
    for rung in [Rung::MicroReboot, Rung::Rebuild] {
        host.restart(CLIENTS[0], rung);
        host.wait_for(component(CLIENTS[0]).logs("XenStore serves this probe"));
        clients_go_on(&mut host);
    }
    host.restart(MASTER, Rung::ControlPlane);
    host.wait_for_all(CLIENTS.map(|client| component(client).logs("XenStore serves this probe")));
    clients_go_on(&mut host);
}

/// A stock kernel with Debian's xenstore programs: they read what they have written, also what is larger than a ring, find it in
/// lists, hear of changes, and see no error, while the master dies again and again under them.
#[test]
fn a_stock_guest_notices_nothing() {
    let guest = Guest::new("guest").does("task=store");
    let mut host = Host::boot("store-guest", Setup { system: host_with(&[guest]), ..Setup::default() });
    host.wait_for_guest_to_say(FIRST, "guest: store domid=5");
    host.wait_for_guest_to_say(FIRST, "guest: store count=2");
    for round in 0..10 {
        host.begin_chapter();
        match round % 5 {
            0 => host.inject(MASTER, Fault::Ud2),
            1 => host.inject(MASTER, Fault::WildData),
            2 => host.inject(MASTER, Fault::TightLoop),
            3 => host.restart(MASTER, Rung::Rebuild),
            _ => host.inject(REPLICAS[0], Fault::Panic),
        }
        host.wait_for(everything_is_up());
        host.wait_for_guest_to_say(FIRST, "guest: store count=");
    }
    host.has_not_seen(component("tool").fails());
    host.power_off();
}
