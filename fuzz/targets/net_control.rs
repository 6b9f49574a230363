//! Control messages of a guest's network interface: how it wants its frames hashed, and which queue they go to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netback::{
    Answers, Batch, Copier, Device, FrontendKeys, Keep, MAX_MAPPING, NetControl, NetReceive, NetTransmit,
    PAGE, PageId, Pages, Pool, QueueRings, RingName, Room, Saved,
};
use ring::Page;
use ring::request::Ring;
use rvmm_fuzz::{FRAMES, byte, take};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use xen_abi::grant_table::{GrantCopy, GrantStatus};
use xen_abi::netif::{ControlStatus, ControlType};
use xen_abi::{Domid, Mfn};

const QUEUES: usize = 3;
/// Slots of the ring, of four words each, behind the indices.
const SLOTS: usize = 128;
const HEADER: usize = 16;
const RESPONSES: usize = 2;

struct Memory<'a> {
    guest: &'a [u8],
    pages: Vec<[u8; PAGE]>,
}

impl Copier for Memory<'_> {
    fn copy(&mut self, copies: &mut [GrantCopy]) {
        for copy in copies {
            let (length, to) = (usize::from(copy.len), usize::from(copy.dest.offset));
            assert!(usize::from(copy.source.offset) + length <= PAGE && to + length <= PAGE);
            let gref = copy.source.ref_or_frame;
            let status = match gref % 16 {
                14 => GrantStatus::Eagain,
                15 => GrantStatus::BadGntref,
                _ => GrantStatus::Okay,
            };
            copy.status = status.raw();
            if status == GrantStatus::Okay {
                // In every other page, entries of a table that all are queues.
                let bytes = self.guest.iter().cycle().enumerate().map(|(at, byte)| match gref % 2 {
                    0 if at % 4 == 0 => byte % QUEUES as u8,
                    0 => 0,
                    _ => *byte,
                });
                let page = &mut self.pages[copy.dest.ref_or_frame as usize][to..to + length];
                page.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
            }
        }
    }
}

impl Pages for Memory<'_> {
    fn place(&self, page: PageId) -> Mfn {
        Mfn(page.0.into())
    }

    fn bytes(&self, page: PageId) -> &[u8] {
        &self.pages[usize::from(page.0)]
    }

    fn bytes_mut(&mut self, page: PageId) -> &mut [u8] {
        &mut self.pages[usize::from(page.0)]
    }
}

/// What a successor would be told.
#[derive(Default)]
struct Kept(Option<Saved>);

impl Keep for Kept {
    fn keep(&mut self, _: RingName, _: &Answers) {}

    fn save(&mut self, _: u8, saved: &Saved) {
        self.0 = Some(saved.clone());
    }
}

fn keys() -> FrontendKeys {
    let keys = FrontendKeys::read(|key| match key.rsplit('/').next().unwrap_or(key) {
        "multi-queue-num-queues" => Some("3"),
        "tx-ring-ref" | "rx-ring-ref" | "event-channel" | "request-rx-copy" => Some("1"),
        _ => None,
    });
    keys.expect("all that is needed")
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes;
    let guest = take(&mut bytes, 64);
    let page = || -> Page { [const { AtomicU32::new(0) }; 1024] };
    let (transmit, receive, control) = (page(), page(), page());
    let rings = [QueueRings {
        transmit: Ring::<NetTransmit>::new(&[&transmit]).expect("one page"),
        receive: Ring::<NetReceive>::new(&[&receive]).expect("one page"),
    }; QUEUES];
    let ring = Ring::<NetControl>::new(&[&control]).expect("one page");
    let mut kept = Kept::default();
    let mut device =
        Device::connect(0, Domid(1), keys(), &rings, Some(ring), &mut kept).expect("empty rings");
    let guest = if guest.is_empty() { &[1] } else { guest };
    let mut memory = Memory { guest, pages: vec![[0; PAGE]; 4] };
    let (mut pool, mut batch) = (Pool::new(4), Batch::new());
    let mut asked = 0_u32;
    while !bytes.is_empty() {
        // Some at a time, or more than there is room for.
        let count = match byte(&mut bytes) {
            count @ 0..250 => u32::from(count % 8),
            count => u32::from(count) << 8,
        };
        let mut said = Vec::new();
        for at in 0..count.min(8) {
            let kind = byte(&mut bytes);
            let data = [0; 3].map(|_: u8| number(&mut bytes));
            let slot = asked.wrapping_add(at) as usize % SLOTS;
            let first = at << 8 & 0xffff | u32::from(kind % 16) << 16;
            let words = std::iter::once(first).chain(data);
            control[HEADER + slot * 4..].iter().zip(words).for_each(|(to, word)| to.store(word, Relaxed));
            said.push((slot, first));
        }
        asked = asked.wrapping_add(count);
        control[0].store(asked, Relaxed);
        let mut room = Room { pool: &mut pool, machine: &mut memory, batch: &mut batch };
        let outcome = device.control(&mut room, &mut kept);
        assert_eq!((pool.frames(), pool.free_pages()), (0, 4), "nothing stays in use");
        if outcome.is_err() {
            return;
        }
        assert_eq!(control[RESPONSES].load(Relaxed), asked, "answered");
        for (slot, first) in said {
            let word = |at: usize| control[HEADER + slot * 4 + at].load(Relaxed);
            assert_eq!(word(0), first, "an answer has its message's name and kind");
            let status = ControlStatus::from_raw(word(1)).expect("a status that there is");
            assert!(status == ControlStatus::Success || word(2) == 0);
            if first >> 16 == u32::from(ControlType::GetHashMappingSize.raw()) {
                assert_eq!((status, word(2)), (ControlStatus::Success, MAX_MAPPING as u32));
            }
        }
        check_sorting(&device, &kept, &rings, ring);
    }
});

/// Mostly a small one.
fn number(bytes: &mut &[u8]) -> u32 {
    match byte(bytes) {
        255 => u32::from_le_bytes([0; 4].map(|_: u8| byte(bytes))),
        small => small.into(),
    }
}

/// Each frame goes to a queue that there is, also when a successor has taken over.
fn check_sorting(device: &Device<'_>, kept: &Kept, rings: &[QueueRings<'_>], ring: Ring<'_, NetControl>) {
    let saved = kept.0.clone().expect("saved when it connected");
    let successor = Device::resume(0, saved, rings, Some(ring), |_| None).expect("honest indices");
    for head in FRAMES {
        let sorted = device.sort(head);
        assert!(sorted.1 < QUEUES);
        assert_eq!(successor.sort(head), sorted);
    }
}
