//! A vault that is cut off at every store, and damaged in every bit.

use crate::world::{Memory, Random};
use replica::frame::{Frame, Kind, Stamp};
use replica::vault::{Base, Entry, Flaw, Origin, Vault, WORDS_MIN};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use uk_abi::testing::Fuse;

/// The state that is kept in the vault: numbers under keys, each with a tail of words to make it longer.
type State = BTreeMap<u64, Vec<u64>>;

/// A program that keeps a state in a vault, as services do.
struct Keeper {
    vault: Vault<Memory>,
    state: State,
    sequence: u64,
    /// The key at which the pass under way goes on.
    pass: Option<u64>,
}

impl Keeper {
    /// Opens the vault. Whatever it says of itself must be true of `history`: the states after each step.
    fn open(memory: &Memory, history: &[State]) -> (Self, replica::vault::Opened) {
        let (vault, opened) = Vault::open(memory.clone(), 7).expect("large enough");
        let mut keeper = Keeper { vault, state: State::new(), sequence: 0, pass: None };
        if !opened.complete {
            keeper.begin_pass();
            keeper.pass_on(usize::MAX);
            return (keeper, opened);
        }
        let (mut cursor, mut payload) = (keeper.vault.beginning(), Vec::new());
        while let Some(entry) = keeper.vault.next(&mut cursor, &mut payload) {
            let Entry::Frame { kind, stamp } = entry else { continue };
            keeper.sequence = keeper.sequence.max(stamp.sequence);
            if matches!(kind, Kind::Step | Kind::Chunk) {
                keeper.state.insert(payload[0], payload.clone());
            }
        }
        if opened.is_sound() {
            assert_eq!(opened.stamp.sequence, keeper.sequence);
            assert_eq!(keeper.state, history[keeper.sequence as usize]);
        }
        (keeper, opened)
    }

    fn stamp(&self) -> Stamp {
        Stamp { term: 1, sequence: self.sequence }
    }

    fn begin_pass(&mut self) {
        self.vault.begin_pass(Base::Kept);
        self.pass = Some(0);
    }

    /// Writes about `share` words of the pass.
    fn pass_on(&mut self, share: usize) {
        let mut written = 0;
        while let Some(from) = self.pass {
            let Some((key, value)) = self.state.range(from..).next() else {
                self.vault.end_pass(self.stamp(), &[]).expect("room for the end");
                self.pass = None;
                return;
            };
            if written >= share {
                return;
            }
            let frame = Frame::new(Kind::Chunk, self.stamp(), value);
            self.vault.append_chunk(&frame).expect("the pace keeps passes within the vault");
            written += frame.words();
            self.pass = Some(key + 1);
        }
    }

    /// One step: a new value under `key`. Returns whether there was room for it.
    fn put(&mut self, key: u64, length: usize, history: &mut Vec<State>) -> bool {
        let value: Vec<u64> =
            std::iter::once(key).chain((0..length as u64).map(|n| n << 32 | self.sequence)).collect();
        let stamp = Stamp { term: 1, sequence: self.sequence + 1 };
        let frame = Frame::new(Kind::Step, stamp, &value);
        if self.vault.room() < frame.words() {
            return false;
        }
        self.state.insert(key, value.clone());
        history.truncate(self.sequence as usize + 1);
        history.push(self.state.clone());
        self.vault.append(&frame).expect("there was room");
        self.sequence += 1;
        if self.vault.needs_pass() {
            self.begin_pass();
        }
        self.pass_on(self.vault.pass_share(frame.words()));
        true
    }
}

/// A few laps of random steps.
fn script(keeper: &mut Keeper, history: &mut Vec<State>, random: &mut Random, steps: usize) {
    for _ in 0..steps {
        let (key, length) = (random.below(6) as u64, random.below(6));
        assert!(keeper.put(key, length, history));
    }
}

fn fresh() -> (Fuse, Memory, Vec<State>) {
    let fuse = Fuse::default();
    let memory = Memory::new(WORDS_MIN, &fuse);
    (fuse, memory, vec![State::new()])
}

#[test]
fn the_state_survives_a_death_at_every_store() {
    let (fuse, memory, _) = fresh();
    let mut history = vec![State::new()];
    let (mut keeper, opened) = Keeper::open(&memory, &history);
    assert_eq!(opened.origin, Origin::Fresh);
    script(&mut keeper, &mut history, &mut Random(1), 120);
    let moments = fuse.passed();
    assert!(history.len() == 121);
    for moment in 0..moments {
        let (fuse, memory, mut history) = fresh();
        let mut done = 0;
        let died = fuse.run(moment, || {
            let (mut keeper, _) = Keeper::open(&memory, &history);
            let mut random = Random(1);
            for _ in 0..120 {
                script(&mut keeper, &mut history, &mut random, 1);
                done += 1;
            }
        });
        assert!(died.is_none());
        let (mut keeper, opened) = Keeper::open(&memory, &history);
        assert!(done == 0 || opened.is_sound(), "moment {moment}: {opened:?}");
        assert!(keeper.sequence == done || keeper.sequence == done + 1, "moment {moment}");
        // It goes on as if nothing had happened.
        history.truncate(keeper.sequence as usize + 1);
        script(&mut keeper, &mut history, &mut Random(moment), 40);
        let (again, opened) = Keeper::open(&memory, &history);
        assert!(opened.is_sound());
        assert_eq!(again.state, keeper.state);
    }
}

