//! The pool against what it promises: nothing is lost, nothing is told twice.

use netback::{FrameId, MAX_LENGTH, MIN_PAGES, Owner, Pool, RESERVE};
use proptest::collection::vec;
use proptest::prelude::*;

const PAGES: usize = 400;

#[derive(Clone, Debug)]
enum Step {
    Allocate { length: usize },
    Retain(usize),
    Release(usize),
    Unclaim(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..MAX_LENGTH + 2).prop_map(|length| Step::Allocate { length }),
        (1..2000_usize).prop_map(|length| Step::Allocate { length }),
        any::<usize>().prop_map(Step::Retain),
        any::<usize>().prop_map(Step::Release),
        any::<usize>().prop_map(Step::Unclaim),
    ]
}

/// A reader: of a frame, with a claim or without.
struct Reader {
    frame: FrameId,
    owner: Owner,
    is_claimed: bool,
}

proptest! {
    #[test]
    fn an_owner_is_told_once_when_the_last_claim_goes(steps in vec(step(), 1..200)) {
        let mut pool = Pool::new(PAGES);
        let mut readers: Vec<Reader> = Vec::new();
        let claims = |readers: &[Reader], owner| readers.iter().filter(|r| r.owner == owner && r.is_claimed).count();
        for (number, step) in (0..).zip(steps) {
            match step {
                Step::Allocate { length } => {
                    let owner = Owner { vif: 1, queue: 0, index: number };
                    if let Some(frame) = pool.allocate_for(owner, length) {
                        prop_assert_eq!(pool.length(frame), length);
                        prop_assert_eq!(pool.pieces(frame, 0).map(|piece| piece.length).sum::<usize>(), length);
                        prop_assert!(pool.free_pages() >= RESERVE);
                        readers.push(Reader { frame, owner, is_claimed: true });
                    }
                }
                Step::Retain(at) if !readers.is_empty() => {
                    let Reader { frame, owner, is_claimed } = readers[at % readers.len()];
                    // Who has no claim hands none on.
                    if is_claimed {
                        pool.retain(frame);
                        readers.push(Reader { frame, owner, is_claimed });
                    }
                }
                Step::Release(at) if !readers.is_empty() => {
                    let Reader { frame, owner, is_claimed } = readers.swap_remove(at % readers.len());
                    if is_claimed {
                        let expected = (claims(&readers, owner) == 0).then_some(owner);
                        prop_assert_eq!(pool.release(frame), expected);
                    } else {
                        pool.release_unclaimed(frame);
                    }
                }
                Step::Unclaim(at) if !readers.is_empty() => {
                    let at = at % readers.len();
                    if readers[at].is_claimed {
                        readers[at].is_claimed = false;
                        let Reader { frame, owner, .. } = readers[at];
                        let expected = (claims(&readers, owner) == 0).then_some(owner);
                        prop_assert_eq!(pool.unclaim(frame), expected);
                    }
                }
                _ => {}
            }
        }
        for Reader { frame, is_claimed, .. } in readers {
            if is_claimed {
                pool.release(frame);
            } else {
                pool.release_unclaimed(frame);
            }
        }
        prop_assert_eq!((pool.frames(), pool.free_pages()), (0, PAGES));
    }
}

#[test]
fn one_guest_does_not_use_up_the_pool() {
    let mut pool = Pool::new(1000);
    let owner = |vif| Owner { vif, queue: 0, index: 0 };
    let taken = std::iter::from_fn(|| pool.allocate_for(owner(1), 1000)).count();
    assert_eq!(taken, 250);
    assert!(pool.allocate_for(owner(2), 1000).is_some());
}

#[test]
fn the_least_pool_takes_the_longest_frame() {
    let owner = Owner { vif: 1, queue: 0, index: 0 };
    assert!(Pool::new(MIN_PAGES).allocate_for(owner, MAX_LENGTH).is_some());
    assert!(Pool::new(MIN_PAGES - 1).allocate_for(owner, MAX_LENGTH).is_none());
}
