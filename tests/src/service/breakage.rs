//! What is broken, and what the host says of it.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::part::{PartRepair, part_is_repaired};
use crate::trial::{FOREIGN_ADDRESS, LONG_ENOUGH};
use anyhow::Result;
use emulator::command::Command;
use emulator::condition::{all_is_settled, component};
use emulator::event::{Event, Rung, What};
use emulator::fault::Fault;
use emulator::fields::Fields;
use emulator::host::Host;
use emulator::line::Line;

/// Everything that a host consists of besides root.
pub const COMPONENTS: [&str; 6] = ["xenstore.0", "xenstore.1", "xenstore.2", "net", "disk", "tool"];

/// What all of them are made to have at the same time, in turns.
pub const TOTAL: [Fault; 3] = [Fault::Ud2, Fault::Panic, Fault::NullStore];

/// From one fault of a component to the next: none fails more often than its limits let it.
const PAUSE: Duration = Duration::from_secs(4);

/// The name under which all of them are broken together.
pub const EVERYTHING: &str = "everything";

/// A fault of a component, and what became of it. Times are in microseconds, from the injection.
#[derive(Clone, Debug)]
pub struct Breakage {
    /// Who was broken.
    pub component: &'static str,
    /// How.
    pub fault: Fault,
    /// When it was noticed; never if it did no harm.
    pub detected_us: Option<u64>,
    /// Who repaired it, or that there was nothing to repair.
    pub by: String,
    /// When it was over.
    pub recovered_us: Option<u64>,
}

/// Every fault that the components can have, fault by fault: so none of them fails more often than a component in service may.
pub fn breakages(with_iommu: bool) -> impl Iterator<Item = (&'static str, Fault)> {
    // Without an IOMMU nothing keeps a device from writing where it must not, so it is not told to.
    let faults = Fault::ALL.into_iter().filter(move |fault| with_iommu || *fault != Fault::RogueDma);
    faults.flat_map(|fault| {
        let victims = COMPONENTS.into_iter().filter(move |component| can_have(component, fault));
        victims.map(move |component| (component, fault))
    })
}

fn can_have(component: &str, fault: Fault) -> bool {
    match fault {
        Fault::RogueDma
        | Fault::DriverCrash
        | Fault::DriverHang
        | Fault::BackendCrash
        | Fault::BackendHang => ["net", "disk"].contains(&component),
        // Probes alone fail while they boot, the toolstack at steps that it is told; and what no good copy is left of is gone.
        Fault::CrashLoop | Fault::CrashAtBoot | Fault::StepCrash | Fault::FlipCopies => false,
        flip if Fault::FLIPS.contains(&flip) => component.starts_with("xenstore."),
        _ => true,
    }
}

/// Breaks components, one after the other.
#[derive(Default)]
pub struct Breaker {
    /// When the last fault was injected that root knows of: what is said of it comes late.
    last_us: u64,
    /// When each component was broken last.
    broken: HashMap<&'static str, Instant>,
}

impl Breaker {
    /// Waits until `component`, or [`EVERYTHING`], may fail again.
    pub fn rest(&self, component: &str) {
        let broken = self.broken.iter().filter(|(name, _)| [**name, EVERYTHING].contains(&component));
        if let Some(last) = broken.map(|(_, at)| *at).max() {
            thread::sleep(PAUSE.saturating_sub(last.elapsed()));
        }
    }

