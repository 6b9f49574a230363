//! The rules that a description must keep, each with its reason.
//!
//! [`Description::check`] asks them all and reports every breach. Names, and sets that have an upper size, need no
//! rule: their types cannot hold anything else.

use crate::order::{Cycle, order};
use crate::{Amount, Capabilities, Component, ComponentSet, Description, Guest, Host, Limits, Policy, Rung};
use core::fmt;
use uk_abi::layout;

/// What breaks a rule: a key of the host, of a component or of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The table.
    pub item: Item,
    /// The key in that table, as in `rvmm.toml`.
    pub key: &'static str,
}

/// A table of `rvmm.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// `[host]`.
    Host,
    /// The component of this index.
    Component(usize),
    /// The guest of this index.
    Guest(usize),
}

/// How a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Less than is needed.
    TooSmall {
        /// What was asked for.
        found: Amount,
        /// What is needed.
        least: Amount,
        /// Why.
        why: &'static str,
    },
    /// More than is possible or sensible.
    TooLarge {
        /// What was asked for.
        found: Amount,
        /// What is possible.
        most: Amount,
        /// Why.
        why: &'static str,
    },
    /// No whole number of a step.
    Uneven {
        /// What was asked for.
        found: Amount,
        /// The step.
        step: Amount,
        /// Why.
        why: &'static str,
    },
    /// The name is taken by an earlier table.
    NameTaken,
    /// The name is `root`, which means the host's own root in event log and console commands.
    NameReserved,
    /// There is nothing to run.
    NoComponents,
    /// A dependency on an index that no component has.
    NoSuchComponent {
        /// The index.
        index: usize,
    },
    /// Components that wait for each other for ever.
    Cycle {
        /// Each waits for the next, the last for the first.
        members: Cycle,
    },
    /// A component that starts at boot needs one that does not.
    NeedsManual {
        /// The index of the one that is needed.
        needed: usize,
    },
    /// The device is claimed by an earlier entry.
    DeviceTaken {
        /// The index of the component of the earlier entry.
        by: usize,
    },
    /// Bits that stand for no capability.
    UnknownCapabilities {
        /// The bits.
        bits: u32,
    },
    /// A text with control characters, or empty where it must not be.
    BadText {
        /// Why.
        why: &'static str,
    },
    /// Something that this needs is missing.
    Needs {
        /// What is missing and why.
        what: &'static str,
    },
}

/// A reporter of breaches.
type Report<'a> = &'a mut dyn FnMut(Place, Problem);

/// The checks of one table.
struct Checker<'a> {
    item: Item,
    report: Report<'a>,
}

impl Checker<'_> {
    fn problem(&mut self, key: &'static str, problem: Problem) {
        (self.report)(Place { item: self.item, key }, problem);
    }

    fn least(&mut self, key: &'static str, found: Amount, least: u64, why: &'static str) {
        if found.value() < least {
            self.problem(key, Problem::TooSmall { found, least: found.with(least), why });
        }
    }

    fn most(&mut self, key: &'static str, found: Amount, most: u64, why: &'static str) {
        if found.value() > most {
            self.problem(key, Problem::TooLarge { found, most: found.with(most), why });
        }
    }
}

const MIB: u64 = 256;
const MS: u64 = 1_000;
const MINUTE: u64 = 60_000 * MS;

/// The pages of RAM that the address space has room for.
const RAM_MAX_PAGES: u64 = (layout::SHARED_INFO_VA - layout::RAM_BASE) / layout::PAGE_SIZE as u64;

/// Pages that one L1 table maps, which is also a 2 MiB extent.
const EXTENT_PAGES: u64 = 512;

impl Description {
    /// Asks every rule and reports every breach.
    pub fn check(&self, report: Report<'_>) {
        check_host(&self.host, &mut Checker { item: Item::Host, report });
        if self.components.is_empty() {
            report(Place { item: Item::Host, key: "component" }, Problem::NoComponents);
        }
        for (i, component) in self.components.iter().enumerate() {
            let to = &mut Checker { item: Item::Component(i), report };
            if self.components[..i].iter().any(|earlier| earlier.name == component.name) {
                to.problem("name", Problem::NameTaken);
            }
            if component.name.as_str() == "root" {
                to.problem("name", Problem::NameReserved);
            }
            check_memory(component, to);
            check_times(component, &self.host, to);
            check_limits(&component.limits, component, to);
            check_access(component, to);
            self.check_dependencies(component, to);
            self.check_devices(i, to);
        }
        self.check_cycles(report);
        for (i, guest) in self.guests.iter().enumerate() {
            let to = &mut Checker { item: Item::Guest(i), report };
            let taken = self.guests[..i].iter().any(|earlier| earlier.name == guest.name);
            if taken || self.find(&guest.name).is_some() {
                to.problem("name", Problem::NameTaken);
            }
            if !self.components.iter().any(|c| c.autostart && c.capabilities.contains(Capabilities::GUESTS)) {
                let what = "a component with autostart and the capability \"guests\": nothing else can start a guest";
                to.problem("name", Problem::Needs { what });
            }
            check_guest(guest, to);
        }
    }

