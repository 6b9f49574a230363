//! Looking at the components: who has crashed, who beats, who makes progress, who writes to its log.

use crate::host::Host;
use core::fmt::Write;
use heapless::Vec;
use kernel::{console, now_us};
use monitor::{ComponentId, CpuSample, Event, MAX_COMPONENTS, MAX_PARTS, Observation, Phase, Progress};
use uk_abi::log_ring::TEXT_MAX;
use uk_abi::text::Printable;
use xen_abi::domctl::{DomainInfo, DomainInfoFlags};
use xen_abi::{Domid, Port};

/// Bytes of one component's log that are read in one check: a burst waits for the next.
const LOG_BUDGET: u64 = 2048;

/// The same of a component that speaks for guests, whose consoles have a line for each of its lines: as much as root would
/// take of a console in one turn.
const GUESTS_BUDGET: u64 = 512;

/// Lines of one component's log that are printed in a second. The serial line carries about a hundred
/// altogether, and root has more to say than what one component repeats.
const LOG_LINES_PER_SECOND: u32 = 20;

/// Rings of one component's doorbell that root listens to in a second: thousands are no message.
const DOORBELL_RINGS_PER_SECOND: u32 = 2000;

const SECOND_US: u64 = 1_000_000;

impl Host {
    /// The doorbells that are listened to, with the indexes of their components.
    pub fn doorbells(&self) -> Vec<(usize, Port), MAX_COMPONENTS> {
        let quiet = self.components.iter().filter(|c| c.doorbell_rings < DOORBELL_RINGS_PER_SECOND);
        quiet.filter_map(|c| c.domain.as_ref().map(|domain| (c.index, domain.doorbell))).collect()
    }

    /// The doorbell of a component has rung. A new life rings when it has beaten for the first time.
    pub fn hear(&mut self, index: usize) {
        self.components[index].doorbell_rings += 1;
        if ComponentId::new(index).is_some_and(|id| matches!(self.monitor.phase(id), Phase::Starting { .. }))
        {
            self.observe(index, None);
        }
    }

    /// Asks Xen which domains have shut down.
    pub fn look_for_crashes(&mut self) {
        let mut room = [DomainInfo::default(); MAX_COMPONENTS];
        // Components have the first numbers. Where Xen does not answer, each is asked for when it is late.
        let Ok(infos) = self.control.infos(Domid(1), &mut room[..self.components.len()]) else { return };
        for info in infos.iter().filter(|info| info.flags.contains(DomainInfoFlags::SHUTDOWN)) {
            let id = ComponentId::new(usize::from(info.domain.0) - 1);
            let Some(id) = id.filter(|id| id.index() < self.components.len()) else { continue };
            self.note_crash(id);
        }
        self.look_after_guests();
    }

    /// Tells the monitor that a component has crashed, unless that is known already.
    fn note_crash(&mut self, id: ComponentId) {
        let index = id.index();
        self.note_injection(index);
        if matches!(self.monitor.phase(id), Phase::Starting { .. }) {
            // If it has beaten since root last looked, the repair was not in vain, and this is another fault.
            self.observe(index, None);
        }
        if matches!(self.monitor.phase(id), Phase::Healthy | Phase::Starting { .. }) {
            self.tell(Event::Crashed { component: id });
        }
    }

    fn has_shut_down(&self, index: usize) -> bool {
        let component = &self.components[index];
        component.domain.is_some()
            && match self.control.info(component.domid()) {
                Ok(Some(info)) => info.flags.contains(DomainInfoFlags::SHUTDOWN),
                Ok(None) => true,
                Err(_) => false,
            }
    }

    /// Remembers when the component was made to fail, before its health page is cleared.
    fn note_injection(&mut self, index: usize) {
        let injected_us = self.components[index].health().and_then(|health| health.injected_at_us());
        if injected_us.is_some() {
            self.components[index].injected_us = injected_us;
        }
    }

