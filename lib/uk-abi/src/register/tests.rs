use super::*;
use crate::testing::Mortal;
use proptest::prelude::*;
use std::vec::Vec;

const RING: Ring = Ring { frame: 0x1234, reference: 1, port: 5 };

fn register(words: &Mortal) -> Register<&Mortal> {
    Register::new(words).expect("room")
}

#[test]
fn it_says_what_is() {
    let words = Mortal::zeroed(WORDS);
    let register = register(&words);
    assert_eq!((register.get(7), register.changes()), (Ok(None), 0));
    register.built(7, Some(RING));
    let first = Entry { generation: 1, state: State::Running, ring: Some(RING) };
    assert_eq!(register.get(7), Ok(Some(first)));
    register.became(7, State::ShutDown { reason: 3 });
    assert_eq!(register.get(7), Ok(Some(Entry { state: State::ShutDown { reason: 3 }, ..first })));
    register.became(7, State::Gone);
    assert_eq!(register.get(7), Ok(Some(Entry { state: State::Gone, ..first })));
    register.built(7, None);
    assert_eq!(register.get(7), Ok(Some(Entry { generation: 2, state: State::Running, ring: None })));
    assert_eq!((register.get(6), register.get(8), register.changes()), (Ok(None), Ok(None), 4));
}

#[test]
fn what_is_said_again_is_no_change() {
    let words = Mortal::zeroed(WORDS);
    let register = register(&words);
    register.became(3, State::Gone);
    assert_eq!((register.get(3), register.changes()), (Ok(None), 0), "nobody had that number");
    register.built(3, None);
    for _ in 0..2 {
        register.became(3, State::ShutDown { reason: 1 });
    }
    assert_eq!(register.changes(), 2);
    register.became(3, State::ShutDown { reason: 2 });
    assert_eq!(register.changes(), 3);
}

#[test]
fn root_and_numbers_without_a_place_have_no_entry() {
    let words = Mortal::zeroed(WORDS);
    let register = register(&words);
    for domid in [0, DOMAINS, u16::MAX] {
        register.built(domid, Some(RING));
        register.became(domid, State::Gone);
        assert_eq!(register.get(domid), Ok(None));
    }
    assert_eq!(words.contents(), [0; WORDS]);
    assert!(Register::new(&Mortal::zeroed(WORDS - 1)).is_none());
}

/// Something that root says.
#[derive(Clone, Copy, Debug)]
enum Said {
    Built(u16, Option<Ring>),
    Became(u16, State),
}

fn said() -> impl Strategy<Value = Said> {
    let ring = (any::<u64>(), any::<u32>(), any::<u32>()).prop_map(|(frame, reference, port)| Ring {
        frame: frame >> 1,
        reference,
        port,
    });
    let state = prop_oneof![
        Just(State::Running),
        any::<u8>().prop_map(|reason| State::ShutDown { reason }),
        Just(State::Gone)
    ];
    prop_oneof![
        (1..5u16, prop::option::of(ring)).prop_map(|(domid, ring)| Said::Built(domid, ring)),
        (1..5u16, state).prop_map(|(domid, state)| Said::Became(domid, state)),
    ]
}

fn say(register: &Register<&Mortal>, said: Said) -> u16 {
    match said {
        Said::Built(domid, ring) => {
            register.built(domid, ring);
            domid
        }
        Said::Became(domid, state) => {
            register.became(domid, state);
            domid
        }
    }
}

proptest! {
    /// Wherever root dies, a reader sees the old entry, the new one, or that it is being changed; never a mixture. And
    /// what the next life of root says of an unsettled number holds.
    #[test]
    fn a_reader_never_sees_half_a_change(before in prop::collection::vec(said(), 0..10), last in said(), stores in 0..8usize) {
        let (words, whole) = (Mortal::zeroed(WORDS), Mortal::zeroed(WORDS));
        for one in &before {
            say(&register(&words), *one);
            say(&register(&whole), *one);
        }
        let entries = |words| (1..5).map(|domid| register(words).get(domid)).collect::<Vec<_>>();
        let old = entries(&words);
        say(&register(&whole), last);
        let new = entries(&whole);

        words.die_after(stores);
        let changed = say(&register(&words), last);
        words.revive();
        for ((seen, old), new) in entries(&words).iter().zip(&old).zip(&new) {
            prop_assert!(seen == old || seen == new || *seen == Err(Changing));
        }
        let unsettled: Vec<u16> = register(&words).unsettled().collect();
        prop_assert!(unsettled.iter().all(|domid| *domid == changed));
        for domid in unsettled {
            register(&words).became(domid, State::Gone);
            let state = register(&words).get(domid).map(|entry| entry.map(|entry| entry.state));
            prop_assert_eq!(state, Ok(Some(State::Gone)));
        }
    }

    /// A page of any content has an answer.
    #[test]
    fn reading_is_total(content in prop::collection::vec(any::<u64>(), WORDS), domid in any::<u16>()) {
        let words = Mortal::new(content);
        let register = register(&words);
        let _ = register.get(domid);
        register.unsettled().count();
    }
}
