//! Scripts: what happens, and what the monitor says to it, as text in `scripts/*.txt`.
//!
//! ```text
//! component NAME [FIELD=VALUE ...]     a policy: Policy::DEFAULT with two looks, but for these fields; times in microseconds
//! plane attempts=N window_us=N         the limit of the control plane
//! > MS COMMAND [NAME] [KEY=VALUE ...]  what happens, so many milliseconds after the start
//! NAME: ...                            a report
//! NAME! ...                            anything else that root shall do
//! ```
//!
//! `REWRITE=1 cargo test -p monitor` writes into the scripts what the monitor says, to be read and judged.

use crate::world::SAVED_BYTES;
use monitor::{
    Action, Actions, ComponentId, ComponentSet, CpuSample, Event, Granularity, Method, Monitor, Observation,
    PlaneLimit, Policy, Progress, Repair, Rung, Saved,
};
use std::fmt::Write as _;
use std::path::Path;

#[test]
fn scripts_say_what_the_monitor_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/monitor/scripts");
    let files =
        std::fs::read_dir(&folder).expect("a folder of scripts").map(|entry| entry.expect("a file").path());
    let mut wrong = String::new();
    let mut count = 0;
    for file in files {
        let script = std::fs::read_to_string(&file).expect("a text");
        let played = play(&script);
        count += 1;
        if std::env::var_os("REWRITE").is_some() {
            std::fs::write(&file, &played).expect("a file to write");
        } else if let Some(line) = first_difference(&script, &played) {
            writeln!(wrong, "{}:{line}: the monitor says\n{played}", file.display()).expect("a string");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 0, "no scripts in {}", folder.display());
}

fn first_difference(left: &str, right: &str) -> Option<usize> {
    let ended = std::iter::repeat("(end)");
    let lines = left.lines().chain(ended.clone()).zip(right.lines().chain(ended));
    let longer = left.lines().count().max(right.lines().count());
    lines.take(longer).position(|(left, right)| left != right).map(|index| index + 1)
}

/// The script with what the monitor says in place of what the script says it does.
fn play(script: &str) -> String {
    let mut stage = Stage::default();
    let mut played = String::new();
    for line in script.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["component", name, fields @ ..] => stage.add(name, fields),
            ["plane", fields @ ..] => {
                stage.plane.attempts = value(fields, "attempts").expect("attempts=N");
                stage.plane.window_us = value(fields, "window_us").expect("window_us=N");
            }
            [] => {}
            [word, ..] if word.starts_with('#') => {}
            [">", time_ms, command, rest @ ..] => {
                stage.now_us = 1_000 * time_ms.parse::<u64>().expect("a time in ms");
                writeln!(played, "{line}").expect("a string");
                played.push_str(&stage.run(command, rest));
                continue;
            }
            _ => continue,
        }
        writeln!(played, "{line}").expect("a string");
    }
    played
}

/// The value of `key=value` among words.
fn value<T: std::str::FromStr>(words: &[&str], key: &str) -> Option<T> {
    let found = words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))?;
    Some(found.parse().unwrap_or_else(|_| panic!("{key}={found} makes no sense")))
}

struct Stage {
    names: Vec<String>,
    policies: Vec<Policy>,
    plane: PlaneLimit,
    monitor: Option<Monitor>,
    now_us: u64,
    beats: Vec<u64>,
    orders: Vec<Option<Repair>>,
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            policies: Vec::new(),
            plane: PlaneLimit::DEFAULT,
            monitor: None,
            now_us: 0,
            beats: Vec::new(),
            orders: Vec::new(),
        }
    }
}

