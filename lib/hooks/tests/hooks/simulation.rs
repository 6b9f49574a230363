//! A host whose log goes on, a receiver that comes and goes, and a program that dies anywhere: the loop itself, at every place where
//! it waits.

use api::types::{Event, Notification};
use futures::future::{FutureExt, pending};
use futures::task::noop_waker;
use hooks::{Address, Failure, Kept, LONGEST_US, Progress, Sender, World, is_told, run};
use proptest::prelude::*;
use secure::Secret;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll};

/// Lines that the log of this host keeps.
const LINES: usize = 6;

/// How a receiver behaves when it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// It takes what it is told.
    Up,
    /// Nobody is there.
    Down,
    /// It takes it, and its answer does not arrive.
    Mute,
    /// It says no.
    Cross,
    /// It never answers, so that time runs out.
    Stalling,
}

/// What happens between two looks at the program.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The program runs until it waits so many times.
    Run(u8),
    /// It dies, and another life begins.
    Die,
    /// The log gets a line; it is one to be told of, or not.
    Note(bool),
    /// The receiver changes.
    Receiver(Mood),
}

/// Everything but the program.
struct Outside {
    words: Vec<AtomicU64>,
    log: RefCell<VecDeque<Event>>,
    /// All that was ever noted and is to be told.
    to_tell: RefCell<Vec<u64>>,
    noted: Cell<u64>,
    mood: Cell<Mood>,
    heard: RefCell<Vec<Notification>>,
}

/// It as one life of the program sees it.
struct Life<'o> {
    outside: &'o Outside,
    kept: RefCell<Kept<&'o [AtomicU64]>>,
}

