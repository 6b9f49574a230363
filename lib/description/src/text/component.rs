//! The tables `[[component]]` and `[defaults]`.

use super::device;
use super::finding::{Complaint, Findings};
use super::place::Map;
use super::section::{Origin, Section, did_you_mean, nearest};
use super::value::{any_text, choice, flag, micros, name, number, pages, text};
use crate::{
    Capabilities, Component, ComponentId, ComponentSet, Description, Device, Granularity, Limits,
    MAX_COMPONENTS, MAX_DEVICES, Name, Rung,
};
use core::ops::Range;
use toml::de::DeTable;

/// A component as the text has it: its instances are still one, and its dependencies are still names.
pub(super) struct Draft {
    /// The name as it was written, which may be no name.
    written: String,
    /// `None` where the name cannot be read.
    component: Option<Component>,
    instances: Option<usize>,
    devices: Vec<Device>,
    depends_on: Vec<(String, Range<usize>)>,
}

/// Reads one component; what it leaves out is looked for in `[defaults]`.
pub(super) fn read<'t>(section: &mut Section<'t, '_>, defaults: Option<(&'t DeTable<'t>, &Origin)>) -> Draft {
    let written = section.value("name").and_then(|value| value.get_ref().as_str()).unwrap_or_default().into();
    let own_name = section.require("name", name);
    let image = section.read("image", name);
    let instances = section.read("instances", number::<u8>).map(usize::from);
    if instances.is_some_and(|n| n == 0 || n > MAX_COMPONENTS) {
        let found = instances.unwrap_or_default();
        section.complain_of(
            "instances",
            Complaint::new(format!("{found} found, 1 to {MAX_COMPONENTS} possible")),
        );
    }
    let depends_on = section.list("depends-on", any_text);
    let devices = section.tables("devices", device::read);
    let args = section.read("args", text);
    if let Some((table, origin)) = defaults {
        section.fall_back_to(table, origin);
    }

    // Settings are read even without a name, so that their mistakes are reported too.
    let named = own_name.is_some();
    let stand_in = own_name.or_else(|| Name::new("unnamed").ok());
    let component = stand_in.map(|name| {
        let image = image.unwrap_or_else(|| name.clone());
        let mut component = Component { args: args.unwrap_or_default(), ..Component::new(name, image) };
        read_settings(section, &mut component);
        component
    });
    let devices = devices.into_iter().filter_map(|(device, _)| device).collect();
    Draft { written, component: component.filter(|_| named), instances, devices, depends_on }
}

/// Reads `[defaults]` for its own mistakes.
pub(super) fn check_defaults(section: &mut Section<'_, '_>) {
    if let Ok(name) = Name::new("defaults") {
        read_settings(section, &mut Component::new(name.clone(), name));
    }
}

/// Reads the keys that `[defaults]` may have too.
fn read_settings(section: &mut Section<'_, '_>, component: &mut Component) {
    section.set("memory", &mut component.memory_pages, pages);
    section.set("stack", &mut component.stack_pages, pages);
    section.set("box", &mut component.box_pages, pages);
    section.set("log", &mut component.log_pages, pages);
    section.set("grant-window", &mut component.grant_window_pages, pages);
    section.set("dma", &mut component.dma_pages, pages);
    section.set("weight", &mut component.weight, number);
    section.set("heartbeat-period", &mut component.heartbeat_period_us, micros);
    section.set("heartbeat-deadline", &mut component.heartbeat_deadline_us, micros);
    section.set("boot-deadline", &mut component.boot_deadline_us, micros);
    section.set("stall-deadline", &mut component.stall_deadline_us, micros);
    section.set("repair-deadline", &mut component.repair_deadline_us, micros);
    // These have to fit the deadlines, so where they are not given they follow them.
    let silences = [component.heartbeat_deadline_us, component.boot_deadline_us];
    let starved = component.starved_deadline_us.max(silences[0]).max(silences[1]);
    component.starved_deadline_us = section.read("starved-deadline", micros).unwrap_or(starved);
    let enough = component.enough_cpu_us.min(silences[0] / 2).min(silences[1] / 2);
    component.enough_cpu_us = section.read("enough-cpu", micros).unwrap_or(enough);
    section.set("work-is-beat", &mut component.work_is_beat, flag);
    section.set("policy", &mut component.policy, choice(&Granularity::NAMES));
    section.set("autostart", &mut component.autostart, flag);
    let capabilities = section.list("capabilities", choice(&Capabilities::NAMES));
    component.capabilities = capabilities.into_iter().map(|(capability, _)| capability).collect();
    component.guest_memory_pages = section.read("guest-memory", pages);
    component.limits = section.table("limits", read_limits).0;
}

