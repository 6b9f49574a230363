//! A guest's network interface whose rings hold anything, with pages behind them that do too, beside another guest's and the host's own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netback::{
    Answers, Copier, Device, FrontendKeys, Keep, NetReceive, NetTransmit, PAGE, PageId, Pages, QueueRings,
    RingName, Saved,
};
use network::Plane;
use ring::Page;
use ring::request::Ring;
use rvmm_fuzz::{FRAMES, MACS, byte, take};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use switch::{EthernetAddress, Identity, PortConfig, PortId, Role};
use xen_abi::grant_table::{CopyFlags, GrantCopy, GrantStatus};
use xen_abi::{Domid, Mfn};

/// Pages of the pool: the longest frame, and all that it may be cut into, leave little.
const PAGES: usize = 200;
/// Where the slots begin in a ring, in words; what comes before are the indices.
const HEADER: usize = 16;
const REQUESTS: usize = 0;
const RESPONSES: usize = 2;
/// The flag of a response that the frame goes on in the next one.
const MORE_DATA: u32 = 4;
/// After so long nobody waits for a guest any more.
const LATER_US: u64 = 20_000_000;

struct Memory<'a> {
    /// What the guests' pages hold behind the head of a frame.
    guest: &'a [u8],
    pages: Vec<[u8; PAGE]>,
}

impl Memory<'_> {
    /// Of eight grants one is bad, and another one cannot be copied now.
    fn check(gref: u64) -> GrantStatus {
        match gref % 8 {
            6 => GrantStatus::Eagain,
            7 => GrantStatus::BadGntref,
            _ => GrantStatus::Okay,
        }
    }

    fn content(&self, gref: u64) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        let rest = self.guest.iter().cycle().skip(gref as usize % 64);
        page.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        if let Some(head) = FRAMES.get((gref % 8) as usize) {
            page[..head.len()].copy_from_slice(head);
        }
        // A byte of some heads is another.
        page[gref as usize / 8 % 80] ^= (gref >> 16) as u8;
        page
    }
}

