//! Control messages: how a guest has its frames hashed, and what survives of that.

use netback::{
    Answers, Batch, Control, Copier, Hashing, Keep, MAX_MAPPING, NetControl, PAGE, PageId, Pages, Pool,
    RingKind, RingName, Room, Saved,
};
use ring::Page;
use ring::request::{Frontend, Ring};
use std::sync::atomic::AtomicU32;
use xen_abi::grant_table::{GrantCopy, GrantStatus};
use xen_abi::netif::{ControlRequest, ControlResponse, ControlStatus, ControlType, HashTypes};
use xen_abi::{Domid, Mfn};

/// The only grant there is.
const GREF: u32 = 8;

/// A machine with one guest's page.
struct Machine {
    guest: [u8; PAGE],
    pages: Vec<[u8; PAGE]>,
}

impl Copier for Machine {
    fn copy(&mut self, copies: &mut [GrantCopy]) {
        for copy in copies {
            let length = usize::from(copy.len);
            let (from, to) = (usize::from(copy.source.offset), usize::from(copy.dest.offset));
            copy.status = if copy.source.ref_or_frame == u64::from(GREF) {
                let bytes = &self.guest[from..from + length];
                self.pages[copy.dest.ref_or_frame as usize][to..to + length].copy_from_slice(bytes);
                GrantStatus::Okay.raw()
            } else {
                GrantStatus::BadGntref.raw()
            };
        }
    }
}

impl Pages for Machine {
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

#[derive(Default)]
struct Kept(Option<Answers>);

impl Keep for Kept {
    fn keep(&mut self, _: RingName, answers: &Answers) {
        self.0 = Some(answers.clone());
    }

    fn save(&mut self, _: u8, _: &Saved) {}
}

/// Both ends of a control ring.
struct Line<'a> {
    ring: Ring<'a, NetControl>,
    frontend: Frontend<'a, NetControl>,
    control: Control<'a>,
    hashing: Hashing,
    machine: Machine,
    kept: Kept,
}

const NAME: RingName = RingName { vif: 1, queue: 0, kind: RingKind::Control };

impl<'a> Line<'a> {
    fn new(page: &'a Page) -> Self {
        let ring = Ring::new(&[page]).expect("one page");
        let frontend = Frontend::starting_at(ring, u32::MAX - 3);
        let mut kept = Kept::default();
        let control = Control::connect(ring, NAME, Domid(1), &mut kept).expect("a new ring");
        let machine = Machine { guest: [0; PAGE], pages: vec![[0; PAGE]; 4] };
        Self { ring, frontend, control, hashing: Hashing::new(), machine, kept }
    }

    /// Says something, as a guest with two queues; none if it was a lie.
    fn say(&mut self, kind: ControlType, data: [u32; 3]) -> Option<(ControlStatus, u32)> {
        self.frontend.ask(&ControlRequest { id: 7, kind: kind.raw(), data }).expect("there is room");
        self.frontend.publish();
        let (mut pool, mut batch) = (Pool::new(4), Batch::new());
        let mut room = Room { pool: &mut pool, machine: &mut self.machine, batch: &mut batch };
        let response = self.control.hear(2, &mut self.hashing, &mut room).ok()?.expect("it was asked");
        assert!(self.control.reply(&response, &mut self.kept), "Linux waits for an event");
        // Whoever goes on from here hears nothing twice.
        self.control = Control::resume(self.ring, NAME, Domid(1), self.kept.0.as_ref()).expect("honest");
        let ControlResponse { id, kind: answered, status, data } = self.frontend.take().expect("honest")?;
        assert_eq!((id, answered), (7, kind.raw()));
        self.frontend.final_check().expect("honest");
        ControlStatus::from_raw(status).map(|status| (status, data))
    }
}

#[test]
fn a_guest_sets_its_hash_up_as_linux_does() {
    let page: Page = [const { AtomicU32::new(0) }; 1024];
    let mut line = Line::new(&page);
    let (done, invalid) = (Some((ControlStatus::Success, 0)), Some((ControlStatus::InvalidParameter, 0)));
    assert_eq!(line.say(ControlType::GetHashFlags, [0; 3]), Some((ControlStatus::NotSupported, 0)));
    assert_eq!(line.say(ControlType::SetHashFlags, [1, 0, 0]), invalid, "no algorithm yet");
    assert_eq!(line.say(ControlType::SetHashAlgorithm, [9, 0, 0]), invalid);
    assert_eq!(line.say(ControlType::SetHashAlgorithm, [1, 0, 0]), done);
    let all = HashTypes::all().bits();
    assert_eq!(line.say(ControlType::GetHashFlags, [0; 3]), Some((ControlStatus::Success, all)));
    assert_eq!(line.say(ControlType::SetHashFlags, [all + 1, 0, 0]), invalid);
    assert_eq!(line.say(ControlType::SetHashFlags, [all, 0, 0]), done);
    line.machine.guest[..40].fill(0x5a);
    assert_eq!(line.say(ControlType::SetHashKey, [GREF, 41, 0]), invalid);
    assert_eq!(line.say(ControlType::SetHashKey, [GREF, 40, 0]), done);
    let size = Some((ControlStatus::Success, MAX_MAPPING as u32));
    assert_eq!(line.say(ControlType::GetHashMappingSize, [0; 3]), size);
    assert_eq!(line.say(ControlType::SetHashMappingSize, [MAX_MAPPING as u32 + 1, 0, 0]), invalid);
    assert_eq!(line.say(ControlType::SetHashMappingSize, [2, 0, 0]), done);
    line.machine.guest[..8].copy_from_slice(&[1, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(line.say(ControlType::SetHashMapping, [GREF, 2, 1]), invalid, "beyond its end");
    assert_eq!(line.say(ControlType::SetHashMapping, [GREF, u32::MAX, 1]), invalid);
    assert_eq!(line.say(ControlType::SetHashMapping, [GREF, 2, 0]), done);
    let ip = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    let frame = [&[0; 12][..], &[8, 0], &ip, &[0, 1, 0, 2, 0, 8, 0, 0]].concat();
    let (hash, queue) = line.hashing.sort(&frame, 2);
    assert_eq!(hash.map(|hash| hash.kind), Some(HashTypes::IPV4), "UDP is hashed by its addresses");
    assert_eq!(queue, 1, "as the table says");
    line.machine.guest[0] = 2;
    assert_eq!(line.say(ControlType::SetHashMapping, [GREF, 1, 0]), invalid, "there is no such queue");
    assert_eq!(line.say(ControlType::AddGrefMapping, [0; 3]), Some((ControlStatus::NotSupported, 0)));
    assert_eq!(line.say(ControlType::SetHashKey, [4711, 40, 0]), None, "that page is not granted");
}
