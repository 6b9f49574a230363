//! The rules that a description must keep, each with its reason.
//!
//! Names, and lists of bounded length, need no rule: their types cannot hold anything else.

mod component;
mod guest;
mod host;
mod shared;

use crate::order::order;
use crate::{
    Amount, Component, ComponentId, ComponentSet, Description, DeviceSelector, Item, Place, Problem,
};

/// Whom breaches are told to.
type Report<'a> = &'a mut dyn FnMut(Place, Problem);

/// The key that a rule is about, and behind it those that the rule holds it against.
type Keys = &'static [&'static str];

/// The checks of one table.
struct Checker<'a> {
    item: Item,
    report: Report<'a>,
}

impl Checker<'_> {
    fn problem(&mut self, keys: Keys, problem: Problem) {
        (self.report)(Place { item: self.item, keys }, problem);
    }

    fn least(&mut self, keys: Keys, found: Amount, least: u64, why: &'static str) {
        if found.value() < least {
            self.problem(keys, Problem::TooSmall { found, least: found.with(least), why });
        }
    }

    fn most(&mut self, keys: Keys, found: Amount, most: u64, why: &'static str) {
        if found.value() > most {
            self.problem(keys, Problem::TooLarge { found, most: found.with(most), why });
        }
    }
}

/// Components that may have the capability `guests`: each has half a MiB of root's memory to ask in.
const MAX_ASKERS: usize = 4;

const MIB: u64 = 256;
const MS: u64 = 1_000;
const MINUTE: u64 = 60_000 * MS;

impl Description {
    /// Asks every rule and reports every breach.
    pub fn check(&self, report: Report<'_>) {
        host::check(&self.host, self.kept_pages(), &mut Checker { item: Item::Host, report });
        if self.components.is_empty() {
            report(Place { item: Item::Host, keys: &["component"] }, Problem::NoComponents);
        }
        for (i, component) in self.components.iter().enumerate() {
            let to = &mut Checker { item: Item::Component(i), report };
            if self.components[..i].iter().any(|earlier| earlier.name == component.name) {
                to.problem(&["name"], Problem::NameTaken);
            }
            if component.name.as_str() == "root" {
                to.problem(&["name"], Problem::NameReserved);
            }
            let before: u64 = self.components[..i].iter().map(|c| u64::from(c.box_pages)).sum();
            let left = component::BOXES_MAX_PAGES.saturating_sub(before);
            let why =
                "root keeps 24 MiB of recovery boxes in all, and the components before have had the rest";
            to.most(&["box"], Amount::pages(component.box_pages), left.max(1), why);
            component::check(component, self.kept_pages_of(i), &self.host, to);
            let askers_before =
                self.components[..i].iter().filter(|earlier| earlier.may_have_guests()).count();
            if component.may_have_guests() && askers_before == MAX_ASKERS {
                let why = "four components before have the capability \"guests\", and root has no room for more that ask";
                to.problem(&["capabilities"], Problem::Impossible { why });
            }
            self.check_dependencies(component, to);
            self.check_devices(i, to);
        }
        self.check_cycles(report);
        for i in 0..self.shared.len() {
            shared::check(self, i, &mut Checker { item: Item::Shared(i), report });
        }
        for (i, guest) in self.guests.iter().enumerate() {
            let to = &mut Checker { item: Item::Guest(i), report };
            let taken = self.guests[..i].iter().any(|earlier| earlier.name == guest.name);
            if taken || self.find(&guest.name).is_some() {
                to.problem(&["name"], Problem::NameTaken);
            }
            if !self.components.iter().any(|c| c.autostart && c.may_have_guests()) {
                let what = "a component with autostart and the capability \"guests\": nothing else can start a guest";
                to.problem(&["name"], Problem::Needs { what });
            }
            guest::check(guest, to);
        }
    }

    fn check_dependencies(&self, component: &Component, to: &mut Checker<'_>) {
        for on in component.depends_on.iter().map(ComponentId::index) {
            match self.components.get(on) {
                None => to.problem(&["depends-on"], Problem::NoSuchComponent { index: on }),
                Some(needed) if component.autostart && !needed.autostart => {
                    to.problem(&["depends-on"], Problem::NeedsManual { needed: on });
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
            let place = Place { item: Item::Component(first.into()), keys: &["depends-on"] };
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
                to.problem(&["devices"], Problem::DeviceTaken { by });
            }
            if let DeviceSelector::Address(address) = device.select
                && !address.is_valid()
            {
                let why = "PCI devices are numbered below 32 and functions below 8";
                to.problem(&["devices"], Problem::Impossible { why });
            }
        }
    }
}

fn check_text(keys: Keys, text: &str, to: &mut Checker<'_>) {
    if text.chars().any(char::is_control) {
        to.problem(keys, Problem::Impossible { why: "control characters have no place in it" });
    }
}
