//! Asks for all that it may not have. Whatever is not refused as it must be ends its life with what it was.

use super::{Asker, small};
use ::broker::layout::WORDS;
use ::broker::{Answer, Outcome, Refusal, Request, SLOTS};
use builder::steps::{Create, TableSizes};
use core::sync::atomic::Ordering::Relaxed;
use libos::Uk;
use libos::time::{Duration, Timer};
use libos::xen_abi::{Domid, GrantRef, MachineAddr, Mfn, Pfn};

/// From one round to the next.
const PAUSE: Duration = Duration::from_millis(200);

/// Numbers of domains that it tries: root, components, guests of others.
const OTHERS: u16 = 24;

/// Rings of the doorbell in a round.
const RINGS: usize = 3000;

/// The UUID of its own domain.
const HANDLE: u8 = 0x60;

/// Misbehaves for ever.
///
/// # Panics
/// If something is not refused that must be, or is refused that must not be.
pub async fn run(uk: &Uk) {
    let mut asker = Asker::open(uk).await;
    let own = asker.own_domain().await;
    for round in 1.. {
        let refused = asker.ask_too_much(own).await + asker.touch_others(own, round).await;
        asker.scribble(round).await;
        (0..RINGS).for_each(|_| asker.ring());
        match asker.ask(&Request::Info { domain: own }, &[]).await {
            Ok(Answer::Info(_)) => {}
            other => panic!("broker: the answer about its own domain is {other:?}"),
        }
        log::info!("broker: round {round}, {refused} requests refused as they must be");
        Timer::after(PAUSE).await;
    }
}

impl Asker {
    /// The one domain that it has, in this life or an earlier one.
    async fn own_domain(&mut self) -> Domid {
        let create = Request::Create { create: small(HANDLE), weight: 256 };
        loop {
            match self.ask(&create, &[]).await {
                Ok(Answer::Created { domain, .. }) | Err(Refusal::Exists { domain }) => return domain,
                Err(Refusal::Interrupted) => {}
                other => panic!("broker: the answer to create is {other:?}"),
            }
        }
    }

    /// Steps that are too large, or make no sense, on its own domain. Answers how many there were.
    async fn ask_too_much(&mut self, domain: Domid) -> usize {
        let at = MachineAddr(0x10_0000);
        let with = |change: fn(&mut Create)| {
            let mut create = small(HANDLE + 1);
            change(&mut create);
            Request::Create { create, weight: 256 }
        };
        let requests = [
            Request::Populate { domain, first: Pfn(0), order: 0, count: 1_000_000 },
            Request::Populate { domain, first: Pfn(u64::MAX), order: 30, count: 1 },
            Request::Copy { domain, at, offset: u64::MAX, length: 4096 },
            Request::Copy { domain, at, offset: 0, length: u32::MAX },
            Request::Clear { domain, at, length: u32::MAX },
            Request::Grant { domain, entry: GrantRef(8), to: Domid(1), frame: Mfn(1) },
            Request::Context { domain, vcpu: 8 },
            Request::Context { domain, vcpu: 0 },
            Request::MemoryMap { domain },
            with(|create| create.vcpus = 9),
            with(|create| create.tables = TableSizes { grant_frames: 65, ..create.tables }),
            with(|create| create.memory_kib = 1 << 40),
        ];
        for request in &requests {
            let outcome = self.ask(request, &[1; 21]).await;
            let is_right = match request {
                Request::Context { vcpu: 0, .. } | Request::MemoryMap { .. } => {
                    outcome == Err(Refusal::Malformed)
                }
                Request::Create { create, .. } if create.memory_kib == 1 << 40 => {
                    matches!(outcome, Err(Refusal::Memory { .. }))
                }
                _ => matches!(outcome, Err(Refusal::TooMuch { .. })),
            };
            check(is_right, request, &outcome);
        }
        requests.len()
    }

    /// Domains of others, and frames of others for its own. Answers how many requests there were.
    async fn touch_others(&mut self, own: Domid, round: u64) -> usize {
        let mut refused = 0;
        for domain in (0..OTHERS).map(Domid).filter(|domain| *domain != own) {
            let request = match (round + u64::from(domain.0)) % 4 {
                0 => Request::Destroy { domain },
                1 => Request::Pause { domain },
                2 => Request::Write { domain, at: MachineAddr(0x10_0000) },
                _ => Request::Info { domain },
            };
            let outcome = self.ask(&request, &[2; 16]).await;
            check(outcome == Err(Refusal::NotYours { domain }), &request, &outcome);
            refused += 1;
        }
        for frame in [0, 0x100, 0x2000, 1 << 20, 1 << 39, u64::MAX >> 12].map(Mfn) {
            let at = frame.addr();
            for request in [Request::Write { domain: own, at }, Request::Pin { domain: own, root: frame }] {
                let outcome = self.ask(&request, &[3; 16]).await;
                check(matches!(outcome, Err(Refusal::Xen(_))), &request, &outcome);
                refused += 1;
            }
        }
        refused
    }

    /// Writes rubbish to the slots, as a heap that has gone mad might, and goes on as a new life would.
    async fn scribble(&mut self, round: u64) {
        let mut state = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for slot in 0..SLOTS {
            for word in 0..80 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                self.words[slot * (WORDS / SLOTS) + word].store(state, Relaxed);
            }
        }
        self.settle().await;
    }
}

fn check(is_right: bool, request: &Request, outcome: &Outcome) {
    assert!(is_right, "broker: the answer to {request:?} is {outcome:?}");
}
