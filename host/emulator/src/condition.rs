//! What a test waits for, said in words: `component("probe.a").is_repaired_by(Rung::MicroReboot)`.

use std::fmt;

use crate::event::{Event, FaultKind, Rung, What};

/// The component whose events are meant.
pub fn component(name: impl Into<String>) -> Subject {
    Subject { name: name.into() }
}

/// Root itself.
pub fn root() -> Subject {
    component("root")
}

/// Every component is up.
pub fn everything_is_up() -> Condition {
    root().says("says that everything is up", |what| *what == What::Ready)
}

/// There is nothing left to do: every component is at work, or held, or waits for one that is held.
pub fn all_is_settled() -> Condition {
    root().says("says that all is settled", |what| matches!(what, What::Ready | What::Settled))
}

/// Whom a condition is about.
#[derive(Clone, Debug)]
pub struct Subject {
    name: String,
}

impl Subject {
    /// It gave its first heartbeat.
    pub fn is_up(self) -> Condition {
        self.says("is up", |what| matches!(what, What::Up { .. }))
    }

    /// A fault of this kind was noticed.
    pub fn fails_by(self, wanted: FaultKind) -> Condition {
        self.says(
            format!("fails by {wanted}"),
            move |what| matches!(what, What::Fault { kind, .. } if *kind == wanted),
        )
    }

    /// A fault of whatever kind was noticed.
    pub fn fails(self) -> Condition {
        self.says("fails", |what| matches!(what, What::Fault { .. }))
    }

    /// A repair on this rung starts.
    pub fn is_under_repair_by(self, wanted: Rung) -> Condition {
        self.says(
            format!("is under repair by {wanted}"),
            move |what| matches!(what, What::Repair { rung } if *rung == wanted),
        )
    }

    /// A repair on this rung ended with a heartbeat.
    pub fn is_repaired_by(self, wanted: Rung) -> Condition {
        self.says(
            format!("is repaired by {wanted}"),
            move |what| matches!(what, What::Repaired { rung, .. } if *rung == wanted),
        )
    }

    /// A repair ended with a heartbeat, on whatever rung.
    pub fn is_repaired(self) -> Condition {
        self.says("is repaired", |what| matches!(what, What::Repaired { .. }))
    }

    /// This rung is next, because a cheaper one did not help.
    pub fn escalates_to(self, wanted: Rung) -> Condition {
        self.says(
            format!("escalates to {wanted}"),
            move |what| matches!(what, What::Escalate { to, .. } if *to == wanted),
        )
    }

    /// It is left alone until it is released.
    pub fn is_held(self) -> Condition {
        self.says("is held", |what| matches!(what, What::Hold { .. }))
    }

    /// It was released.
    pub fn is_released(self) -> Condition {
        self.says("is released", |what| *what == What::Release)
    }

    /// It was given more weight.
    pub fn is_boosted(self) -> Condition {
        self.says("is boosted", |what| *what == What::Boost)
    }

    /// It reboots the host.
    pub fn reboots_the_host(self) -> Condition {
        self.says("reboots the host", |what| *what == What::Reboot)
    }

    /// Root's broker refused what it has asked for, and no sound component would ask for.
    pub fn is_refused(self) -> Condition {
        self.says("is refused", |what| matches!(what, What::Other(name) if name == "broker"))
    }

    /// It does something too often for root to listen.
    pub fn floods(self) -> Condition {
        self.says("floods", |what| matches!(what, What::Other(name) if name == "flood"))
    }

    /// It logged a record that contains `text`.
    pub fn logs(self, text: &str) -> Condition {
        let text = text.to_owned();
        self.says(
            format!("logs {text:?}"),
            move |what| matches!(what, What::Log { msg, .. } if msg.contains(&text)),
        )
    }

    /// A life of it ended, and the last that it said, such as the message of a panic, contains `text`.
    pub fn dies_saying(self, text: &str) -> Condition {
        let what = format!("dies saying {text:?}");
        let text = text.to_owned();
        let test = move |event: &Event| {
            event.what == What::Other("crash".into())
                && event.fields.get("msg").is_some_and(|msg| msg.contains(&text))
        };
        Condition { subject: self.name, what, test: Box::new(test) }
    }

    fn says(
        self,
        what: impl Into<String>,
        test: impl Fn(&What) -> bool + Send + Sync + 'static,
    ) -> Condition {
        let test = move |event: &Event| test(&event.what);
        Condition { subject: self.name, what: what.into(), test: Box::new(test) }
    }
}

/// A test of one event that can say what it waits for.
pub struct Condition {
    subject: String,
    what: String,
    test: Box<dyn Fn(&Event) -> bool + Send + Sync>,
}

impl Condition {
    /// Whether `event` is what is waited for.
    pub fn is_met_by(&self, event: &Event) -> bool {
        event.component == self.subject && (self.test)(event)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.subject, self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meets(condition: &Condition, line: &str) -> bool {
        condition.is_met_by(&line.parse().unwrap())
    }

    #[test]
    fn conditions_are_about_one_component_and_one_thing() {
        let condition = component("probe.a").is_repaired_by(Rung::Rebuild);
        assert_eq!(condition.to_string(), "probe.a is repaired by rebuild");
        assert!(meets(&condition, "[SD] 1 2 probe.a repaired rung=rebuild took_us=9"));
        assert!(!meets(&condition, "[SD] 1 2 probe.a repaired rung=micro-reboot took_us=9"));
        assert!(!meets(&condition, "[SD] 1 2 probe.b repaired rung=rebuild took_us=9"));
        assert!(!meets(&condition, "[SD] 1 2 probe.a repair rung=rebuild"));
    }

    #[test]
    fn each_condition_is_met_by_its_event() {
        let a = || component("a");
        for (condition, event) in [
            (a().is_up(), "up boot_us=1"),
            (a().fails(), "fault kind=hang"),
            (a().fails_by(FaultKind::Hang), "fault kind=hang"),
            (a().is_under_repair_by(Rung::Cascade), "repair rung=cascade"),
            (a().is_repaired(), "repaired rung=cascade"),
            (a().escalates_to(Rung::Rebuild), "escalate from=micro-reboot to=rebuild"),
            (a().is_held(), "hold reason=attempts"),
            (a().is_released(), "release"),
            (a().is_boosted(), "boost"),
            (a().reboots_the_host(), "reboot msg=died too often"),
            (a().dies_saying("not served"), "crash vector=256 msg=panicked: it is not served"),
            (a().is_refused(), "broker refused=destroy msg=d1 is none of the asker's domains"),
            (a().floods(), "flood what=broker refused=100 limit=100"),
            (a().logs("no memory"), "log level=error msg=there is no memory left"),
        ] {
            assert!(meets(&condition, &format!("[SD] 1 2 a {event}")), "{condition}");
            assert!(!meets(&condition, "[SD] 1 2 a boot"), "{condition}");
        }
        assert!(meets(&everything_is_up(), "[SD] 1 2 root ready healthy=2 held=0 waiting=0"));
        assert!(!meets(&everything_is_up(), "[SD] 1 2 root settled healthy=1 held=1 waiting=0"));
        assert!(meets(&all_is_settled(), "[SD] 1 2 root settled healthy=1 held=1 waiting=0"));
    }
}
