use super::*;
use crate::health::{self, byte};
use core::sync::atomic::{AtomicBool, AtomicU64};
use std::boxed::Box;
use std::string::{String, ToString};

fn zeroed() -> Box<[AtomicU64; health::WORDS]> {
    Box::new([const { AtomicU64::new(0) }; health::WORDS])
}

/// What a trap stub does, by the byte offsets that it uses.
fn stub(words: &[AtomicU64; health::WORDS], vector: u64) {
    let at = |offset: usize| &words[offset / 8];
    at(byte::CRASH_SEQUENCE).fetch_or(1, Relaxed);
    at(byte::CRASH_VECTOR).store(vector, Relaxed);
    at(byte::CRASH_ERROR).store(2, Relaxed);
    at(byte::CRASH_RIP).store(0x20_1234, Relaxed);
    at(byte::CRASH_RFLAGS).store(0x246, Relaxed);
    at(byte::CRASH_CR2).store(0x8, Relaxed);
    for register in 0..REGISTERS {
        at(byte::CRASH_REGISTERS + register * 8).store(register as u64 * 0x11, Relaxed);
    }
    at(byte::CRASH_RSP).store(0x50_0000, Relaxed);
    at(byte::CRASH_SEQUENCE).fetch_add(1, Release);
}

#[test]
fn a_trap_leaves_a_complete_report() {
    let words = zeroed();
    stub(&words, 14);
    let report = HealthPage::new(&words).crash_report().expect("a report");
    assert!(report.complete);
    assert_eq!(report.to_string(), "vector=14 error=0x2 rip=0x201234 rsp=0x500000 cr2=0x8");
    assert_eq!((report.rflags, report.registers[15]), (0x246, 0xff));
    assert_eq!(REGISTER_NAMES[4], "rsp");
    assert_eq!(report.trace(), []);
    assert_eq!(report.message().to_string(), "");
}

#[test]
fn a_panic_adds_its_message_to_the_trap_that_ends_it() {
    let words = zeroed();
    let page = HealthPage::new(&words);
    page.crash_begin();
    page.crash_message(format_args!("index {} is out of bounds\n", 42));
    let report = page.crash_report().expect("a report");
    assert!(!report.complete, "the trap is still missing");
    assert!(page.crash_trace_push(0x20_0001));
    stub(&words, 6);
    let report = page.crash_report().expect("a report");
    assert!(report.complete);
    assert_eq!(report.message().to_string(), "index 42 is out of bounds.");
    assert_eq!(report.trace(), [0x20_0001]);
}

#[test]
fn a_panic_alone_can_be_a_complete_report() {
    let words = zeroed();
    let page = HealthPage::new(&words);
    page.crash_begin();
    page.crash_at(cause::PANIC, 0x20_0042);
    page.crash_complete();
    let report = page.crash_report().expect("a report");
    assert!(report.complete);
    assert_eq!((report.vector, report.rip), (cause::PANIC, 0x20_0042));
}

#[test]
fn a_stub_that_dies_is_followed_by_one_that_does_not() {
    let words = zeroed();
    let page = HealthPage::new(&words);
    page.crash_begin();
    assert!(!page.crash_report().expect("begun").complete);
    stub(&words, 13);
    assert!(page.crash_report().expect("finished").complete);
    page.crash_begin();
    assert!(!page.crash_report().expect("begun once more").complete, "the registers may be of either crash");
}

#[test]
fn message_and_trace_are_cut_where_the_room_ends() {
    let words = zeroed();
    let page = HealthPage::new(&words);
    page.crash_begin();
    page.crash_message(format_args!("{}", "x".repeat(MESSAGE_MAX + 100)));
    let pushed = (0..100).take_while(|&address| page.crash_trace_push(address)).count();
    assert_eq!(pushed, TRACE_MAX - 1, "the last one finds room, and says that there is no more");
    page.crash_trace_push(99);
    let report = page.crash_report().expect("a report");
    assert_eq!(report.message().to_string(), "x".repeat(MESSAGE_MAX));
    assert!(report.trace().iter().copied().eq(0..TRACE_MAX as u64));
    let after: u64 = (word::CRASH_END..health::WORDS).map(|index| words[index].load(Relaxed)).sum();
    assert_eq!(after, 0, "nothing behind the report");
}

#[test]
fn a_shorter_message_after_a_longer_one() {
    let words = zeroed();
    let page = HealthPage::new(&words);
    page.crash_begin();
    page.crash_message(format_args!("a long message"));
    page.crash_message(format_args!("short"));
    assert_eq!(page.crash_report().expect("a report").message().to_string(), String::from("short"));
}

/// A report that is read while others are written is complete only if it is of one crash.
#[test]
fn a_report_that_changes_while_it_is_read_is_not_complete() {
    let words = zeroed();
    let page = HealthPage::new(&words);
    let stop = AtomicBool::new(false);
    let mixed = std::thread::scope(|scope| {
        scope.spawn(|| {
            for crash in (1..).take_while(|_| !stop.load(Relaxed)) {
                page.crash_begin();
                page.crash_at(crash, crash);
                for register in 0..REGISTERS {
                    words[word::CRASH_REGISTERS + register].store(crash, Release);
                }
                page.crash_complete();
            }
        });
        let reports = (0..100_000).filter_map(|_| page.crash_report());
        let mixed =
            reports.filter(|report| report.complete && report.registers != [report.rip; REGISTERS]).count();
        stop.store(true, Relaxed);
        mixed
    });
    assert_eq!(mixed, 0);
}
