//! Root's event log as it appears on the console, one line an event:
//!
//! ```text
//! [SD] <sequence number> <time in us> <component> <event> key=value ... msg=text to the end
//! ```
//!
//! Times are microseconds since Xen booted.

use std::fmt;
use std::str::FromStr;

pub use monitor::Rung;
use strum::{Display, EnumString, VariantArray};
use thiserror::Error;

use crate::fields::{FieldError, Fields};

/// What every event line starts with.
pub const TAG: &str = "[SD] ";

/// What stands for the sequence number of an event that has none.
const NO_NUMBER: &str = "-";

/// How a fault showed.
#[derive(Clone, Copy, Debug, Display, EnumString, Eq, Hash, PartialEq, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum FaultKind {
    /// The domain crashed.
    Crash,
    /// It had CPU time and gave no heartbeat.
    Hang,
    /// It beats, but work waits and none is completed.
    Stall,
    /// It had no CPU time.
    Starved,
    /// A checksum does not fit.
    Corrupt,
}

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum What {
    /// Root started.
    Boot,
    /// A component gave its first heartbeat.
    Up {
        /// From its first instruction to its first heartbeat.
        boot_us: Option<u64>,
        /// How many times it has been started.
        incarnation: Option<u64>,
    },
    /// A fault was noticed.
    Fault {
        /// How it showed.
        kind: FaultKind,
        /// When it was injected, if it was.
        injected_us: Option<u64>,
        /// When it was noticed.
        detected_us: Option<u64>,
        /// What was found.
        cause: Option<String>,
    },
    /// One return address of a crashed component.
    Trace {
        /// Its place in the backtrace, 0 for where it crashed.
        n: u64,
        /// The symbol and the offset in it, if known.
        sym: Option<String>,
    },
    /// A repair starts.
    Repair {
        /// On which rung.
        rung: Rung,
    },
    /// A repair ended with a heartbeat.
    Repaired {
        /// On which rung.
        rung: Rung,
        /// From the repair's order until root saw the first heartbeat.
        took_us: Option<u64>,
        /// From the moment when its reason was found until root saw the first heartbeat; for root itself, from the injection.
        since_fault_us: Option<u64>,
        /// When the component beat for the first time.
        first_beat_us: Option<u64>,
        /// From the moment when the reason for the repair was found to that beat.
        recovery_us: Option<u64>,
    },
    /// A repair came to nothing.
    RepairFailed {
        /// On which rung.
        rung: Rung,
        /// Why.
        reason: Option<String>,
    },
    /// A repair must wait, because what the component needs is not healthy.
    Waiting {
        /// What it needs.
        on: Option<String>,
    },
    /// A rung failed, or was used too often.
    Escalate {
        /// The rung that did not help.
        from: Rung,
        /// The next one.
        to: Rung,
    },
    /// The component is left alone until an operator releases it.
    Hold {
        /// Why.
        reason: Option<String>,
    },
    /// An operator released a held component.
    Release,
    /// A starved component was given more weight.
    Boost,
    /// A record from a component's log.
    Log {
        /// How grave it is.
        level: Option<String>,
        /// Its text.
        msg: String,
    },
    /// A device was found or assigned.
    Device,
    /// What is free: pages, event channels, grants.
    Free,
    /// Root has restarted and takes the component over again.
    Resume,
    /// Root reboots the host, because it has died too often.
    Reboot,
    /// There is nothing left to do, and every component is at work.
    Ready,
    /// There is nothing left to do, and some components are held.
    Settled,
    /// An event that this crate does not know.
    Other(String),
}

/// One line of the event log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// Counts every event of this boot. The last words of a dying root have no number.
    pub seq: Option<u64>,
    /// When root logged it.
    pub time_us: u64,
    /// A component's name, or `root`.
    pub component: String,
    /// What happened.
    pub what: What,
    /// Fields that `what` does not hold.
    pub fields: Fields,
}

/// Why a line is not an event.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum EventError {
    /// The line does not start with the tag.
    #[error("expected {TAG:?} first, found {found:?}")]
    NoTag {
        /// The line.
        found: String,
    },
    /// The line ends early, or a number is none.
    #[error("expected {wanted}, found {found:?}")]
    BadWord {
        /// What should have been there.
        wanted: &'static str,
        /// What was there.
        found: String,
    },
    /// A field is missing or has a value of the wrong kind.
    #[error("in {name} event: {error}")]
    Field {
        /// The event's name.
        name: String,
        /// What is wrong.
        error: FieldError,
    },
}

impl FromStr for Event {
    type Err = EventError;

    fn from_str(line: &str) -> Result<Self, EventError> {
        let body = line.strip_prefix(TAG).ok_or_else(|| EventError::NoTag { found: line.to_owned() })?;
        let mut words = body.splitn(5, ' ');
        let seq = match words.next() {
            Some(NO_NUMBER) => None,
            text => Some(number(text, "a sequence number")?),
        };
        let time_us = number(words.next(), "a time in microseconds")?;
        let component = word(words.next(), "a component's name")?.to_owned();
        let name = word(words.next(), "an event's name")?;
        let error = |error| EventError::Field { name: name.to_owned(), error };
        let mut fields: Fields = words.next().unwrap_or_default().parse().map_err(error)?;
        let what = What::read(name, &mut fields).map_err(error)?;
        Ok(Event { seq, time_us, component, what, fields })
    }
}

