//! The requests that concern components: looking at them and at the event log, restarting them, making them fail. Each needs a
//! capability of its own.

use crate::command::phase_name;
use crate::host::Host;
use broker::answer::EVENT_TEXT;
use broker::{Answer, ComponentInfo, EventLine, Outcome, Refusal};
use description::Capabilities;
use heapless::String;
use monitor::{ComponentId, Event, Rung};
use uk_abi::fault::Fault;

impl Host {
    /// Whether the component at `asker` may do something.
    fn allowed(&self, asker: usize, capability: Capabilities) -> Result<(), Refusal> {
        let has_it = self.components[asker].description.capabilities.contains(capability);
        if has_it { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// A component that can be started.
    fn startable_at(&self, index: u32) -> Result<ComponentId, Refusal> {
        let none = Refusal::NoComponent { index };
        let component = self.components.get(index as usize).ok_or(none)?;
        if component.incomplete {
            return Err(Refusal::Unable);
        }
        ComponentId::new(component.index).ok_or(none)
    }

    pub(super) fn component_info(&self, asker: usize, index: u32) -> Outcome {
        self.allowed(asker, Capabilities::INSPECT)?;
        let component = self.components.get(index as usize);
        let info = component.and_then(|component| {
            Some(ComponentInfo {
                name: cut(component.name),
                state: cut(phase_name(self.monitor.phase(ComponentId::new(component.index)?))),
                domain: component.domid(),
                incarnation: component.incarnation,
                beats: component.health().map_or(0, |health| health.beats_since_start()),
                fault: component.last_fault.map(|(fault, at_us)| (cut(fault.name()), at_us)),
            })
        });
        Ok(Answer::Component(info))
    }

    pub(super) fn event_line(&self, asker: usize, from: u64) -> Outcome {
        self.allowed(asker, Capabilities::INSPECT)?;
        let line = self.events.line(from);
        let line = line.map(|(sequence, at_us, text)| EventLine { sequence, at_us, text: cut(&text) });
        Ok(Answer::Event(line))
    }

    pub(super) fn restart_for(&mut self, asker: usize, index: u32, rung: u8) -> Outcome {
        self.allowed(asker, Capabilities::OPERATE)?;
        let component = self.startable_at(index)?;
        let rung = *Rung::ALL.get(usize::from(rung)).ok_or(Refusal::Malformed)?;
        self.tell(Event::OperatorRestart { component, rung });
        self.do_actions();
        Ok(Answer::Done)
    }

    pub(super) fn release_for(&mut self, asker: usize, index: u32) -> Outcome {
        self.allowed(asker, Capabilities::OPERATE)?;
        let component = self.startable_at(index)?;
        self.tell(Event::OperatorRelease { component });
        self.do_actions();
        Ok(Answer::Done)
    }

    pub(super) fn inject_for(&mut self, asker: usize, index: u32, fault: u32, argument: u64) -> Outcome {
        self.allowed(asker, Capabilities::FAULTS)?;
        if index as usize >= self.components.len() {
            return Err(Refusal::NoComponent { index });
        }
        let fault = Fault::ALL.into_iter().find(|known| *known as u32 == fault).ok_or(Refusal::Malformed)?;
        self.inject(index as usize, fault, argument).map(|()| Answer::Done).map_err(|_| Refusal::Unable)
    }
}

/// As much of a text as there is room for.
fn cut<const N: usize>(text: &str) -> String<N> {
    let mut room = String::new();
    // What does not fit is left out.
    text.chars().try_for_each(|character| room.push(character)).unwrap_or_default();
    room
}

const _: () = assert!(EVENT_TEXT + 32 <= broker::layout::MAX_ANSWER, "a line goes into an answer");
