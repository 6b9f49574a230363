//! The health page: how root sees whether a unikernel lives, and what it asks of it.
//!
//! ```text
//! word   0  beat | idle | stage | start beat | first beat us | part ack | fault ack | injected at us   unikernel
//!        8  boot wanted | part request | fault command | fault argument                                root
//!       16  16 pairs of progress: waiting, done                                                        unikernel
//!       48  32 words for what a component wants to show                                                unikernel
//!      128  crash report (see `crash`)                                                                 unikernel
//!      256  64 offers of ports, by domain (see `kept`)                                                 root
//!      320  a line of the operator's for the component (see `told`)                                    root
//!      340  the line that was taken                                                                    unikernel
//! ```
//!
//! Words of the two sides lie in different cache lines. A page of zeros is valid. Root trusts none of it: a
//! broken unikernel may have written any word, root's included, so every accessor gives an answer for every
//! content, and root compares with what it remembers.

pub mod byte;
mod told;
pub mod word;

pub use told::TOLD_MAX;

use crate::fault::{Fault, UnknownFault};
use crate::kept::{MAX_PEERS, Offer};
use core::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// Words in the page.
pub const WORDS: usize = crate::layout::PAGE_SIZE / 8;

/// Pairs of progress counters.
pub const PROGRESS_PAIRS: usize = 16;

/// Words in the service area.
pub const SERVICE_WORDS: usize = 32;

const _: () = {
    assert!(word::SERVICE + SERVICE_WORDS <= word::CRASH_SEQUENCE);
    assert!(word::CRASH_END <= word::OFFERS && word::OFFERS + MAX_PEERS <= word::TOLD);
    assert!(word::TOLD_TEXT + TOLD_MAX / 8 <= word::TOLD_TAKEN && word::TOLD_TAKEN < WORDS);
};

/// How far a unikernel's boot has come: where it was when it died early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub enum BootStage {
    /// Nothing has run yet.
    None = 0,
    /// The entry point runs on its own stack.
    Entered = 1,
    /// The heap is there.
    Memory = 2,
    /// Traps, event channels and the clock are there.
    Events = 3,
    /// The program's `main` has been called.
    Main = 4,
    /// The executor runs tasks.
    Running = 5,
}

impl BootStage {
    const ALL: [BootStage; 6] =
        [Self::None, Self::Entered, Self::Memory, Self::Events, Self::Main, Self::Running];
}

/// One part's work, counted since the incarnation started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Progress {
    /// Units of work taken on.
    pub waiting: u64,
    /// Units of work completed.
    pub done: u64,
}

impl Progress {
    /// Whether work is waiting to be done.
    pub const fn is_pending(&self) -> bool {
        self.waiting != self.done
    }
}

/// A request with a number of its own, so that an answer to it can be told from an answer to an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

impl Ticket {
    /// The request that follows the one in `before`, with `what` in the low half. Never 0.
    fn after(before: u64, what: u32) -> Ticket {
        let generation = ((before >> 32) as u32).wrapping_add(1).max(1);
        Ticket((generation as u64) << 32 | what as u64)
    }

    /// What is asked for.
    pub const fn what(self) -> u32 {
        self.0 as u32
    }
}

/// A fault that root asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultCommand {
    /// Which fault.
    pub fault: Result<Fault, UnknownFault>,
    /// Its argument; 0 where none was given.
    pub argument: u64,
}

/// A view of the health page, for either side.
#[derive(Clone, Copy, Debug)]
pub struct HealthPage<'a> {
    pub(crate) words: &'a [AtomicU64; WORDS],
}

impl<'a> HealthPage<'a> {
    /// A view of the page `words`.
    pub const fn new(words: &'a [AtomicU64; WORDS]) -> Self {
        HealthPage { words }
    }

    pub(crate) fn get(&self, word: usize) -> u64 {
        self.words[word].load(Acquire)
    }

