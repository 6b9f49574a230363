//! The heartbeat book: when a component last showed that it lives, and what its silence means.
//!
//! Only time that was watched counts as silence. Between two observations at most a fraction of the deadline is charged
//! ([`Policy::looks`]), however long root itself was away: a host that stood still for a second, or runs by fits and
//! starts, must not look like a host full of dead components. So nobody hangs who was not looked at several times in vain.

use crate::{Fault, Policy};
use heapless::Vec;

/// The most parts of a component whose progress is watched.
pub const MAX_PARTS: usize = 16;

/// One part's work, counted since the component was started.
///
/// Read `done` before `waiting`: what is completed between the two reads must not look like more done than waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Progress {
    /// Units of work taken on.
    pub waiting: u64,
    /// Units of work done.
    pub done: u64,
}

/// What Xen knows of a component's vCPU (`getvcpuinfo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CpuSample {
    /// CPU time that it has had, in microseconds, counted from any fixed moment.
    pub used_us: u64,
    /// Whether it runs or wants to: it is not blocked.
    pub runnable: bool,
}

/// One look at a component.
///
/// Sample the CPU before reading the beats. The other way round, a component that beats and blocks between the two
/// looks as if it had blocked without beating.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation<'a> {
    /// The CPU sample. Without one the monitor asks by [`Action::Probe`](crate::Action::Probe) when it needs one.
    pub cpu: Option<CpuSample>,
    /// Beats since the component was started.
    pub beats: u64,
    /// Progress of its parts; those beyond [`MAX_PARTS`] are not looked at.
    pub progress: &'a [Progress],
}

/// What an observation means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has shown that it lives.
    Alive,
    /// It is silent, which is no reason to do anything, or none to do anything more.
    Quiet,
    /// Its silence needs a CPU sample to be understood.
    Probe,
    /// It is late for want of CPU time, `cpu_us` since it was last heard: it needs a boost.
    Starved {
        /// CPU time in microseconds.
        cpu_us: u64,
    },
    /// It has failed.
    Failed(Fault),
}

/// What a component's silence is measured by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) policy: &'a Policy,
    /// Silence that is too long: the deadline of the heartbeat, or that of the boot.
    pub(crate) deadline_us: u64,
    /// Whether work may wait without anybody to blame but those the component needs.
    pub(crate) excused: bool,
}

/// One part of a component. Counters of `None` are not known yet: what they show first is taken as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Part {
    done: Option<u64>,
    /// For how long work has been waiting and none was done; `None` while no work waits.
    stuck_us: Option<u64>,
    /// It is being restarted, so its counters may begin anew, until it has done some work or has none.
    restarting: bool,
}

/// The page on one component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Book {
    beats: Option<u64>,
    /// The parts that were observed so far.
    parts: Vec<Part, MAX_PARTS>,
    /// When it was last observed.
    seen_us: u64,
    /// When it was last known to live.
    alive_us: u64,
    /// Watched silence since then.
    silent_us: u64,
    /// The first CPU sample since then.
    cpu_us: Option<u64>,
    /// The silence after which the next boost is due.
    boost_due_us: u64,
}

impl Book {
    /// A fresh page for a component that was started now: its counters begin at 0.
    pub(crate) fn started(now_us: u64) -> Self {
        Self { beats: Some(0), ..Self::adopted(now_us) }
    }

    /// A fresh page for a component that has been running: its counters are not known.
    pub(crate) fn adopted(now_us: u64) -> Self {
        Self { seen_us: now_us, alive_us: now_us, ..Self::default() }
    }

    /// Notes that a part was told to restart: it will count on, or from 0.
    pub(crate) fn restart_part(&mut self, part: u8) {
        self.parts.get_mut(usize::from(part)).into_iter().for_each(|part| part.restarting = true);
    }

    /// Whether a part has done some work, or had none, since it was told to restart.
    pub(crate) fn part_moves(&self, part: u8) -> bool {
        self.parts.get(usize::from(part)).is_none_or(|part| !part.restarting)
    }

    /// When the component was last known to live.
    pub(crate) fn alive_us(&self) -> u64 {
        self.alive_us
    }

    /// For how long it has been silent, as far as it was watched.
    pub(crate) fn silent_us(&self) -> u64 {
        self.silent_us
    }

    /// For how long the part that is stuck the longest has left work undone.
    pub(crate) fn stuck_us(&self) -> u64 {
        self.parts.iter().filter_map(|part| part.stuck_us).max().unwrap_or(0)
    }