    /// Looks at every component's health page.
    pub fn observe_all(&mut self, now: u64) {
        for index in 0..self.components.len() {
            self.observe(index, None);
            let component = &mut self.components[index];
            if now >= component.second_ends_us {
                component.second_ends_us = now + SECOND_US;
                let flooded = component.doorbell_rings >= DOORBELL_RINGS_PER_SECOND;
                let unprinted = core::mem::take(&mut component.log_unprinted);
                component.doorbell_rings = 0;
                component.log_printed = 0;
                let name = component.name;
                if flooded {
                    self.note(name, format_args!("flood what=doorbell limit={DOORBELL_RINGS_PER_SECOND}"));
                }
                if unprinted > 0 {
                    self.note(name, format_args!("flood what=log unprinted={unprinted}"));
                }
                self.end_boost(index);
            }
        }
    }

    fn observe(&mut self, index: usize, cpu: Option<CpuSample>) {
        let Some(id) = ComponentId::new(index) else { return };
        self.note_injection(index);
        let Some(health) = self.components[index].health() else { return };
        let beats = health.beats_since_start();
        let mut progress = [Progress::default(); MAX_PARTS];
        for (part, progress) in progress.iter_mut().enumerate() {
            let seen = health.progress(part);
            *progress = Progress { waiting: seen.waiting, done: seen.done };
        }
        self.tell(Event::Observed {
            component: id,
            observation: Observation { cpu, beats, progress: &progress },
        });
    }

    /// Looks at one component that is late: has it crashed unheard, hangs it, or has it had no CPU?
    pub fn probe(&mut self, id: ComponentId) {
        let index = id.index();
        if self.has_shut_down(index) {
            return self.note_crash(id);
        }
        let sample = self
            .control
            .vcpu_info(self.components[index].domid(), 0)
            .ok()
            .map(|info| CpuSample { used_us: info.cpu_time / 1000, runnable: info.blocked == 0 });
        self.observe(index, sample);
    }

    /// Gives a component that starves the greatest weight, until its second ends.
    pub fn boost(&mut self, id: ComponentId) {
        let component = &mut self.components[id.index()];
        if !component.boosted {
            // Refused, it keeps the weight that it has.
            component.boosted = self.control.set_weight(component.domid(), u16::MAX).is_ok();
            component.second_ends_us = now_us() + SECOND_US;
        }
    }

    fn end_boost(&mut self, index: usize) {
        let component = &mut self.components[index];
        if core::mem::take(&mut component.boosted) {
            // Refused, it keeps more than it should have, which harms less than a kill.
            let _ = self.control.set_weight(component.domid(), component.description.weight);
        }
    }

    /// Reads what the components have logged. Returns whether there is more.
    pub fn drain_logs(&mut self, now: u64) -> bool {
        let Self { components, events, .. } = self;
        let mut more = false;
        for component in components {
            let Some(mut log) = component.log() else { continue };
            let (mut printed, mut unprinted) = (component.log_printed, component.log_unprinted);
            let has_guests = component.description.may_have_guests();
            let drained = log.drain(if has_guests { GUESTS_BUDGET } else { LOG_BUDGET }, |record| {
                if has_guests && record.text.starts_with(b"(d") {
                    let mut line = heapless::String::<TEXT_MAX>::new();
                    // It fits: each byte makes a character.
                    let _ = write!(line, "{}", Printable(record.text));
                    console::write_line(&line);
                    return;
                }
                if printed >= LOG_LINES_PER_SECOND {
                    unprinted += 1;
                    return;
                }
                printed += 1;
                let (level, text) = (record.level.name(), Printable(record.text));
                events.note(now, component.name, format_args!("log level={level} msg={text}"));
            });
            component.log_printed = printed;
            component.log_unprinted = unprinted + drained.dropped + drained.skipped / 64;
            more |= drained.more;
        }
        more
    }
}