/// Waits once, so that the program may die there.
async fn turn() {
    let mut has_waited = false;
    poll_fn(|_| if std::mem::replace(&mut has_waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

impl World for Life<'_> {
    async fn line(&self, from: u64) -> Option<Event> {
        turn().await;
        self.outside.log.borrow().iter().find(|event| event.sequence >= from).cloned()
    }

    async fn wait_for_news(&self) {
        turn().await;
    }

    async fn post(&self, request: &[u8]) -> Result<(), Failure> {
        turn().await;
        let mood = self.outside.mood.get();
        if matches!(mood, Mood::Up | Mood::Mute) {
            let body = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            self.outside.heard.borrow_mut().push(serde_json::from_slice(&request[body..]).unwrap());
        }
        turn().await;
        match mood {
            Mood::Up => Ok(()),
            Mood::Down => Err(Failure::Unreachable),
            Mood::Mute => Err(Failure::Closed),
            Mood::Cross => Err(Failure::Refused(500)),
            Mood::Stalling => Err(Failure::Late),
        }
    }

    async fn wait_after(&self, _: Failure, wait_us: u64) {
        assert!(wait_us <= LONGEST_US);
        turn().await;
    }

    fn progress(&self) -> Progress {
        self.kept.borrow().progress(2)
    }

    fn note(&self, progress: &Progress) {
        self.kept.borrow_mut().note(2, progress);
    }
}

impl Outside {
    fn new() -> Self {
        let words = (0..Kept::<&[AtomicU64]>::WORDS).map(|_| AtomicU64::new(0)).collect();
        Self {
            words,
            log: RefCell::default(),
            to_tell: RefCell::default(),
            noted: Cell::new(0),
            mood: Cell::new(Mood::Up),
            heard: RefCell::default(),
        }
    }

    fn note(&self, is_to_be_told: bool) {
        let sequence = self.noted.get() + 1;
        self.noted.set(sequence);
        let text = if is_to_be_told { "net hold reason=exhausted" } else { "net repaired rung=rebuild" };
        assert_eq!(is_told(text), is_to_be_told);
        let mut log = self.log.borrow_mut();
        log.push_back(Event { sequence, at_us: sequence, text: text.into() });
        if log.len() > LINES {
            log.pop_front();
        }
        if is_to_be_told {
            self.to_tell.borrow_mut().push(sequence);
        }
    }

    /// One life; answers where in `steps` it has ended.
    fn live(&self, steps: &[Step], from: usize) -> usize {
        let kept = RefCell::new(Kept::open(&self.words[..], || 9).unwrap());
        let life = Life { outside: self, kept };
        let to = Address::read("http://10.0.2.2:9000/").unwrap();
        let sender = Sender { host: "host", log: 9, to, key: Secret::new([1; 32]).signing_key(to.text) };
        let mut program = pin!(run(&life, &sender).then(|()| pending::<()>()));
        let waker = noop_waker();
        for (at, step) in steps.iter().enumerate().skip(from) {
            match *step {
                Step::Run(count) => (0..count).for_each(|_| {
                    let _ = program.as_mut().poll(&mut Context::from_waker(&waker));
                }),
                Step::Die => return at + 1,
                Step::Note(is_to_be_told) => self.note(is_to_be_told),
                Step::Receiver(mood) => self.mood.set(mood),
            }
        }
        steps.len()
    }

    /// What was heard is in order, nothing is left out, and everybody can see that from the numbers alone.
    fn is_told_of_everything(&self) -> Result<(), TestCaseError> {
        let heard = self.heard.borrow();
        let (mut last, mut lost) = (0, Vec::new());
        for told in heard.iter() {
            // The same again, or the one that follows; and there is nothing between the two that was not heard.
            prop_assert!(told.sequence >= last, "{} follows {last}", told.sequence);
            prop_assert!(told.after <= last, "{} says that {} was told", told.sequence, told.after);
            last = told.sequence;
            prop_assert_eq!(told.event.is_none(), told.lost_from.is_some());
            lost.extend(told.lost_from.map(|from| from..=told.sequence));
        }
        for sequence in self.to_tell.borrow().iter() {
            let is_heard =
                heard.iter().any(|told| told.event.as_ref().is_some_and(|event| event.sequence == *sequence));
            prop_assert!(
                is_heard || lost.iter().any(|range| range.contains(sequence)),
                "{sequence} was not told"
            );
        }
        // Only what the log had lost is told as lost.
        prop_assert!(lost.iter().all(|range| *range.end() + LINES as u64 <= self.noted.get()));
        Ok(())
    }
}

fn step() -> impl Strategy<Value = Step> {
    let mood =
        prop::sample::select(&[Mood::Up, Mood::Up, Mood::Down, Mood::Mute, Mood::Cross, Mood::Stalling][..]);
    prop_oneof![
        4 => (1..12_u8).prop_map(Step::Run),
        2 => Just(Step::Die),
        4 => any::<bool>().prop_map(Step::Note),
        1 => mood.prop_map(Step::Receiver),
    ]
}

proptest! {
    #[test]
    fn each_event_is_told_at_least_once_and_in_order(steps in prop::collection::vec(step(), 0..120)) {
        let outside = Outside::new();
        let mut at = 0;
        while at < steps.len() {
            at = outside.live(&steps, at);
        }
        // In the end the receiver is there, and the program lives.
        outside.live(&[Step::Receiver(Mood::Up), Step::Run(200)], 0);
        outside.is_told_of_everything()?;
    }
}

/// The program dies at each place where it waits, one after the other.
#[test]
fn a_death_at_any_place_loses_nothing() {
    let mut repeated = 0;
    for before in 1..40 {
        let outside = Outside::new();
        (0..LINES).for_each(|number| outside.note(number % 2 == 0));
        outside.live(&[Step::Run(before), Step::Die], 0);
        outside.live(&[Step::Run(200)], 0);
        outside.is_told_of_everything().unwrap();
        repeated += outside.heard.borrow().len() - outside.to_tell.borrow().len();
    }
    assert!(repeated > 0, "some of these deaths come between the receiver's yes and the note of it");
}

/// A receiver that was away for longer than the log lasts hears so.
#[test]
fn what_the_log_has_lost_is_told_as_lost() {
    let outside = Outside::new();
    outside.mood.set(Mood::Down);
    outside.live(&[Step::Run(10), Step::Die], 0);
    (0..20).for_each(|_| outside.note(true));
    outside.live(&[Step::Receiver(Mood::Up), Step::Run(200)], 0);
    outside.is_told_of_everything().unwrap();
    let heard = outside.heard.borrow();
    assert_eq!((heard[0].lost_from, heard[0].sequence, heard.len()), (Some(1), 14, 1 + LINES));
}
