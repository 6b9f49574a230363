//! The rules of a component by itself.

use super::{Checker, Keys, MIB, MINUTE, MS, check_text};
use crate::{Amount, Capabilities, Component, Granularity, Host, KEPT_MAX_PAGES, Limits, Problem, Rung};
use uk_abi::layout;

/// The pages of RAM that the address space has room for.
const RAM_MAX_PAGES: u64 = (layout::SHARED_INFO_VA - layout::RAM_BASE) / layout::PAGE_SIZE as u64;

/// Pages that one L1 table maps, which is also a 2 MiB extent.
const EXTENT_PAGES: u64 = 512;

const STACK_MAX_PAGES: u64 = MIB;
/// Pages of all recovery boxes together. What is shared has the rest of what root keeps.
pub(super) const BOXES_MAX_PAGES: u64 = 24 * MIB;
const BOX_MAX_PAGES: u64 = 16 * MIB;
const LOG_MAX_PAGES: u64 = 64;

/// The hold of a component, held against all that is tried before it.
const HOLD: Keys = &[
    "limits.hold",
    "limits.part-restart",
    "limits.micro-reboot",
    "limits.rebuild",
    "limits.cascade",
    "limits.control-plane",
];

pub(super) fn check(component: &Component, kept_pages: u64, host: &Host, to: &mut Checker<'_>) {
    check_memory(component, kept_pages, to);
    check_areas(component, to);
    check_times(component, host, to);
    check_patience(component, to);
    check_limits(&component.limits, component, to);
    to.least(&["weight"], Amount::count(component.weight), 1, "credit2 divides the CPU by weights");
    let unknown = component.capabilities.difference(Capabilities::all());
    if !unknown.is_empty() {
        to.problem(&["capabilities"], Problem::UnknownCapabilities { bits: unknown.bits() });
    }
    if component.guest_memory_pages.is_some() && !component.may_have_guests() {
        let what = "the capability \"guests\": without it a component has none";
        to.problem(&["guest-memory"], Problem::Needs { what });
    }
    check_text(&["args"], &component.args, to);
}

fn check_memory(component: &Component, kept_pages: u64, to: &mut Checker<'_>) {
    let pages = u64::from(component.memory_pages);
    let memory = Amount::Pages(pages);
    to.least(&["memory"], memory, MIB, "no image with its page tables, stack and heap fits in less");
    to.most(&["memory"], memory, RAM_MAX_PAGES, "the address space of a uk has room for no more");
    let needed = pages_besides_image_and_heap(component, kept_pages) + MIB / 4;
    let why = "page tables, stack, log and DMA are part of it, and 256 KiB must be left for image and heap";
    to.least(
        &["memory", "devices", "grant-window", "stack", "box", "log", "dma", "capabilities"],
        memory,
        needed,
        why,
    );
}

/// What a uk's memory holds besides its image and heap. What is beyond its own bounds counts as these allow, so that
/// one mistake is one breach.
fn pages_besides_image_and_heap(component: &Component, kept_pages: u64) -> u64 {
    let tables_of = |pages: u64| pages.div_ceil(EXTENT_PAGES);
    let pages = u64::from(component.memory_pages);
    let grants = u64::from(component.grant_window_pages).min(layout::GRANT_WINDOW_MAX_PAGES as u64);
    let kept = kept_pages.min(KEPT_MAX_PAGES);
    // L4, L3 and L2; the L1s of RAM and of the unmapped 2 MiB below, of the fixed pages, of BARs, of grants, of what is
    // kept.
    let page_tables = 3 + tables_of(pages + EXTENT_PAGES) + 1 + 2 + tables_of(grants) + tables_of(kept);
    let kept_map = (kept * layout::KEPT_MAP_ENTRY as u64).div_ceil(layout::PAGE_SIZE as u64);
    let boot_info_and_health = 2 + component.devices.len() as u64;
    let p2m = tables_of(pages);
    let asked = [
        (component.stack_pages, STACK_MAX_PAGES),
        (component.log_pages, LOG_MAX_PAGES),
        (component.dma_pages, EXTENT_PAGES),
    ];
    let asked: u64 = asked.iter().map(|&(pages, most)| u64::from(pages).min(most)).sum();
    page_tables + boot_info_and_health + kept_map + p2m + asked
}

