//! What the monitor has to know, out of what the description says.

use description::{Component, Host};
use monitor::{PlaneLimit, Policy};

/// The policy for `component`.
pub fn of(component: &Component) -> Policy {
    Policy {
        needs: component.depends_on,
        heartbeat_deadline_us: component.heartbeat_deadline_us,
        boot_deadline_us: component.boot_deadline_us,
        stall_deadline_us: component.stall_deadline_us,
        repair_deadline_us: component.repair_deadline_us,
        starved_deadline_us: component.starved_deadline_us,
        enough_cpu_us: component.enough_cpu_us,
        looks: Policy::DEFAULT.looks,
        work_is_beat: component.work_is_beat,
        granularity: component.policy,
        limits: component.limits,
        autostart: component.autostart,
    }
}

/// How often the whole control plane may be rebuilt.
pub fn of_plane(host: &Host) -> PlaneLimit {
    PlaneLimit { attempts: host.plane_rebuilds, window_us: host.plane_window_us }
}
