use super::*;
use proptest::prelude::*;
use std::boxed::Box;
use std::vec::Vec;

fn zeroed() -> Box<[AtomicU64; WORDS]> {
    Box::new([const { AtomicU64::new(0) }; WORDS])
}

#[test]
fn a_page_of_zeros_says_that_nothing_has_happened() {
    let words = zeroed();
    let page = HealthPage::new(&words);
    assert_eq!(page.beats(), 0);
    assert_eq!(page.stage(), BootStage::None);
    assert_eq!(page.first_beat_us(), None);
    assert_eq!(page.part_request(), None);
    assert_eq!(page.take_fault(), None);
    assert_eq!(page.injected_at_us(), None);
    assert_eq!(page.crash_report(), None);
    assert!(!page.is_idle() && !page.is_boot_wanted());
}

#[test]
fn a_start_keeps_beats_and_service_words_and_forgets_the_rest() {
    let words = zeroed();
    let page = HealthPage::new(&words);
    page.set_stage(BootStage::Running);
    page.first_beat(77);
    page.beat();
    page.accept(3, 10);
    page.complete(3, 4);
    page.set_service(5, 55);
    page.set_idle(true);
    page.crash_begin();
    assert_eq!(page.progress(3), Progress { waiting: 10, done: 4 });

    page.prepare_start();

    assert_eq!((page.beats(), page.beats_since_start()), (2, 0));
    assert_eq!(page.service(5), 55);
    assert_eq!(page.first_beat_us(), None);
    assert_eq!(page.stage(), BootStage::None);
    assert_eq!(page.progress(3), Progress::default());
    assert_eq!(page.crash_report(), None);
    assert!(!page.is_idle());

    page.first_beat(99);
    assert_eq!((page.first_beat_us(), page.beats_since_start()), (Some(99), 1));
}

#[test]
fn a_fault_is_taken_once_even_if_it_kills_at_once() {
    let words = zeroed();
    let page = HealthPage::new(&words);
    let ticket = page.inject(Fault::CrashLoop, 3);
    assert!(!page.is_fault_taken(ticket));
    assert_eq!(page.take_fault(), Some(FaultCommand { fault: Ok(Fault::CrashLoop), argument: 3 }));
    page.set_injected_at_us(1234);
    page.prepare_start();
    assert_eq!(page.take_fault(), None);
    assert_eq!(page.injected_at_us(), Some(1234), "root wants to know after the restart");

    let again = page.inject(Fault::CrashLoop, 3);
    assert_ne!(again, ticket, "the same fault again is another command");
    assert_eq!(page.injected_at_us(), None);
    assert!(page.take_fault().is_some() && page.is_fault_taken(again));
}

#[test]
fn a_part_is_asked_for_until_it_was_restarted() {
    let words = zeroed();
    let page = HealthPage::new(&words);
    let ticket = page.request_part_restart(0);
    assert_eq!(page.part_request().map(Ticket::what), Some(0), "part 0 is a part");
    page.prepare_start();
    assert_eq!(page.part_request(), Some(ticket));
    page.part_restarted(ticket);
    assert_eq!(page.part_request(), None);
    assert!(page.is_part_restarted(ticket));
    assert!(!page.is_part_restarted(page.request_part_restart(0)));
}

#[test]
fn tickets_differ_also_when_their_generation_wraps() {
    let last = Ticket::after(u64::MAX - (1 << 32), 7);
    assert_eq!(last.0 >> 32, u32::MAX as u64);
    let wrapped = Ticket::after(last.0, 0);
    assert_ne!(wrapped.0, 0, "0 means that nothing was asked for");
    assert_ne!(wrapped, last);
}

#[test]
fn words_of_the_two_sides_are_in_different_cache_lines() {
    let unikernel = [word::BEAT, word::FAULT_ACK, word::INJECTED_AT_US, word::PROGRESS, word::CRASH_SEQUENCE];
    for root in [word::BOOT_WANTED, word::PART_REQUEST, word::FAULT_COMMAND, word::FAULT_ARGUMENT] {
        assert!(unikernel.iter().all(|word| word / 8 != root / 8), "word {root}");
    }
}

proptest! {
    /// Whatever a broken unikernel left in the page, both sides get answers.
    #[test]
    fn rubbish_has_answers(rubbish in prop::collection::vec(any::<u64>(), WORDS), pair: usize, small in 0..40usize) {
        let words: Box<[AtomicU64; WORDS]> =
            rubbish.into_iter().map(AtomicU64::new).collect::<Vec<_>>().try_into().expect("as many");
        let page = HealthPage::new(&words);
        for index in [pair, small] {
            page.accept(index, u64::MAX);
            page.complete(index, u64::MAX);
            page.set_service(index, 1);
            prop_assert_eq!(page.service(index), (index < SERVICE_WORDS) as u64);
            prop_assert!(index < PROGRESS_PAIRS || page.progress(index) == Progress::default());
        }
        let report = page.crash_report().expect("the sequence is hardly ever 0");
        prop_assert!(report.trace().len() <= crate::crash::TRACE_MAX);
        page.stage();
        page.take_fault();
        page.beat();
        // Whatever the words were, requests made now work.
        let fault = page.inject(Fault::Ud2, 9);
        prop_assert_eq!(page.take_fault(), Some(FaultCommand { fault: Ok(Fault::Ud2), argument: 9 }));
        prop_assert!(page.is_fault_taken(fault));
        let part = page.request_part_restart(u32::MAX);
        prop_assert_eq!(page.part_request(), Some(part));
        page.prepare_start();
        prop_assert_eq!(page.beats_since_start(), 0);
        prop_assert_eq!(page.crash_report(), None);
    }
}

#[test]
fn a_line_is_taken_once_and_the_last_one_counts() {
    let words = [const { AtomicU64::new(0) }; WORDS];
    let health = HealthPage::new(&words);
    let take = || {
        let (number, line) = health.told()?;
        assert_eq!(health.told(), Some((number, line.clone())), "it was not taken yet");
        health.take_told(number);
        Some(line)
    };
    assert_eq!(take(), None);
    health.tell("destroy web");
    assert_eq!(take().as_deref(), Some("destroy web"));
    assert_eq!(take(), None);
    health.tell("first");
    health.tell("");
    assert_eq!(take().as_deref(), Some(""));
    health.tell("list");
    health.tell("list");
    assert_eq!(take().as_deref(), Some("list"));
    let long = "x".repeat(TOLD_MAX + 1);
    health.tell(&long);
    assert_eq!(take().as_deref(), Some(&long[1..]));
    // Whatever the words say, the answer is a line or none.
    words[word::TOLD].store(u64::MAX, Relaxed);
    words[word::TOLD_TEXT].store(u64::MAX, Relaxed);
    assert_eq!(take(), None);
}
