//! What is printed, in `xl`'s form where `xl` has one.

use crate::upload::Uploaded;
use api::types::{Component, Disk, Event, Host, LastFault, Vcpu, Vif, Vm, Volume, VolumeUser};
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
    let mut text = "Component           ID  State       Incarnation         Beats  Last fault\n".to_owned();
    for Component { name, state, domid, incarnation, beats, last_fault } in components {
        let fault = fault(last_fault.as_ref());
        let _ = writeln!(text, "{name:<16} {domid:>5}  {state:<10} {incarnation:>12} {beats:>13}  {fault}");
    }
    text
}

/// The lines of `volume list`. Guests are called by their names, if `vms` has them.
pub fn volumes(volumes: &[Volume], vms: &[Vm]) -> String {
    let mut text = "Name             Label                 Size (KiB)  Sector  State      Users\n".to_owned();
    for Volume { name, label, bytes, sector_bytes, read_only, state, users } in volumes {
        let user = |user: &VolumeUser| {
            let vm = vms.iter().find(|vm| vm.domid == Some(user.domid));
            vm.map_or_else(|| user.domid.to_string(), |vm| vm.name.clone())
        };
        let users: Vec<_> = users.iter().map(user).collect();
        let users = if users.is_empty() { "-".into() } else { users.join(",") };
        let label = if label.is_empty() { "-" } else { label };
        let state = if *read_only && state == "free" { "read-only" } else { state };
        let _ = writeln!(
            text,
            "{name:<16} {label:<20} {:>11} {sector_bytes:>7}  {state:<9}  {users}",
            bytes / 1024
        );
    }
    text
}

/// The line of `volume upload`.
pub fn uploaded(uploaded: &Uploaded) -> String {
    let Uploaded { volume, bytes, sent } = uploaded;
    format!("{volume}: {bytes} bytes are on it, {sent} of them were sent\n")
}

/// How a component has failed last, and when that was, in seconds since Xen has booted.
pub fn fault(fault: Option<&LastFault>) -> String {
    fault.map_or("-".into(), |LastFault { kind, at_us }| format!("{kind} at {:.3} s", *at_us as f64 / 1e6))
}

/// The head of `xl vcpu-list`.
pub const VCPU_HEAD: &str =
    "Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)\n";

/// A domain's lines of `xl vcpu-list`. No vCPU of this host is bound to certain CPUs.
pub fn vcpus(vm: &Vm, vcpus: &[Vcpu]) -> String {
    let mut text = String::new();
    let Some(domid) = vm.domid else { return text };
    for vcpu in vcpus {
        let flag = |is_so, letter| if is_so { letter } else { '-' };
        let state = match vcpu.online {
            true => format!("{:>5} {:>3}{}- ", vcpu.cpu, flag(vcpu.running, 'r'), flag(vcpu.blocked, 'b')),
            false => format!("{:>5} {:>3}{}p ", '-', '-', '-'),
        };
        let seconds = vcpu.cpu_us as f64 / 1e6;
        let _ =
            writeln!(text, "{:<32} {domid:>5} {:>5} {state}{seconds:>9.1}  all / all", vm.name, vcpu.vcpu);
    }
    text
}

/// The head of `xl network-list`.
pub const VIF_HEAD: &str =
    "Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path                       \n";

/// What `xl` prints for a number that is not there.
fn or_none(number: Option<u32>) -> i64 {
    number.map_or(-1, i64::from)
}

/// A domain's lines of `xl network-list`.
pub fn vifs(vifs: &[Vif]) -> String {
    let line = |vif: &Vif| {
        let Vif { id, mac, backend_id, backend, .. } = vif;
        let (state, port) = (or_none(vif.state), or_none(vif.event_channel));
        let (tx, rx) = (or_none(vif.tx_ring), or_none(vif.rx_ring));
        format!("{id:<3} {backend_id:<2} {mac}{id:>6} {state:>5} {port:>6} {tx:>5}/{rx:<11} {backend:<30}\n")
    };
    vifs.iter().map(line).collect()
}

