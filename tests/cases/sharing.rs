//! Memory and event channels between unikernels outlive each of them, and what root says of domains does too.

use emulator::condition::{all_is_settled, component, everything_is_up};
use emulator::event::Rung;
use emulator::fault::Fault;
use rvmm_tests::system::SHARING;
use rvmm_tests::{Host, Setup};

/// Who talks with each other, in the order of their domains, which start at 1.
const TALKERS: [&str; 3] = ["left", "right", "third"];

/// More incarnations than any ladder repairs.
const FOR_EVER: u64 = 1000;

fn boot(test: &str, setup: Setup) -> Host {
    Host::boot(test, Setup { system: SHARING, ..setup })
}

/// Waits until everybody else has talked with the talker `who` in its life `life`, and it with them. An event that was lost would have
/// ended their conversation.
fn talks_with_all(host: &Host, who: usize, life: u64) {
    for (other, name) in TALKERS.iter().enumerate().filter(|(other, _)| *other != who) {
        host.wait_for(component(*name).logs(&format!("talks with d{} in its life {life}", who + 1)));
        host.wait_for(component(TALKERS[who]).logs(&format!("talks with d{} in its life", other + 1)));
    }
}

/// Restarts `left` and `right` in turn, on each rung and by each kind of failure, while all three talk.
fn conversations_go_on(setup: Setup) {
    let mut host = boot(&format!("sharing-on-{setup}"), setup);
    let mut lives = [1, 1];
    for rung in [Rung::MicroReboot, Rung::Rebuild, Rung::Rebuild] {
        for who in [0, 1] {
            host.begin_chapter();
            host.restart(TALKERS[who], rung);
            lives[who] += 1;
            talks_with_all(&host, who, lives[who]);
        }
    }
    for fault in [Fault::Ud2, Fault::WildData] {
        for who in [0, 1] {
            host.let_logs_flow();
            host.begin_chapter();
            host.inject(TALKERS[who], fault);
            lives[who] += 1;
            talks_with_all(&host, who, lives[who]);
        }
    }
    host.has_not_seen(component("third").fails());
    for name in TALKERS {
        host.is_beating(name);
        host.has_found_no_damage(name);
    }
}

rvmm_tests::on_every_host! {
    conversations_go_on;
    xen_4_17: V4_17, true, 1;
    xen_4_20_without_iommu_on_two_processors: V4_20, false, 2;
}

#[test]
fn those_who_fail_at_once_talk_again() {
    let mut host = boot("sharing-at-once", Setup::default());
    host.inject("left", Fault::TightLoop);
    host.inject("right", Fault::Ud2);
    for (who, other) in [("left", 2), ("right", 1)] {
        host.wait_for(component(who).is_repaired());
        host.wait_for(component(who).logs(&format!("talks with d{other} in its life 2")));
    }
    host.begin_chapter();
    host.restart("left", Rung::ControlPlane);
    for (who, name) in TALKERS.iter().enumerate() {
        host.wait_for(component(*name).is_repaired_by(Rung::ControlPlane));
        for other in (0..TALKERS.len()).filter(|other| *other != who) {
            host.wait_for(component(*name).logs(&format!("talks with d{} in its life", other + 1)));
        }
    }
}

#[test]
fn conversations_go_on_when_root_is_restarted() {
    let mut host = boot("sharing-root", Setup::default());
    host.harm_root(emulator::fault::RootFault::TrashData);
    host.wait_for(emulator::condition::root().is_repaired());
    for (who, rung) in [(0, Rung::Rebuild), (1, Rung::MicroReboot)] {
        host.begin_chapter();
        host.restart(TALKERS[who], rung);
        talks_with_all(&host, who, 2);
    }
}

#[test]
fn rebuilding_those_who_share_uses_nothing_up() {
    let mut host = boot("sharing-leaks", Setup::default());
    // The first rebuilds make pools of Xen grow once, which is not used up.
    for name in ["left", "right"] {
        host.rebuild(name);
    }
    let free = host.free();
    for name in ["left", "right"].into_iter().cycle().take(10) {
        host.rebuild(name);
    }
    host.has_used_nothing_up_since(&free);
}

#[test]
fn the_register_tells_its_reader_what_has_become_of_others() {
    let mut host = boot("register", Setup::default());
    host.inject_with("third", Fault::CrashLoop, FOR_EVER);
    host.wait_for(component("third").is_held());
    host.wait_for(component("right").logs("domain 3 has shut down"));
    host.wait_for(all_is_settled());

    // What happens while the reader is down is told to its next life.
    host.begin_chapter();
    host.release("third");
    host.restart("right", Rung::Rebuild);
    host.wait_for(component("right").is_repaired_by(Rung::Rebuild));
    host.wait_for(component("right").logs("domain 1 runs"));
    host.wait_for(component("third").is_held());
    host.wait_for(component("right").logs("domain 3 has shut down"));
}

#[test]
fn a_cascade_takes_down_who_holds_pages_of_the_culprit() {
    let mut host = boot("sharing-cascade", Setup::default());
    host.wait_for(component("borrower").logs("d4 offers a page of its life"));
    host.begin_chapter();
    host.restart("lender", Rung::Rebuild);
    host.wait_for(component("lender").escalates_to(Rung::Cascade));
    host.wait_for(component("lender").is_repaired_by(Rung::Cascade));
    host.wait_for(component("borrower").is_repaired_by(Rung::Cascade));
    host.wait_for(everything_is_up());
    host.wait_for(component("borrower").logs("d4 offers a page of its life 2"));
}
