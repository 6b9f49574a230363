//! The broker: what root does for components that have guests and no privileges.
//!
//! They ask in memory that root lends them (see the crate `broker`), one small step at a time. Root carries a step out if
//! it concerns a domain that the asker has made, and is no more than a step may be; what frames and contexts are sound,
//! Xen decides. Whatever is asked:
//!
//! - a request is read once, into root's own memory, and costs root a bounded time, mostly some tens of microseconds;
//! - a turn of root's serves requests for a millisecond, and then everything else has its turn;
//! - an asker has half of a second's time, and no more than so many refusals: what is beyond waits for the next second;
//! - whose domains there are stands in the recovery box before they exist.
//!
//! ```text
//! carry_out   the steps that concern one domain alone: hypercalls, and pages that are mapped for a moment
//! guests      the requests that change which domains there are, or ask about them
//! operator    what concerns components: looking at them, restarting them, making them fail
//! domains     whose each domain is
//! ```

mod carry_out;
mod domains;
mod guests;
mod operator;

pub use domains::Records;

use crate::host::Host;
use broker::layout::DATA_WORDS;
use broker::{Answer, Asked, Outcome, Refusal, Request, Server};
use carry_out::{Hands, WORK_PAGES};
use core::sync::atomic::AtomicU64;
use description::Description;
use domains::Domains;
use heapless::Vec;
use kernel::now_us;
use kernel::window::Slot;
use monitor::MAX_COMPONENTS;
use static_cell::StaticCell;
use zerocopy::IntoBytes;

/// How long requests are served in one turn, in microseconds. The last one may take it longer.
const TURN_US: u64 = 1_000;

/// How much of a second requests of one asker may take.
const SHARE_US: u64 = 500_000;

/// Requests that no sound asker makes, of one asker in a second. A sound one makes none.
const REFUSALS_PER_SECOND: u32 = 100;

const SECOND_US: u64 = 1_000_000;

/// The data of the request that is being carried out.
static DATA: StaticCell<[u64; DATA_WORDS]> = StaticCell::new();

/// What the broker knows.
pub struct Broker {
    askers: Vec<Asker, MAX_COMPONENTS>,
    domains: Domains,
    /// Where pages of guests are mapped.
    slot: Slot,
    data: &'static mut [u64; DATA_WORDS],
}

/// Somebody who may ask.
struct Asker {
    /// The index of the component.
    index: usize,
    /// How much memory its domains may have together, in KiB.
    memory_kib: u64,
    /// When its current second ends, in which the rest is counted.
    second_ends_us: u64,
    /// How long its requests have taken.
    used_us: u64,
    /// How many were misuse.
    misused: u32,
}

impl Asker {
    fn may_ask(&self) -> bool {
        self.used_us < SHARE_US && self.misused < REFUSALS_PER_SECOND
    }
}

impl Broker {
    /// The broker for the components with these indexes, which `slot` is for, with what an earlier life has noted in
    /// `words`.
    ///
    /// # Panics
    /// Where what an earlier life was working on stays mapped.
    pub fn new(
        description: &Description,
        askers: impl Iterator<Item = usize>,
        words: &'static [AtomicU64],
        mut slot: Slot,
    ) -> Self {
        if let Err(error) = slot.unmap(0, WORK_PAGES) {
            panic!("the broker's part of the window: {error}");
        }
        let asker = |index: usize| {
            let memory = description.components.get(index).and_then(|component| component.guest_memory_pages);
            let memory_kib = memory.map_or(u64::MAX, |pages| u64::from(pages) * 4);
            Asker { index, memory_kib, second_ends_us: 0, used_us: 0, misused: 0 }
        };
        Self {
            askers: askers.map(asker).collect(),
            domains: Domains::open(words),
            slot,
            data: DATA.init([0; DATA_WORDS]),
        }
    }
}

impl Host {
    /// Whether somebody has asked for something and may be served.
    pub fn is_asked(&self) -> bool {
        let asks = |asker: &Asker| {
            let server = self.kept.requests(asker.index).and_then(Server::new);
            asker.may_ask() && server.is_some_and(|server| server.is_asked())
        };
        self.broker.askers.iter().any(asks)
    }

