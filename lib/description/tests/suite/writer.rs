//! The text of a description, with every key written out.

use description::{
    Capabilities, Component, Console, Description, Device, DeviceClass, DeviceSelector, Driver, Granularity,
    Interrupt, Rung, Source,
};
use std::fmt::Write;

/// Writes a description out.
pub(crate) fn write(description: &Description) -> String {
    let mut text = String::new();
    let host = &description.host;
    text += "[host]\n";
    line(&mut text, "memory", pages(host.memory_pages));
    line(&mut text, "weight", host.weight);
    line(&mut text, "check-period", micros(host.check_period_us));
    if let Some(slice_us) = host.slice_us {
        line(&mut text, "slice", micros(slice_us.into()));
    }
    line(&mut text, "console", quoted(named(&Console::NAMES, host.console)));
    line(&mut text, "plane-rebuilds", host.plane_rebuilds);
    line(&mut text, "plane-window", micros(host.plane_window_us));
    line(&mut text, "watchdog", micros(host.watchdog_us));
    line(&mut text, "host-watchdog", format!("\"{} s\"", host.host_watchdog_s));
    line(&mut text, "restarts", host.restarts);
    line(&mut text, "restart-window", micros(host.restart_window_us));
    for component in &description.components {
        write_component(&mut text, component, description);
    }
    for shared in &description.shared {
        text += "[[shared]]\n";
        line(&mut text, "name", quoted(&shared.name));
        line(&mut text, "size", pages(shared.pages));
        let names = shared.between.iter().map(|i| quoted(&description.components[i.index()].name));
        line(&mut text, "between", list(names));
    }
    for guest in &description.guests {
        text += "[[guest]]\n";
        line(&mut text, "name", quoted(&guest.name));
        match &guest.source {
            Source::Config { path } => line(&mut text, "config", quoted(path)),
            Source::Kernel { kernel, ramdisk, cmdline, memory_pages, vcpus, weight } => {
                line(&mut text, "kernel", quoted(kernel));
                if let Some(ramdisk) = ramdisk {
                    line(&mut text, "ramdisk", quoted(ramdisk));
                }
                line(&mut text, "cmdline", quoted(cmdline));
                line(&mut text, "memory", pages(*memory_pages));
                line(&mut text, "vcpus", vcpus);
                line(&mut text, "weight", weight);
            }
        }
    }
    text
}

fn write_component(text: &mut String, component: &Component, description: &Description) {
    *text += "[[component]]\n";
    line(text, "name", quoted(&component.name));
    line(text, "image", quoted(&component.image));
    line(text, "args", quoted(&component.args));
    line(text, "memory", pages(component.memory_pages));
    line(text, "stack", pages(component.stack_pages));
    line(text, "box", pages(component.box_pages));
    line(text, "log", pages(component.log_pages));
    line(text, "grant-window", pages(component.grant_window_pages));
    line(text, "dma", pages(component.dma_pages));
    line(text, "weight", component.weight);
    line(text, "heartbeat-period", micros(component.heartbeat_period_us));
    line(text, "heartbeat-deadline", micros(component.heartbeat_deadline_us));
    line(text, "boot-deadline", micros(component.boot_deadline_us));
    line(text, "stall-deadline", micros(component.stall_deadline_us));
    line(text, "starved-deadline", micros(component.starved_deadline_us));
    line(text, "repair-deadline", micros(component.repair_deadline_us));
    line(text, "enough-cpu", micros(component.enough_cpu_us));
    line(text, "work-is-beat", component.work_is_beat);
    line(text, "policy", quoted(named(&Granularity::NAMES, component.policy)));
    line(text, "autostart", component.autostart);
    let names = component.depends_on.iter().map(|i| quoted(&description.components[i.index()].name));
    line(text, "depends-on", list(names));
    let granted = Capabilities::NAMES.iter().filter(|(_, one)| component.capabilities.contains(*one));
    line(text, "capabilities", list(granted.map(|(name, _)| quoted(name))));
    if let Some(memory) = component.guest_memory_pages {
        line(text, "guest-memory", pages(memory));
    }
    line(text, "devices", list(component.devices.iter().map(device)));
    *text += "[component.limits]\n";
    for rung in Rung::ALL {
        line(text, rung.name(), component.limits.attempts(rung));
    }
    line(text, "window", micros(component.limits.window_us));
    line(text, "hold", component.limits.hold);
}

fn device(device: &Device) -> String {
    let nth = device.select.nth();
    let select = match device.select {
        DeviceSelector::Address(address) => format!("address = \"{address}\""),
        DeviceSelector::Id { vendor, device, .. } => {
            format!("id = \"{vendor:04x}:{device:04x}\", nth = {nth}")
        }
        DeviceSelector::Driver { driver, .. } => {
            format!("driver = {}, nth = {nth}", quoted(named(&Driver::NAMES, driver)))
        }
        DeviceSelector::Class { class, .. } => {
            format!("class = {}, nth = {nth}", quoted(named(&DeviceClass::NAMES, class)))
        }
    };
    let interrupt = quoted(named(&Interrupt::NAMES, device.interrupt));
    format!("{{ {select}, optional = {}, interrupt = {interrupt} }}", device.optional)
}

fn line(text: &mut String, key: &str, value: impl std::fmt::Display) {
    writeln!(text, "{key} = {value}").expect("a string takes everything");
}

fn list(elements: impl Iterator<Item = String>) -> String {
    format!("[{}]", elements.collect::<Vec<_>>().join(", "))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Sizes in the largest unit that is whole.
fn pages(pages: u32) -> String {
    match pages {
        _ if pages.is_multiple_of(256 * 1024) => format!("\"{} GiB\"", pages / (256 * 1024)),
        _ if pages.is_multiple_of(256) => format!("\"{} MiB\"", pages / 256),
        _ => format!("\"{} KiB\"", u64::from(pages) * 4),
    }
}

/// Times in the largest unit that is whole.
fn micros(us: u64) -> String {
    match us {
        _ if us.is_multiple_of(60_000_000) => format!("\"{} min\"", us / 60_000_000),
        _ if us.is_multiple_of(1_000_000) => format!("\"{}s\"", us / 1_000_000),
        _ if us.is_multiple_of(1_000) => format!("\"{} ms\"", us / 1_000),
        _ => format!("\"{us} us\""),
    }
}

fn named<T: PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, named)| *named == value).map(|(name, _)| *name).expect("every value has a name")
}