    fn check_dependencies(&self, component: &Component, to: &mut Checker<'_>) {
        for on in component.depends_on {
            match self.components.get(on) {
                None => to.problem("depends-on", Problem::NoSuchComponent { index: on }),
                Some(needed) if component.autostart && !needed.autostart => {
                    to.problem("depends-on", Problem::NeedsManual { needed: on });
                }
                Some(_) => {}
            }
        }
    }

    /// Reports each cycle at the first of its components.
    fn check_cycles(&self, report: Report<'_>) {
        let mut depends_on = self.dependencies();
        while let Err(cycle) = order(&depends_on) {
            let Some((start, &first)) = cycle.iter().enumerate().min_by_key(|(_, i)| **i) else { return };
            let from_first = cycle.iter().cycle().skip(start).take(cycle.len());
            let members = from_first.copied().collect();
            let place = Place { item: Item::Component(first.into()), key: "depends-on" };
            report(place, Problem::Cycle { members });
            // Cut the cycle, and look for more.
            depends_on[usize::from(first)] = ComponentSet::EMPTY;
        }
    }

    fn check_devices(&self, of: usize, to: &mut Checker<'_>) {
        for (d, device) in self.components[of].devices.iter().enumerate() {
            let earlier = self.components[..=of].iter().enumerate().find(|(i, component)| {
                let before = if *i == of { d } else { component.devices.len() };
                component.devices[..before].iter().any(|other| other.select == device.select)
            });
            if let Some((by, _)) = earlier {
                to.problem("devices", Problem::DeviceTaken { by });
            }
            if let crate::DeviceSelector::Address(address) = device.select
                && !address.is_valid()
            {
                let why = "PCI devices are numbered below 32 and functions below 8";
                to.problem("devices", Problem::BadText { why });
            }
        }
    }
}

fn check_host(host: &Host, to: &mut Checker<'_>) {
    let memory = Amount::Pages(host.memory_pages.into());
    to.least("memory", memory, 8 * MIB, "root's image, page tables and recovery box take most of that");
    to.most("memory", memory, 1024 * MIB, "root needs no more for any description, and guests do");
    to.least("weight", Amount::Count(host.weight.into()), 1, "credit2 divides the CPU by weights");

    let check = host.check_period_us;
    let why = "Xen's timer is no finer in practice, and root would do nothing else";
    to.least("check-period", Amount::Micros(check), MS, why);
    to.most("check-period", Amount::Micros(check), 1_000 * MS, "faults would go unseen for longer than that");

    let log = Amount::Pages(host.event_log_pages.into());
    to.least("event-log", log, 1, "the log is kept in whole pages");
    to.most("event-log", log, MIB, "it is a part of root's recovery box");

    let watchdog = Amount::Micros(host.watchdog_us);
    to.least("watchdog", watchdog, 50 * MS, "below that the noise of scheduling restarts a healthy root");
    let why = "it must outlast four check periods, since root pushes it back once in each";
    to.least("watchdog", watchdog, check.saturating_mul(4), why);
    to.most("watchdog", watchdog, MINUTE, "nothing is repaired while root hangs");

    let host_watchdog = Amount::Micros(u64::from(host.host_watchdog_s) * 1_000 * MS);
    let why = "it reboots the whole host, so root's own watchdog must have struck twice before";
    to.least("host-watchdog", host_watchdog, host.watchdog_us.saturating_mul(2), why);
    to.least(
        "host-watchdog",
        host_watchdog,
        2_000 * MS,
        "Xen counts it in whole seconds and may be one short",
    );
    to.most("host-watchdog", host_watchdog, 60 * MINUTE, "nothing is repaired while root is gone");

    to.least("restarts", Amount::Count(host.restarts.into()), 1, "root's first fault would reboot the host");
    let window = Amount::Micros(host.restart_window_us);
    let why = "a root that hangs after each restart takes `restarts` times `watchdog` to use them up";
    to.least("restart-window", window, host.watchdog_us.saturating_mul(host.restarts.into()), why);
    to.most(
        "restart-window",
        window,
        24 * 60 * MINUTE,
        "restarts more than a day apart have nothing in common",
    );
}