impl Stage {
    fn add(&mut self, name: &str, fields: &[&str]) {
        // The looks of most scripts are half a deadline apart.
        let mut policy = Policy { looks: 2, ..Policy::DEFAULT };
        for field in fields {
            let (key, text) = field.split_once('=').unwrap_or((field, ""));
            let number = || text.parse::<u64>().unwrap_or_else(|_| panic!("{field} makes no sense"));
            match key {
                "needs" => policy.needs = text.split(',').map(|need| self.find(need)).collect(),
                "heartbeat_deadline_us" => policy.heartbeat_deadline_us = number(),
                "boot_deadline_us" => policy.boot_deadline_us = number(),
                "stall_deadline_us" => policy.stall_deadline_us = number(),
                "repair_deadline_us" => policy.repair_deadline_us = number(),
                "starved_deadline_us" => policy.starved_deadline_us = number(),
                "looks" => policy.looks = number() as u8,
                "window_us" => policy.limits.window_us = number(),
                "hold" => policy.limits.hold = number() as u8,
                "attempts" => {
                    let numbers: Vec<u8> = text.split(',').map(|n| n.parse().expect("a number")).collect();
                    policy.limits.attempts = numbers.try_into().expect("a number for each rung");
                }
                "fine" => policy.granularity = Granularity::Fine,
                "explicit-beats" => policy.work_is_beat = false,
                "manual" => policy.autostart = false,
                _ => panic!("{field} is no field"),
            }
        }
        self.names.push(name.into());
        self.policies.push(policy);
        self.beats.push(0);
        self.orders.push(None);
    }

    fn find(&self, name: &str) -> ComponentId {
        let index = self.names.iter().position(|known| known == name);
        ComponentId::new(index.unwrap_or_else(|| panic!("no component {name}"))).expect("not too many")
    }

    fn new_monitor(&self) -> Monitor {
        Monitor::new(&self.policies, self.plane).expect("policies that can be followed")
    }

    fn run(&mut self, command: &str, rest: &[&str]) -> String {
        let mut monitor = self.monitor.take().unwrap_or_else(|| self.new_monitor());
        let mut actions = Actions::default();
        let mut handle = |event: Event<'_>| monitor.handle(self.now_us, event, &mut actions);
        match (command, rest) {
            ("boot", []) => handle(Event::Boot),
            ("tick", []) => handle(Event::Tick),
            ("root-restarts", words) => {
                let lost = value::<String>(words, "lost").map(|name| self.find(&name));
                let before = monitor;
                monitor = self.new_monitor();
                for component in before.components() {
                    let mut record = [0; SAVED_BYTES];
                    let saved = before.saved(component).expect("a component");
                    let record = postcard::to_slice(saved, &mut record).expect("a small record");
                    let saved: Saved = postcard::from_bytes(record).expect("the same record");
                    let saved = Some(&saved).filter(|_| lost != Some(component));
                    monitor.handle(self.now_us, Event::Resume { component, saved }, &mut actions);
                }
                monitor.handle(self.now_us, Event::Tick, &mut actions);
            }
            (_, [name, words @ ..]) => {
                let component = self.find(name);
                let index = component.index();
                match command {
                    "crash" => handle(Event::Crashed { component }),
                    "corrupt" => handle(Event::Corrupted { component }),
                    "release" => handle(Event::OperatorRelease { component }),
                    "restart" => {
                        let rung = Rung::ALL.into_iter().find(|rung| Some(&rung.name()) == words.first());
                        handle(Event::OperatorRestart { component, rung: rung.expect("a rung") });
                    }
                    "done" => {
                        let order = self.orders[index].expect("an order");
                        let is_part = matches!(order.method, Method::RestartPart { .. });
                        self.beats[index] = if is_part { self.beats[index] } else { 0 };
                        handle(Event::RepairDone(order));
                    }
                    "refuse" => handle(Event::RepairFailed(self.orders[index].expect("an order"))),
                    "beat" | "look" => {
                        self.beats[index] = value(words, "beats").unwrap_or(self.beats[index]);
                        self.beats[index] += u64::from(command == "beat");
                        let runnable = !words.contains(&"blocked");
                        let cpu = value(words, "cpu_us").map(|used_us| CpuSample { used_us, runnable });
                        let progress: Vec<Progress> = words
                            .iter()
                            .filter_map(|word| word.strip_prefix("work="))
                            .flat_map(works)
                            .collect();
                        let observation = Observation { cpu, beats: self.beats[index], progress: &progress };
                        handle(Event::Observed { component, observation });
                    }
                    _ => panic!("{command} is no command"),
                }
            }
            _ => panic!("{command} {rest:?} makes no sense"),
        }
        self.monitor = Some(monitor);
        self.tell(&mut actions)
    }

