//! The machine of phases, and what the journal makes of them.

use proptest::prelude::*;
use toolstack::phase::{Event, Phase, StopReason, Then, Wish};
use xlcfg::OnEvent;

const REASON: StopReason = StopReason::Crash;

fn phases() -> Vec<Phase> {
    let stopping = |wish| Phase::Stopping { wish, deadline_us: 7 };
    let preserved = [0, 1, 2, 3, 4].map(|number| Phase::Preserved { reason: StopReason::from_xen(number) });
    let mut phases = vec![
        Phase::Building,
        Phase::Starting,
        Phase::Running,
        Phase::Paused,
        stopping(Wish::PowerOff),
        stopping(Wish::Reboot),
        Phase::Destroying { then: Then::Forget },
        Phase::Destroying { then: Then::Rebuild },
    ];
    phases.extend(preserved);
    phases
}

fn events() -> Vec<Event> {
    let actions = [OnEvent::Destroy, OnEvent::Restart, OnEvent::RenameRestart, OnEvent::Preserve];
    let mut events = vec![
        Event::Built,
        Event::Failed,
        Event::Started,
        Event::Gone,
        Event::Stop { wish: Wish::PowerOff, deadline_us: 9 },
        Event::Stop { wish: Wish::Reboot, deadline_us: 9 },
        Event::Pause,
        Event::Unpause,
        Event::Destroy,
        Event::Late,
        Event::Cleared,
        Event::Found,
    ];
    events.extend(actions.map(|action| Event::Stopped { reason: REASON, action }));
    events
}

#[test]
fn the_journal_says_each_phase_in_words_of_its_own() {
    for phase in phases() {
        assert_eq!(phase.to_string().parse(), Ok(phase));
    }
    let mut texts: Vec<_> = phases().iter().map(Phase::to_string).collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), phases().len());
}

/// What is destroyed stays destroyed, whatever else happens; and everything can be destroyed.
#[test]
fn destroying_ends_in_one_way() {
    for event in events() {
        let forget = Phase::Destroying { then: Then::Forget };
        let expected = (event == Event::Cleared).then_some(Phase::Forgotten);
        assert_eq!(forget.after(event), expected, "{event:?}");
    }
    let forgotten = |phase: &Phase| *phase == Phase::Destroying { then: Then::Forget };
    for phase in phases().into_iter().filter(|phase| !forgotten(phase)) {
        assert_eq!(phase.after(Event::Destroy), Some(Phase::Destroying { then: Then::Forget }), "{phase}");
    }
}

/// A domain is there when XenStore says so: it comes by being built, and it goes by being cleared.
#[test]
fn a_domain_comes_and_goes_in_one_way_each() {
    for (phase, event) in
        phases().into_iter().flat_map(|phase| events().into_iter().map(move |event| (phase, event)))
    {
        let Some(next) = phase.after(event) else { continue };
        if !phase.has_domain() && next.has_domain() {
            assert_eq!((phase, event, next), (Phase::Building, Event::Built, Phase::Starting));
        }
        if phase.has_domain() && !next.has_domain() {
            assert!(matches!(next, Phase::Destroying { .. }), "{phase} {event:?} {next}");
        }
        if next == Phase::Building {
            assert_eq!((phase, event), (Phase::Destroying { then: Then::Rebuild }, Event::Cleared));
        }
    }
}

/// A new life changes nothing of what is there, and begins anew what nobody can tell.
#[test]
fn a_new_life_finds_what_the_last_one_has_left() {
    for phase in phases() {
        let expected = (phase == Phase::Building).then_some(Phase::Destroying { then: Then::Rebuild });
        assert_eq!(phase.after(Event::Found), expected, "{phase}");
    }
}

#[test]
fn a_guest_that_stops_gets_what_its_configuration_says() {
    let cases = [
        (OnEvent::Destroy, Phase::Destroying { then: Then::Forget }),
        (OnEvent::Restart, Phase::Destroying { then: Then::Rebuild }),
        (OnEvent::Preserve, Phase::Preserved { reason: REASON }),
        (OnEvent::RenameRestart, Phase::Preserved { reason: REASON }),
    ];
    let stopping = Phase::Stopping { wish: Wish::PowerOff, deadline_us: 7 };
    for (action, expected) in cases {
        for phase in [Phase::Starting, Phase::Running, Phase::Paused, stopping] {
            assert_eq!(phase.after(Event::Stopped { reason: REASON, action }), Some(expected), "{phase}");
        }
        assert_eq!(
            Phase::Preserved { reason: REASON }.after(Event::Stopped { reason: REASON, action }),
            None
        );
    }
}

proptest! {
    #[test]
    fn other_words_are_no_phase(text in "[a-z0-9 ]{0,30}") {
        if let Ok(phase) = text.parse::<Phase>() {
            prop_assert_eq!(phase.to_string(), text);
        }
    }
}
