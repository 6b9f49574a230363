//! The request rings against queues that are known to be right, in every protocol and size, and against a peer that lies.

use proptest::collection::vec;
use proptest::prelude::*;
use ring::Page;
use ring::request::{
    Backend, BadSize, Block, Frontend, Full, NetControl, NetReceive, NetTransmit, Overrun, Position,
    Protocol, Ring, Unasked,
};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use xen_abi::blkif;
use zerocopy::{FromBytes, IntoBytes};

fn pages(count: usize) -> Vec<Page> {
    (0..count).map(|_| [const { AtomicU32::new(0) }; 1024]).collect()
}

fn ring<P: Protocol>(pages: &[Page]) -> Ring<'_, P> {
    Ring::new(&pages.iter().collect::<Vec<_>>()).expect("the number of pages is one that rings have")
}

/// A request or response every byte of which says which one it is.
fn marked<T: FromBytes + IntoBytes>(number: u32) -> T {
    let mut value = T::new_zeroed();
    for (index, byte) in value.as_mut_bytes().iter_mut().enumerate() {
        *byte = (number.wrapping_mul(0x9e37_79b9) >> (8 * (index % 4))) as u8 ^ index as u8;
    }
    value
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask,
    ShowRequests,
    Take,
    Respond,
    ShowResponses,
    Collect,
    BackendSleeps,
    FrontendSleeps,
    BackendIsReborn,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    prop_oneof![
        6 => Just(Ask), 3 => Just(ShowRequests), 6 => Just(Take), 6 => Just(Respond), 3 => Just(ShowResponses),
        6 => Just(Collect), 1 => Just(BackendSleeps), 1 => Just(FrontendSleeps), 1 => Just(BackendIsReborn),
    ]
}