fn read_limits(section: &mut Section<'_, '_>) -> Limits {
    const KEYS: [(&str, Rung); Rung::COUNT] = [
        ("limits.part-restart", Rung::PartRestart),
        ("limits.micro-reboot", Rung::MicroReboot),
        ("limits.rebuild", Rung::Rebuild),
        ("limits.cascade", Rung::Cascade),
        ("limits.control-plane", Rung::ControlPlane),
    ];
    let mut limits = Limits::DEFAULT;
    for (key, rung) in KEYS {
        section.set(key, &mut limits.attempts[rung as usize], number);
    }
    section.set("limits.window", &mut limits.window_us, micros);
    section.set("limits.hold", &mut limits.hold, number);
    limits
}

/// What components are called in the text, and where the instances of each stand in the description.
pub(super) struct Names(Vec<(String, Range<usize>)>);

/// Makes the description's components: all instances of each, with dependencies by index.
pub(super) fn expand(
    drafts: Vec<(Draft, Origin)>,
    description: &mut Description,
    map: &mut Map,
    findings: &mut Findings,
) -> Names {
    let mut names = Names(Vec::new());
    let mut asked = 0;
    for (draft, origin) in &drafts {
        let first = description.components.len();
        let asked_before = asked;
        asked += draft.instances.unwrap_or(1);
        if asked > MAX_COMPONENTS && asked_before <= MAX_COMPONENTS {
            let what = format!("this makes {asked} components, at most {MAX_COMPONENTS} are possible");
            findings.add(origin.table.clone(), what);
        }
        for component in draft.instances(origin, findings) {
            if description.components.push(component).is_ok() {
                map.components.push(origin.clone());
            }
        }
        names.0.push((draft.written.clone(), first..description.components.len()));
    }
    for ((draft, _), (_, place)) in drafts.iter().zip(&names.0) {
        let depends_on = resolve(&draft.depends_on, &names, description, findings);
        for index in place.clone() {
            description.components[index].depends_on = depends_on;
        }
    }
    names
}

/// Finds the components that are named: one, or all instances of one.
pub(super) fn resolve(
    asked: &[(String, Range<usize>)],
    names: &Names,
    description: &Description,
    findings: &mut Findings,
) -> ComponentSet {
    let mut set = ComponentSet::EMPTY;
    for (name, span) in asked {
        let written = names.0.iter().find(|(written, _)| written == name);
        match (written.map(|(_, place)| place.clone()), description.find(name)) {
            // The place is empty where the component could not be made: that is reported already.
            (Some(place), _) => set.extend(place.filter_map(ComponentId::new)),
            (None, Some(index)) => set.extend(ComponentId::new(index)),
            (None, None) => {
                let known = names.0.iter().map(|(written, _)| written.as_str());
                let help = nearest(name, known.clone()).map_or_else(
                    || format!("described are {}", known.collect::<Vec<_>>().join(", ")),
                    did_you_mean,
                );
                findings.complain(
                    span.clone(),
                    Complaint::new(format!("no component is named {name:?}")).help(help),
                );
            }
        }
    }
    set
}

impl Draft {
    /// The component, or all of its instances; nothing where its name cannot be read.
    fn instances(&self, origin: &Origin, findings: &mut Findings) -> Vec<Component> {
        let Some(component) = &self.component else { return Vec::new() };
        let Some(count) = self.instances else {
            return vec![Component { devices: self.devices(0, origin, findings), ..component.clone() }];
        };
        let mut instances = Vec::new();
        for i in 0..count.min(MAX_COMPONENTS) {
            match Name::new(&format!("{}.{i}", component.name)) {
                Ok(name) => {
                    let devices = self.devices(i, origin, findings);
                    instances.push(Component { name, devices, ..component.clone() });
                }
                Err(error) => {
                    let what =
                        format!("name: the instance \"{}.{i}\" has no valid name: {error}", component.name);
                    findings.add(origin.place("name"), what);
                    break;
                }
            }
        }
        instances
    }

    /// The devices of an instance: where the first takes the first of a kind, the second takes the second.
    fn devices(
        &self,
        instance: usize,
        origin: &Origin,
        findings: &mut Findings,
    ) -> heapless::Vec<Device, MAX_DEVICES> {
        let kind = |device: &Device| device.select.with_nth(0);
        let mut devices = heapless::Vec::new();
        for device in &self.devices {
            let per_instance = self.devices.iter().filter(|other| kind(other) == kind(device)).count();
            let nth = usize::from(device.select.nth()) + instance * per_instance;
            let select = device.select.with_nth(nth.min(u8::MAX.into()) as u8);
            if devices.push(Device { select, ..*device }).is_err() {
                let found = self.devices.len();
                let what = format!("devices: {found} found, a component has at most {MAX_DEVICES}");
                findings.add(origin.place("devices"), what);
            }
        }
        devices
    }
}