fn word<'a>(word: Option<&'a str>, wanted: &'static str) -> Result<&'a str, EventError> {
    let word = word.unwrap_or_default();
    if word.is_empty() { Err(EventError::BadWord { wanted, found: word.to_owned() }) } else { Ok(word) }
}

fn number(text: Option<&str>, wanted: &'static str) -> Result<u64, EventError> {
    let text = word(text, wanted)?;
    text.parse().map_err(|_| EventError::BadWord { wanted, found: text.to_owned() })
}

impl What {
    /// Takes what the event called `name` holds out of `fields`.
    fn read(name: &str, fields: &mut Fields) -> Result<Self, FieldError> {
        Ok(match name {
            "boot" => What::Boot,
            "up" => What::Up { boot_us: fields.take("boot_us")?, incarnation: fields.take("incarnation")? },
            "fault" => What::Fault {
                kind: fields.need("kind")?,
                injected_us: fields.take("injected_us")?,
                detected_us: fields.take("detected_us")?,
                cause: fields.take("cause")?,
            },
            "trace" => What::Trace { n: fields.need("n")?, sym: fields.take("sym")? },
            "repair" => What::Repair { rung: fields.need("rung")? },
            "repaired" => What::Repaired {
                rung: fields.need("rung")?,
                took_us: fields.take("took_us")?,
                since_fault_us: fields.take("since_fault_us")?,
                first_beat_us: fields.take("first_beat_us")?,
                recovery_us: fields.take("recovery_us")?,
            },
            "repair-failed" => {
                What::RepairFailed { rung: fields.need("rung")?, reason: fields.take("reason")? }
            }
            "waiting" => What::Waiting { on: fields.take("on")? },
            "escalate" => What::Escalate { from: fields.need("from")?, to: fields.need("to")? },
            "hold" => What::Hold { reason: fields.take("reason")? },
            "release" => What::Release,
            "boost" => What::Boost,
            "log" => What::Log { level: fields.take("level")?, msg: fields.take("msg")?.unwrap_or_default() },
            "device" => What::Device,
            "free" => What::Free,
            "resume" => What::Resume,
            "reboot" => What::Reboot,
            "ready" => What::Ready,
            "settled" => What::Settled,
            other => What::Other(other.to_owned()),
        })
    }

    /// The event's name on the line.
    pub fn name(&self) -> &str {
        match self {
            What::Boot => "boot",
            What::Up { .. } => "up",
            What::Fault { .. } => "fault",
            What::Trace { .. } => "trace",
            What::Repair { .. } => "repair",
            What::Repaired { .. } => "repaired",
            What::RepairFailed { .. } => "repair-failed",
            What::Waiting { .. } => "waiting",
            What::Escalate { .. } => "escalate",
            What::Hold { .. } => "hold",
            What::Release => "release",
            What::Boost => "boost",
            What::Log { .. } => "log",
            What::Device => "device",
            What::Free => "free",
            What::Resume => "resume",
            What::Reboot => "reboot",
            What::Ready => "ready",
            What::Settled => "settled",
            What::Other(name) => name,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            What::Up { boot_us, incarnation } => {
                optional(f, "boot_us", boot_us)?;
                optional(f, "incarnation", incarnation)
            }
            What::Fault { kind, injected_us, detected_us, cause } => {
                write!(f, " kind={kind}")?;
                optional(f, "injected_us", injected_us)?;
                optional(f, "detected_us", detected_us)?;
                optional(f, "cause", cause)
            }
            What::Trace { n, sym } => {
                write!(f, " n={n}")?;
                optional(f, "sym", sym)
            }
            What::Repair { rung } => write!(f, " rung={rung}"),
            What::Repaired { rung, took_us, since_fault_us, first_beat_us, recovery_us } => {
                write!(f, " rung={rung}")?;
                optional(f, "took_us", took_us)?;
                optional(f, "since_fault_us", since_fault_us)?;
                optional(f, "first_beat_us", first_beat_us)?;
                optional(f, "recovery_us", recovery_us)
            }
            What::RepairFailed { rung, reason } => {
                write!(f, " rung={rung}")?;
                optional(f, "reason", reason)
            }
            What::Waiting { on } => optional(f, "on", on),
            What::Escalate { from, to } => write!(f, " from={from} to={to}"),
            What::Hold { reason } => optional(f, "reason", reason),
            What::Log { level, .. } => optional(f, "level", level),
            _ => Ok(()),
        }
    }
}

