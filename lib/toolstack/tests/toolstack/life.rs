//! What becomes of VMs while the toolstack lives.

use crate::model::{BARE, CONFIG, DISK, FIRST_GUEST, GUEST, Machine, NET, command, is, no_operator, nobody};
use std::cell::Cell;
use toolstack::phase::{Phase, StopReason};
use toolstack::{Command, Toolstack};
use xen_abi::Domid;

type Tool<'t, 'a> = &'t Toolstack<'a, Machine>;

/// The operator says this, once.
fn says(text: &str) -> impl Fn(Tool<'_, '_>) -> Option<Command> {
    let command = Cell::new(Some(command(text)));
    move |_| command.take()
}

fn started(config: &str) -> &'static Machine {
    let machine = Machine::with_config(config).power_on();
    machine.live(None, no_operator, is(Phase::Running));
    machine
}

/// What is left of a host when everything of its guest is gone.
fn empty() -> &'static Machine {
    let machine = Machine::without_guests().power_on();
    machine.live(None, no_operator, nobody);
    machine
}

/// The same host, but for guests that have been there.
fn assert_empty(machine: &Machine, ended: u32) {
    assert_eq!(machine.root().ended, ended);
    let without_traces = |machine: &Machine| {
        let dump = machine.dump();
        let lines = dump.lines().skip(1).filter(|line| !line.contains("/tool/started")).map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    assert_eq!(without_traces(machine), without_traces(empty()));
    assert_eq!(machine.root().free_pages, empty().root().free_pages);
}

#[test]
fn nothing_is_left_of_a_guest_that_is_destroyed() {
    let machine = started(CONFIG);
    assert_eq!(machine.root().domains.len(), 1);
    assert!(machine.root().free_pages < empty().root().free_pages);
    machine.live(None, says("destroy web"), nobody);
    assert_empty(machine, 1);
}

#[test]
fn a_guest_with_a_dot_in_its_name_starts_with_the_host_once() {
    let machine = Machine::with_guest("web.0").power_on();
    machine.live(None, no_operator, is(Phase::Running));
    machine.live(None, says("destroy web"), nobody);
    machine.live(None, no_operator, nobody);
    assert_eq!(machine.root().ended, 1);
}

#[test]
fn a_guest_starts_with_the_host_once() {
    let machine = started(CONFIG);
    machine.live(None, says("destroy web"), nobody);
    machine.live(None, no_operator, nobody);
    assert_empty(machine, 1);
    machine.live(None, says("create web"), is(Phase::Running));
    machine.live(None, says("create web other"), |tool| {
        tool.list().filter(|(_, phase, _)| *phase == Phase::Running).count() == 2
    });
    assert_eq!(machine.root().domains.len(), 2);
}

/// All of them want more of root at once than it has room for, also when the first has only to be started.
#[test]
fn several_guests_are_built_at_a_time() {
    let machine = Machine::without_guests().with_ramdisk(vec![7; 2 << 20]).power_on();
    machine.busy_root.set(true);
    let names = ["a", "b", "c", "d"];
    let asked = Cell::new(0);
    let operator = |_: Tool<'_, '_>| {
        let name = names.get(asked.get())?;
        asked.set(asked.get() + 1);
        Some(command(&format!("create {} {name}", if *name == "a" { BARE } else { GUEST })))
    };
    let running = |(index, name)| (name, Phase::Running, Some(Domid(FIRST_GUEST + index as u16)));
    let goal: Vec<_> = names.into_iter().enumerate().map(running).collect();
    machine.live(None, operator, |tool| tool.list().eq(goal.iter().copied()));
}

#[test]
fn a_guest_that_is_asked_to_stops_and_one_that_does_not_is_stopped() {
    for stubborn in [false, true] {
        let machine = started(CONFIG);
        machine.stubborn_guests.set(stubborn);
        machine.live(None, says("shutdown web 30"), nobody);
        assert_empty(machine, 1);

        let machine = started(CONFIG);
        machine.stubborn_guests.set(stubborn);
        let reboot = says("reboot web 30");
        machine.live(None, reboot, |tool| machine.root().ended == 1 && is(Phase::Running)(tool));
        assert_eq!(machine.root().domains.len(), 1);
    }
}

#[test]
fn a_guest_that_stops_gets_what_its_configuration_says() {
    let cases = [
        ("on_poweroff", 0, StopReason::PowerOff),
        ("on_reboot", 1, StopReason::Reboot),
        ("on_crash", 3, StopReason::Crash),
        ("on_watchdog", 4, StopReason::Watchdog),
    ];
    for (key, number, reason) in cases {
        let stopped = |action: &str| {
            let machine = started(&format!("{CONFIG}{key} = '{action}'\n"));
            machine.guests_stop.set(Some(number));
            machine
        };
        let machine = stopped("destroy");
        machine.live(None, no_operator, nobody);
        assert_empty(machine, 1);

        let machine = stopped("restart");
        machine.live(None, no_operator, |tool| machine.root().ended == 1 && is(Phase::Running)(tool));

        let machine = stopped("preserve");
        machine.live(None, no_operator, is(Phase::Preserved { reason }));
        assert_eq!(machine.root().domains.len(), 1);
        machine.live(None, says("destroy web"), nobody);
        assert_empty(machine, 1);

        let machine = stopped("rename-restart");
        let phases = [("web", Phase::Running), ("web-1", Phase::Preserved { reason })];
        machine.live(None, no_operator, |tool| {
            let mut found: Vec<_> = tool.list().map(|(name, phase, _)| (name, phase)).collect();
            found.sort_by_key(|(name, _)| *name);
            found == phases
        });
        assert_eq!(machine.root().domains.len(), 2);
        assert_eq!(machine.read("/local/domain/7/name").as_deref(), Some("web-1"));
        assert_eq!(machine.read("/local/domain/8/name").as_deref(), Some("web"));
    }
}

/// A guest that crashes soon after each of its starts is started anew three times, whoever counts; one that has run for a while in
/// between, again.
#[test]
fn a_guest_that_crashes_again_and_again_is_kept() {
    let reason = StopReason::Crash;
    for action in ["restart", "rename-restart"] {
        let machine = started(&format!("{CONFIG}on_crash = '{action}'\n"));
        let kept = |tool: Tool<'_, '_>| tool.list().filter(|vm| vm.1 == Phase::Preserved { reason }).count();
        let runs = |tool: Tool<'_, '_>| tool.list().any(|vm| vm.1 == Phase::Running);
        for crash in 1..=3 {
            machine.guests_stop.set(Some(3));
            machine.live(None, no_operator, |tool| machine.guests_stop.get().is_none() && runs(tool));
            let ended = if action == "restart" { crash } else { 0 };
            assert_eq!(machine.root().ended, ended, "{action}");
        }
        machine.guests_stop.set(Some(3));
        machine.live(None, no_operator, |tool| !runs(tool) && kept(tool) > 0);
        assert_eq!(machine.root_mut().running().count(), 0);
    }
    let machine = started(&format!("{CONFIG}on_crash = 'restart'\n"));
    for crash in 1..=5 {
        machine.pass_time(61_000_000);
        machine.guests_stop.set(Some(3));
        machine.live(None, no_operator, |tool| machine.root().ended == crash && is(Phase::Running)(tool));
    }
}

#[test]
fn a_guest_that_is_paused_stays_so_over_lives() {
    let machine = started(CONFIG);
    machine.live(None, says("pause web"), is(Phase::Paused));
    assert_eq!(machine.root_mut().running().count(), 0);
    machine.live(None, no_operator, is(Phase::Paused));
    assert_eq!(machine.root_mut().running().count(), 0);
    machine.live(None, says("unpause web"), is(Phase::Running));
    assert_eq!(machine.root_mut().running().count(), 1);
}

#[test]
fn devices_come_and_go() {
    let machine = started(CONFIG);
    let back = |backend: xen_abi::Domid, rest: &str| {
        machine.read(&format!("/local/domain/{}/backend/{rest}/state", backend.0))
    };
    machine.live(None, says("attach web disk /dev/vg/more,,xvdc,rw"), |_| {
        back(DISK, "vbd/7/51744").as_deref() == Some("4")
    });
    machine.live(None, says("attach web vif bridge=br1"), |_| back(NET, "vif/7/2").as_deref() == Some("4"));
    machine.live(None, says("detach web disk xvdb"), |_| back(DISK, "vbd/7/51728").is_none());
    machine.live(None, says("detach web vif 1"), |_| back(NET, "vif/7/1").is_none());
    assert_eq!(machine.read("/local/domain/7/device/vif/1/state"), None);
    // What was changed stays so when the guest begins anew.
    machine.live(None, says("reboot web"), |tool| machine.root().ended == 1 && is(Phase::Running)(tool));
    let there = ["vbd/7/51712", "vbd/7/51728", "vbd/7/51744"].map(|rest| back(DISK, rest).is_some());
    assert_eq!(there, [true, false, true]);
    assert_eq!([0, 1, 2].map(|id| back(NET, &format!("vif/7/{id}")).is_some()), [true, false, true]);
    machine.live(None, says("destroy web"), nobody);
    assert_empty(machine, 2);
}

#[test]
fn a_backend_that_does_not_let_go_is_not_waited_for_without_end() {
    let machine = started(CONFIG);
    machine.stubborn_backends.set(true);
    machine.live(None, says("detach web vif 0"), |_| {
        machine.read("/local/domain/5/backend/vif/7/0/state").is_none()
    });
    machine.live(None, says("destroy web"), nobody);
    assert_empty(machine, 1);
}

#[test]
fn memory_and_vcpus_are_what_the_operator_wants() {
    let machine = started(CONFIG);
    let target = || machine.read("/local/domain/7/memory/target");
    machine.live(None, says("balloon web 24"), |_| target().as_deref() == Some("24576"));
    let second = || machine.read("/local/domain/7/cpu/1/availability");
    assert_eq!(second().as_deref(), Some("offline"));
    machine.live(None, says("vcpus web 2"), |_| second().as_deref() == Some("online"));
    // More than there is: refused.
    for text in ["balloon web 33", "vcpus web 3", "vcpus web 0"] {
        machine.live_once(command(text));
    }
    assert_eq!((target().as_deref(), second().as_deref()), (Some("24576"), Some("online")));
}

#[test]
fn nothing_is_left_of_a_guest_that_cannot_be_built() {
    let unusable = [
        CONFIG.replace("memory = 16", "memory = nothing"),
        CONFIG.replace("memory = 16", "memory = 1"),
        CONFIG.replace("memory = 16\nmaxmem = 32", "memory = 4096"),
        CONFIG.replace("maxvcpus = 2", "maxvcpus = 9"),
    ];
    for config in unusable {
        let machine = Machine::with_config(&config).power_on();
        machine.live(None, no_operator, nobody);
        assert_empty(machine, 0);
    }
    let whole = crate::model::kernel();
    for kernel in [Vec::new(), whole[..200].to_vec(), vec![0; 4096]] {
        let machine = Machine::with_config(CONFIG).with_kernel(kernel).power_on();
        machine.live(None, no_operator, nobody);
        assert_empty(machine, 0);
    }
    let machine = Machine::with_config(CONFIG).without_ramdisk().power_on();
    machine.live(None, no_operator, nobody);
    assert_empty(machine, 0);
}

#[test]
fn nothing_is_left_of_a_guest_that_root_does_not_build() {
    for step in [
        "create",
        "memory-map",
        "populate",
        "allocate-port",
        "write",
        "grant",
        "pin",
        "context",
        "introduce",
        "unpause",
    ] {
        let machine = Machine::with_config(CONFIG).power_on();
        machine.root().refuses.set(Some(step));
        machine.live(None, no_operator, nobody);
        assert_eq!(machine.root().refuses.take(), None, "{step}");
        assert_empty(machine, 0);
    }
}

#[test]
fn what_means_nothing_is_refused_and_changes_nothing() {
    let machine = started(CONFIG);
    let before = machine.dump();
    for text in [
        "create web",
        "create nobody",
        "destroy nobody",
        "unpause web",
        "attach web disk /dev/vg/again,,xvda,rw",
        "detach web vif 7",
        "list",
    ] {
        machine.live_once(command(text));
        assert_eq!(machine.dump(), before, "{text}");
    }
}

#[test]
fn words_that_are_no_command_are_told_apart() {
    for text in ["", "destroy", "destroy a b", "start a", "create a b c", "attach a usb b", "pause"] {
        assert_eq!(text.parse::<Command>(), Err(toolstack::command::NoCommand::Words), "{text}");
    }
    let error = |text: &str| text.parse::<Command>().unwrap_err().to_string();
    assert_eq!(error("shutdown a soon"), "\"soon\" is no number");
    assert_eq!(error("detach a disk c"), "\"c\" is no disk: xvda, sda, hda or the like are");
    assert_eq!(
        error("attach a vif mac=1"),
        "1:1: mac: six hexadecimal bytes with : between expected, 1 found"
    );
}
