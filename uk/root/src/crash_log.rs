//! How a life ended, in the event log: cause, registers, backtrace with names.

use crate::component::Component;
use crate::host::Host;
use heapless::Vec;
use kernel::{DeathCause, now_us};
use monitor::Rung;
use recovery_box::OpenReport;
use uk_abi::crash::CrashReport;

/// A component's crash report, taken before its next life clears it.
pub struct Crash {
    /// Whose it is.
    pub index: usize,
    report: CrashReport,
}

/// Takes the crash report of `component`, if it left one and there is room.
pub fn collect(component: &Component, crashes: &mut Vec<Crash, 4>) {
    if let Some(report) = component.health().and_then(|health| health.crash_report()) {
        // Of many crashes at once, the first tell enough.
        let _ = crashes.push(Crash { index: component.index, report });
    }
}

/// Notes a crash report.
pub fn note(host: &mut Host, crash: &Crash) {
    let Crash { index, report } = crash;
    let (name, image) = (host.components[*index].name, host.components[*index].description.image.as_str());
    let complete = if report.complete { "" } else { " torn=true" };
    host.note(name, format_args!("crash {report}{complete} msg={}", report.message()));
    let innermost = (report.rip != 0).then_some(report.rip);
    for (n, address) in innermost.into_iter().chain(report.trace().iter().copied()).enumerate() {
        note_frame(host, name, image, n, address);
    }
}

fn note_frame(host: &mut Host, name: &str, image: &str, n: usize, address: u64) {
    match host.archive.symbols(image).and_then(|symbols| symbols.lookup(address)) {
        Some((symbol, offset)) => {
            host.note(name, format_args!("trace n={n} addr={address:#x} offset={offset:#x} sym={symbol}"));
        }
        None => host.note(name, format_args!("trace n={n} addr={address:#x}")),
    }
}

/// Notes how root's last life ended and how long the restart took.
pub fn note_own_death(host: &mut Host, started_us: u64, found: &OpenReport) {
    let info = kernel::info();
    let injected = host.books.get::<crate::self_harm::HarmRecord>(0).ok().flatten();
    host.books.remove::<crate::self_harm::HarmRecord>(0);
    let Some(death) = &info.last_death else { return };
    let kind = if death.cause == DeathCause::Hang { "hang" } else { "crash" };
    let at = death.at_us;
    let injected_us = injected.map_or(at, |record| record.at_us);
    let rip = death.rip;
    host.note("root", format_args!("fault kind={kind} detected_us={at} injected_us={injected_us} {death}"));
    let innermost = (rip != 0).then_some(rip);
    for (n, address) in innermost.into_iter().chain(death.backtrace.iter().copied()).enumerate() {
        note_frame(host, "root", "root", n, address);
    }
    let now = now_us();
    host.note(
        "root",
        format_args!(
            "repaired rung={} cause={kind} took_us={} since_fault_us={} entered_us={} lives={} box={found}",
            Rung::MicroReboot.name(),
            now - at,
            now - injected_us,
            started_us - at,
            info.lives
        ),
    );
}
