//! What is printed, in `xl`'s form where `xl` has one.

use api::types::{Component, Event, Host, Vm};
use std::fmt::Write;

/// The head of `xl list`.
const LIST_HEAD: &str = "Name                                        ID   Mem VCPUs\tState\tTime(s)\n";

/// The lines of `xl list`.
pub fn list(vms: &[Vm]) -> String {
    let mut text = LIST_HEAD.to_owned();
    for vm in vms {
        let domid = vm.domid.map_or(-1, i32::from);
        let seconds = vm.cpu_us as f64 / 1e6;
        let (name, memory, state) = (&vm.name, vm.memory_kib / 1024, state(&vm.phase));
        // To write to a string cannot fail.
        let _ =
            writeln!(text, "{name:<40} {domid:>5} {memory:>5} {:>5}     {state}  {seconds:>8.1}", vm.vcpus);
    }
    text
}

/// A phase as `xl` shows a domain's state: running, blocked, paused, shut down, crashed, dying.
fn state(phase: &str) -> &'static str {
    match phase {
        "running" | "stopping" => "r-----",
        "building" | "starting" | "paused" => "--p---",
        "preserved" => "---s--",
        "destroying" => "-----d",
        _ => "------",
    }
}

/// The lines of `xl info` that this host knows.
pub fn info(host: &Host) -> String {
    let Host { xen, processors, total_kib, free_kib, .. } = host;
    let (major, minor) = xen.split_once('.').unwrap_or((xen, ""));
    let rows = [
        ("nr_cpus", processors.to_string()),
        ("total_memory", (total_kib / 1024).to_string()),
        ("free_memory", (free_kib / 1024).to_string()),
        ("xen_major", major.to_owned()),
        ("xen_minor", minor.to_owned()),
    ];
    rows.map(|(name, value)| format!("{name:<23}: {value}\n")).concat()
}

/// The lines of `component list`.
pub fn components(components: &[Component]) -> String {
    let mut text = "Component           ID  State       Incarnation         Beats\n".to_owned();
    for Component { name, state, domid, incarnation, beats } in components {
        let _ = writeln!(text, "{name:<16} {domid:>5}  {state:<10} {incarnation:>12} {beats:>13}");
    }
    text
}

/// A line of the event log, as the host's console has it.
pub fn event(event: &Event) -> String {
    format!("[SD] {} {} {}", event.sequence, event.at_us, event.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vm(name: &str, domid: Option<u16>, phase: &str) -> Vm {
        let (name, phase) = (name.into(), phase.into());
        Vm { name, uuid: String::new(), domid, phase, memory_kib: 131_072, vcpus: 1, cpu_us: 1_250_000 }
    }

    #[test]
    fn vms_are_listed_as_xl_lists_them() {
        let shown = list(&[vm("web", Some(5), "running"), vm("db", None, "building")]);
        let expected = "\
Name                                        ID   Mem VCPUs\tState\tTime(s)
web                                          5   128     1     r-----       1.2
db                                          -1   128     1     --p---       1.2
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_host_is_shown_as_xl_shows_it() {
        let host =
            Host { xen: "4.17".into(), processors: 2, total_kib: 524_288, free_kib: 262_144, uptime_us: 1 };
        assert!(info(&host).starts_with("nr_cpus                : 2\ntotal_memory           : 512\n"));
    }

    #[test]
    fn an_event_is_shown_as_on_the_console() {
        let line = Event { sequence: 7, at_us: 12, text: "net fault kind=crash".into() };
        assert_eq!(event(&line), "[SD] 7 12 net fault kind=crash");
    }
}
