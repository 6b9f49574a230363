//! A guest: its memory, its rings, and a frontend that does what Linux's does.

use crate::machine::{Granted, Grants};
use netback::{FrontendKeys, NetReceive, NetTransmit, PAGE, QueueRings};
use network::netback;
use ring::Page;
use ring::request::{Frontend, Ring};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicU32;
use xen_abi::netif::{
    ExtraFlags, ExtraInfo, ExtraType, Gso, GsoType, Mcast, ResponseStatus, RxFlags, RxRequest, RxResponse,
    TxFlags, TxRequest,
};
use xen_abi::{Domid, GrantRef};
use zerocopy::{FromBytes, IntoBytes};

/// Slots of each ring.
pub const SLOTS: u32 = 256;

/// The first grant of receive buffers; those for transmission come before.
const RX_GRANTS: u32 = 1000;

/// The pages of a queue's rings; they live as long as the test.
#[derive(Clone, Copy)]
pub struct RingPages {
    pub transmit: &'static Page,
    pub receive: &'static Page,
}

impl RingPages {
    pub fn new() -> Self {
        let page = || -> &'static Page { Box::leak(Box::new([const { AtomicU32::new(0) }; 1024])) };
        Self { transmit: page(), receive: page() }
    }

    pub fn transmit_ring(&self) -> Ring<'static, NetTransmit> {
        Ring::new(&[self.transmit]).expect("one page")
    }

    pub fn receive_ring(&self) -> Ring<'static, NetReceive> {
        Ring::new(&[self.receive]).expect("one page")
    }

    pub fn rings(&self) -> QueueRings<'static> {
        QueueRings { transmit: self.transmit_ring(), receive: self.receive_ring() }
    }
}

/// What a frame has besides its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Special {
    pub blank: bool,
    pub segments: Option<(GsoType, u16)>,
}

/// What a guest got.
#[derive(Clone, Debug)]
pub struct Got {
    pub bytes: Vec<u8>,
    pub flags: RxFlags,
    pub extras: Vec<ExtraInfo>,
}

/// One queue of a guest, with everything that the frontend knows.
pub struct Guest {
    pub domid: Domid,
    pub pages: RingPages,
    grants: Grants,
    transmit: Frontend<'static, NetTransmit>,
    receive: Frontend<'static, NetReceive>,
    /// What each slot that is in flight is for: the id of a request, none for extra information.
    open: VecDeque<Option<u16>>,
    free: VecDeque<u16>,
    /// How each request ended.
    pub statuses: BTreeMap<i16, u64>,
    /// The slots of the receive ring that are posted, in their order.
    posted: VecDeque<u16>,
    pub got: Vec<Got>,
    /// Whether the backend was to be notified.
    pub notified: bool,
}

impl Guest {
    pub fn new(number: u16, grants: Grants, start: u32) -> Self {
        let pages = RingPages::new();
        Self {
            domid: Domid(number),
            pages,
            grants,
            transmit: Frontend::starting_at(pages.transmit_ring(), start),
            receive: Frontend::starting_at(pages.receive_ring(), start.wrapping_mul(3)),
            open: VecDeque::new(),
            free: (0..SLOTS as u16).collect(),
            statuses: BTreeMap::new(),
            posted: VecDeque::new(),
            got: Vec::new(),
            notified: false,
        }
    }

    /// What a stock frontend writes into XenStore, with some keys otherwise.
    pub fn keys(otherwise: &[(&str, &str)]) -> FrontendKeys {
        let usual = [
            ("tx-ring-ref", "8"),
            ("rx-ring-ref", "9"),
            ("event-channel-tx", "10"),
            ("event-channel-rx", "11"),
            ("request-rx-copy", "1"),
            ("feature-rx-notify", "1"),
            ("feature-sg", "1"),
            ("feature-gso-tcpv4", "1"),
            ("feature-gso-tcpv6", "1"),
            ("feature-ipv6-csum-offload", "1"),
        ];
        let all = || otherwise.iter().chain(&usual);
        let get = |key: &str| all().find(|(name, _)| *name == key).map(|(_, value)| *value);
        FrontendKeys::read(get).expect("as Linux writes them")
    }

    /// Slots for a frame of so many pieces and with so much extra that there is room for.
    pub fn has_room(&self, slots: usize) -> bool {
        self.transmit.free() as usize >= slots && self.free.len() >= slots
    }

    fn grant(&self, gref: GrantRef, bytes: Box<[u8; PAGE]>, is_writable: bool) {
        self.grants.borrow_mut().insert((self.domid, gref), Granted { bytes, is_writable });
    }

