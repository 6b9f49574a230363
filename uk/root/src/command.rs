//! The operator's commands on Xen's console, one line each. Answers have the tag `[RC]`; the last line of
//! an answer is `ok`, or `error` with the reason.
//!
//! Whoever has the serial line has the host: commands are obeyed only where the description says so.

use crate::host::Host;
use crate::self_harm;
use core::fmt::{Arguments, Write};
use core::str::FromStr;
use heapless::String;
use kernel::console;
use kernel::harm::Harm;
use kernel::pv::event;
use monitor::{ComponentId, Event, Phase, Rung};
use uk_abi::fault::Fault;
use xen_abi::event_channel::PortState;
use xen_abi::sched::ShutdownReason;
use xen_abi::{Domid, Port};

/// Bytes of a line at most.
const LINE: usize = 120;

/// Into whom a fault is injected that is to happen to all components at the same time.
const EVERYBODY: &str = "all";

/// Ports that `free` looks through, of root and of each component: more than either uses.
const PORTS_COUNTED: u32 = 128;

/// The operator's console.
pub struct Console {
    obeys: bool,
    line: String<LINE>,
}

impl Console {
    /// A console whose commands are obeyed or not.
    pub fn new(obeys: bool) -> Self {
        Self { obeys, line: String::new() }
    }

    /// Takes typed bytes in until a line is complete, and answers it.
    fn take(&mut self, byte: u8) -> Option<String<LINE>> {
        match byte {
            b'\r' | b'\n' => Some(core::mem::take(&mut self.line)).filter(|line| !line.is_empty()),
            // What is too long for a command is cut, and then is none.
            b' '..=b'~' => {
                let _ = self.line.push(byte.into());
                None
            }
            _ => None,
        }
    }
}

fn answer(line: Arguments<'_>) {
    let mut text = String::<200>::new();
    // A name is 15 bytes, a number 20: what is too long is cut.
    let _ = write!(text, "[RC] {line}");
    console::write_line(&text);
}

/// What an operator is told of a phase.
pub const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Unstarted => "unstarted",
        Phase::Down => "down",
        Phase::Waiting { .. } => "waiting",
        Phase::Repairing { .. } => "repairing",
        Phase::Starting { .. } => "starting",
        Phase::Healthy => "healthy",
        Phase::Held { .. } => "held",
    }
}

impl Host {
    /// Reads what was typed and obeys complete lines.
    pub fn obey(&mut self) {
        let mut buffer = [0; 64];
        for &byte in console::read(&mut buffer) {
            if let Some(line) = self.console.take(byte)
                && self.console.obeys
            {
                // What happened before the command was given is to be read before its answer.
                self.note_reports();
                while self.events.print_one() {}
                match self.command(&line) {
                    Ok(()) => answer(format_args!("ok")),
                    Err(reason) => answer(format_args!("error {reason}")),
                }
            }
        }
    }

