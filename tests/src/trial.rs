//! What each fault of a probe must lead to.

use std::time::{Duration, Instant};

use emulator::command::Command;
use emulator::condition::all_is_settled;
use emulator::event::{Event, FaultKind, Rung, What};
use emulator::fault::Fault;
use emulator::host::{Host, HostError};
use emulator::lan::{Lan, LanError};
use emulator::line::Line;
use thiserror::Error;

use crate::flip::{Flipped, flip};
use crate::traffic::under_traffic;

/// For how long a fault that is to be endured is watched, if deadlines are those of the systems' texts: longer than any of them.
pub const LONG_ENOUGH: Duration = Duration::from_millis(1000);

/// What must follow a fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Must {
    /// It shows in this way as often as said, and the repair that heals it is on this rung.
    BeRepaired {
        /// How it shows.
        kind: FaultKind,
        /// How often it shows: a crash loop crashes again and again.
        times: usize,
        /// The rung of the last repair.
        rung: Rung,
    },
    /// It is not worth a repair: everybody goes on as before.
    BeEndured,
    /// The component finds it and mends it by itself, while it goes on.
    BeMended,
}

/// A fault, and what must follow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Trial {
    /// The fault.
    pub fault: Fault,
    /// Its argument.
    pub argument: Option<u64>,
    /// What must follow.
    pub must: Must,
}

/// How a trial went. Times are in microseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// From the injection until the fault was noticed.
    pub detected_after_us: u64,
    /// The rung that healed it; none if the component did it by itself.
    pub rung: Option<Rung>,
    /// From the moment when the reason for the last repair was found to the first heartbeat after it.
    pub repair_us: u64,
    /// From the injection to that heartbeat.
    pub recovered_after_us: u64,
}

/// Why a trial failed.
#[derive(Debug, Error)]
pub enum TrialError {
    /// The host did not do what it should have.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The network did not answer.
    #[error(transparent)]
    Lan(#[from] LanError),
    /// The fault showed in another way, was repaired by another rung, or its line in the event log lacks a time.
    #[error("expected {expected}, found {found}")]
    Otherwise {
        /// What should have followed.
        expected: String,
        /// What did.
        found: String,
    },
}

/// A program that is made to fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Program {
    /// The probe, which has no device.
    Probe,
    /// The network's, with frames to answer all the while.
    Net,
    /// The disk's.
    Disk,
    /// XenStore's, with clients that count.
    Store,
}

/// Where a device is told to write that writes where it must not: to memory of Xen.
pub const FOREIGN_ADDRESS: u64 = 0x20_0000;

/// Every fault that `program` can be told to have, on a system whose limits are out of reach and on a host with an IOMMU.
pub fn trials(program: Program) -> impl Iterator<Item = Trial> {
    Fault::ALL.into_iter().filter_map(move |fault| Trial::of(program, fault))
}

impl Trial {
    /// The trial of `fault`, if `program` can have it.
    pub fn of(program: Program, fault: Fault) -> Option<Self> {
        use Program::{Disk, Net, Probe, Store};
        let repaired_by =
            |rung, kind| Trial { fault, argument: None, must: Must::BeRepaired { kind, times: 1, rung } };
        let micro_rebooted = |kind| repaired_by(Rung::MicroReboot, kind);
        Some(match (fault, program) {
            (
                Fault::Panic
                | Fault::Ud2
                | Fault::NullStore
                | Fault::BadSp
                | Fault::StackOverflow
                | Fault::HeapCorrupt
                | Fault::WildData
                | Fault::WildText
                | Fault::WildPt
                | Fault::ExhaustMemory,
                _,
            ) => micro_rebooted(FaultKind::Crash),
            (Fault::TightLoop | Fault::BlockForever, _) => micro_rebooted(FaultKind::Hang),
            (Fault::BeatNoProgress, _) => micro_rebooted(FaultKind::Stall),
            // Work that is done counts as a heartbeat; floods cost those who flood.
            (Fault::LostHeartbeat | Fault::FloodEvents | Fault::FloodLog, _) => {
                Trial { fault, argument: None, must: Must::BeEndured }
            }
            // Each crash follows a heartbeat, so each is a fault of its own.
            (Fault::CrashLoop, Probe) => Trial {
                argument: Some(3),
                must: Must::BeRepaired { kind: FaultKind::Crash, times: 3, rung: Rung::MicroReboot },
                fault,
            },
            // The restart in place has not helped when it crashes again before its first heartbeat.
            (Fault::CrashAtBoot, Probe) => {
                Trial { argument: Some(1), ..repaired_by(Rung::Rebuild, FaultKind::Crash) }
            }
            // The IOMMU keeps the memory from the device, and the program ends itself: the network's because its card has stopped,
            // the disk's because a block was not what it had written.
            (Fault::RogueDma, Net | Disk) => {
                Trial { argument: Some(FOREIGN_ADDRESS), ..micro_rebooted(FaultKind::Crash) }
            }
            (Fault::RogueDma, Probe | Store)
            | (Fault::CrashLoop | Fault::CrashAtBoot, Net | Disk | Store) => return None,
            (
                Fault::FlipNode
                | Fault::FlipTree
                | Fault::FlipDigest
                | Fault::FlipClient
                | Fault::FlipVault
                | Fault::FlipSession
                | Fault::FlipChannel,
                Store,
            ) => Trial { fault, argument: Some(1), must: Must::BeMended },
            // What no good copy is left of is not mended, and nobody else has a bit of XenStore.
            (
                Fault::FlipNode
                | Fault::FlipTree
                | Fault::FlipDigest
                | Fault::FlipClient
                | Fault::FlipVault
                | Fault::FlipSession
                | Fault::FlipChannel,
                Probe | Net | Disk,
            )
            | (Fault::FlipCopies, _) => return None,
            // The uk itself repairs its parts; tests of the network and of disks have trials of their own for that. So have those of
            // the toolstack.
            (
                Fault::DriverCrash
                | Fault::DriverHang
                | Fault::BackendCrash
                | Fault::BackendHang
                | Fault::StepCrash,
                _,
            ) => return None,
        })
    }

