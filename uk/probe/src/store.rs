//! A client of XenStore that counts: every request is answered once, every change is told once, and what is read is what was
//! written, whatever happens to those who serve.
//!
//! A round writes a number, and waits for the reply and for the event of its own watch; reads the number back; and every few
//! rounds adds to a number in a transaction, again until it is not in conflict. A second event for one change says that a
//! request was applied twice. Whatever is not as it must be ends this life with what it was.

use alloc::format;
use alloc::string::ToString;
use core::fmt::Display;
use libos::Uk;
use libos::channel::Channel;
use libos::store::{self, Outcome, Session, Transaction};
use libos::time::{Duration, Instant, Timer};

/// Rounds from one report to the next, and from one transaction to the next.
const REPORT_EVERY: u64 = 100;
const TRANSACTION_EVERY: u64 = 8;

/// From one round to the next.
const PAUSE: Duration = Duration::from_micros(500);

/// Where it writes, below its home.
const NUMBER: &str = "data/number";
const SUM: &str = "data/sum";
const TOKEN: &str = "mine";

/// Nodes with the same parent among those that fill the store.
const SIBLINGS: u32 = 250;

/// Uses XenStore for ever over the ring in the memory called `name`, after it has filled it with so many nodes.
///
/// # Panics
/// If something is not as it must be.
pub async fn run(uk: &Uk, name: &str, nodes: u32) {
    let Some(session) = store::connect(uk, name).await else { panic!("nobody shares {name}") };
    let mut store = Store { session, longest: Duration::from_ticks(0) };
    store.fill(nodes).await;
    done(store.session.mkdir(Transaction::NONE, "data").await);
    store.write(Transaction::NONE, SUM, "0").await;
    store.write(Transaction::NONE, NUMBER, "start").await;
    done(store.session.watch(NUMBER, TOKEN).await);
    store.event().await;
    log::info!("XenStore serves this probe");
    let mut conflicts = 0;
    for round in 1.. {
        let number = round.to_string();
        store.write(Transaction::NONE, NUMBER, &number).await;
        store.event().await;
        store.expect(Transaction::NONE, NUMBER, &number).await;
        if round % TRANSACTION_EVERY == 0 {
            conflicts += store.add(round / TRANSACTION_EVERY).await;
        }
        if round % REPORT_EVERY == 0 {
            let longest_us = core::mem::take(&mut store.longest).as_micros();
            log::info!("XenStore: {round} rounds, {conflicts} conflicts, longest request {longest_us} us");
        }
        Timer::after(PAUSE).await;
    }
}

/// The session, in which every request must succeed.
struct Store {
    session: Session<'static, Channel>,
    /// The longest time from a request to its reply since the last report.
    longest: Duration,
}

impl Store {
    /// Creates so many nodes, with short paths of their own.
    async fn fill(&mut self, nodes: u32) {
        for number in 0..nodes {
            let path = format!("/f/{}/{number}", number / SIBLINGS);
            self.write(Transaction::NONE, &path, "x").await;
        }
    }

    /// Adds one to the sum, which is `now` then. Answers how often it was in conflict.
    async fn add(&mut self, now: u64) -> u64 {
        for conflicts in 0.. {
            let transaction = done(self.session.begin().await);
            self.expect(transaction, SUM, &(now - 1).to_string()).await;
            self.write(transaction, SUM, &now.to_string()).await;
            if done(self.session.end(transaction, true).await) == Outcome::Committed {
                return conflicts;
            }
        }
        0
    }

    async fn write(&mut self, transaction: Transaction, path: &str, value: &str) {
        let started = Instant::now();
        done(self.session.write(transaction, path, value.as_bytes()).await);
        self.longest = self.longest.max(started.elapsed());
    }

    /// Reads a node that must have this value.
    async fn expect(&mut self, transaction: Transaction, path: &str, value: &str) {
        let started = Instant::now();
        let found = done(self.session.read(transaction, path).await);
        self.longest = self.longest.max(started.elapsed());
        assert!(found == value.as_bytes(), "{path}: expected {value}, found {found:x?}");
    }

    /// Waits for the one event of a change.
    async fn event(&mut self) {
        let event = done(self.session.event().await);
        assert!(event.token == TOKEN, "an event came that nobody has asked for: {event:?}");
        let second = done(self.session.try_event());
        assert!(second.is_none(), "a second event came for one change");
    }
}

fn done<T>(result: Result<T, impl Display>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
