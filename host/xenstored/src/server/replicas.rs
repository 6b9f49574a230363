//! What a master does for its replicas, beside its clients: wakes them, hears them, gives them copies, reports.

use std::time::{Duration, Instant};

use replica::master::Master;
use replica::report::Report;
use tracing::{info, warn};

use super::{Home, Server};
use crate::state::Memory;
use crate::supervisor::{MESSAGE_MAX, News};

/// How long a replica may sleep with something to read. Nothing is lost meanwhile: what it has to read stays, whatever
/// happens to the master. A wake for every write would cost more than the write.
const NAP: Duration = Duration::from_millis(2);

/// How often the store is checked, piece by piece, and the vault cleaned, when nothing asks for it.
const WORK: Duration = Duration::from_millis(50);

/// The replicas, as the event loop sees them.
#[derive(Debug)]
pub(super) struct Replicas {
    /// Their numbers; the master knows them by their place here.
    numbers: Vec<u8>,
    /// Those that live, one bit each.
    live: u8,
    /// Those that have something to read, one bit each, and since when.
    asleep: u8,
    since: Option<Instant>,
    /// When a piece of work was done last, and whether there is more.
    worked: Instant,
    busy: bool,
}

impl Replicas {
    /// These, of which those in `live` live.
    pub(super) fn new(numbers: Vec<u8>, live: u8, master: &mut Master<Memory>) -> Self {
        let all = numbers.iter().fold(0, |bits, number| bits | 1 << number);
        let mut replicas =
            Self { numbers, live: all, asleep: 0, since: None, worked: Instant::now(), busy: false };
        replicas.set_live(live, master);
        replicas
    }

    /// Who lives has changed.
    pub(super) fn set_live(&mut self, live: u8, master: &mut Master<Memory>) {
        for (place, number) in self.numbers.iter().enumerate() {
            let (before, now) = (self.live & (1 << number) != 0, live & (1 << number) != 0);
            match (before, now) {
                (true, false) => master.replica_gone(place),
                (false, true) => master.replica_joined(place),
                _ => {}
            }
        }
        self.live = live;
    }

    /// Some replica has written something.
    pub(super) fn hear(&self, master: &mut Master<Memory>) {
        (0..self.numbers.len()).for_each(|place| master.from_replica(place));
    }

    /// Puts the number of a replica in the place of its place.
    fn name(&self, report: &mut Report) {
        match report {
            Report::Seeded { replica, .. }
            | Report::Following { replica }
            | Report::Lagging { replica }
            | Report::Joining { replica }
            | Report::Disagreement { replica, .. } => *replica = usize::from(self.numbers[*replica]),
            _ => {}
        }
    }

    /// How long the loop may sleep.
    pub(super) fn patience(&self) -> Duration {
        let wake = self.since.map_or(WORK, |since| NAP.saturating_sub(since.elapsed()));
        wake.min(WORK.saturating_sub(self.worked.elapsed()))
    }
}

impl Server {
    /// One piece of work for the replicas and the vault. Answers whether there is more to do at once.
    pub(super) fn look_after_replicas(&mut self) -> bool {
        let now = Instant::now();
        let more = self.work(now);
        let Replicas { numbers, asleep, since, .. } = &mut self.replicas;
        self.master.take_wakes(|place| *asleep |= 1 << numbers[place]);
        if *asleep != 0 {
            let began = *since.get_or_insert(now);
            if now.duration_since(began) >= NAP || more {
                let wake = News::Wake(std::mem::take(asleep));
                *since = None;
                self.tell(&wake);
            }
        }
        self.master.take_reports(&mut self.reports);
        let reports = std::mem::take(&mut self.reports);
        for mut report in reports {
            self.replicas.name(&mut report);
            self.report(&report);
        }
        more
    }

    fn work(&mut self, now: Instant) -> bool {
        if now.duration_since(self.replicas.worked) < WORK && !self.replicas.busy {
            return false;
        }
        self.replicas.worked = now;
        self.give_up_the_stuck(now);
        for id in std::mem::take(&mut self.leaving) {
            if !self.master.disconnect(id) {
                self.leaving.push(id);
            }
        }
        self.replicas.busy = self.master.work();
        self.replicas.busy
    }

    fn report(&self, report: &Report) {
        let quiet = matches!(
            report,
            Report::Begun
                | Report::Recovered { .. }
                | Report::Seeded { .. }
                | Report::Following { .. }
                | Report::Joining { .. }
        );
        match &self.home {
            Home::Alone { .. } if quiet => info!("{report}"),
            Home::Alone { .. } => warn!("{report}"),
            Home::Supervised(_) => self.tell(&News::report(!quiet, report)),
        }
    }
}

impl News {
    /// A report that fits into a message.
    pub(crate) fn report(warning: bool, report: &Report) -> Self {
        let mut text = report.to_string();
        let mut end = text.len().min(MESSAGE_MAX / 2);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        Self::Report { warning, text }
    }
}
