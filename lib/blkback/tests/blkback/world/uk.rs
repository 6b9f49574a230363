//! The disk uk: the backend with what it needs, and its lives.

use super::Random;
use super::disk::Disk;
use super::frontend::Guest;
use super::machine::{Hands, Shared};
use blkback::{Blkback, Limits, Reason, Report, VbdId};
use uk_abi::testing::{Fuse, Memory};

pub(crate) const SLOTS: usize = 48;
const QUEUES: usize = 12;

type Backend = Blkback<'static, Memory, SLOTS>;

/// The uk, dead or alive.
pub(crate) struct Uk {
    backend: Option<Backend>,
    /// The recovery box.
    pub(crate) kept: Memory,
    pub(crate) hands: Hands,
    pub(crate) fuse: Fuse,
    limits: Limits,
    now_us: u64,
    /// Something has happened for which it has to run.
    pub(crate) woken: bool,
    /// The driver is to be restarted.
    pub(crate) driver_at_fault: bool,
    /// How often the backend has found that.
    pub(crate) faults_found: u64,
    pub(crate) broken: Vec<(VbdId, Reason)>,
    pub(crate) drained: Vec<VbdId>,
    pub(crate) failed: u64,
    pub(crate) given_up: Vec<u64>,
    pub(crate) deaths: u64,
}

impl Uk {
    pub(crate) fn new(machine: &Shared, fuse: &Fuse, limits: Limits) -> Self {
        Self {
            backend: None,
            kept: Memory::zeroed(Backend::WORDS, fuse),
            hands: Hands { machine: machine.clone(), fuse: fuse.clone() },
            fuse: fuse.clone(),
            limits,
            now_us: 0,
            woken: false,
            driver_at_fault: false,
            faults_found: 0,
            broken: Vec::new(),
            drained: Vec::new(),
            failed: 0,
            given_up: Vec::new(),
            deaths: 0,
        }
    }

    pub(crate) fn backend(&mut self) -> &mut Backend {
        self.backend.as_mut().expect("the uk lives")
    }

    /// Root has found it dead: resets the device and starts it, until it lives.
    pub(crate) fn revive(&mut self, disk: &mut Disk, guests: &[&Guest]) {
        self.backend = None;
        self.woken = true;
        for attempt in 0.. {
            if attempt == 5 {
                self.fuse.put_out();
            }
            disk.reset();
            self.hands.machine.borrow_mut().new_life();
            self.driver_at_fault = false;
            let (kept, limits, hands) = (self.kept.clone(), self.limits, &mut self.hands);
            let mut refused = Vec::new();
            let born = self.fuse.guard(|| {
                let (mut backend, _) = Backend::open(kept, QUEUES, limits).expect("there is memory for it");
                for guest in guests {
                    if let Err(reason) = backend.connect(guest.id, guest.disk, &guest.rings) {
                        refused.push((guest.id, reason));
                    }
                }
                backend.driver_ready(hands);
                backend
            });
            if let Some(backend) = born {
                self.backend = Some(backend);
                self.broken.append(&mut refused);
                return;
            }
            self.deaths += 1;
        }
    }

    /// Lets the uk run, if anything has happened for which it has to.
    pub(crate) fn run(&mut self, disk: &mut Disk, guests: &mut [&mut Guest]) {
        self.now_us += 10;
        if !core::mem::take(&mut self.woken) && !disk.has_finished() {
            return;
        }
        let Some(backend) = &mut self.backend else { return };
        let (fuse, hands, now_us) = (&self.fuse, &mut self.hands, self.now_us);
        let mut reports = Vec::new();
        let lived = fuse.guard(|| {
            backend.run(now_us, disk, hands, &mut |report| {
                fuse.burn();
                reports.push(report);
            })
        });
        for report in reports {
            match report {
                Report::Notify { vbd, queue } => {
                    let guest = guests.iter_mut().find(|guest| guest.id == vbd).expect("it is connected");
                    guest.events[queue] = true;
                }
                Report::Broken { vbd, reason } => self.broken.push((vbd, reason)),
                Report::Drained { vbd } => self.drained.push(vbd),
                Report::Failed { .. } => self.failed += 1,
                Report::GivenUp { sector, .. } => self.given_up.push(sector),
                Report::DriverAtFault => {
                    self.driver_at_fault = true;
                    self.faults_found += 1;
                }
            }
        }
        match lived {
            Some(again) => self.woken = again,
            None => {
                self.deaths += 1;
                self.backend = None;
            }
        }
    }

    /// The driver is restarted: it is found dead, the device reset, and a new one is ready.
    pub(crate) fn restart_driver(&mut self, disk: &mut Disk) {
        self.backend().driver_failed();
        disk.reset();
        self.woken = true;
        let (fuse, hands) = (self.fuse.clone(), &mut self.hands);
        let backend = self.backend.as_mut().expect("the uk lives");
        self.driver_at_fault = false;
        if fuse.guard(|| backend.driver_ready(hands)).is_none() {
            self.deaths += 1;
            self.backend = None;
        }
    }

    /// Nothing runs, and nothing waits.
    pub(crate) fn check_idle(&mut self) {
        let shadow = self.backend().shadow();
        assert_eq!((shadow.running(), shadow.waiting(), shadow.oldest_us()), (0, 0, None));
    }

    pub(crate) fn lives(&self) -> bool {
        self.backend.is_some()
    }
}

/// A length for a fuse: often short, sometimes long.
pub(crate) fn length(random: &mut Random) -> u64 {
    let most = [20, 100, 1000][random.below(3) as usize];
    random.below(most)
}