/// The areas of a component's memory.
fn check_areas(component: &Component, to: &mut Checker<'_>) {
    let stack = Amount::pages(component.stack_pages);
    to.least(&["stack"], stack, 4, "formatting a panic message alone takes several KiB");
    to.most(&["stack"], stack, STACK_MAX_PAGES, "a uk that needs more recurses without bound");
    let recovery_box = Amount::pages(component.box_pages);
    to.least(&["box"], recovery_box, 1, "the library OS keeps records of its own in it");
    to.most(&["box"], recovery_box, BOX_MAX_PAGES, "root keeps it, and root is to stay small");
    let log = Amount::pages(component.log_pages);
    to.least(&["log"], log, 1, "faults are explained in the log");
    to.most(&["log"], log, LOG_MAX_PAGES, "root drains it in one go");
    let grants = Amount::pages(component.grant_window_pages);
    let most = layout::GRANT_WINDOW_MAX_PAGES as u64;
    to.most(&["grant-window"], grants, most, "the window in the address space ends there");

    let dma = Amount::pages(component.dma_pages);
    to.most(&["dma"], dma, EXTENT_PAGES, "machine memory is contiguous within one 2 MiB extent");
    let memory = Amount::pages(component.memory_pages);
    if component.dma_pages > 0 && !memory.value().is_multiple_of(EXTENT_PAGES) {
        let why = "DMA memory comes from whole 2 MiB extents";
        to.problem(
            &["memory", "dma"],
            Problem::Uneven { found: memory, step: memory.with(EXTENT_PAGES), why },
        );
    }
    if component.devices.is_empty() {
        to.most(&["dma", "devices"], dma, 0, "only devices do DMA, and this component has none");
    } else {
        to.least(&["dma", "devices"], dma, 1, "devices read their queues and buffers from DMA memory");
    }
}

fn check_times(component: &Component, host: &Host, to: &mut Checker<'_>) {
    let period = Amount::Micros(component.heartbeat_period_us);
    let why = "Xen's timer is no finer in practice, and beating would be all it does";
    to.least(&["heartbeat-period"], period, MS, why);
    to.most(&["heartbeat-period"], period, MINUTE, "its fault would go unseen for longer than that");

    let deadline = Amount::Micros(component.heartbeat_deadline_us);
    let why = "two heartbeat periods: one late beat is no hang";
    to.least(
        &["heartbeat-deadline", "heartbeat-period"],
        deadline,
        component.heartbeat_period_us.saturating_mul(2),
        why,
    );
    let why = "two check periods of the host: root cannot tell shorter silences apart";
    to.least(
        &["heartbeat-deadline", "host.check-period"],
        deadline,
        host.check_period_us.saturating_mul(2),
        why,
    );
    to.most(&["heartbeat-deadline"], deadline, 10 * MINUTE, "a hang would go unseen for longer than that");

    let boot = Amount::Micros(component.boot_deadline_us);
    let why = "the heartbeat deadline: a booting uk cannot be held to more than a running one";
    to.least(&["boot-deadline", "heartbeat-deadline"], boot, component.heartbeat_deadline_us, why);
    to.most(&["boot-deadline"], boot, 10 * MINUTE, "a failed boot would go unseen for longer than that");

    let stall = Amount::Micros(component.stall_deadline_us);
    let why = "two check periods of the host: progress is seen by comparing two looks";
    to.least(&["stall-deadline", "host.check-period"], stall, host.check_period_us.saturating_mul(2), why);
    to.most(&["stall-deadline"], stall, 10 * MINUTE, "a stall would go unseen for longer than that");
}

/// How a starved component is told from a hung one, and how long a repair may take.
fn check_patience(component: &Component, to: &mut Checker<'_>) {
    let silences = [component.heartbeat_deadline_us, component.boot_deadline_us];
    let starved = Amount::Micros(component.starved_deadline_us);
    let why = "the longer one of the deadlines of heartbeat and boot: before, it is not even late";
    let least = silences[0].max(silences[1]);
    to.least(&["starved-deadline", "heartbeat-deadline", "boot-deadline"], starved, least, why);
    to.most(&["starved-deadline"], starved, 60 * MINUTE, "it would be without service for longer than that");

    let enough = Amount::Micros(component.enough_cpu_us);
    to.least(&["enough-cpu"], enough, 100, "a beat and the way to it take some of that");
    let why = "half of the shorter one of the deadlines of heartbeat and boot: a hung uk might use no more until then";
    let most = silences[0].min(silences[1]) / 2;
    to.most(&["enough-cpu", "heartbeat-deadline", "boot-deadline"], enough, most, why);

    let repair = Amount::Micros(component.repair_deadline_us);
    let why = "repairs wait for one another, and a rebuild alone takes some of that";
    to.least(&["repair-deadline"], repair, 100 * MS, why);
    to.most(
        &["repair-deadline"],
        repair,
        10 * MINUTE,
        "a failed repair would go unseen for longer than that",
    );
}

fn check_limits(limits: &Limits, component: &Component, to: &mut Checker<'_>) {
    let attempts: u64 = limits.attempts.iter().map(|&n| u64::from(n)).sum();
    let hold = Amount::count(limits.hold);
    to.least(&["limits.hold"], hold, 1, "its first fault would be its last");
    let why = "all attempts together, after which nothing is left to try";
    to.most(HOLD, hold, attempts, why);
    if component.policy == Granularity::Fine {
        let parts = Amount::Count(limits.attempts(Rung::PartRestart).into());
        to.least(&["limits.part-restart", "policy"], parts, 1, "policy \"fine\" starts with them");
    }
    let window = Amount::Micros(limits.window_us);
    let why =
        "`hold` times `boot-deadline`: a uk that hangs in each boot must reach its hold within the window";
    to.least(
        &["limits.window", "limits.hold", "boot-deadline"],
        window,
        component.boot_deadline_us.saturating_mul(limits.hold.into()),
        why,
    );
    let why = "faults more than a day apart have nothing in common";
    to.most(&["limits.window"], window, 24 * 60 * MINUTE, why);
}
