//! Parts of a unikernel that fail, and are made anew without the others.

use emulator::condition::{Condition, component};
use emulator::event::{Event, Rung, What};
use emulator::fault::Fault;
use emulator::fields::Fields;

use crate::Host;

/// What a unikernel says of a part that it has made anew (`shadow::Repaired`). Times are microseconds since Xen booted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PartRepair {
    /// Which part.
    pub part: String,
    /// When the fault was injected, if it was.
    pub injected_us: Option<u64>,
    /// When it was noticed.
    pub detected_us: u64,
    /// When there was a new part.
    pub repaired_us: u64,
    /// When that did something for the first time, if that is said.
    pub first_us: Option<u64>,
}

impl PartRepair {
    /// The repair that an event tells of, if it does.
    pub fn of(event: &Event) -> Option<Self> {
        let What::Log { msg, .. } = &event.what else { return None };
        let fields: Fields = msg.strip_prefix("repaired ")?.parse().ok()?;
        Some(Self {
            part: fields.get("part")?.to_owned(),
            injected_us: fields.get_as("injected_us"),
            detected_us: fields.get_as("detected_us")?,
            repaired_us: fields.get_as("repaired_us")?,
            first_us: fields.get_as("first_us"),
        })
    }

    /// From the injection until it was noticed, in microseconds; nothing if none was injected.
    pub fn detect_us(&self) -> u64 {
        self.detected_us.saturating_sub(self.injected_us.unwrap_or(self.detected_us))
    }

    /// From then until the repair was done, in microseconds.
    pub fn recover_us(&self) -> u64 {
        self.repaired_us.saturating_sub(self.detected_us)
    }

    /// From then until the new part did something for the first time, in microseconds.
    pub fn first_us(&self) -> Option<u64> {
        Some(self.first_us?.saturating_sub(self.detected_us))
    }
}

/// How it shows that `name` has made the part anew that `fault` is about; `None` where a fault is not one of a part.
pub fn part_is_repaired(name: &str, fault: Fault) -> Option<Condition> {
    let (part, kind) = match fault {
        Fault::DriverCrash => ("driver", "crash"),
        Fault::DriverHang => ("driver", "hang"),
        Fault::BackendCrash => ("backend", "crash"),
        Fault::BackendHang => ("backend", "hang"),
        _ => return None,
    };
    Some(component(name).logs(&format!("repaired part={part} kind={kind}")))
}

/// How a unikernel with a driver and a backend dies: each of its levels crashes, driver, backend and all of it, and each hangs.
pub const DEATHS: [Fault; 6] = [
    Fault::DriverCrash,
    Fault::BackendCrash,
    Fault::Ud2,
    Fault::DriverHang,
    Fault::BackendHang,
    Fault::TightLoop,
];

/// Begins a chapter in which `name` has this fault, or is built anew if there is none, and waits until it or its part is repaired.
#[track_caller]
pub fn harm_and_wait(host: &mut Host, name: &str, fault: Option<Fault>) {
    host.begin_chapter();
    match fault {
        Some(fault) => host.inject(name, fault),
        None => host.restart(name, Rung::Rebuild),
    }
    let repaired = fault.and_then(|fault| part_is_repaired(name, fault));
    host.wait_for(repaired.unwrap_or_else(|| component(name).is_repaired()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_from_what_is_logged() {
        let line = "[SD] 7 99 net log level=warn msg=repaired part=driver kind=hang injected_us=10 detected_us=15 repaired_us=17";
        let repair = PartRepair::of(&line.parse().unwrap()).unwrap();
        assert_eq!((repair.part.as_str(), repair.detect_us(), repair.recover_us()), ("driver", 5, 2));
        let repair = PartRepair::of(&format!("{line} first_us=20").parse().unwrap()).unwrap();
        assert_eq!((repair.recover_us(), repair.first_us()), (2, Some(5)));
        assert_eq!(PartRepair::of(&"[SD] 7 99 net log level=warn msg=repaired".parse().unwrap()), None);
    }
}
