//! What the monitor reports, on its way to the event log.
//!
//! To write a line down takes some thirty microseconds, to print it a millisecond, and both are root's time, which
//! goes before everybody else's. So while somebody is being revived, reports wait: until the first beat rings, or until
//! the next look at everybody, which is soon.

use crate::crash_log::{self, Crash};
use crate::host::Host;
use heapless::Vec;
use kernel::now_us;
use monitor::{ComponentId, MAX_ACTIONS, Phase, Report};

/// A report, and what was so when it was made.
struct Waiting {
    report: Report,
    at_us: u64,
    /// When the fault that it is about was injected, if it was.
    injected_us: Option<u64>,
    /// The first beat and the number of the life that it is about.
    first_beat_us: Option<u64>,
    incarnation: u64,
}

/// Reports that are not noted yet, in their order.
#[derive(Default)]
pub struct Reports {
    waiting: Vec<Waiting, MAX_ACTIONS>,
    /// The crashes that led to repairs among them.
    pub crashes: Vec<Crash, 4>,
}

impl Reports {
    /// Whether all have been noted.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Host {
    /// Whether somebody has been started and has not beaten yet.
    pub fn is_reviving(&self) -> bool {
        let ids = ComponentId::first(self.components.len());
        ids.into_iter().any(|id| matches!(self.monitor.phase(id), Phase::Starting { .. }))
    }

    /// Takes a report in.
    pub fn report(&mut self, report: Report) {
        if self.reports.waiting.is_full() {
            self.note_reports();
        }
        let at_us = now_us();
        let subject = report.component().and_then(|id| self.components.get_mut(id.index()));
        let mut waiting = Waiting { report, at_us, injected_us: None, first_beat_us: None, incarnation: 0 };
        if let Some(component) = subject {
            waiting.injected_us = component.injected_us;
            waiting.first_beat_us = component.health().and_then(|health| health.first_beat_us());
            waiting.incarnation = component.incarnation;
            if matches!(report, Report::Repaired { .. }) {
                component.injected_us = None;
            }
        }
        // There is room: it was made above.
        let _ = self.reports.waiting.push(waiting);
    }

    /// Notes what waits: each report, and behind a repair the crash that led to it.
    pub fn note_reports(&mut self) {
        let Reports { waiting, crashes } = core::mem::take(&mut self.reports);
        for waiting in &waiting {
            self.note_report(waiting);
            if let Report::Repair(repair) = waiting.report {
                let of_it = |crash: &&Crash| crash.index == repair.component.index();
                crashes.iter().filter(of_it).for_each(|crash| crash_log::note(self, crash));
            }
        }
    }

    fn note_report(&mut self, waiting: &Waiting) {
        let Waiting { report, at_us, injected_us, first_beat_us, incarnation } = *waiting;
        if let Report::Fault { component, fault, detected_us, .. } = report
            && let Some(component) = self.components.get_mut(component.index())
        {
            component.last_fault = Some((fault, detected_us));
        }
        let Self { components, events, .. } = self;
        let name = |id: ComponentId| components.get(id.index()).map_or("?", |component| component.name);
        let who = report.component().map_or("root", name);
        let line = report.line(name);
        match report {
            Report::Fault { detected_us, .. } => match injected_us {
                Some(at) => events.note(detected_us, who, format_args!("{line} injected_us={at}")),
                None => events.note(detected_us, who, format_args!("{line}")),
            },
            Report::Repair(repair) => events.note(repair.ordered_us, who, format_args!("{line}")),
            Report::Repaired { repair, .. } => {
                // From when the fault was found to the new life's first beat, by that life's own stamp: root
                // itself sees the beat only when it looks the next time.
                let first_beat_us = first_beat_us.unwrap_or(at_us);
                let recovery_us = first_beat_us.saturating_sub(repair.since_us);
                events.note(
                    at_us,
                    who,
                    format_args!(
                        "{line} first_beat_us={first_beat_us} recovery_us={recovery_us} incarnation={incarnation}"
                    ),
                );
            }
            // What is as it was is no news.
            Report::Resume { known: true, .. } => {}
            _ => events.note(at_us, who, format_args!("{line}")),
        }
    }
}
