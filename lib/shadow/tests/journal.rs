//! The journal across lives that end at any store, and with records that were damaged.

use proptest::collection::vec;
use proptest::prelude::*;
use recovery_box::RecoveryBox;
use serde::{Deserialize, Serialize};
use shadow::{Journal, Open, Token, Work};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use uk_abi::Words;

const SLOTS: usize = 12;
const RINGS: usize = 2;
const PAYLOAD: usize = 40;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Job(u64);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Reply(u64);

impl Work for Job {
    type Answer = Reply;
    const VERSION: u16 = 1;
}

/// Memory that keeps only so many more stores.
#[derive(Clone, Debug)]
struct Memory {
    words: Rc<Vec<AtomicU64>>,
    stores: Rc<Cell<usize>>,
}

impl Memory {
    fn new() -> Self {
        let count = RecoveryBox::<Self, SLOTS, PAYLOAD>::WORDS;
        let words = (0..count).map(|_| AtomicU64::new(0)).collect();
        Self { words: Rc::new(words), stores: Rc::new(Cell::new(usize::MAX)) }
    }
}

impl Words for Memory {
    fn count(&self) -> usize {
        self.words.len()
    }

    fn load(&self, index: usize, order: Ordering) -> u64 {
        self.words[index].load(order)
    }

    fn store(&self, index: usize, value: u64, order: Ordering) {
        if let Some(left) = self.stores.get().checked_sub(1) {
            self.stores.set(left);
            self.words[index].store(value, order);
        }
    }
}

type Jobs = Journal<Memory, Job, SLOTS, PAYLOAD>;

fn open(memory: &Memory) -> (Jobs, Vec<(Token, Open<Job>)>) {
    memory.stores.set(usize::MAX);
    let (journal, found) = Jobs::open(memory.clone(), RINGS).unwrap();
    assert_eq!(found.unreadable, 0);
    (journal, found.open)
}

#[derive(Clone, Debug)]
enum Move {
    Begin,
    Retry(usize),
    Answer(usize),
    End(usize),
    Cursor(u32),
    /// Die in the middle of the next move.
    Die(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        6 => Just(Move::Begin),
        1 => (0..99_usize).prop_map(Move::Retry),
        4 => (0..99_usize).prop_map(Move::Answer),
        4 => (0..99_usize).prop_map(Move::End),
        1 => any::<u32>().prop_map(Move::Cursor),
        1 => (0..30_usize).prop_map(Move::Die),
    ];
    vec(one, 1..120)
}

/// What is open, in the order in which it is told.
fn told(model: &BTreeMap<u16, (u64, Open<Job>)>) -> Vec<(Token, Open<Job>)> {
    let mut open: Vec<_> =
        model.iter().map(|(&token, (order, open))| (token, *order, open.clone())).collect();
    open.sort_by_key(|(_, order, open)| match open {
        Open::Answering(_) => (0, 0),
        Open::Begun { .. } => (1, *order),
    });
    open.into_iter().map(|(token, _, open)| (Token(token), open)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_next_life_finds_what_was_open(moves in moves()) {
        let memory = Memory::new();
        let (mut journal, _) = open(&memory);
        let mut model: BTreeMap<u16, (u64, Open<Job>)> = BTreeMap::new();
        let (mut next, mut cursor, mut dying) = (0, None, false);
        for step in moves {
            let before = (model.clone(), cursor);
            let pick = |place: usize| model.keys().nth(place % model.len().max(1)).copied();
            match step {
                Move::Begin => {
                    next += 1;
                    let token = journal.begin(&Job(next)).unwrap();
                    prop_assert_eq!(token.is_some(), model.len() < SLOTS - RINGS);
                    if let Some(token) = token {
                        let entry = (next, Open::Begun { work: Job(next), retries: 0 });
                        prop_assert!(model.insert(token.0, entry).is_none(), "the token is in use");
                    }
                }
                Move::Retry(place) => {
                    if let Some(token) = pick(place) {
                        journal.retry(Token(token), 7);
                        if let Some((_, Open::Begun { retries, .. })) = model.get_mut(&token) {
                            *retries = 7;
                        }
                    }
                }
                Move::Answer(place) => {
                    if let Some(token) = pick(place) {
                        journal.answering(Token(token), &Reply(99)).unwrap();
                        model.insert(token, (0, Open::Answering(Reply(99))));
                    }
                }
                Move::End(place) => {
                    if let Some(token) = pick(place) {
                        journal.end(Token(token));
                        model.remove(&token);
                    }
                }
                Move::Cursor(value) => {
                    journal.set_cursor(1, value).unwrap();
                    cursor = Some(value);
                }
                Move::Die(stores) => {
                    memory.stores.set(stores);
                    dying = true;
                    continue;
                }
            }
            if core::mem::take(&mut dying) {
                let (reopened, found) = open(&memory);
                journal = reopened;
                let sorted = |mut open: Vec<(Token, Open<Job>)>| {
                    // Answers are in no order among themselves.
                    open.sort_by_key(|(token, open)| matches!(open, Open::Answering(_)).then_some(*token));
                    open
                };
                let found = sorted(found);
                if found == sorted(told(&before.0)) && journal.cursor(1) == before.1 {
                    (model, cursor) = before;
                }
                prop_assert_eq!(found, sorted(told(&model)), "neither as before nor as after");
                prop_assert_eq!(journal.cursor(1), cursor);
            }
            prop_assert_eq!(journal.has_room(), model.len() < SLOTS - RINGS);
        }
    }
}

#[test]
fn a_lost_record_is_missed_by_nobody_but_its_cursor() {
    let memory = Memory::new();
    let (mut journal, _) = open(&memory);
    let tokens: Vec<Token> = (0..3).map(|job| journal.begin(&Job(job)).unwrap().unwrap()).collect();
    journal.set_cursor(0, 3).unwrap();
    // Both copies of the second record.
    let words: Vec<u64> = memory.words.iter().map(|word| word.load(Ordering::Relaxed)).collect();
    let header = |key: u64| move |word: &u64| word & 0xffff_ffff == key && word >> 32 == 1 << 16 | 1;
    for (index, word) in words.iter().enumerate() {
        if header(u64::from(tokens[1].0))(word) {
            memory.words[index].store(0x0bad, Ordering::Relaxed);
        }
    }
    let (journal, found) = Jobs::open(memory, RINGS).unwrap();
    assert_eq!(found.report.lost, 1);
    let jobs: Vec<_> = found.open.into_iter().map(|(token, _)| token).collect();
    assert_eq!(jobs, [tokens[0], tokens[2]]);
    assert_eq!(journal.cursor(0), Some(3), "three had been taken");
    assert_eq!(journal.cursor(1), None);
}