#[test]
fn every_flipped_bit_is_harmless_or_found() {
    let (_, memory, mut history) = fresh();
    let (mut keeper, _) = Keeper::open(&memory, &history);
    script(&mut keeper, &mut history, &mut Random(3), 77);
    let sound = memory.contents();
    let mut found = 0;
    for word in 0..sound.len() {
        for bit in 0..64 {
            memory.restore(&sound);
            memory.flip(word, bit);
            // Opening checks the state against the history.
            let (opened_keeper, opened) = Keeper::open(&memory, &history);
            found += usize::from(!opened.is_sound() || opened.torn || opened.mended);
            assert!(opened.is_sound() || opened_keeper.sequence <= keeper.sequence);
            // Only the last frame can be taken for one that was not finished.
            assert!(!opened.is_sound() || opened_keeper.sequence + 1 >= keeper.sequence);
        }
    }
    assert!(found > sound.len(), "most words count: {found} flips were found");
}

#[test]
fn the_scrubber_finds_damage_and_a_pass_heals_it() {
    let (_, memory, mut history) = fresh();
    let (mut keeper, _) = Keeper::open(&memory, &history);
    script(&mut keeper, &mut history, &mut Random(5), 30);
    let scrub_all = |keeper: &mut Keeper| {
        (0..WORDS_MIN).find_map(|_| match keeper.vault.scrub(8, &mut Vec::new()) {
            ControlFlow::Break(Flaw::Log { words, .. }) => Some(words),
            _ => None,
        })
    };
    assert_eq!(scrub_all(&mut keeper), None);
    let sound = memory.contents();
    let damaged: Vec<usize> = (0..sound.len())
        .filter(|word| {
            memory.restore(&sound);
            memory.flip(*word, 9);
            scrub_all(&mut keeper).is_some()
        })
        .collect();
    assert!(damaged.len() > 50, "{} words count", damaged.len());
    memory.restore(&sound);
    memory.flip(damaged[damaged.len() / 2], 9);
    keeper.begin_pass();
    keeper.pass_on(usize::MAX);
    let (again, opened) = Keeper::open(&memory, &history);
    assert!(opened.is_sound());
    assert_eq!(again.state, keeper.state);
    // The head is mended by the scrubber itself.
    memory.flip(1, 0);
    assert_eq!(keeper.vault.scrub(1, &mut Vec::new()), ControlFlow::Break(Flaw::Head));
    assert!(!Vault::open(memory.clone(), 7).expect("large enough").1.mended);
}

#[test]
fn a_full_vault_says_so_before_and_never_gets_stuck() {
    let (_, memory, mut history) = fresh();
    let (mut keeper, _) = Keeper::open(&memory, &history);
    let mut refused = 0;
    let mut random = Random(11);
    for _ in 0..4000 {
        // More keys than can be kept.
        let key = random.below(60) as u64;
        if !keeper.put(key, random.below(9), &mut history) {
            refused += 1;
            // Room comes back when what is there shrinks.
            keeper.state.remove(&(random.below(60) as u64));
            history.pop();
            history.push(keeper.state.clone());
            if !keeper.vault.in_pass() {
                keeper.begin_pass();
            }
            keeper.pass_on(usize::MAX);
        }
    }
    assert!(refused > 0);
    assert!(keeper.sequence > 1000, "{} steps, {refused} refused", keeper.sequence);
}

#[test]
fn rubbish_is_formatted_and_another_vault_is_not_mixed_up_with_this_one() {
    let (_, memory, mut history) = fresh();
    memory.scramble(99);
    let (mut keeper, opened) = Keeper::open(&memory, &history);
    assert_eq!((opened.origin, opened.complete), (Origin::Rubbish, false));
    script(&mut keeper, &mut history, &mut Random(5), 30);
    // A state from elsewhere: until it is whole the old one stays, and no step is added to it.
    keeper.vault.begin_pass(Base::Replaced);
    let value = [1, 2, 3];
    keeper.vault.append(&Frame::new(Kind::Step, Stamp { term: 1, sequence: 50 }, &value)).expect("room");
    let (again, opened) = Keeper::open(&memory, &history);
    assert!(opened.is_sound());
    assert_eq!((again.state, again.sequence), (keeper.state.clone(), 30));
    keeper.vault.end_pass(Stamp { term: 1, sequence: 50 }, &[]).expect("room");
    let (vault, opened) = Vault::open(memory.clone(), 9).expect("large enough");
    assert!(opened.is_sound());
    let (mut cursor, mut payload) = (vault.beginning(), Vec::new());
    assert!(matches!(vault.next(&mut cursor, &mut payload), Some(Entry::Frame { kind: Kind::Step, .. })));
    assert_eq!(payload, value);
}