    fn tell(&mut self, actions: &mut Actions) -> String {
        let mut said = String::new();
        while let Some(action) = actions.pop() {
            let name = |component: ComponentId| self.names[component.index()].as_str();
            let line = match action {
                Action::Report(report) => {
                    format!("{}: {}", report.component().map_or("root", name), report.line(name))
                }
                Action::Boost { component } => format!("{}! boost", name(component)),
                Action::Probe { component } => format!("{}! probe", name(component)),
                Action::Hold { component } => format!("{}! hold", name(component)),
                Action::Repair(repair) => {
                    self.orders[repair.component.index()] = Some(repair);
                    let name = &self.names[repair.component.index()];
                    match repair.method {
                        Method::RestartPart { part } => format!("{name}! restart part {part}"),
                        Method::MicroReboot => format!("{name}! micro-reboot"),
                        Method::Rebuild => format!("{name}! rebuild"),
                    }
                }
            };
            writeln!(said, "{line}").expect("a string");
        }
        said
    }
}

/// `waiting/done,waiting/done,...`
fn works(text: &str) -> impl Iterator<Item = Progress> {
    text.split(',').map(|pair| {
        let (waiting, done) = pair.split_once('/').expect("waiting/done");
        Progress { waiting: waiting.parse().expect("a number"), done: done.parse().expect("a number") }
    })
}

#[test]
fn policies_that_cannot_work_are_refused_with_what_was_found() {
    let set = |components: &[usize]| -> ComponentSet {
        components.iter().map(|&index| ComponentId::new(index).expect("a component")).collect()
    };
    let refused = |policies: &[Policy], plane| -> String {
        Monitor::<3>::new(policies, plane).expect_err("a policy that cannot work").to_string()
    };
    let good = Policy::DEFAULT;
    let needs = |components: &[usize]| Policy { needs: set(components), ..good };
    let plane = PlaneLimit::DEFAULT;
    assert_eq!(refused(&[], plane), "0 components, there can be 1 to 3");
    assert_eq!(refused(&[good; 4], plane), "4 components, there can be 1 to 3");
    assert_eq!(refused(&[good, needs(&[5])], plane), "component 1 needs 5 of 2");
    assert_eq!(refused(&[needs(&[0])], plane), "these components wait for each other: 0");
    let ring = [good, needs(&[2]), needs(&[0, 1])];
    assert_eq!(refused(&ring, plane), "these components wait for each other: 1 2");
    let zero = Policy { stall_deadline_us: 0, ..good };
    assert_eq!(refused(&[zero], plane), "component 0: stall_deadline_us is 0");
    let blind = Policy { enough_cpu_us: 10_001, ..good };
    assert_eq!(
        refused(&[good, blind], plane),
        "component 1: enough_cpu_us is 10001, at most 10000 can tell hanging from starving"
    );
    let hasty = Policy { starved_deadline_us: 20_000, ..good };
    assert_eq!(
        refused(&[hasty], plane),
        "component 0: starved_deadline_us is 20000, it is late only after 500000"
    );
    let never = PlaneLimit { attempts: 1, window_us: 0 };
    assert_eq!(refused(&[good], never), "the window for rebuilding the control plane is 0");
}

#[test]
fn events_about_nobody_are_reported() {
    let mut monitor = Monitor::<3>::new(&[Policy::DEFAULT], PlaneLimit::DEFAULT).expect("a good policy");
    let mut actions = Actions::default();
    let component = ComponentId::new(1).expect("a component");
    monitor.handle(0, Event::Crashed { component }, &mut actions);
    let Some(Action::Report(report)) = actions.pop() else { panic!("no report") };
    assert_eq!(report.line(|_| "?").to_string(), "unknown component=1");
    assert!(actions.is_empty());
}

#[test]
fn a_full_queue_delays_repairs_and_counts_lost_reports() {
    let mut monitor = Monitor::<3>::new(&[Policy::DEFAULT], PlaneLimit::DEFAULT).expect("a good policy");
    let mut actions = Actions::default();
    let component = ComponentId::new(1).expect("a component");
    while actions.lost() == 0 {
        monitor.handle(0, Event::Crashed { component }, &mut actions);
    }
    monitor.handle(0, Event::Boot, &mut actions);
    assert_eq!(actions.lost(), 1, "booting must wait for room");
    while actions.pop().is_some() {}
    monitor.handle(0, Event::Tick, &mut actions);
    assert!(actions.iter().any(|action| matches!(action, Action::Repair(_))), "there is room now");
}