fn check_memory(component: &Component, to: &mut Checker<'_>) {
    let pages = u64::from(component.memory_pages);
    let memory = Amount::Pages(pages);
    to.least("memory", memory, MIB, "no image with its page tables, stack and heap fits in less");
    to.most("memory", memory, RAM_MAX_PAGES, "the address space of a uk has room for no more");
    // What every uk has besides its image and heap: page tables (L4, L3, L2, one L1 for each 2 MiB from 0 on, one for
    // the shared pages, two for BARs, and those of the grant window), boot info, health page, and p2m.
    let tables = 6 + (pages + EXTENT_PAGES).div_ceil(EXTENT_PAGES) + grant_tables(component);
    let shared = 2 + component.devices.len() as u64 + pages.div_ceil(EXTENT_PAGES);
    let areas: u64 = [component.stack_pages, component.box_pages, component.log_pages, component.dma_pages]
        .map(u64::from)
        .iter()
        .sum();
    let why =
        "stack, box, log, DMA and page tables are part of it, and 256 KiB must be left for image and heap";
    to.least("memory", memory, tables + shared + areas + MIB / 4, why);

    let stack = Amount::Pages(component.stack_pages.into());
    to.least("stack", stack, 4, "formatting a panic message alone takes several KiB");
    to.most("stack", stack, MIB, "a uk that needs more recurses without bound");
    let recovery_box = Amount::Pages(component.box_pages.into());
    to.least("box", recovery_box, 1, "the library OS keeps records of its own in it");
    to.most("box", recovery_box, MIB, "root checks all of it when the uk is revived");
    let log = Amount::Pages(component.log_pages.into());
    to.least("log", log, 1, "faults are explained in the log");
    to.most("log", log, 64, "root drains it in one go");
    let grants = Amount::Pages(component.grant_window_pages.into());
    to.most(
        "grant-window",
        grants,
        layout::GRANT_WINDOW_MAX_PAGES as u64,
        "the window in the address space ends there",
    );

    let dma = Amount::Pages(component.dma_pages.into());
    to.most("dma", dma, EXTENT_PAGES, "machine memory is contiguous within one 2 MiB extent");
    if component.dma_pages > 0 && !pages.is_multiple_of(EXTENT_PAGES) {
        let why = "DMA memory comes from whole 2 MiB extents";
        to.problem("memory", Problem::Uneven { found: memory, step: memory.with(EXTENT_PAGES), why });
    }
    if component.devices.is_empty() {
        to.most("dma", dma, 0, "only devices do DMA, and this component has none");
    } else {
        to.least("dma", dma, 1, "devices read their queues and buffers from DMA memory");
    }
}

fn grant_tables(component: &Component) -> u64 {
    u64::from(component.grant_window_pages).div_ceil(EXTENT_PAGES)
}

fn check_times(component: &Component, host: &Host, to: &mut Checker<'_>) {
    let period = Amount::Micros(component.heartbeat_period_us);
    to.least(
        "heartbeat-period",
        period,
        MS,
        "Xen's timer is no finer in practice, and beating would be all it does",
    );
    to.most("heartbeat-period", period, MINUTE, "its fault would go unseen for longer than that");

    let deadline = Amount::Micros(component.heartbeat_deadline_us);
    let why = "two heartbeat periods: one late beat is no hang";
    to.least("heartbeat-deadline", deadline, component.heartbeat_period_us.saturating_mul(2), why);
    let why = "two check periods of the host: root cannot tell shorter silences apart";
    to.least("heartbeat-deadline", deadline, host.check_period_us.saturating_mul(2), why);
    to.most("heartbeat-deadline", deadline, 10 * MINUTE, "a hang would go unseen for longer than that");

    let boot = Amount::Micros(component.boot_deadline_us);
    let why = "the heartbeat deadline: a booting uk cannot be held to more than a running one";
    to.least("boot-deadline", boot, component.heartbeat_deadline_us, why);
    to.most("boot-deadline", boot, 10 * MINUTE, "a failed boot would go unseen for longer than that");

    let stall = Amount::Micros(component.stall_deadline_us);
    let why = "two check periods of the host: progress is seen by comparing two looks";
    to.least("stall-deadline", stall, host.check_period_us.saturating_mul(2), why);
    to.most("stall-deadline", stall, 10 * MINUTE, "a stall would go unseen for longer than that");
}

fn check_limits(limits: &Limits, component: &Component, to: &mut Checker<'_>) {
    let attempts: u64 = limits.attempts.iter().map(|&n| u64::from(n)).sum();
    let hold = Amount::Count(limits.hold.into());
    to.least("limits.hold", hold, 1, "its first fault would be its last");
    let why = "all attempts together, after which nothing is left to try";
    to.most("limits.hold", hold, attempts, why);
    if component.policy == Policy::Fine {
        let parts = Amount::Count(limits.attempts(Rung::PartRestart).into());
        to.least("limits.part-restart", parts, 1, "policy \"fine\" starts with them");
    }
    let window = Amount::Micros(limits.window_us);
    let why =
        "`hold` times `boot-deadline`: a uk that hangs in each boot must reach its hold within the window";
    to.least("limits.window", window, component.boot_deadline_us.saturating_mul(limits.hold.into()), why);
    to.most("limits.window", window, 24 * 60 * MINUTE, "faults more than a day apart have nothing in common");
}

