//! The rules of the host.

use super::{Checker, MIB, MINUTE, MS};
use crate::{Amount, Host, KEPT_MAX_PAGES};

pub(super) fn check(host: &Host, kept_pages: u64, to: &mut Checker<'_>) {
    let memory = Amount::pages(host.memory_pages);
    let why = "root's image, page tables and recovery box take most of 8 MiB; what it keeps for components is the rest";
    let kept = kept_pages.min(KEPT_MAX_PAGES);
    // Boxes of a few pages are within what root can spare.
    to.least(&["memory", "component", "shared"], memory, 8 * MIB + kept.saturating_sub(MIB), why);
    to.most(&["memory"], memory, 1024 * MIB, "root needs no more for any description, and guests do");
    to.least(&["weight"], Amount::count(host.weight), 1, "credit2 divides the CPU by weights");

    let check = Amount::Micros(host.check_period_us);
    let why = "Xen's timer is no finer in practice, and root would do nothing else";
    to.least(&["check-period"], check, MS, why);
    to.most(&["check-period"], check, 1_000 * MS, "faults would go unseen for longer than that");

    if let Some(slice_us) = host.slice_us {
        let slice = Amount::Micros(slice_us.into());
        to.least(&["slice"], slice, 100, "Xen takes no less");
        to.most(&["slice"], slice, 20 * MS, "no hang would be noticed in time");
    }

    let plane_window = Amount::Micros(host.plane_window_us);
    to.least(&["plane-window"], plane_window, 1_000 * MS, "bringing everything up takes about a second");
    let why = "rebuilds more than a day apart have nothing in common";
    to.most(&["plane-window"], plane_window, 24 * 60 * MINUTE, why);

    let watchdog = Amount::Micros(host.watchdog_us);
    to.least(&["watchdog"], watchdog, 50 * MS, "below that the noise of scheduling restarts a healthy root");
    let why = "it must outlast four check periods, since root pushes it back once in each";
    to.least(&["watchdog", "check-period"], watchdog, host.check_period_us.saturating_mul(4), why);
    to.most(&["watchdog"], watchdog, MINUTE, "nothing is repaired while root hangs");

    let host_watchdog = Amount::Micros(u64::from(host.host_watchdog_s) * 1_000 * MS);
    let why = "it reboots the whole host, so root's own watchdog must have struck twice before";
    to.least(&["host-watchdog", "watchdog"], host_watchdog, host.watchdog_us.saturating_mul(2), why);
    let why = "Xen counts it in whole seconds and may be one short";
    to.least(&["host-watchdog"], host_watchdog, 2_000 * MS, why);
    to.most(&["host-watchdog"], host_watchdog, 60 * MINUTE, "nothing is repaired while root is gone");

    to.least(&["restarts"], Amount::count(host.restarts), 1, "root's first fault would reboot the host");
    let window = Amount::Micros(host.restart_window_us);
    let why = "a root that hangs after each restart takes `restarts` times `watchdog` to use them up";
    let needed = host.watchdog_us.saturating_mul(host.restarts.into());
    to.least(&["restart-window", "watchdog", "restarts"], window, needed, why);
    let why = "restarts more than a day apart have nothing in common";
    to.most(&["restart-window"], window, 24 * 60 * MINUTE, why);
}
