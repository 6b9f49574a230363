//! The toolstack dies at every effect that it has, before and after it, and comes back: what there is in the end is the same.

use crate::model::{CONFIG, Death, Ended, Machine, command, is, no_operator, nobody};
use toolstack::phase::{Phase, StopReason};
use toolstack::{Command, Toolstack};

type Tool<'t, 'a> = &'t Toolstack<'a, Machine>;

/// What is to be reached, from which beginning, and who does something for it.
struct Story {
    begin: fn() -> &'static Machine,
    /// Asked again in each life: who does not get an answer asks again.
    operator: fn(&'static Machine, Tool<'_, '_>) -> Option<Command>,
    goal: fn(&'static Machine, Tool<'_, '_>) -> bool,
}

impl Story {
    fn live(&self, machine: &'static Machine, death: Option<Death>) -> Ended {
        machine.live(death, |tool| (self.operator)(machine, tool), |tool| (self.goal)(machine, tool))
    }

    fn survives_every_death(&self) {
        let undisturbed = (self.begin)();
        let Ended::Reached(effects) = self.live(undisturbed, None) else { panic!("nothing kills it") };
        let expected = comparable(undisturbed);
        for number in 0..effects {
            for death in [Death::Before(number), Death::After(number)] {
                let machine = (self.begin)();
                // What is reached by the last effect is reached although its answer is not heard.
                self.live(machine, Some(death));
                assert!(matches!(self.live(machine, None), Ended::Reached(_)));
                assert_same(&comparable(machine), &expected, &format!("{death:?}"));
                machine.power_off();
            }
        }
        // The next life dies too, somewhere else each time.
        for number in (0..effects).step_by(5) {
            let machine = (self.begin)();
            self.live(machine, Some(Death::After(number)));
            self.live(machine, Some(Death::Before(number * 7 % 90)));
            self.live(machine, Some(Death::After(number * 3 % 50)));
            self.live(machine, None);
            assert_same(&comparable(machine), &expected, &format!("{number} and then"));
            machine.power_off();
        }
    }
}

/// Says where they differ.
fn assert_same(found: &str, expected: &str, when: &str) {
    let without = |these: &str, those: &str| -> Vec<String> {
        these.lines().filter(|line| !those.lines().any(|other| other == *line)).map(str::to_owned).collect()
    };
    let (more, less) = (without(found, expected), without(expected, found));
    assert!(found == expected, "{when}: there are {more:#?} and should be {less:#?}");
}

/// Everything that there is. A UUID that was made up is another each time.
fn comparable(machine: &Machine) -> String {
    let mut dump = machine.dump();
    let made_up: Vec<String> = dump
        .lines()
        .filter_map(|line| line.strip_prefix("/vm/")?.get(..36).map(str::to_owned))
        .filter(|uuid| !CONFIG.contains(uuid.as_str()))
        .collect();
    for uuid in made_up {
        dump = dump.replace(&uuid, "made-up");
    }
    let mut lines: Vec<_> = dump.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

fn started(config: &str) -> &'static Machine {
    let machine = Machine::with_config(config).power_on();
    machine.live(None, no_operator, is(Phase::Running));
    machine
}

/// Nobody wants anything.
fn nobody_asks(_: &'static Machine, _: Tool<'_, '_>) -> Option<Command> {
    None
}

#[test]
fn a_guest_is_built_and_started() {
    Story {
        begin: || Machine::with_config(CONFIG).power_on(),
        operator: nobody_asks,
        goal: |_, tool| is(Phase::Running)(tool),
    }
    .survives_every_death();
}

#[test]
fn a_guest_is_destroyed() {
    Story {
        begin: || started(CONFIG),
        operator: |_, tool| is(Phase::Running)(tool).then(|| command("destroy web")),
        goal: |_, tool| nobody(tool),
    }
    .survives_every_death();
}

#[test]
fn a_guest_is_rebooted() {
    Story {
        begin: || started(CONFIG),
        operator: |machine, tool| {
            (machine.root().ended == 0 && is(Phase::Running)(tool)).then(|| command("reboot web 30"))
        },
        goal: |machine, tool| machine.root().ended == 1 && is(Phase::Running)(tool),
    }
    .survives_every_death();
}

#[test]
fn a_guest_that_does_not_listen_is_rebooted() {
    Story {
        begin: || {
            let machine = started(CONFIG);
            machine.stubborn_guests.set(true);
            machine
        },
        operator: |machine, tool| {
            (machine.root().ended == 0 && is(Phase::Running)(tool)).then(|| command("reboot web 30"))
        },
        goal: |machine, tool| machine.root().ended == 1 && is(Phase::Running)(tool),
    }
    .survives_every_death();
}

#[test]
fn a_guest_is_shut_down() {
    Story {
        begin: || started(CONFIG),
        operator: |_, tool| is(Phase::Running)(tool).then(|| command("shutdown web 30")),
        goal: |_, tool| nobody(tool),
    }
    .survives_every_death();
}

#[test]
fn a_guest_crashes_and_is_kept_and_begun_anew() {
    Story {
        begin: || {
            let machine = started(&format!("{CONFIG}on_crash = 'rename-restart'\n"));
            machine.guests_stop.set(Some(3));
            machine
        },
        operator: nobody_asks,
        goal: |_, tool| {
            let has = |phase| tool.list().any(|(_, found, _)| found == phase);
            has(Phase::Running) && has(Phase::Preserved { reason: StopReason::Crash })
        },
    }
    .survives_every_death();
}

#[test]
fn a_guest_is_paused() {
    Story {
        begin: || started(CONFIG),
        operator: |_, tool| is(Phase::Running)(tool).then(|| command("pause web")),
        goal: |_, tool| is(Phase::Paused)(tool),
    }
    .survives_every_death();
}

#[test]
fn a_guest_gets_a_disk_and_loses_another() {
    Story {
        begin: || started(CONFIG),
        operator: |machine, _| {
            let has = |id: u32| machine.read(&format!("/local/domain/6/backend/vbd/7/{id}/online"));
            if has(51744).is_none() {
                return Some(command("attach web disk /dev/vg/more,,xvdc,rw"));
            }
            (has(51728).as_deref() == Some("1")).then(|| command("detach web disk xvdb"))
        },
        goal: |machine, _| {
            let state = |id: u32| machine.read(&format!("/local/domain/6/backend/vbd/7/{id}/state"));
            state(51744).as_deref() == Some("4") && state(51728).is_none()
        },
    }
    .survives_every_death();
}

#[test]
fn a_guest_that_cannot_be_built_is_forgotten() {
    Story {
        begin: || {
            Machine::with_config(&CONFIG.replace("memory = 16\nmaxmem = 32", "memory = 4096")).power_on()
        },
        operator: nobody_asks,
        goal: |_, tool| nobody(tool),
    }
    .survives_every_death();
}