impl Copier for Memory<'_> {
    fn copy(&mut self, copies: &mut [GrantCopy]) {
        for copy in copies {
            let length = usize::from(copy.len);
            let (from, to) = (usize::from(copy.source.offset), usize::from(copy.dest.offset));
            assert!(length > 0 && from + length <= PAGE && to + length <= PAGE, "within pages");
            let is_from_guest = copy.flags.contains(CopyFlags::SOURCE_GREF);
            let (theirs, ours) =
                if is_from_guest { (copy.source, copy.dest) } else { (copy.dest, copy.source) };
            assert!(theirs.domid != Domid::SELF && ours.domid == Domid::SELF);
            let status = Self::check(theirs.ref_or_frame);
            if is_from_guest && status == GrantStatus::Okay {
                let bytes = self.content(theirs.ref_or_frame);
                self.pages[ours.ref_or_frame as usize][to..to + length]
                    .copy_from_slice(&bytes[from..from + length]);
            }
            copy.status = status.raw();
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

struct Nothing;

impl Keep for Nothing {
    fn keep(&mut self, _: RingName, answers: &Answers) {
        assert!(answers.count::<NetTransmit>() as usize <= Answers::room::<NetTransmit>());
    }

    fn save(&mut self, _: u8, _: &Saved) {}
}

fn port(number: usize) -> PortId {
    PortId::new(number).expect("a small number")
}

fn on_bridge(role: Role) -> PortConfig {
    PortConfig { bridge: "b".try_into().expect("short"), role, isolated: false }
}

/// What a frontend says that can do what the bits of `able` say.
fn keys(able: u8) -> FrontendKeys {
    let flag = |bit: u8| if able >> bit & 1 == 1 { "1" } else { "0" };
    let keys = FrontendKeys::read(|key| match key {
        "feature-sg" => Some(flag(0)),
        "feature-gso-tcpv4" => Some(flag(1)),
        "feature-gso-tcpv6" => Some(flag(2)),
        "feature-no-csum-offload" => Some(flag(3)),
        "feature-ipv6-csum-offload" => Some(flag(4)),
        "request-multicast-control" => Some(flag(5)),
        "feature-rx-notify" => Some(flag(6)),
        "tx-ring-ref" | "rx-ring-ref" | "event-channel" | "request-rx-copy" => Some("1"),
        _ => None,
    });
    keys.expect("all that is needed")
}

/// Requests to send: of each, a byte says how it is made.
fn fill(page: &Page, bytes: &mut &[u8]) {
    for slot in 0..256 {
        if bytes.is_empty() {
            return;
        }
        let how = byte(bytes);
        let word = |bytes: &mut &[u8]| u32::from_le_bytes([0; 4].map(|_: u8| byte(bytes)));
        let words = match how >> 6 {
            // How a frame is to be cut, if the flags before say that this is no request.
            0 => {
                let kind = if how & 8 == 0 { 1 } else { how & 7 };
                let size = u32::from(byte(bytes)) << 8 | u32::from(byte(bytes));
                [
                    u32::from(kind) | u32::from(how >> 4 & 1) << 8 | size << 16,
                    u32::from(1 + (how >> 5 & 1)),
                    0,
                ]
            }
            // A piece of a frame, from a good page.
            1 | 2 => {
                let (gref, size) = (byte(bytes), u32::from(byte(bytes)) << 8 | u32::from(byte(bytes)));
                [u32::from(gref), u32::from(how & 15) << 16, slot | size << 16]
            }
            _ => [word(bytes), word(bytes), word(bytes)],
        };
        let place = HEADER + slot as usize * 3;
        page[place..][..3].iter().zip(words).for_each(|(to, word)| to.store(word, Relaxed));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes;
    let mut choices = take(&mut bytes, 40);
    let rings: [[Page; 2]; 2] = [const { [const { [const { AtomicU32::new(0) }; 1024] }; 2] }; 2];
    for (number, [transmit, receive]) in rings.iter().enumerate() {
        let mut requests = take(&mut bytes, 600);
        // Room to receive, mostly in good pages; the other guest's are never bad.
        let odd = byte(&mut requests);
        for slot in 0..256 {
            let is_odd = number == 0 && slot % 32 == usize::from(odd % 64);
            let gref = if is_odd { u32::from(odd) } else { slot as u32 & !7 };
            receive[HEADER + slot * 2].store(slot as u32, Relaxed);
            receive[HEADER + slot * 2 + 1].store(gref, Relaxed);
        }
        fill(transmit, &mut requests);
    }
    let mut memory =
        Memory { guest: if bytes.is_empty() { &[1] } else { bytes }, pages: vec![[0; PAGE]; PAGES] };
    let mut plane = Plane::new(PAGES, 7, 300_000_000);
    let able: [u8; 2] = [byte(&mut choices), byte(&mut choices)];
    for (number, [transmit, receive]) in rings.iter().enumerate() {
        let rings = QueueRings {
            transmit: Ring::<NetTransmit>::new(&[transmit]).expect("one page"),
            receive: Ring::<NetReceive>::new(&[receive]).expect("one page"),
        };
        let domid = Domid(number as u16 + 1);
        let device = Device::connect(number as u8, domid, keys(able[number]), &[rings], None, &mut Nothing);
        let identity = Identity::new(EthernetAddress(MACS[number]));
        let role = if byte(&mut choices) % 4 == 0 { Role::Free } else { Role::Guest(identity) };
        plane.connect_guest(port(number), on_bridge(role), device.expect("empty rings"));
    }
    plane.connect_own(port(2), on_bridge(Role::Free));

    let (mut now_us, mut gone) = (1000, [false; 2]);
    let mut indices = [[0_u32; 2]; 2];
    while !choices.is_empty() {
        let step = byte(&mut choices);
        let number = usize::from(step & 1);
        for (kind, index) in indices[number].iter_mut().enumerate() {
            let more = u32::from(byte(&mut choices));
            // Mostly a few more; sometimes what cannot be.
            *index = if more < 250 { index.wrapping_add(more % 24) } else { more.wrapping_mul(0x0101_0101) };
            rings[number][kind][REQUESTS].store(*index, Relaxed);
        }
        now_us += u64::from(step >> 1) * 200;
        for (number, gone) in gone.iter_mut().enumerate() {
            let kept = &mut Nothing;
            *gone |= plane.serve(port(number), 0, now_us, &mut memory, kept).is_err();
        }
        for (number, gone) in gone.iter_mut().enumerate() {
            *gone |= plane.deliver(port(number), now_us, &mut memory, &mut Nothing).is_err();
        }
        while plane.hear(port(2), &mut [0; 1600], &memory).is_some() {}
        for number in 0..2 {
            plane.answer(port(number), &mut Nothing);
            assert_eq!(gone[number], plane.device(port(number)).is_none());
            check_received(&rings[number][1], able[number] & 1 == 1);
        }
    }
    // Those who are still there have all their answers, when nobody waits for anybody any more.
    for _ in 0..20 {
        now_us += LATER_US;
        for (number, gone) in gone.iter_mut().enumerate() {
            *gone |= plane.serve(port(number), 0, now_us, &mut memory, &mut Nothing).is_err();
            *gone |= plane.deliver(port(number), now_us, &mut memory, &mut Nothing).is_err();
        }
        while plane.hear(port(2), &mut [0; 1600], &memory).is_some() {}
        (0..2).for_each(|number| _ = plane.answer(port(number), &mut Nothing));
    }
    for number in 0..2 {
        if let Some(device) = plane.device(port(number)) {
            assert_eq!(device.progress().0, 0, "answered");
            let shown = rings[number][0][RESPONSES].load(Relaxed);
            assert_eq!(shown, rings[number][0][REQUESTS].load(Relaxed), "shown");
        }
    }
    (0..3).for_each(|number| plane.disconnect(port(number)));
    assert_eq!((plane.pool().frames(), plane.pool().free_pages()), (0, PAGES), "nothing stays in use");
});

/// Who takes no frames of several pieces gets none.
fn check_received(receive: &Page, takes_several: bool) {
    let shown = receive[RESPONSES].load(Relaxed).min(256) as usize;
    for slot in 0..if takes_several { 0 } else { shown } {
        let flags = receive[HEADER + slot * 2 + 1].load(Relaxed);
        assert_eq!(flags & MORE_DATA, 0, "in one piece");
    }
}