    /// Takes an observation down and judges it.
    pub(crate) fn observe(&mut self, now_us: u64, seen: &Observation<'_>, rules: Rules<'_>) -> Verdict {
        let gap_us = now_us.saturating_sub(self.seen_us);
        self.seen_us = now_us;
        let before = self.beats.replace(seen.beats);
        // A part shows up with the counters that the component started with, if that was seen.
        let new = Part { done: before.map(|_| 0), ..Part::default() };
        self.parts.extend(seen.progress.iter().take(MAX_PARTS).skip(self.parts.len()).map(|_| new.clone()));
        let work = self.observe_work(gap_us, seen.progress, rules);
        if work.broken || before.is_some_and(|before| seen.beats < before) {
            return Verdict::Failed(Fault::Corrupt);
        }
        let spoke = seen.beats > before.unwrap_or(0) || work.done && rules.policy.work_is_beat;
        if spoke {
            self.alive_us = now_us;
            self.silent_us = 0;
            self.cpu_us = None;
            self.boost_due_us = 0;
        } else {
            self.silent_us = self.silent_us.saturating_add(charge(gap_us, rules.deadline_us, rules.policy));
        }
        self.cpu_us = self.cpu_us.or(seen.cpu.map(|cpu| cpu.used_us));
        match work.stalled {
            // Who is silent is judged by that: it may have had no CPU time to work in.
            _ if !spoke => self.judge_silence(seen.cpu, rules),
            Some(part) => Verdict::Failed(Fault::Stall { part }),
            None => Verdict::Alive,
        }
    }

    fn judge_silence(&mut self, cpu: Option<CpuSample>, rules: Rules<'_>) -> Verdict {
        if self.silent_us < rules.deadline_us {
            // From half of the deadline on there must be a sample, for another to be compared with at the deadline.
            let unsampled = self.cpu_us.is_none() && self.silent_us >= half(rules.deadline_us);
            return if unsampled { Verdict::Probe } else { Verdict::Quiet };
        }
        let Some(cpu) = cpu else {
            // A root that cannot sample loses the distinction, but finds the hung component all the same.
            let waited = self.silent_us >= rules.deadline_us.saturating_mul(2);
            return if waited { Verdict::Failed(Fault::Hang) } else { Verdict::Probe };
        };
        let had_us = cpu.used_us.saturating_sub(self.cpu_us.unwrap_or(cpu.used_us));
        if !cpu.runnable || had_us >= rules.policy.enough_cpu_us {
            return Verdict::Failed(Fault::Hang);
        }
        // It could not have worked either, so no part of it is to blame for work that waits.
        self.parts.iter_mut().for_each(|part| part.stuck_us = None);
        if self.silent_us >= rules.policy.starved_deadline_us {
            return Verdict::Failed(Fault::Starved);
        }
        if self.silent_us < self.boost_due_us {
            return Verdict::Quiet;
        }
        self.boost_due_us = self.silent_us.saturating_add(rules.deadline_us);
        Verdict::Starved { cpu_us: had_us }
    }

    fn observe_work(&mut self, gap_us: u64, progress: &[Progress], rules: Rules<'_>) -> Work {
        let deadline_us = rules.policy.stall_deadline_us;
        let mut work = Work::default();
        for (number, (part, seen)) in (0u8..).zip(self.parts.iter_mut().zip(progress)) {
            let before = part.done.replace(seen.done);
            let worked = before.is_some_and(|before| seen.done > before);
            let waits = seen.waiting > seen.done;
            work.done |= worked;
            let broken = seen.done > seen.waiting || before.is_some_and(|before| seen.done < before);
            work.broken |= broken && !part.restarting;
            part.restarting &= waits && !worked;
            let stuck_us = match part.stuck_us {
                Some(stuck_us) if !worked => {
                    stuck_us.saturating_add(charge(gap_us, deadline_us, rules.policy))
                }
                _ => 0,
            };
            part.stuck_us = (waits && !rules.excused).then_some(stuck_us);
            if part.stuck_us.is_some_and(|stuck_us| stuck_us >= deadline_us) {
                work.stalled = work.stalled.or(Some(number));
            }
        }
        work
    }
}

/// What the parts of a component show together.
#[derive(Default)]
struct Work {
    /// Some part has done something.
    done: bool,
    /// Some counters cannot be right.
    broken: bool,
    /// The first part that stalls.
    stalled: Option<u8>,
}

/// What counts of the time between two looks.
fn charge(gap_us: u64, deadline_us: u64, policy: &Policy) -> u64 {
    gap_us.min(policy.most_charge_us(deadline_us))
}

/// Half of a deadline, rounded up.
fn half(deadline_us: u64) -> u64 {
    deadline_us.div_ceil(2)
}