    /// The same as [`run`](Self::run), with frames for the network's unikernel all the while. Returns the longest time between two
    /// answers besides.
    ///
    /// # Errors
    /// When something else follows than must, or nothing, or an answer does not come.
    pub fn run_under_traffic(
        &self,
        host: &mut Host,
        lan: &mut Lan,
        component: &str,
        long_enough: Duration,
    ) -> Result<(Option<Outcome>, Duration), TrialError> {
        let (outcome, silence) = under_traffic(lan, || self.run(host, component, long_enough))?;
        Ok((outcome?, silence))
    }

    /// Injects the fault into `component` and sees what follows. What is endured is watched for `long_enough`, and has no outcome.
    ///
    /// # Errors
    /// When something else follows than must, or nothing.
    pub fn run(
        &self,
        host: &mut Host,
        component: &str,
        long_enough: Duration,
    ) -> Result<Option<Outcome>, TrialError> {
        if self.must != Must::BeMended {
            host.begin_chapter();
            host.command(&Command::Inject {
                component: component.into(),
                fault: self.fault,
                argument: self.argument,
            })?;
        }
        match self.must {
            Must::BeRepaired { kind, times, rung } => {
                let events = wait_until_settled(host, component, times)?;
                check(&events, kind, rung).map(Some)
            }
            Must::BeEndured => endure(host, component, long_enough).map(|()| None),
            Must::BeMended => match flip(host, component, self.fault, self.argument.unwrap_or(0))? {
                Flipped::Mended { found_us, mended_us } => Ok(Some(Outcome {
                    detected_after_us: found_us,
                    rung: None,
                    repair_us: mended_us.saturating_sub(found_us),
                    recovered_after_us: mended_us,
                })),
                Flipped::Unnoticed => Ok(None),
            },
        }
    }
}

/// Waits until `component` has failed `times` times and all is settled again, and returns what was said of it meanwhile.
///
/// What comes before the injected fault does not count: on a busy machine an emulated host can stand still for longer than a heartbeat
/// may take, and then its root finds a component silent.
fn wait_until_settled(host: &Host, component: &str, times: usize) -> Result<Vec<Event>, HostError> {
    let settled = all_is_settled();
    let mut events = Vec::new();
    let mut faults = 0;
    host.wait_line(format!("{component} fails {times} times, then all is settled"), |line| {
        let Line::Event(event) = line else { return None };
        if event.component == component {
            faults += usize::from(match event.what {
                What::Fault { injected_us, .. } => injected_us.is_some() || faults > 0,
                _ => false,
            });
            if faults > 0 {
                events.push(event.clone());
            }
        }
        (faults >= times && settled.is_met_by(event)).then(|| std::mem::take(&mut events))
    })
}

/// Checks the events of one component against what must follow: the first fault and the last repair count.
fn check(events: &[Event], kind: FaultKind, rung: Rung) -> Result<Outcome, TrialError> {
    let otherwise =
        |found: String| TrialError::Otherwise { expected: format!("{kind} repaired by {rung}"), found };
    let fault = events.iter().find_map(|event| match event.what {
        What::Fault { kind, injected_us, detected_us, .. } => Some((event, kind, injected_us, detected_us)),
        _ => None,
    });
    let repaired = events.iter().rev().find_map(|event| match event.what {
        What::Repaired { rung, first_beat_us, recovery_us, .. } => {
            Some((event, rung, first_beat_us, recovery_us))
        }
        _ => None,
    });
    let (fault, found_kind, injected_us, detected_us) = fault.ok_or_else(|| otherwise("no fault".into()))?;
    let (repaired, found_rung, first_beat_us, recovery_us) =
        repaired.ok_or_else(|| otherwise(format!("{found_kind} and no repair")))?;
    if (found_kind, found_rung) != (kind, rung) {
        return Err(otherwise(format!("{found_kind} repaired by {found_rung}")));
    }
    let no_time =
        |what: &str, event: &Event| TrialError::Otherwise { expected: what.into(), found: event.to_string() };
    let injected_us = injected_us.ok_or_else(|| no_time("injected_us", fault))?;
    let detected_us = detected_us.ok_or_else(|| no_time("detected_us", fault))?;
    let first_beat_us = first_beat_us.ok_or_else(|| no_time("first_beat_us", repaired))?;
    Ok(Outcome {
        detected_after_us: detected_us.saturating_sub(injected_us),
        rung: Some(rung),
        repair_us: recovery_us.ok_or_else(|| no_time("recovery_us", repaired))?,
        recovered_after_us: first_beat_us.saturating_sub(injected_us),
    })
}

/// Sees that `component` goes on for a while, and ends the fault.
fn endure(host: &mut Host, component: &str, long_enough: Duration) -> Result<(), TrialError> {
    let end = Instant::now() + long_enough;
    while Instant::now() < end {
        host.pulse(component)?;
    }
    let failed = |event: &Event| event.component == component && matches!(event.what, What::Fault { .. });
    if let Some(event) = host.events().into_iter().find(failed) {
        let expected = format!("{component} to go on");
        return Err(TrialError::Otherwise { expected, found: event.to_string() });
    }
    host.command(&Command::Restart { component: component.into(), rung: Rung::MicroReboot })?;
    host.wait_for(&emulator::condition::component(component).is_repaired_by(Rung::MicroReboot))?;
    Ok(())
}
