//! Progress outlives lives, and what is damaged leads to more being told, never to less.

use hooks::{Kept, MAX_HOOKS, Progress};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

fn words() -> Vec<AtomicU64> {
    (0..Kept::<&[AtomicU64]>::WORDS).map(|_| AtomicU64::new(0)).collect()
}

#[test]
fn progress_outlives_a_life() {
    let words = words();
    let mut kept = Kept::open(&words[..], || 7).unwrap();
    assert_eq!(kept.log(), 7);
    let progress = |receiver: usize| Progress { next: u64::MAX - receiver as u64, last: u64::MAX - 10 };
    for receiver in 0..MAX_HOOKS {
        assert_eq!(kept.progress(receiver), Progress::NONE);
        kept.note(receiver, &progress(receiver));
    }
    let kept = Kept::open(&words[..], || panic!("it has a number")).unwrap();
    assert_eq!(kept.log(), 7);
    assert!((0..MAX_HOOKS).all(|receiver| kept.progress(receiver) == progress(receiver)));
}

#[test]
fn a_log_that_is_not_known_is_told_from_its_beginning() {
    let words = words();
    let mut kept = Kept::open(&words[..], || 7).unwrap();
    kept.note(1, &Progress { next: 90, last: 80 });
    // The log's number was put first, into the first slot: all of its words, in both copies.
    let slot = (words.len() - 8) / (MAX_HOOKS + 1);
    words[8..8 + slot].iter().for_each(|word| word.store(!word.load(Relaxed), Relaxed));
    let kept = Kept::open(&words[..], || 8).unwrap();
    assert_eq!((kept.log(), kept.progress(1)), (8, Progress::NONE));
}

#[test]
fn too_little_memory_is_said() {
    assert!(Kept::open(&words()[1..], || 7).is_err());
}