fn optional<T: fmt::Display>(f: &mut fmt::Formatter<'_>, key: &str, value: &Option<T>) -> fmt::Result {
    value.as_ref().map_or(Ok(()), |value| write!(f, " {key}={value}"))
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Event { seq, time_us, component, what, fields } = self;
        match seq {
            Some(seq) => write!(f, "{TAG}{seq} {time_us} {component} {what}")?,
            None => write!(f, "{TAG}{NO_NUMBER} {time_us} {component} {what}")?,
        }
        if fields.iter().next().is_some() {
            write!(f, " {fields}")?;
        }
        if let What::Log { msg, .. } = what {
            write!(f, " msg={msg}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fault_line_is_read() {
        let line = "[SD] 41 2000345 probe.a fault kind=crash injected_us=2000100 detected_us=2000280 cause=ud2 rip=0x20134a";
        let event: Event = line.parse().unwrap();
        assert_eq!((event.seq, event.time_us, event.component.as_str()), (Some(41), 2_000_345, "probe.a"));
        assert_eq!(
            event.what,
            What::Fault {
                kind: FaultKind::Crash,
                injected_us: Some(2_000_100),
                detected_us: Some(2_000_280),
                cause: Some("ud2".into()),
            }
        );
        assert_eq!(event.fields.get("rip"), Some("0x20134a"));
        assert_eq!(event.to_string(), line);
    }

    #[test]
    fn a_log_line_keeps_its_text_whole() {
        let line = "[SD] 7 12 net log level=info lost=3 msg=link up, 1000 Mb/s a=b";
        let event: Event = line.parse().unwrap();
        assert_eq!(
            event.what,
            What::Log { level: Some("info".into()), msg: "link up, 1000 Mb/s a=b".into() }
        );
        assert_eq!(event.to_string(), line);
    }

    #[test]
    fn an_unknown_event_is_kept_even_without_a_number() {
        let line = "[SD] - 12 root checked pages=12";
        let event: Event = line.parse().unwrap();
        assert_eq!(event.seq, None);
        assert_eq!(event.what, What::Other("checked".into()));
        assert_eq!(event.fields.get_as("pages"), Some(12));
        assert_eq!(event.to_string(), line);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |line: &str| line.parse::<Event>().unwrap_err().to_string();
        assert_eq!(error("(XEN) hello"), "expected \"[SD] \" first, found \"(XEN) hello\"");
        assert_eq!(error("[SD] x 1 a boot"), "expected a sequence number, found \"x\"");
        assert_eq!(error("[SD] 1 1 a"), "expected an event's name, found \"\"");
        assert_eq!(error("[SD] 1 1 a repair"), "in repair event: expected the field rung, found none");
    }

    fn kind() -> impl Strategy<Value = FaultKind> {
        prop::sample::select(FaultKind::VARIANTS)
    }

    fn rung() -> impl Strategy<Value = Rung> {
        prop::sample::select(&Rung::ALL)
    }

    fn text() -> impl Strategy<Value = Option<String>> {
        prop::option::of("[!-~]{1,12}")
    }

    fn what() -> impl Strategy<Value = What> {
        let number = any::<Option<u64>>;
        prop_oneof![
            Just(What::Boot),
            (number(), number()).prop_map(|(boot_us, incarnation)| What::Up { boot_us, incarnation }),
            (kind(), number(), number(), text()).prop_map(|(kind, injected_us, detected_us, cause)| {
                What::Fault { kind, injected_us, detected_us, cause }
            }),
            (any::<u64>(), text()).prop_map(|(n, sym)| What::Trace { n, sym }),
            rung().prop_map(|rung| What::Repair { rung }),
            (rung(), number(), number(), number(), number()).prop_map(
                |(rung, took_us, since_fault_us, first_beat_us, recovery_us)| What::Repaired {
                    rung,
                    took_us,
                    since_fault_us,
                    first_beat_us,
                    recovery_us,
                }
            ),
            (rung(), text()).prop_map(|(rung, reason)| What::RepairFailed { rung, reason }),
            text().prop_map(|on| What::Waiting { on }),
            (rung(), rung()).prop_map(|(from, to)| What::Escalate { from, to }),
            text().prop_map(|reason| What::Hold { reason }),
            (text(), "[ -~]{0,40}").prop_map(|(level, msg)| What::Log { level, msg }),
            Just(What::Ready),
            "x[a-z-]{1,8}".prop_map(What::Other),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            seq: Option<u64>,
            time_us: u64,
            component in "[a-z][a-z0-9.]{0,14}",
            what in what(),
            fields in prop::option::of("y[a-z]{1,6}=[!-~]{0,8}"),
        ) {
            let fields = fields.unwrap_or_default().parse().unwrap();
            let event = Event { seq, time_us, component, what, fields };
            prop_assert_eq!(event.to_string().parse::<Event>(), Ok(event));
        }

        #[test]
        fn any_line_is_read_or_refused(rest in "\\PC{0,80}") {
            if let Ok(event) = format!("{TAG}{rest}").parse::<Event>() {
                prop_assert_eq!(event.to_string().parse::<Event>(), Ok(event));
            }
        }
    }
}