/// The head of `xl block-list`.
pub const DISK_HEAD: &str = "Vdev  BE  handle state evt-ch ring-ref BE-path                       \n";

/// A domain's lines of `xl block-list`.
pub fn disks(disks: &[Disk]) -> String {
    let line = |disk: &Disk| {
        let Disk { id, backend_id, frontend_id, backend, .. } = disk;
        let (state, port, ring) = (or_none(disk.state), or_none(disk.event_channel), or_none(disk.ring));
        format!("{id:<5} {backend_id:<3} {frontend_id:<6} {state:<5} {port:<6} {ring:<8} {backend:<30}\n")
    };
    disks.iter().map(line).collect()
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
    fn vcpus_are_listed_as_xl_lists_them() {
        let up = Vcpu { vcpu: 0, online: true, blocked: true, running: false, cpu: 1, cpu_us: 12_340_000 };
        let down = Vcpu { vcpu: 1, online: false, blocked: false, running: false, cpu: 0, cpu_us: 0 };
        let shown = VCPU_HEAD.to_owned() + &vcpus(&vm("web", Some(5), "running"), &[up, down]);
        let expected = "\
Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)
web                                  5     0     1   -b-      12.3  all / all
web                                  5     1     -   --p       0.0  all / all
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn devices_are_listed_as_xl_lists_them() {
        let (mac, backend) = ("00:16:3e:01:02:03".to_owned(), "/local/domain/2/backend/vif/5/0".to_owned());
        let vif = Vif {
            id: 0,
            mac,
            backend_id: 2,
            state: Some(4),
            event_channel: Some(11),
            tx_ring: Some(768),
            rx_ring: None,
            backend,
        };
        let expected = "\
Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path                       
0   2  00:16:3e:01:02:03     0     4     11   768/-1          /local/domain/2/backend/vif/5/0
";
        assert_eq!(VIF_HEAD.to_owned() + &vifs(&[vif]), expected);
        let disk = Disk {
            id: 51712,
            vdev: "xvda".into(),
            backend_id: 3,
            frontend_id: 5,
            state: Some(4),
            event_channel: Some(9),
            ring: Some(8),
            backend: "/local/domain/3/backend/vbd/5/51712".into(),
        };
        let expected = "\
Vdev  BE  handle state evt-ch ring-ref BE-path                       
51712 3   5      4     9      8        /local/domain/3/backend/vbd/5/51712
";
        assert_eq!(DISK_HEAD.to_owned() + &disks(&[disk]), expected);
    }

    #[test]
    fn a_component_is_shown_with_how_it_failed() {
        let last_fault = Some(LastFault { kind: "hang".into(), at_us: 1_234_567 });
        let (name, state) = ("net".to_owned(), "healthy".to_owned());
        let net = Component { name, state, domid: 4, incarnation: 2, beats: 7, last_fault };
        let expected = "\
Component           ID  State       Incarnation         Beats  Last fault
net                  4  healthy               2             7  hang at 1.235 s
";
        assert_eq!(components(&[net]), expected);
    }

    #[test]
    fn volumes_are_shown_with_who_uses_them() {
        let volume = |name: &str, label: &str, state: &str, domids: &[u16]| Volume {
            name: name.into(),
            label: label.into(),
            bytes: 4 << 20,
            sector_bytes: 512,
            read_only: name == "disk1",
            state: state.into(),
            users: domids.iter().map(|domid| VolumeUser { domid: *domid, id: 51712 }).collect(),
        };
        let all = [
            volume("disk0", "", "exclusive", &[5, 6]),
            volume("disk0/p1", "root", "exclusive", &[5]),
            volume("disk1", "", "free", &[]),
        ];
        let expected = "\
Name             Label                 Size (KiB)  Sector  State      Users
disk0            -                           4096     512  exclusive  web,6
disk0/p1         root                        4096     512  exclusive  web
disk1            -                           4096     512  read-only  -
";
        assert_eq!(volumes(&all, &[vm("web", Some(5), "running")]), expected);
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
