//! The ladder of repairs: what does not help leads to the next rung, and what never helps is held.

use emulator::condition::{all_is_settled, component, everything_is_up};
use emulator::event::Rung;
use emulator::fault::Fault;
use rvmm_tests::system::LADDER;
use rvmm_tests::{Host, Setup};

/// More incarnations than any ladder repairs.
const FOR_EVER: u64 = 1000;

fn boot(test: &str) -> Host {
    Host::boot(test, Setup { system: LADDER, ..Setup::default() })
}

#[test]
fn a_repair_that_does_not_help_leads_to_the_next_rung() {
    let mut host = boot("next-rung");
    host.inject_with("apart", Fault::CrashAtBoot, 1);
    host.wait_for(component("apart").is_under_repair_by(Rung::MicroReboot));
    host.wait_for(component("apart").escalates_to(Rung::Rebuild));
    host.wait_for(component("apart").is_repaired_by(Rung::Rebuild));
}

#[test]
fn a_repair_that_is_needed_too_often_leads_to_the_next_rung() {
    let mut host = boot("too-often");
    for _ in 0..2 {
        host.begin_chapter();
        host.inject("apart", Fault::Ud2);
        host.wait_for(component("apart").is_repaired_by(Rung::MicroReboot));
    }
    host.begin_chapter();
    host.inject("apart", Fault::Ud2);
    host.wait_for(component("apart").escalates_to(Rung::Rebuild));
    host.wait_for(component("apart").is_repaired_by(Rung::Rebuild));
}

#[test]
fn who_cannot_be_revived_is_held_and_the_rest_runs_on() {
    let mut host = boot("hold");
    host.inject_with("apart", Fault::CrashAtBoot, FOR_EVER);
    host.wait_for(component("apart").is_held());
    host.wait_for(all_is_settled());
    for other in ["base", "middle", "top"] {
        host.is_beating(other);
    }
}

#[test]
fn who_was_held_runs_again_when_it_is_released() {
    let mut host = boot("release");
    host.inject_with("apart", Fault::CrashLoop, 5);
    host.wait_for(component("apart").is_held());
    host.begin_chapter();
    host.release("apart");
    host.wait_for(component("apart").is_released());
    host.wait_for(component("apart").is_repaired_by(Rung::Rebuild));
    host.wait_for(everything_is_up());
    host.is_beating("apart");
}

#[test]
fn a_cascade_rebuilds_what_depends_on_the_culprit_in_order() {
    let mut host = boot("cascade");
    host.inject_with("base", Fault::CrashLoop, 4);
    host.wait_for(component("base").escalates_to(Rung::Cascade));
    let base = host.wait_for(component("base").is_repaired_by(Rung::Cascade));
    let middle = host.wait_for(component("middle").is_repaired_by(Rung::Cascade));
    let top = host.wait_for(component("top").is_repaired_by(Rung::Cascade));
    assert!(base.seq < middle.seq && middle.seq < top.seq, "{base}\n{middle}\n{top}");
    host.wait_for(everything_is_up());
    host.has_not_seen(component("apart").is_repaired());
}

#[test]
fn the_whole_control_plane_is_rebuilt_when_nothing_less_helps() {
    let mut host = boot("control-plane");
    host.inject_with("base", Fault::CrashLoop, 5);
    host.wait_for(component("base").escalates_to(Rung::ControlPlane));
    host.wait_for_all(
        ["base", "middle", "top", "apart"].map(|name| component(name).is_repaired_by(Rung::ControlPlane)),
    );
    host.wait_for(everything_is_up());
}

#[test]
fn all_fail_at_once_and_all_come_back() {
    let mut host = boot("all-at-once");
    let all = ["base", "middle", "top", "apart"];
    for name in all {
        host.inject(name, Fault::TightLoop);
    }
    host.wait_for_all(all.map(|name| component(name).is_repaired()));
    host.wait_for(everything_is_up());
    for name in all {
        host.is_beating(name);
    }
}

#[test]
fn what_fails_during_the_repair_of_what_it_needs_waits_for_it() {
    let mut host = boot("during-repair");
    host.inject_with("base", Fault::CrashAtBoot, 2);
    host.inject("top", Fault::Ud2);
    host.inject("apart", Fault::Ud2);
    host.wait_for_all(["base", "top", "apart"].map(|name| component(name).is_repaired()));
    host.wait_for(everything_is_up());
    for name in ["base", "middle", "top", "apart"] {
        host.is_beating(name);
    }
}
