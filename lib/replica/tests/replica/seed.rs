//! Members that begin at the same time go by the same number, whatever has become of its copies.

use std::sync::Barrier;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use replica::seed::{Agreed, COPIES, WORDS, agree};

fn memory() -> [AtomicU64; WORDS] {
    [const { AtomicU64::new(0) }; WORDS]
}

fn values(words: &[AtomicU64]) -> Vec<u64> {
    words.iter().map(|word| word.load(Relaxed)).collect()
}

#[test]
fn who_comes_later_takes_what_is_there() {
    let words = memory();
    assert_eq!(agree(&words, || 7), Agreed { seed: 7, mended: 0 });
    assert_eq!(agree(&words, || unreachable!("it is there")), Agreed { seed: 7, mended: 0 });
}

#[test]
fn members_that_begin_at_once_agree() {
    for _ in 0..2000 {
        let (words, barrier) = (memory(), Barrier::new(3));
        let member = |mine: u64| {
            barrier.wait();
            agree(&words, || mine).seed
        };
        let seeds = thread::scope(|scope| {
            [1, 2, 3].map(|mine| scope.spawn(move || member(mine))).map(|thread| thread.join().unwrap())
        });
        assert_eq!(seeds, [seeds[0]; 3]);
        assert_eq!(agree(&words, || unreachable!("it is there")), Agreed { seed: seeds[0], mended: 0 });
    }
}

/// At whatever store it has died.
#[test]
fn what_a_dead_member_has_begun_counts() {
    let whole = memory();
    agree(&whole, || 7);
    for stores in 1..=WORDS {
        let words = memory();
        values(&whole).iter().zip(&words).take(stores).for_each(|(value, word)| word.store(*value, Relaxed));
        assert_eq!(agree(&words, || 8), Agreed { seed: 7, mended: 0 }, "after {stores} stores");
        assert_eq!(values(&words), values(&whole));
    }
}

#[test]
fn one_sound_copy_is_enough() {
    for sound in 0..COPIES {
        let words = memory();
        agree(&words, || 7);
        let expected = values(&words);
        for (copy, pair) in words.chunks_exact(2).enumerate().filter(|(copy, _)| *copy != sound) {
            pair[copy % 2].fetch_xor(1 << 20, Relaxed);
        }
        assert_eq!(agree(&words, || 8), Agreed { seed: 7, mended: COPIES - 1 });
        assert_eq!(values(&words), expected);
    }
}

#[test]
fn where_there_is_no_memory_everybody_goes_alone() {
    assert_eq!(agree(&[], || 7), Agreed { seed: 7, mended: 0 });
}