    /// Sends a frame, in pieces of these sizes, the last of which has the rest.
    pub fn send(&mut self, frame: &[u8], sizes: &[usize], special: Special) {
        let mut pieces = Vec::new();
        let mut rest = frame;
        for size in sizes.iter().copied().chain(std::iter::repeat(PAGE)) {
            let (piece, later) = rest.split_at(size.min(rest.len()));
            pieces.push(piece);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let mut first_flags = TxFlags::empty();
        first_flags.set(TxFlags::CSUM_BLANK | TxFlags::DATA_VALIDATED, special.blank);
        first_flags.set(TxFlags::EXTRA_INFO, special.segments.is_some());
        let count = pieces.len();
        for (number, piece) in pieces.into_iter().enumerate() {
            let mut flags = if number == 0 { first_flags } else { TxFlags::empty() };
            flags.set(TxFlags::MORE_DATA, number + 1 < count);
            let size = if number == 0 { frame.len() } else { piece.len() } as u16;
            self.ask(piece, flags, size);
            if let (0, Some((kind, size))) = (number, special.segments) {
                let gso = Gso { size, kind: kind.raw(), pad: 0, features: 0 };
                self.ask_extra(ExtraType::Gso, gso.as_bytes(), ExtraFlags::empty());
            }
        }
        self.publish();
    }

    fn ask(&mut self, piece: &[u8], flags: TxFlags, size: u16) {
        let id = self.free.pop_front().expect("there is room");
        let gref = GrantRef(u32::from(id) + 8);
        let offset = (usize::from(id) * 7).min(PAGE - piece.len());
        let mut page = Box::new([0x55; PAGE]);
        page[offset..offset + piece.len()].copy_from_slice(piece);
        self.grant(gref, page, false);
        let request = TxRequest { gref, offset: offset as u16, flags, id, size };
        self.transmit.ask(&request).expect("there is room");
        self.open.push_back(Some(id));
    }

    fn ask_extra(&mut self, kind: ExtraType, data: &[u8], flags: ExtraFlags) {
        let info = ExtraInfo { kind: kind.raw(), flags, data: data.try_into().expect("six bytes") };
        let (slot, _) = TxRequest::read_from_prefix(&[info.as_bytes(), &[0; 4]].concat()).expect("a slot");
        self.transmit.ask(&slot).expect("there is room");
        self.open.push_back(None);
    }

    /// Asks for a group, or no more.
    pub fn ask_group(&mut self, addr: [u8; 6], wanted: bool) {
        self.ask(&[0; 14], TxFlags::EXTRA_INFO, 14);
        let kind = if wanted { ExtraType::McastAdd } else { ExtraType::McastDel };
        self.ask_extra(kind, Mcast { addr }.as_bytes(), ExtraFlags::empty());
        self.publish();
    }

    /// Puts anything into the ring.
    pub fn send_raw(&mut self, requests: &[TxRequest]) {
        for request in requests {
            self.transmit.ask(request).expect("there is room");
        }
        self.publish();
    }

    fn publish(&mut self) {
        self.notified |= self.transmit.publish();
    }

    /// Takes answers; each must be to what was asked, in order, once.
    pub fn take_answers(&mut self) {
        while let Some(response) = self.transmit.take().expect("an honest backend") {
            let asked = self.open.pop_front().expect("nothing is answered that was not asked");
            match asked {
                Some(id) => {
                    assert_eq!(response.id, id, "answers are in order");
                    *self.statuses.entry(response.status).or_default() += 1;
                    let gref = GrantRef(u32::from(id) + 8);
                    self.grants.borrow_mut().remove(&(self.domid, gref)).expect("still granted");
                    self.free.push_back(id);
                }
                None => {
                    assert_eq!(response.status, ResponseStatus::Null.raw(), "extra information is no request")
                }
            }
        }
    }

    /// How many slots are not answered.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Posts room for frames, at most `most` slots.
    pub fn post(&mut self, most: usize) {
        for _ in 0..most.min(self.receive.free() as usize) {
            let id = (0..SLOTS as u16).find(|id| !self.posted.contains(id)).expect("there is room");
            let gref = GrantRef(u32::from(id) + RX_GRANTS);
            self.grant(gref, Box::new([0xaa; PAGE]), true);
            self.receive.ask(&RxRequest { id, pad: 0, gref }).expect("there is room");
            self.posted.push_back(id);
        }
        self.notified |= self.receive.publish();
    }

    /// Takes frames that have come in, as Linux's frontend does: a response is in the slot of its request.
    pub fn take_frames(&mut self) {
        loop {
            let Some(first) = self.take_slot() else {
                return;
            };
            let mut got = Got { bytes: Vec::new(), flags: first.1.flags, extras: Vec::new() };
            let mut is_good = self.add(&mut got, first);
            let mut more_extra = got.flags.contains(RxFlags::EXTRA_INFO);
            while more_extra {
                let (_, response) = self.take_slot().expect("a frame is shown whole");
                let extra = ExtraInfo::read_from_bytes(response.as_bytes()).expect("as long");
                assert!(ExtraType::from_raw(extra.kind).is_some_and(|kind| kind != ExtraType::None));
                more_extra = extra.flags.contains(ExtraFlags::MORE);
                got.extras.push(extra);
            }
            let mut more = got.flags.contains(RxFlags::MORE_DATA);
            while more {
                let next = self.take_slot().expect("a frame is shown whole");
                more = next.1.flags.contains(RxFlags::MORE_DATA);
                is_good &= self.add(&mut got, next);
            }
            if is_good {
                self.got.push(got);
            }
        }
    }

    fn take_slot(&mut self) -> Option<(u16, RxResponse)> {
        let response = self.receive.take().expect("an honest backend")?;
        let id = self.posted.pop_front().expect("nothing is answered that was not posted");
        Some((id, response))
    }

    fn add(&mut self, got: &mut Got, (id, response): (u16, RxResponse)) -> bool {
        assert_eq!(response.id, id, "a response has its request's slot");
        let gref = GrantRef(u32::from(id) + RX_GRANTS);
        let granted = self.grants.borrow_mut().remove(&(self.domid, gref)).expect("still granted");
        let Ok(length) = usize::try_from(response.status) else {
            return false;
        };
        let offset = usize::from(response.offset);
        got.bytes.extend(&granted.bytes[offset..offset + length]);
        true
    }
}