    pub(crate) fn set(&self, word: usize, value: u64) {
        self.words[word].store(value, Release);
    }
}

/// What the unikernel writes. Each call is safe at any time, also from a trap.
impl HealthPage<'_> {
    /// Beats once. `Release`: whoever sees the beat sees the work that was done before it.
    pub fn beat(&self) {
        self.words[word::BEAT].fetch_add(1, Release);
    }

    /// Beats for the first time in this incarnation, at `now_us`.
    pub fn first_beat(&self, now_us: u64) {
        self.set(word::FIRST_BEAT_US, now_us);
        self.beat();
    }

    /// Says whether the executor has nothing to run.
    pub fn set_idle(&self, idle: bool) {
        self.set(word::IDLE, idle as u64);
    }

    /// Says how far the boot has come.
    pub fn set_stage(&self, stage: BootStage) {
        self.set(word::STAGE, stage as u64);
    }

    /// `units` of work have been taken on by the part `pair`. Pairs beyond the last are ignored.
    pub fn accept(&self, pair: usize, units: u64) {
        self.count(pair, 0, units);
    }

    /// `units` of work have been completed by the part `pair`. Pairs beyond the last are ignored.
    pub fn complete(&self, pair: usize, units: u64) {
        self.count(pair, 1, units);
    }

    fn count(&self, pair: usize, which: usize, units: u64) {
        if pair < PROGRESS_PAIRS {
            self.words[word::PROGRESS + 2 * pair + which].fetch_add(units, Release);
        }
    }

    /// Sets a word of the service area. Indexes beyond the last are ignored.
    pub fn set_service(&self, index: usize, value: u64) {
        if index < SERVICE_WORDS {
            self.set(word::SERVICE + index, value);
        }
    }

    /// The part that root wants restarted, until [`part_restarted`](Self::part_restarted) answers.
    pub fn part_request(&self) -> Option<Ticket> {
        let request = self.get(word::PART_REQUEST);
        (request != 0 && request != self.get(word::PART_ACK)).then_some(Ticket(request))
    }

    /// Answers that the restart asked for by `ticket` is done.
    pub fn part_restarted(&self, ticket: Ticket) {
        self.set(word::PART_ACK, ticket.0);
    }

    /// Takes the fault that root asks for: once, however often the unikernel restarts because of it.
    pub fn take_fault(&self) -> Option<FaultCommand> {
        let command = self.get(word::FAULT_COMMAND);
        if command == 0 || command == self.get(word::FAULT_ACK) {
            return None;
        }
        // After the command (Acquire above), whose store root did last.
        let argument = self.words[word::FAULT_ARGUMENT].load(Relaxed);
        self.set(word::FAULT_ACK, command);
        Some(FaultCommand { fault: Fault::try_from(Ticket(command).what()), argument })
    }

    /// Notes when the fault that was taken begins: right before it does.
    pub fn set_injected_at_us(&self, now_us: u64) {
        self.set(word::INJECTED_AT_US, now_us);
    }
}