/// Lets both ends do the steps, and checks that what arrives is what was sent, and that nobody sleeps while something waits.
fn play<P: Protocol>(page_count: usize, start: u32, steps: &[Step]) -> Result<(), TestCaseError> {
    let pages = pages(page_count);
    let ring = ring::<P>(&pages);
    let slots = ring.slots() as usize;
    let mut front = Frontend::starting_at(ring, start);
    let mut back = Backend::attach(ring).unwrap();
    let (mut asked, mut answered) = (start, start);
    let (mut unshown, mut shown, mut taken) = (0, VecDeque::new(), 0_usize);
    let (mut unpublished, mut published) = (0, VecDeque::new());
    let (mut back_sleeps, mut front_sleeps) = (false, false);
    for step in steps {
        match step {
            Step::Ask => {
                let free = slots - unshown - shown.len() - taken - unpublished - published.len();
                prop_assert_eq!(front.free() as usize, free);
                let result = front.ask(&marked(asked));
                prop_assert_eq!(result, if free > 0 { Ok(()) } else { Err(Full { slots: slots as u32 }) });
                if free > 0 {
                    asked = asked.wrapping_add(1);
                    unshown += 1;
                }
            }
            Step::ShowRequests => {
                let event = front.publish();
                let first = asked.wrapping_sub(unshown as u32);
                shown.extend((0..unshown as u32).map(|index| first.wrapping_add(index)));
                prop_assert!(event || unshown == 0 || !back_sleeps, "the backend sleeps on");
                back_sleeps &= !event;
                unshown = 0;
            }
            Step::Take => {
                prop_assert_eq!(back.waiting().unwrap() as usize, shown.len());
                let request = back.take().unwrap();
                let expected = shown.pop_front();
                prop_assert_eq!(
                    request.map(|request| request.as_bytes().to_vec()),
                    expected.map(|number| marked::<P::Request>(number).as_bytes().to_vec())
                );
                taken += expected.is_some() as usize;
            }
            Step::Respond => {
                let expected = if taken > 0 { Ok(()) } else { Err(Unasked { position: back.position() }) };
                prop_assert_eq!(back.respond(&marked(!answered)), expected);
                if taken > 0 {
                    answered = answered.wrapping_add(1);
                    taken -= 1;
                    unpublished += 1;
                }
            }
            Step::ShowResponses => {
                let event = back.publish();
                let first = answered.wrapping_sub(unpublished as u32);
                published.extend((0..unpublished as u32).map(|index| first.wrapping_add(index)));
                prop_assert!(event || unpublished == 0 || !front_sleeps, "the frontend sleeps on");
                front_sleeps &= !event;
                unpublished = 0;
            }
            Step::Collect => {
                prop_assert_eq!(front.waiting().unwrap() as usize, published.len());
                let response = front.take().unwrap();
                prop_assert_eq!(
                    response.map(|response| response.as_bytes().to_vec()),
                    published.pop_front().map(|number| marked::<P::Response>(!number).as_bytes().to_vec())
                );
            }
            Step::BackendSleeps => {
                prop_assert_eq!(back.final_check().unwrap(), !shown.is_empty());
                back_sleeps = shown.is_empty();
            }
            Step::FrontendSleeps => {
                prop_assert_eq!(front.final_check().unwrap(), !published.is_empty());
                front_sleeps = published.is_empty();
            }
            Step::BackendIsReborn => {
                let position = back.position();
                prop_assert_eq!(back.in_flight() as usize, taken);
                back = Backend::resume(ring, position).unwrap();
                back.publish();
                let first = answered.wrapping_sub(unpublished as u32);
                published.extend((0..unpublished as u32).map(|index| first.wrapping_add(index)));
                (unpublished, front_sleeps) = (0, false);
            }
        }
        prop_assert_eq!(back.in_flight() as usize, taken);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_asked_is_answered(order in 0..5_u32, start in any::<u32>(), steps in vec(step(), 1..400)) {
        let pages = 1 << order;
        play::<Block>(pages, start, &steps)?;
        play::<NetTransmit>(pages, start, &steps)?;
        play::<NetReceive>(pages, start, &steps)?;
        play::<NetControl>(pages, start, &steps)?;
    }

    #[test]
    fn an_index_out_of_reach_is_told(position in any::<(u32, u32)>(), in_flight in 0..40_u32, found: u32) {
        let (consumed, near) = position;
        let answered = consumed.wrapping_sub(in_flight);
        // Half of them close to the truth.
        let found = if found % 2 == 0 { found } else { consumed.wrapping_add(near % 80).wrapping_sub(40) };
        let pages = pages(1);
        pages[0][0].store(found, Relaxed);
        let position = Position { consumed, answered };
        let resumed = Backend::resume(ring::<Block>(&pages), position).map(|mut backend| backend.waiting());
        let limit = answered.wrapping_add(32);
        let expected = if in_flight > 32 {
            Err(Overrun { found: consumed, consumed: answered, limit })
        } else if found.wrapping_sub(consumed) <= 32 - in_flight {
            Ok(Ok(found.wrapping_sub(consumed)))
        } else {
            Err(Overrun { found, consumed, limit })
        };
        prop_assert_eq!(resumed, expected);
    }

    #[test]
    fn a_ring_that_changes_at_random_is_no_danger(noise in vec((0..1024_usize, any::<u32>()), 1..200)) {
        let pages = pages(1);
        let ring = ring::<Block>(&pages);
        let mut backend = Backend::attach(ring).unwrap();
        for (word, value) in noise {
            pages[0][word % 16].store(value % 64, Relaxed);
            pages[0][word].store(value, Relaxed);
            let before = backend.position();
            match backend.take() {
                Ok(Some(_)) => prop_assert_eq!(backend.position().consumed, before.consumed.wrapping_add(1)),
                Ok(None) | Err(_) => prop_assert_eq!(backend.position(), before),
            }
            prop_assert!(backend.in_flight() <= ring.slots());
            if value % 3 == 0 && backend.in_flight() > 0 {
                backend.respond(&marked(value)).unwrap();
                backend.publish();
                prop_assert_eq!(ring.shown(), backend.position().answered);
            }
            let _ = backend.final_check();
        }
    }
}

#[test]
fn rings_have_as_many_slots_as_in_c() {
    let slots = |count| {
        let pages = pages(count);
        [
            ring::<Block>(&pages).slots(),
            ring::<NetTransmit>(&pages).slots(),
            ring::<NetReceive>(&pages).slots(),
            ring::<NetControl>(&pages).slots(),
        ]
    };
    assert_eq!(slots(1), [32, 256, 256, 128]);
    assert_eq!(slots(2), [64, 512, 512, 256]);
    assert_eq!(slots(16), [512, 4096, 4096, 2048]);
}

#[test]
fn other_numbers_of_pages_are_refused() {
    for count in [0, 3, 5, 12, 17, 32] {
        let pages = pages(count);
        let pages: Vec<&Page> = pages.iter().collect();
        assert_eq!(Ring::<Block>::new(&pages).err(), Some(BadSize { pages: count }));
    }
}

#[test]
fn slots_lie_where_c_has_them() {
    let pages = pages(4);
    let ring = ring::<Block>(&pages);
    let mut front = Frontend::new(ring);
    let mut request =
        blkif::Request { operation: 1, nr_segments: 11, id: 0x0123_4567_89ab_cdef, ..Default::default() };
    request.seg[10].last_sect = 7;
    // Slot 72 begins in the second page and ends in the third.
    for _ in 0..73 {
        front.ask(&request).unwrap();
    }
    let byte = |at: usize| pages[at / 4096][at % 4096 / 4].load(Relaxed).to_le_bytes()[at % 4];
    for slot in [0, 1, 36, 72] {
        let start = 64 + slot * 112;
        assert_eq!([byte(start), byte(start + 1)], [1, 11]);
        assert_eq!((0..8).map(|index| byte(start + 8 + index)).collect::<Vec<_>>(), request.id.as_bytes());
        assert_eq!(byte(start + 24 + 10 * 8 + 5), 7);
    }
    assert_eq!(pages[0][..4].iter().map(|word| word.load(Relaxed)).collect::<Vec<_>>(), [0, 1, 0, 1]);
    assert!(front.publish());
    assert_eq!(pages[0][0].load(Relaxed), 73);
}

#[test]
fn an_event_comes_when_the_threshold_is_reached() {
    let pages = pages(1);
    let ring = ring::<NetReceive>(&pages);
    let mut front = Frontend::new(ring);
    let mut back = Backend::attach(ring).unwrap();
    assert!(!back.final_check_for(3).unwrap());
    let mut shows = |count: u32| {
        for _ in 0..count {
            front.ask(&marked(0)).unwrap();
        }
        front.publish()
    };
    assert_eq!([shows(0), shows(2), shows(1), shows(1), shows(5)], [false, false, true, false, false]);
    assert!(back.final_check_for(9).unwrap());
    assert!(!back.final_check_for(10).unwrap());
    assert!(shows(7));
}