    fn command(&mut self, line: &str) -> Result<(), &'static str> {
        let mut words = line.split_ascii_whitespace();
        let verb = words.next().ok_or("say what to do")?;
        match verb {
            "inject" => {
                let name = words.next();
                let fault =
                    words.next().and_then(|word| Fault::from_str(word).ok()).ok_or("no such fault")?;
                let argument =
                    words.next().map_or(Ok(0), u64::from_str).map_err(|_| "the argument is no number")?;
                if name == Some(EVERYBODY) {
                    return (0..self.components.len())
                        .try_for_each(|index| self.inject(index, fault, argument));
                }
                self.inject(self.component(name)?, fault, argument)
            }
            "status" => {
                self.status();
                Ok(())
            }
            "restart" => {
                let component = self.startable(words.next())?;
                let rung = words.next().and_then(|word| Rung::from_str(word).ok()).ok_or("no such rung")?;
                self.tell(Event::OperatorRestart { component, rung });
                self.do_actions();
                Ok(())
            }
            "release" => {
                let component = self.startable(words.next())?;
                self.tell(Event::OperatorRelease { component });
                self.do_actions();
                Ok(())
            }
            "ping" => {
                let index = self.component(words.next())?;
                self.components[index].ring();
                let health = self.components[index].health().ok_or("it has no domain")?;
                let used = self.control.vcpu_info(self.components[index].domid(), 0);
                let cpu_us = used.map_err(|_| "Xen does not say")?.cpu_time / 1000;
                answer(format_args!(
                    "beats={} incarnation={} cpu_us={cpu_us}",
                    health.beats(),
                    self.components[index].incarnation
                ));
                Ok(())
            }
            "tell" => {
                let index = self.component(words.next())?;
                let health = self.components[index].health().ok_or("it has no domain")?;
                let name = self.components[index].name;
                let said = line.split_once(name).map_or("", |(_, said)| said.trim_start());
                health.tell(said);
                self.components[index].ring();
                Ok(())
            }
            "free" => self.free(),
            "selfharm" => {
                let harm =
                    words.next().and_then(|word| Harm::from_str(word).ok()).ok_or("no such fault of root")?;
                answer(format_args!("ok"));
                self_harm::commit(&mut self.books, harm);
                Err("root survived that without a restart")
            }
            "poweroff" => {
                answer(format_args!("ok"));
                kernel::pv::sched::shutdown(ShutdownReason::Poweroff);
                Err("Xen refused")
            }
            _ => Err(
                "no such command; there are inject, status, restart, release, ping, tell, free, selfharm, poweroff",
            ),
        }
    }

    fn component(&self, name: Option<&str>) -> Result<usize, &'static str> {
        let name = name.ok_or("say which component")?;
        self.components.iter().position(|component| component.name == name).ok_or("no such component")
    }

    /// A component that an operator can have started.
    fn startable(&self, name: Option<&str>) -> Result<ComponentId, &'static str> {
        let index = self.component(name)?;
        if self.components[index].incomplete {
            return Err("this host lacks a device that it cannot do without");
        }
        ComponentId::new(index).ok_or("no such component")
    }

    /// Makes the component at `index` fail.
    ///
    /// # Errors
    /// It cannot.
    pub fn inject(&mut self, index: usize, fault: Fault, argument: u64) -> Result<(), &'static str> {
        let component = &self.components[index];
        if fault == Fault::RogueDma && component.devices.is_empty() {
            return Err("it has no device that could do that");
        }
        if fault == Fault::RogueDma && !component.devices.iter().all(|device| device.contained) {
            return Err(
                "this host has no IOMMU to contain that: the device would write to whatever is there",
            );
        }
        let health = component.health().ok_or("it has no domain")?;
        health.inject(fault, argument);
        component.ring();
        Ok(())
    }

    fn status(&self) {
        for component in &self.components {
            let Some(id) = ComponentId::new(component.index) else { continue };
            let state = phase_name(self.monitor.phase(id));
            let beats = component.health().map_or(0, |health| health.beats_since_start());
            let cpu_us = self.control.vcpu_info(component.domid(), 0).map_or(0, |info| info.cpu_time / 1000);
            answer(format_args!(
                "{} state={state} domid={} incarnation={} beats={beats} cpu_us={cpu_us}",
                component.name,
                component.domid().0,
                component.incarnation
            ));
        }
    }

    /// What must stay the same however often components are repaired.
    fn free(&self) -> Result<(), &'static str> {
        let physinfo = self.control.physinfo().map_err(|_| "Xen does not say")?;
        let open = |domain: Domid| {
            let state = |port| event::status(domain, Port(port)).ok().and_then(|status| status.state());
            (1..PORTS_COUNTED).filter(|port| !matches!(state(*port), None | Some(PortState::Closed))).count()
        };
        let evtchns: usize =
            open(Domid::SELF) + self.components.iter().map(|c| open(c.domid())).sum::<usize>();
        answer(format_args!("pages={} evtchns={evtchns}", physinfo.free_pages));
        Ok(())
    }
}
