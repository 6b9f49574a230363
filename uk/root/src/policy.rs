//! What the monitor has to know of a component, out of what the description says of it.

use description::{Component, Policy as Start};
use monitor::{ComponentSet, Granularity, Limits, Policy};

/// The policy for `component`.
pub fn of(component: &Component) -> Policy {
    Policy {
        needs: ComponentSet::from_bits(component.depends_on.bits()),
        heartbeat_deadline_us: component.heartbeat_deadline_us,
        boot_deadline_us: component.boot_deadline_us,
        stall_deadline_us: component.stall_deadline_us,
        granularity: match component.policy {
            Start::Fine => Granularity::Fine,
            Start::Coarse => Granularity::Coarse,
        },
        limits: Limits {
            attempts: component.limits.attempts,
            hold: component.limits.hold,
            window_us: component.limits.window_us,
        },
        autostart: component.autostart,
        ..Policy::DEFAULT
    }
}
