//! What may start, what starts again, and who is to blame.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Names a piece of work, from when it is taken until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u16);

/// Work that is ordered among itself: of one disk, or of one direction of a network device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(pub u16);

/// How a piece of work stands to the others of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In no order: whoever wants one waits for the answer before asking for more.
    Free,
    /// It makes lasting what was *answered* before. It starts at once; but if it is done again, then after everything that came
    /// before it and is done again too, and what came behind it waits.
    Flush,
    /// It starts when everything before it is finished, and what came behind it waits.
    Fence,
}

/// How a piece of work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// The device works, and cannot do this: a bad sector.
    Failed,
    /// The device does not know how to do this.
    Unsupported,
    /// It was called off, by a reset or by the driver, and may or may not have been done.
    Aborted,
}

/// What follows from an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is finished: answer so.
    Answer(Outcome),
    /// It will be started again.
    Again,
    /// The driver is to be restarted: it has finished what it was not asked to do, or has failed at everything lately.
    DriverAtFault,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Give it to the driver. If `retries` is not 0, note the number first.
    Start {
        /// Which.
        token: Token,
        /// How often it was started before.
        retries: u8,
    },
    /// Answer that it has failed: whenever it was alone with the driver, the driver died.
    GiveUp {
        /// Which.
        token: Token,
    },
}

/// When patience ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Work that was started so often without coming to an end is started again only when nothing else runs: if the driver dies
    /// once more, it is known of what. At least 2, so that what is in flight at a single fault is done again at full speed.
    pub alone_after: u8,
    /// Work that was started so often without coming to an end has failed. Well above `alone_after`: somebody may be killing
    /// the driver for other reasons.
    pub give_up_after: u8,
    /// When so many have failed in a row, with nothing done in between, it is not believed that it was the medium each time:
    /// the driver is restarted once. A bad region that a guest reads on and on costs no more than that.
    pub failures_in_a_row: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self { alone_after: 2, give_up_after: 8, failures_in_a_row: 8 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent,
    Waiting,
    Running { since_us: u64 },
}

#[derive(Clone, Copy, Debug)]
struct Item {
    state: State,
    group: Group,
    order: Order,
    /// The place in the order in which work came.
    sequence: u64,
    /// How often it was started.
    starts: u8,
}

impl Item {
    const ABSENT: Self =
        Self { state: State::Absent, group: Group(0), order: Order::Free, sequence: 0, starts: 0 };

    fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    fn is_fence(&self) -> bool {
        self.order == Order::Fence || self.order == Order::Flush && self.starts > 0
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct GroupState {
    running: u16,
    fence_runs: bool,
    /// The search in which something of the group was found that may not start yet.
    held_in: u64,
}

/// The shadow of one driver.
#[derive(Debug)]
pub struct Shadow {
    limits: Limits,
    items: Vec<Item>,
    groups: Vec<GroupState>,
    /// What has not been started, or has to be started again, in the order in which it came.
    waiting: VecDeque<Token>,
    running: usize,
    /// Whether what runs is suspected of killing drivers.
    suspect_runs: bool,
    driver_is_up: bool,
    failures: u8,
    /// The driver has been restarted because of failures, and nothing has been done since.
    restarted_for_failures: bool,
    sequence: u64,
    searches: u64,
    finished: u64,
}

impl Shadow {
    /// The shadow of a driver that is not up yet, for work with tokens below `capacity`.
    pub fn new(capacity: usize, limits: Limits) -> Self {
        Self {
            limits,
            items: alloc::vec![Item::ABSENT; capacity],
            groups: Vec::new(),
            waiting: VecDeque::with_capacity(capacity),
            running: 0,
            suspect_runs: false,
            driver_is_up: false,
            failures: 0,
            restarted_for_failures: false,
            sequence: 0,
            searches: 0,
            finished: 0,
        }
    }

    /// Takes in new work.
    pub fn admit(&mut self, token: Token, group: Group, order: Order) {
        self.insert(token, group, order, 0);
    }

    /// Takes in work of an earlier life, in the order in which that life had taken it, and before anything new. It may have been
    /// started once more than it was noted to have been.
    pub fn admit_again(&mut self, token: Token, group: Group, order: Order, retries: u8) {
        self.insert(token, group, order, retries.saturating_add(1));
    }

    fn insert(&mut self, token: Token, group: Group, order: Order, starts: u8) {
        self.sequence += 1;
        self.items[usize::from(token.0)] =
            Item { state: State::Waiting, group, order, sequence: self.sequence, starts };
        if self.groups.len() <= usize::from(group.0) {
            self.groups.resize(usize::from(group.0) + 1, GroupState::default());
        }
        self.waiting.push_back(token);
    }

    /// What to do next; nothing, if nothing may start now.
    pub fn next(&mut self, now_us: u64) -> Option<Next> {
        if !self.driver_is_up || self.suspect_runs {
            return None;
        }
        self.searches += 1;
        for place in 0..self.waiting.len() {
            let token = self.waiting[place];
            let item = self.items[usize::from(token.0)];
            let group = &mut self.groups[usize::from(item.group.0)];
            if group.held_in == self.searches {
                continue;
            }
            let may_start = if item.is_fence() { group.running == 0 } else { !group.fence_runs };
            if !may_start {
                group.held_in = self.searches;
                continue;
            }
            if item.starts >= self.limits.give_up_after {
                self.waiting.remove(place);
                self.items[usize::from(token.0)] = Item::ABSENT;
                return Some(Next::GiveUp { token });
            }
            let suspect = item.starts >= self.limits.alone_after;
            if suspect && self.running > 0 {
                return None;
            }
            self.waiting.remove(place);
            self.suspect_runs = suspect;
            self.running += 1;
            group.running += 1;
            group.fence_runs = item.is_fence();
            let item = &mut self.items[usize::from(token.0)];
            item.state = State::Running { since_us: now_us };
            let retries = item.starts;
            item.starts = item.starts.saturating_add(1);
            return Some(Next::Start { token, retries });
        }
        None
    }

    /// Takes in how a piece of work ended.
    pub fn finished(&mut self, token: Token, outcome: Outcome) -> Verdict {
        if !self.is_running(token) {
            self.driver_failed();
            return Verdict::DriverAtFault;
        }
        match outcome {
            Outcome::Done => {
                self.failures = 0;
                self.restarted_for_failures = false;
            }
            Outcome::Failed => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= self.limits.failures_in_a_row && !self.restarted_for_failures {
                    self.restarted_for_failures = true;
                    self.driver_failed();
                    return Verdict::DriverAtFault;
                }
            }
            Outcome::Unsupported => {}
            Outcome::Aborted => {
                self.stop(token, State::Waiting);
                self.wait_in_order();
                return Verdict::Again;
            }
        }
        self.stop(token, State::Absent);
        self.finished += 1;
        Verdict::Answer(outcome)
    }

    /// Ends work that was started, with nothing to learn from it: the device had no part in how it ended, or nobody wants it
    /// any more.
    pub fn dismiss(&mut self, token: Token) {
        if self.is_running(token) {
            self.stop(token, State::Absent);
            self.finished += 1;
        }
    }

    /// Ends the running of a piece of work.
    fn stop(&mut self, token: Token, state: State) {
        let item = &mut self.items[usize::from(token.0)];
        item.state = state;
        let group = &mut self.groups[usize::from(item.group.0)];
        group.running -= 1;
        // A fence runs alone.
        group.fence_runs = false;
        self.running -= 1;
        self.suspect_runs = false;
    }

    /// Lines up all that waits.
    fn wait_in_order(&mut self) {
        let items = &self.items;
        let waits = |&token: &Token| items[usize::from(token.0)].state == State::Waiting;
        self.waiting.clear();
        self.waiting.extend((0..items.len() as u16).map(Token).filter(waits));
        self.waiting.make_contiguous().sort_unstable_by_key(|token| items[usize::from(token.0)].sequence);
    }

    /// The driver is dead, or as good as: nothing that it was given will be finished. What had been started waits.
    pub fn driver_failed(&mut self) {
        self.driver_is_up = false;
        for token in (0..self.items.len() as u16).map(Token) {
            if self.is_running(token) {
                self.stop(token, State::Waiting);
            }
        }
        self.wait_in_order();
    }

    /// There is a driver, and the device has forgotten all that an earlier one had given it.
    pub fn driver_ready(&mut self) {
        self.driver_is_up = true;
    }

    /// Whether there is a driver.
    pub const fn driver_is_up(&self) -> bool {
        self.driver_is_up
    }

    /// Withdraws work that waits: nobody wants it any more. Returns whether it waited; what runs goes on.
    pub fn withdraw(&mut self, token: Token) -> bool {
        let waits = self.items[usize::from(token.0)].state == State::Waiting;
        if waits {
            self.items[usize::from(token.0)] = Item::ABSENT;
            self.waiting.retain(|&other| other != token);
        }
        waits
    }

    /// Whether the driver has it.
    pub fn is_running(&self, token: Token) -> bool {
        self.items.get(usize::from(token.0)).is_some_and(Item::is_running)
    }

    /// How much the driver has.
    pub const fn running(&self) -> usize {
        self.running
    }

    /// How much waits to be started.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How much was finished, ever: it grows as long as the driver works.
    pub const fn progress(&self) -> u64 {
        self.finished
    }

    /// When what has been running for the longest time was started, in microseconds: a driver that has not finished it within
    /// its deadline hangs.
    pub fn oldest_us(&self) -> Option<u64> {
        let since = |item: &Item| match item.state {
            State::Running { since_us } => Some(since_us),
            State::Absent | State::Waiting => None,
        };
        self.items.iter().filter_map(since).min()
    }
}
