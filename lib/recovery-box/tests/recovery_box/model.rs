//! Random operations, restarts and resets, against a map.

use crate::common::{PAYLOAD, Request, SLOTS, Small, Text, WORDS, open, word};
use proptest::prelude::*;
use recovery_box::{Origin, PutError, Scrubbed};
use std::collections::HashMap;
use uk_abi::testing::Mortal;

#[derive(Clone, Debug)]
enum Step {
    PutText(u32, String),
    PutRequest(u32, u64),
    RemoveText(u32),
    RemoveRequest(u32),
    Scrub,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..5u32;
    prop_oneof![
        4 => (key.clone(), "[a-z]{0,39}").prop_map(|(key, text)| Step::PutText(key, text)),
        4 => (key.clone(), any::<u64>()).prop_map(|(key, sector)| Step::PutRequest(key, sector)),
        1 => key.clone().prop_map(Step::RemoveText),
        1 => key.prop_map(Step::RemoveRequest),
        1 => Just(Step::Scrub),
        1 => Just(Step::Restart),
    ]
}

/// What the box should hold.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    texts: HashMap<u32, Text>,
    requests: HashMap<u32, Request>,
}

impl Model {
    fn of(small: &Small) -> Model {
        fn sound<T: recovery_box::Record>(small: &Small) -> HashMap<u32, T> {
            small.iter().map(|entry| (entry.key, entry.value.expect("nothing is damaged"))).collect()
        }
        let model = Model { texts: sound(small), requests: sound(small) };
        assert_eq!(small.len(), model.len());
        for key in 0..6 {
            assert_eq!(small.get(key), Ok(model.texts.get(&key).cloned()));
            assert_eq!(small.get(key), Ok(model.requests.get(&key).cloned()));
        }
        model
    }

    fn len(&self) -> usize {
        self.texts.len() + self.requests.len()
    }

    /// Does `step` to the box and to the model.
    fn apply<'a>(&mut self, step: &Step, small: &mut Small<'a>, memory: &'a Mortal) {
        let room = self.len() < SLOTS;
        let full = Err(PutError::Full { slots: SLOTS });
        match step {
            Step::PutText(key, text) => {
                let room = room || self.texts.contains_key(key);
                let text = Text(text.clone());
                assert_eq!(small.put(*key, &text), if room { Ok(()) } else { full });
                if room {
                    self.texts.insert(*key, text);
                }
            }
            Step::PutRequest(key, sector) => {
                let room = room || self.requests.contains_key(key);
                let request = Request { ring: 1, sector: *sector, write: true };
                assert_eq!(small.put(*key, &request), if room { Ok(()) } else { full });
                if room {
                    self.requests.insert(*key, request);
                }
            }
            Step::RemoveText(key) => {
                assert_eq!(small.remove::<Text>(*key), self.texts.remove(key).is_some());
            }
            Step::RemoveRequest(key) => {
                assert_eq!(small.remove::<Request>(*key), self.requests.remove(key).is_some());
            }
            Step::Scrub => assert!(matches!(small.scrub_step(), Scrubbed::Sound | Scrubbed::Mended)),
            Step::Restart => *small = open(memory).0,
        }
    }
}

proptest! {
    #[test]
    fn behaves_like_a_map(steps in prop::collection::vec(step(), 1..60)) {
        let memory = Mortal::zeroed(WORDS);
        let (mut small, _) = open(&memory);
        let mut model = Model::default();
        for step in &steps {
            model.apply(step, &mut small, &memory);
            prop_assert_eq!(&Model::of(&small), &model);
        }
        let (small, report) = open(&memory);
        prop_assert_eq!((report.records, report.mended, report.lost), (model.len(), 0, 0));
        prop_assert_eq!(Model::of(&small), model);
    }

    /// A reset after each store in turn of one operation, and then after each store of the repair: every
    /// record is as it was before the operation or as it is after it, and no other record has changed.
    #[test]
    fn a_reset_at_any_store_leaves_old_or_new(
        before in prop::collection::vec(step(), 0..25),
        step in step(),
        damaged in prop::option::of((0..WORDS, any::<u64>())),
    ) {
        for life in 0.. {
            let memory = Mortal::zeroed(WORDS);
            let (mut small, _) = open(&memory);
            let mut old = Model::default();
            for step in &before {
                old.apply(step, &mut small, &memory);
            }
            // One copy of something may have been damaged before: a reset on top of that must not lose it
            // either.
            if let Some((word, mask)) = damaged {
                memory.flip(word, mask);
            }
            let mut new = old.clone();
            memory.die_after(life);
            new.apply(&step, &mut small, &memory);
            let died = memory.revive();

            // The repair may be interrupted too.
            memory.die_after(life % 20);
            open(&memory);
            memory.revive();
            let (small, report) = open(&memory);
            prop_assert_eq!((report.lost, report.duplicates), (0, 0));
            prop_assert_eq!(report.origin, Origin::Kept);
            let found = Model::of(&small);
            prop_assert!(found == old || found == new, "after {life} stores: {found:?}");
            // After the repair each copy suffices.
            for copy in 0..2 {
                for slot in 0..SLOTS {
                    memory.flip(word(slot, copy, 2), 1);
                }
                prop_assert_eq!(&Model::of(&open(&memory).0), &found);
            }
            if !died {
                prop_assert_eq!(found, new);
                break;
            }
        }
    }
}

/// A reset during the very first open: the next one starts again.
#[test]
fn a_format_that_is_interrupted_is_begun_again() {
    for rubbish in [0, 0xdead_beef] {
        for life in 0.. {
            let memory = Mortal::new(std::iter::repeat_n(rubbish, WORDS));
            memory.die_after(life);
            open(&memory);
            let died = memory.revive();
            let (mut small, report) = open(&memory);
            assert_eq!((report.records, report.lost), (0, 0), "after {life} stores");
            for key in 0..SLOTS as u32 {
                assert_eq!(small.put(key, &Text("x".repeat(PAYLOAD - 1))), Ok(()));
            }
            if !died {
                assert_eq!(report.origin, Origin::Kept);
                break;
            }
            assert_ne!(report.origin, Origin::Salvaged);
        }
    }
}