    /// Serves requests, for a while.
    pub fn serve(&mut self) {
        let now = now_us();
        for place in 0..self.broker.askers.len() {
            self.begin_second(place, now);
            self.serve_asker(place, now);
        }
    }

    fn begin_second(&mut self, place: usize, now: u64) {
        let asker = &mut self.broker.askers[place];
        if now < asker.second_ends_us {
            return;
        }
        let (index, misused) = (asker.index, asker.misused);
        *asker = Asker { second_ends_us: now + SECOND_US, used_us: 0, misused: 0, ..*asker };
        if misused > 1 {
            let name = self.components[index].name;
            self.note(name, format_args!("flood what=broker refused={misused} limit={REFUSALS_PER_SECOND}"));
        }
    }

    fn serve_asker(&mut self, place: usize, started_us: u64) {
        let index = self.broker.askers[place].index;
        let mut has_answered = false;
        let mut now = now_us();
        while now < started_us + TURN_US && self.broker.askers[place].may_ask() {
            let asked = {
                let Self { kept, broker, .. } = self;
                kept.requests(index).and_then(Server::new).and_then(|server| server.take(broker.data))
            };
            let Some(asked) = asked else { break };
            let outcome = self.answer(place, &asked);
            if let Some(server) = self.kept.requests(index).and_then(Server::new) {
                server.answer(&asked, &outcome);
            }
            has_answered = true;
            match outcome {
                Err(refusal) if refusal.is_misuse() => self.note_misuse(place, &asked, refusal),
                // It has rung for a reason.
                _ => {
                    let rings = &mut self.components[index].doorbell_rings;
                    *rings = rings.saturating_sub(1);
                }
            }
            let before = core::mem::replace(&mut now, now_us());
            self.broker.askers[place].used_us += now - before;
        }
        if has_answered {
            self.components[index].ring();
        }
    }

    /// Notes the first request in a second that no sound asker makes; the others are counted.
    fn note_misuse(&mut self, place: usize, asked: &Asked, refusal: Refusal) {
        let asker = &mut self.broker.askers[place];
        asker.misused += 1;
        if asker.misused == 1 {
            let name = self.components[asker.index].name;
            let request = asked.request.map_or("?", |request| request.name());
            self.note(name, format_args!("broker refused={request} msg={refusal}"));
        }
    }

    /// What to answer to a request, after it was carried out.
    fn answer(&mut self, place: usize, asked: &Asked) -> Outcome {
        let request = asked.request?;
        let Asker { index, memory_kib, .. } = self.broker.askers[place];
        if let Some(domain) = request.domain()
            && self.broker.domains.get(domain).is_none_or(|guest| usize::from(guest.owner) != index)
        {
            return Err(Refusal::NotYours { domain });
        }
        match request {
            Request::Host => self.host_info(index, memory_kib),
            Request::Component { index: of } => self.component_info(index, of),
            Request::Event { from } => self.event_line(index, from),
            Request::Restart { index: of, rung } => self.restart_for(index, of, rung),
            Request::Release { index: of } => self.release_for(index, of),
            Request::Inject { index: of, fault, argument } => self.inject_for(index, of, fault, argument),
            Request::Find { handle } => {
                let found = self.broker.domains.of(index).find(|guest| guest.handle == handle);
                Ok(Answer::Domain(found.map(|guest| (guest.domid, guest.handle))))
            }
            Request::Next { after } => {
                let next = self.broker.domains.of(index).find(|guest| guest.domid > after);
                Ok(Answer::Domain(next.map(|guest| (guest.domid, guest.handle))))
            }
            Request::Info { domain } => self.guest_info(domain),
            Request::Vcpu { domain, vcpu } => self.vcpu_info(domain, vcpu),
            Request::Create { create, weight } => self.create_guest(index, memory_kib, &create, weight),
            Request::Introduce { domain, frame, reference, port } => {
                self.introduce_guest(domain, frame, reference, port)
            }
            Request::Destroy { domain } => self.destroy_guest(domain),
            Request::SetMaxMemory { domain, kib } => self.set_guest_memory(domain, index, memory_kib, kib),
            _ => {
                let Self { control, archive, broker: Broker { slot, data, .. }, .. } = self;
                let data = &data.as_bytes()[..asked.length];
                Hands { control, slot, archive: archive.as_bytes() }.carry_out(&request, data)
            }
        }
    }
}