    /// Has `component` fail, and waits until that is over.
    ///
    /// # Errors
    /// When it does not end.
    pub fn break_one(&mut self, host: &mut Host, component: &'static str, fault: Fault) -> Result<Breakage> {
        self.broken.insert(component, Instant::now());
        host.begin_chapter();
        let argument = match fault {
            Fault::RogueDma => Some(FOREIGN_ADDRESS),
            flip if Fault::FLIPS.contains(&flip) => Some(1),
            _ => None,
        };
        host.command(&Command::Inject { component: component.into(), fault, argument })?;
        let what = format!("{component} notices {fault}");
        let noticed = host.wait_line_within(LONG_ENOUGH, what, |line| match line {
            Line::Event(event) if event.component == component => self.noticed(event),
            _ => None,
        });
        let (detected_us, by, recovered_us) = match noticed {
            Ok(Noticed::ByItself { part, detected_us, recovered_us }) => {
                (Some(detected_us), part, Some(recovered_us))
            }
            Ok(Noticed::ByRoot { injected_us, detected_us }) => {
                self.last_us = injected_us;
                let (rung, beat_us) = wait_until_repaired(host, component)?;
                let since = |time: u64| Some(time.saturating_sub(injected_us));
                (since(detected_us), rung.to_string(), since(beat_us))
            }
            // A part that fails is always missed: there is work for it.
            Err(error) if error.is_timeout() && part_is_repaired(component, fault).is_none() => {
                end(host, component)?;
                (None, "nobody: endured".into(), None)
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Breakage { component, fault, detected_us, by, recovered_us })
    }

    /// Has all components fail at the same time, and waits until that is over: until the last of them has beaten again.
    ///
    /// # Errors
    /// When it does not end.
    pub fn break_all(&mut self, host: &mut Host, fault: Fault) -> Result<Breakage> {
        self.broken.extend(COMPONENTS.map(|component| (component, Instant::now())));
        host.begin_chapter();
        host.command(&Command::Inject { component: "all".into(), fault, argument: None })?;
        let mut faults = Vec::new();
        let mut beat_us = 0;
        for component in COMPONENTS {
            faults.push(host.wait_line(format!("{component} fails"), |line| match line {
                Line::Event(event) if event.component == component => match self.noticed(event) {
                    Some(Noticed::ByRoot { injected_us, detected_us }) => Some((injected_us, detected_us)),
                    _ => None,
                },
                _ => None,
            })?);
            beat_us = beat_us.max(wait_until_repaired(host, component)?.1);
        }
        let injected_us = faults.iter().map(|(injected_us, _)| *injected_us).min().unwrap_or(beat_us);
        let detected_us = faults.iter().map(|(_, detected_us)| *detected_us).max().unwrap_or(beat_us);
        self.last_us = faults.iter().map(|(injected_us, _)| *injected_us).max().unwrap_or(self.last_us);
        let since = |time: u64| Some(time.saturating_sub(injected_us));
        Ok(Breakage {
            component: EVERYTHING,
            fault,
            detected_us: since(detected_us),
            by: "each by its own".into(),
            recovered_us: since(beat_us),
        })
    }

    fn noticed(&self, event: &Event) -> Option<Noticed> {
        match &event.what {
            // A busy machine has root find somebody silent who was not broken.
            What::Fault { injected_us, detected_us, .. } => {
                let injected_us = injected_us.filter(|injected_us| *injected_us > self.last_us)?;
                Some(Noticed::ByRoot { injected_us, detected_us: (*detected_us)? })
            }
            What::Log { msg, .. } => mended(msg).or_else(|| part_repaired(event)),
            _ => None,
        }
    }
}

/// How a fault was noticed.
enum Noticed {
    ByRoot { injected_us: u64, detected_us: u64 },
    ByItself { part: String, detected_us: u64, recovered_us: u64 },
}

/// Reads what XenStore says of a flipped bit: `mended=N found_us=N mended_us=N: what it was`.
fn mended(msg: &str) -> Option<Noticed> {
    let fields: Fields = msg.split_once(": ")?.0.parse().ok()?;
    Some(Noticed::ByItself {
        part: "a good copy".into(),
        detected_us: fields.get_as("found_us")?,
        recovered_us: fields.get_as("mended_us")?,
    })
}

fn part_repaired(event: &Event) -> Option<Noticed> {
    let repair = PartRepair::of(event)?;
    Some(Noticed::ByItself {
        part: format!("{} anew", repair.part),
        detected_us: repair.detect_us(),
        recovered_us: repair.detect_us() + repair.recover_us(),
    })
}

/// Waits until a component beats again, and everybody else does. Returns which rung did it, and when it beat.
fn wait_until_repaired(host: &Host, component: &str) -> Result<(Rung, u64)> {
    let settled = all_is_settled();
    let mut last = None;
    Ok(host.wait_line(format!("{component} is repaired, and all is settled"), |line| {
        let Line::Event(event) = line else { return None };
        if let What::Repaired { rung, first_beat_us: Some(beat_us), .. } = event.what
            && event.component == component
        {
            last = Some((rung, beat_us));
        }
        last.filter(|_| settled.is_met_by(event))
    })?)
}

/// Ends a fault that does no harm.
fn end(host: &mut Host, victim: &str) -> Result<()> {
    host.command(&Command::Restart { component: victim.into(), rung: Rung::MicroReboot })?;
    host.wait_for(&component(victim).is_repaired())?;
    Ok(())
}