/// What root writes.
impl HealthPage<'_> {
    /// Makes the page ready for another incarnation, while the unikernel does not run: beats, requests and
    /// the service area stay, the rest starts from nothing.
    pub fn prepare_start(&self) {
        self.set(word::START_BEAT, self.beats());
        self.set(word::FIRST_BEAT_US, 0);
        self.set(word::IDLE, 0);
        self.set_stage(BootStage::None);
        for index in word::PROGRESS..word::SERVICE {
            self.set(index, 0);
        }
        self.clear_crash();
    }

    /// Says whether the next trap shall lead to the entry point.
    pub fn set_boot_wanted(&self, wanted: bool) {
        self.set(word::BOOT_WANTED, wanted as u64);
    }

    /// Asks the unikernel to restart one of its parts. The doorbell has to be rung besides.
    pub fn request_part_restart(&self, part: u32) -> Ticket {
        let ticket = Ticket::after(self.get(word::PART_REQUEST), part);
        self.set(word::PART_REQUEST, ticket.0);
        ticket
    }

    /// Says by which port this unikernel and the domain `peer` are to reach each other. The doorbell has to be rung
    /// besides. Numbers that can have no offer are ignored.
    pub fn set_offer(&self, peer: u16, offer: Option<Offer>) {
        if usize::from(peer) < MAX_PEERS {
            self.set(word::OFFERS + usize::from(peer), offer.map_or(0, Offer::word));
        }
    }

    /// Asks for a fault. The doorbell has to be rung besides.
    pub fn inject(&self, fault: Fault, argument: u64) -> Ticket {
        let ticket = Ticket::after(self.get(word::FAULT_COMMAND), fault.id());
        self.set(word::INJECTED_AT_US, 0);
        self.set(word::FAULT_ARGUMENT, argument);
        self.set(word::FAULT_COMMAND, ticket.0);
        ticket
    }
}

/// What both may read. All of it is only what somebody wrote there.
impl HealthPage<'_> {
    /// Beats since the domain was built.
    pub fn beats(&self) -> u64 {
        self.get(word::BEAT)
    }

    /// Beats of this incarnation.
    pub fn beats_since_start(&self) -> u64 {
        self.beats().wrapping_sub(self.get(word::START_BEAT))
    }

    /// When this incarnation first beat; `None` before.
    pub fn first_beat_us(&self) -> Option<u64> {
        Some(self.get(word::FIRST_BEAT_US)).filter(|&at| at != 0)
    }

    /// Whether the executor has nothing to run.
    pub fn is_idle(&self) -> bool {
        self.get(word::IDLE) != 0
    }

    /// How far the boot has come; `None` also for what is no stage.
    pub fn stage(&self) -> BootStage {
        let stage = self.get(word::STAGE);
        BootStage::ALL.into_iter().find(|&s| s as u64 == stage).unwrap_or(BootStage::None)
    }

    /// The progress of the part `pair`; nothing for pairs beyond the last.
    ///
    /// `done` is read first: a unit is counted as taken on before it is counted as done, so work that was
    /// done meanwhile can make the answer look busier than it is, but never as if more was done than was
    /// waiting.
    pub fn progress(&self, pair: usize) -> Progress {
        if pair >= PROGRESS_PAIRS {
            return Progress::default();
        }
        let done = self.get(word::PROGRESS + 2 * pair + 1);
        let waiting = self.get(word::PROGRESS + 2 * pair);
        Progress { waiting, done }
    }

    /// A word of the service area; 0 for indexes beyond the last.
    pub fn service(&self, index: usize) -> u64 {
        if index < SERVICE_WORDS { self.get(word::SERVICE + index) } else { 0 }
    }

    /// The port by which this unikernel and the domain `peer` are to reach each other.
    pub fn offer(&self, peer: u16) -> Option<Offer> {
        let word = if usize::from(peer) < MAX_PEERS { self.get(word::OFFERS + usize::from(peer)) } else { 0 };
        Offer::from_word(word)
    }

    /// Whether the next trap leads to the entry point.
    pub fn is_boot_wanted(&self) -> bool {
        self.get(word::BOOT_WANTED) != 0
    }

    /// Whether the restart asked for by `ticket` is done.
    pub fn is_part_restarted(&self, ticket: Ticket) -> bool {
        self.get(word::PART_ACK) == ticket.0
    }

    /// Whether the fault asked for by `ticket` has been taken.
    pub fn is_fault_taken(&self, ticket: Ticket) -> bool {
        self.get(word::FAULT_ACK) == ticket.0
    }

    /// When the last fault that was asked for began; `None` before it did.
    pub fn injected_at_us(&self) -> Option<u64> {
        Some(self.get(word::INJECTED_AT_US)).filter(|&at| at != 0)
    }
}

#[cfg(test)]
mod tests;
