//! The supervisor against a model of what may run beside what, and against drivers that die of something.

use proptest::collection::vec;
use proptest::prelude::*;
use shadow::{Group, Limits, Next, Order, Outcome, Shadow, Token, Verdict};
use std::collections::BTreeMap;

const TOKENS: u16 = 24;
const PATIENT: Limits = Limits { alone_after: u8::MAX, give_up_after: u8::MAX, failures_in_a_row: u8::MAX };

#[derive(Clone, Debug)]
enum Step {
    Admit(u16, Order),
    Start,
    Finish(usize, bool),
    DriverDies,
    Withdraw(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let order = prop_oneof![6 => Just(Order::Free), 2 => Just(Order::Flush), 2 => Just(Order::Fence)];
    let one = prop_oneof![
        8 => (0..3_u16, order).prop_map(|(group, order)| Step::Admit(group, order)),
        10 => Just(Step::Start),
        6 => (0..99_usize, any::<bool>()).prop_map(|(which, done)| Step::Finish(which, done)),
        1 => Just(Step::DriverDies),
        1 => (0..99_usize).prop_map(Step::Withdraw),
    ];
    vec(one, 1..300)
}

#[derive(Clone, Debug)]
struct Item {
    token: Token,
    group: u16,
    order: Order,
    running: bool,
    started: bool,
}

impl Item {
    fn is_fence(&self) -> bool {
        self.order == Order::Fence || self.order == Order::Flush && self.started
    }
}

/// What may start: the first that waits of each group, if nothing that runs forbids it; and then the next.
fn may_start(items: &[Item], place: usize) -> bool {
    let item = &items[place];
    let before = items[..place].iter().filter(|other| other.group == item.group);
    let mut running = items.iter().filter(|other| other.group == item.group && other.running);
    before.clone().all(|other| other.running)
        && if item.is_fence() { running.next().is_none() } else { running.all(|other| !other.is_fence()) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn order_is_kept_and_nothing_is_forgotten(steps in steps()) {
        let mut shadow = Shadow::new(usize::from(TOKENS), PATIENT);
        shadow.driver_ready();
        // In the order in which they came.
        let mut items: Vec<Item> = Vec::new();
        for step in steps {
            match step {
                Step::Admit(group, order) => {
                    let free = (0..TOKENS).map(Token).find(|token| items.iter().all(|item| item.token != *token));
                    if let Some(token) = free {
                        shadow.admit(token, Group(group), order);
                        items.push(Item { token, group, order, running: false, started: false });
                    }
                }
                Step::Start => {
                    let place = (0..items.len()).find(|&place| !items[place].running && may_start(&items, place));
                    let expected = place.map(|place| items[place].token);
                    let started = shadow.next(0).map(|next| match next {
                        Next::Start { token, retries } => (token, retries > 0),
                        Next::GiveUp { token } => panic!("{token:?} was given up"),
                    });
                    prop_assert_eq!(started.map(|(token, _)| token), expected);
                    if let Some(place) = place {
                        prop_assert_eq!(started.map(|(_, again)| again), Some(items[place].started));
                        // A flush that is started for the first time stands in nobody's way, later too.
                        items[place].running = true;
                        items[place].started |= items[place].order != Order::Flush;
                    }
                }
                Step::Finish(which, done) => {
                    let running: Vec<usize> = (0..items.len()).filter(|&place| items[place].running).collect();
                    if let Some(&place) = running.get(which % running.len().max(1)) {
                        let outcome = if done { Outcome::Done } else { Outcome::Aborted };
                        let verdict = shadow.finished(items[place].token, outcome);
                        prop_assert_eq!(verdict, if done { Verdict::Answer(outcome) } else { Verdict::Again });
                        if done {
                            items.remove(place);
                        } else {
                            (items[place].running, items[place].started) = (false, true);
                        }
                    }
                }
                Step::DriverDies => {
                    shadow.driver_failed();
                    prop_assert_eq!(shadow.next(0), None);
                    shadow.driver_ready();
                    for item in &mut items {
                        item.started |= core::mem::take(&mut item.running);
                    }
                }
                Step::Withdraw(which) => {
                    if let Some(item) = items.get(which % items.len().max(1)).cloned() {
                        prop_assert_eq!(shadow.withdraw(item.token), !item.running);
                        items.retain(|other| other.token != item.token || other.running);
                    }
                }
            }
            prop_assert_eq!(shadow.running(), items.iter().filter(|item| item.running).count());
            prop_assert_eq!(shadow.waiting(), items.iter().filter(|item| !item.running).count());
        }
    }

    #[test]
    fn what_kills_the_driver_is_found(culprits in vec(0..TOKENS, 1..3), groups in 1..4_u16) {
        let limits = Limits::default();
        let mut shadow = Shadow::new(usize::from(TOKENS), limits);
        for token in 0..TOKENS {
            shadow.admit(Token(token), Group(token % groups), Order::Free);
        }
        let (mut ends, mut deaths, mut starts) = (BTreeMap::new(), 0, BTreeMap::<Token, u32>::new());
        while ends.len() < usize::from(TOKENS) {
            shadow.driver_ready();
            let mut running = Vec::new();
            while let Some(next) = shadow.next(0) {
                match next {
                    Next::Start { token, .. } => running.push(token),
                    Next::GiveUp { token } => _ = ends.insert(token, false),
                }
            }
            running.iter().for_each(|token| *starts.entry(*token).or_default() += 1);
            if running.iter().any(|token| culprits.contains(&token.0)) {
                deaths += 1;
                shadow.driver_failed();
                continue;
            }
            for token in running {
                prop_assert_eq!(shadow.finished(token, Outcome::Done), Verdict::Answer(Outcome::Done));
                ends.insert(token, true);
            }
        }
        for (token, done) in ends {
            prop_assert_eq!(done, !culprits.contains(&token.0), "{:?}", token);
        }
        // The innocent were started with the guilty, and once alone.
        let most = u32::from(limits.give_up_after);
        prop_assert!(starts.values().all(|&count| count <= most), "{:?}", starts);
        prop_assert!(deaths <= most * culprits.len() as u32, "{deaths} deaths");
    }
}

#[test]
fn a_bad_sector_is_the_mediums_and_a_row_of_them_is_suspicious_once() {
    let limits = Limits { failures_in_a_row: 3, ..Limits::default() };
    let mut shadow = Shadow::new(4, limits);
    shadow.driver_ready();
    let mut finish = |outcome| {
        let token = Token(0);
        if shadow.waiting() == 0 {
            shadow.admit(token, Group(0), Order::Free);
        }
        assert!(matches!(shadow.next(0), Some(Next::Start { .. })));
        let verdict = shadow.finished(token, outcome);
        if verdict == Verdict::DriverAtFault {
            assert!(!shadow.driver_is_up());
            shadow.driver_ready();
        }
        verdict
    };
    let failed = Verdict::Answer(Outcome::Failed);
    assert_eq!([finish(Outcome::Failed), finish(Outcome::Failed)], [failed; 2]);
    assert_eq!(finish(Outcome::Done), Verdict::Answer(Outcome::Done));
    assert_eq!([finish(Outcome::Failed), finish(Outcome::Failed)], [failed; 2]);
    assert_eq!(finish(Outcome::Failed), Verdict::DriverAtFault);
    // The same again, and others: a new driver says so too.
    assert_eq!([(); 9].map(|()| finish(Outcome::Failed)), [failed; 9]);
    assert_eq!(finish(Outcome::Unsupported), Verdict::Answer(Outcome::Unsupported));
    assert_eq!(finish(Outcome::Done), Verdict::Answer(Outcome::Done));
    assert_eq!([finish(Outcome::Failed), finish(Outcome::Failed)], [failed; 2]);
    assert_eq!(finish(Outcome::Failed), Verdict::DriverAtFault);
}

#[test]
fn what_an_earlier_life_took_is_done_before_what_is_new_where_it_matters() {
    let mut shadow = Shadow::new(8, Limits::default());
    for (token, order) in [(3, Order::Free), (1, Order::Flush), (2, Order::Free)] {
        shadow.admit_again(Token(token), Group(0), order, 0);
    }
    shadow.admit(Token(0), Group(0), Order::Free);
    shadow.admit(Token(4), Group(1), Order::Free);
    shadow.driver_ready();
    let started = |shadow: &mut Shadow| {
        core::iter::from_fn(|| shadow.next(5))
            .map(|next| match next {
                Next::Start { token, retries } => (token.0, retries),
                Next::GiveUp { token } => panic!("{token:?} was given up"),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(started(&mut shadow), [(3, 1), (4, 0)], "the flush waits for what came before it");
    shadow.finished(Token(3), Outcome::Done);
    assert_eq!(started(&mut shadow), [(1, 1)]);
    assert_eq!(shadow.oldest_us(), Some(5));
    shadow.finished(Token(1), Outcome::Done);
    assert_eq!(started(&mut shadow), [(2, 1), (0, 0)]);
    assert_eq!((shadow.running(), shadow.waiting(), shadow.progress()), (3, 0, 2));
}

#[test]
fn a_driver_that_finishes_what_it_was_not_given_is_at_fault() {
    let mut shadow = Shadow::new(2, Limits::default());
    shadow.driver_ready();
    shadow.admit(Token(0), Group(0), Order::Free);
    for stray in [Token(0), Token(1), Token(9)] {
        assert_eq!(shadow.finished(stray, Outcome::Done), Verdict::DriverAtFault);
        assert!(!shadow.driver_is_up());
        shadow.driver_ready();
    }
    assert_eq!(shadow.next(0), Some(Next::Start { token: Token(0), retries: 0 }));
}
