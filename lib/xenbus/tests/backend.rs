//! A backend against frontends that do as Linux's do, and against ones that do anything.

use XenbusState::*;
use xenbus::{Action, Backend, Seen, XenbusState};

/// What the backend does, one after the other, when it sees these.
fn actions(backend: &mut Backend, seen: &[Seen]) -> Vec<Option<Action>> {
    seen.iter().map(|&seen| backend.see(seen)).collect()
}

fn connected() -> Backend {
    let (mut backend, first) = Backend::new();
    assert_eq!(first, Action::Offer);
    let seen =
        [Seen::Offered, Seen::Frontend(Initialised), Seen::Connected, Seen::Frontend(XenbusState::Connected)];
    assert_eq!(actions(&mut backend, &seen), [None, Some(Action::Connect), None, None]);
    assert!(backend.is_connected());
    backend
}

#[test]
fn a_device_is_connected_and_unplugged() {
    let mut backend = connected();
    assert_eq!(backend.see(Seen::Online(false)), None, "the frontend is asked first, by its own node");
    assert_eq!(backend.see(Seen::Frontend(Closing)), Some(Action::Disconnect));
    assert_eq!(backend.state(), Closing);
    assert_eq!(backend.see(Seen::Frontend(Closed)), None, "something of the frontend's is in use");
    assert_eq!(backend.see(Seen::Drained), Some(Action::Finish));
    assert_eq!(backend.state(), Closed);
    assert_eq!(backend.see(Seen::Online(false)), Some(Action::Remove));
}

#[test]
fn a_guest_that_boots_again_finds_its_device() {
    let mut backend = connected();
    let seen = [Seen::Frontend(Closing), Seen::Drained, Seen::Frontend(Closed), Seen::Frontend(Initialising)];
    let expected = [Some(Action::Disconnect), None, Some(Action::Finish), Some(Action::Offer)];
    assert_eq!(actions(&mut backend, &seen), expected);
    let seen = [Seen::Offered, Seen::Frontend(Initialised), Seen::Connected];
    assert_eq!(actions(&mut backend, &seen), [None, Some(Action::Connect), None]);
}

#[test]
fn a_guest_that_is_reset_without_a_word_finds_its_device() {
    let mut backend = connected();
    assert_eq!(backend.see(Seen::Frontend(Initialising)), Some(Action::Disconnect));
    assert_eq!(backend.see(Seen::Drained), Some(Action::Finish));
    assert_eq!(backend.see(Seen::Frontend(Initialising)), Some(Action::Offer));
}

#[test]
fn a_frontend_that_breaks_the_rules_has_to_close_first() {
    let mut backend = connected();
    assert_eq!(backend.see(Seen::Broken), Some(Action::Disconnect));
    assert_eq!(backend.see(Seen::Drained), None);
    assert_eq!(backend.see(Seen::Frontend(Initialised)), None);
    assert_eq!(backend.see(Seen::Frontend(Initialising)), None);
    assert_eq!(backend.see(Seen::Frontend(Closed)), Some(Action::Finish));
    assert_eq!(backend.see(Seen::Frontend(Initialising)), Some(Action::Offer));
}

#[test]
fn a_frontend_that_vanishes_takes_the_device_with_it() {
    let mut backend = connected();
    let seen = [Seen::Frontend(Unknown), Seen::Frontend(Unknown), Seen::Drained];
    let expected = [Some(Action::Disconnect), None, Some(Action::Remove)];
    assert_eq!(actions(&mut backend, &seen), expected);
}

#[test]
fn a_frontend_that_was_first_is_connected_to() {
    let (mut backend, _) = Backend::new();
    assert_eq!(backend.see(Seen::Frontend(Initialised)), None, "the features come first");
    assert_eq!(backend.see(Seen::Offered), Some(Action::Connect));
}

#[test]
fn a_backend_that_is_born_again_goes_on() {
    let (mut backend, action) = Backend::reborn(Connected);
    assert_eq!((action, backend.state()), (Some(Action::Resume), Connected));
    assert_eq!(actions(&mut backend, &[Seen::Connected, Seen::Frontend(Connected)]), [None, None]);
    assert!(backend.is_connected());

    let (mut backend, action) = Backend::reborn(InitWait);
    assert_eq!(action, None);
    assert_eq!(backend.see(Seen::Frontend(Initialised)), Some(Action::Connect));

    let (mut backend, action) = Backend::reborn(Closing);
    assert_eq!(action, Some(Action::Disconnect));
    assert_eq!(actions(&mut backend, &[Seen::Frontend(Closed), Seen::Drained]), [None, Some(Action::Finish)]);

    let (mut backend, action) = Backend::reborn(Closed);
    assert_eq!(action, None);
    assert_eq!(backend.see(Seen::Frontend(Initialising)), Some(Action::Offer));

    assert_eq!(Backend::reborn(Unknown).1, Some(Action::Offer));
}

/// Every reachable state, and from each of them the way back to work with a frontend that behaves.
#[test]
fn whatever_was_seen_a_well_behaved_frontend_gets_its_device() {
    let all: Vec<Seen> = XenbusState::ALL
        .iter()
        .map(|&state| Seen::Frontend(state))
        .chain([Seen::Offered, Seen::Connected, Seen::Broken, Seen::Drained])
        .collect();
    let mut reached = vec![Backend::new().0];
    let mut next = 0;
    while let Some(&backend) = reached.get(next) {
        next += 1;
        for &seen in &all {
            let mut after = backend;
            let action = after.see(seen);
            if action == Some(Action::Remove) {
                continue;
            }
            if !reached.contains(&after) {
                reached.push(after);
            }
        }
        let mut revived = backend;
        let behaves = [
            Seen::Offered,
            Seen::Connected,
            Seen::Frontend(Closing),
            Seen::Drained,
            Seen::Frontend(Closed),
            Seen::Frontend(Initialising),
            Seen::Offered,
            Seen::Frontend(Initialised),
            Seen::Connected,
        ];
        actions(&mut revived, &behaves);
        assert!(revived.is_connected(), "from {backend:?} to {revived:?}");
    }
    assert!(reached.len() > 20, "only {} states were reached", reached.len());
}
