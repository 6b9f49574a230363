//! Figures, in Prometheus' text format.

use super::hooks::Figures;
use ::api::types::{Component, Host, Vm};
use alloc::format;
use alloc::string::String;
use core::fmt::{Display, Write};

/// All figures.
pub fn text(host: &Host, vms: &[Vm], components: &[Component], hooks: &[Figures]) -> String {
    let mut text = String::new();
    let one = |value: u64| [(String::new(), value)];
    family(&mut text, "rvmm_uptime_microseconds", "counter", "Since Xen has booted.", one(host.uptime_us));
    family(&mut text, "rvmm_memory_free_kibibytes", "gauge", "Memory that nobody has.", one(host.free_kib));
    family(&mut text, "rvmm_memory_total_kibibytes", "gauge", "Memory of the machine.", one(host.total_kib));
    let used = one(libos::heap_used() as u64);
    family(&mut text, "rvmm_toolstack_heap_bytes", "gauge", "Memory that the toolstack uses.", used);
    let of = |component: &Component, value: u64| (label("component", &component.name), value);
    let lives = components.iter().map(|one| of(one, one.incarnation));
    family(&mut text, "rvmm_component_incarnation", "counter", "Lives that a component has had.", lives);
    let beats = components.iter().map(|one| of(one, one.beats));
    family(&mut text, "rvmm_component_beats", "counter", "Heartbeats of its present life.", beats);
    let healthy = components.iter().map(|one| of(one, u64::from(one.state == "healthy")));
    family(&mut text, "rvmm_component_healthy", "gauge", "Whether it is healthy.", healthy);
    let of = |vm: &Vm, value: u64| (label("vm", &vm.name), value);
    let memory = vms.iter().map(|vm| of(vm, vm.memory_kib));
    family(&mut text, "rvmm_vm_memory_kibibytes", "gauge", "Memory that a virtual machine has.", memory);
    let cpu = vms.iter().map(|vm| of(vm, vm.cpu_us));
    family(&mut text, "rvmm_vm_cpu_microseconds", "counter", "CPU time that it has used.", cpu);
    let running = vms.iter().map(|vm| of(vm, u64::from(vm.phase == "running")));
    family(&mut text, "rvmm_vm_running", "gauge", "Whether it runs.", running);
    let of = |hook: &Figures, value: u64| (label("hook", hook.address), value);
    let delivered = hooks.iter().map(|one| of(one, one.delivered));
    family(&mut text, "rvmm_hook_delivered", "counter", "Notifications that it has taken.", delivered);
    let failed = hooks.iter().map(|one| of(one, one.failed));
    family(&mut text, "rvmm_hook_failed", "counter", "Attempts to tell it that have failed.", failed);
    let last = hooks.iter().map(|one| of(one, one.last));
    family(&mut text, "rvmm_hook_last_sequence", "gauge", "Of what it has taken last.", last);
    text
}

/// One name with its help, its type and its values. To write to a string cannot fail.
fn family<V: Display>(
    text: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    values: impl IntoIterator<Item = (String, V)>,
) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    for (labels, value) in values {
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

/// A label, with what means something in its value escaped.
fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{{{name}=\"{value}\"}}")
}