fn check_access(component: &Component, to: &mut Checker<'_>) {
    to.least("weight", Amount::Count(component.weight.into()), 1, "credit2 divides the CPU by weights");
    let unknown = component.capabilities.difference(Capabilities::all());
    if !unknown.is_empty() {
        to.problem("capabilities", Problem::UnknownCapabilities { bits: unknown.bits() });
    }
    check_text("args", &component.args, to);
}

fn check_guest(guest: &Guest, to: &mut Checker<'_>) {
    if guest.kernel.is_empty() || guest.ramdisk.as_ref().is_some_and(|path| path.is_empty()) {
        let key = if guest.kernel.is_empty() { "kernel" } else { "ramdisk" };
        to.problem(key, Problem::BadText { why: "a path has at least one character" });
    }
    check_text("kernel", &guest.kernel, to);
    check_text("ramdisk", guest.ramdisk.as_deref().unwrap_or_default(), to);
    check_text("cmdline", &guest.cmdline, to);
    let memory = Amount::Pages(guest.memory_pages.into());
    to.least("memory", memory, 8 * MIB, "no kernel of today starts in less");
    to.most("memory", memory, 1024 * 1024 * MIB, "a tebibyte is beyond what this toolstack lays out");
    let vcpus = Amount::Count(guest.vcpus.into());
    to.least("vcpus", vcpus, 1, "a guest runs on something");
    to.most("vcpus", vcpus, 128, "Xen gives a PV guest no more");
    to.least("weight", Amount::Count(guest.weight.into()), 1, "credit2 divides the CPU by weights");
}

fn check_text(key: &'static str, text: &str, to: &mut Checker<'_>) {
    if text.chars().any(char::is_control) {
        to.problem(key, Problem::BadText { why: "control characters have no place in it" });
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.item {
            Item::Host => write!(f, "host"),
            Item::Component(index) => write!(f, "component {index}"),
            Item::Guest(index) => write!(f, "guest {index}"),
        }?;
        write!(f, ", {}", self.key)
    }
}

impl Problem {
    /// The problem in words, with the names that a description's components have.
    pub fn explain<'a>(&'a self, description: &'a Description) -> impl fmt::Display + 'a {
        Explained { problem: self, components: &description.components }
    }
}

/// A problem with the components that it is about, as far as they are at hand.
struct Explained<'a> {
    problem: &'a Problem,
    components: &'a [Component],
}

/// A component by its name, or by its index where the name is not at hand.
struct Who<'a>(usize, &'a [Component]);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Explained { problem: self, components: &[] }.fmt(f)
    }
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1.get(self.0) {
            Some(component) => write!(f, "{}", component.name),
            None => write!(f, "component {}", self.0),
        }
    }
}

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = |index| Who(index, self.components);
        match self.problem {
            Problem::TooSmall { found, least, why } => {
                write!(f, "{found} asked for, at least {least} needed: {why}")
            }
            Problem::TooLarge { found, most, why } => {
                write!(f, "{found} asked for, at most {most} possible: {why}")
            }
            Problem::Uneven { found, step, why } => {
                write!(f, "{found} asked for, a multiple of {step} needed: {why}")
            }
            Problem::NameTaken => write!(f, "an earlier component or guest has this name: choose another"),
            Problem::NameReserved => write!(f, "this name means the host's own root: choose another"),
            Problem::NoComponents => write!(f, "nothing to run: describe at least one component"),
            Problem::NoSuchComponent { index } => write!(f, "no component has the index {index}"),
            Problem::Cycle { members } => {
                write!(f, "these wait for each other for ever: ")?;
                members.iter().try_for_each(|&member| write!(f, "{} -> ", who(member.into())))?;
                let first = members.first().copied().unwrap_or_default();
                write!(f, "{}: remove one of the dependencies", who(first.into()))
            }
            Problem::NeedsManual { needed } => {
                let needed = who(*needed);
                write!(f, "{needed} does not start at boot, so this cannot: give both the same autostart")
            }
            Problem::DeviceTaken { by } => {
                let by = who(*by);
                write!(f, "{by} claims the same device already: for the next one of the kind say nth = 1")
            }
            Problem::UnknownCapabilities { bits } => write!(f, "no capability has the bits {bits:#x}"),
            Problem::BadText { why } => write!(f, "unusable text: {why}"),
            Problem::Needs { what } => write!(f, "this needs {what}"),
        }
    }
}
