//! Frames for a guest: out of the pool, into the room that it has posted in its ring.
//!
//! They wait here, in their order, for the guest to post room. A guest that posts none keeps nobody waiting: its queue is
//! bounded, and what waits too long is dropped, as by any switch whose port is full.

use crate::answers::Answers;
use crate::copy::{Batch, GuestBytes, Outcome, Way};
use crate::hash::FlowHash;
use crate::keep::{Keep, RingName};
use crate::lie::RingKind;
use crate::offload::{Abilities, Checksum};
use crate::pool::{FrameId, PAGE, Pool};
use crate::transmit::{Machine, Room};
use crate::{Lie, NetReceive};
use heapless::{Deque, Vec};
use ring::request::{Backend, Overrun, Ring};
use xen_abi::Domid;
use xen_abi::netif::{
    ExtraFlags, ExtraInfo, ExtraType, Gso, Hash, HashAlgorithm, ResponseStatus, RxFlags, RxResponse,
};
use zerocopy::{FromBytes, IntoBytes};

/// The most frames that wait for a guest to post room.
pub const RX_QUEUE: usize = 256;

/// The most frames that are delivered at once: one for each response of a batch.
pub const DELIVERED: usize = 32;

/// The most extra slots of a frame: how to cut it, and its hash.
const MAX_EXTRAS: usize = 2;

/// A frame that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    frame: FrameId,
    hash: Option<FlowHash>,
}

/// A slot that is being filled.
struct Filling {
    response: RxResponse,
    /// Its copies.
    first: usize,
    end: usize,
}

/// What was delivered.
#[derive(Debug, Default)]
pub struct Delivered {
    /// The frames that the guest has now: each is to be released.
    pub frames: Vec<FrameId, DELIVERED>,
    /// Whether the frontend wants an event for them.
    pub notify: bool,
    /// Whether it was only the size of the batch that kept more from being delivered.
    pub more: bool,
}

/// What passed, since the queue began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Frames that the guest was given.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames for which the queue had no room.
    pub overflowed: u64,
    /// Frames that waited too long.
    pub expired: u64,
}

/// One queue's receive ring.
#[derive(Debug)]
pub struct Receive<'a> {
    ring: Backend<'a, NetReceive>,
    name: RingName,
    domid: Domid,
    queue: Deque<Waiting, RX_QUEUE>,
    /// Since when frames wait and none was delivered.
    stuck_since_us: Option<u64>,
    received: Received,
}

impl<'a> Receive<'a> {
    /// The ring of a frontend that has just connected.
    ///
    /// # Errors
    /// [`Overrun`].
    pub fn connect(
        ring: Ring<'a, NetReceive>,
        name: RingName,
        domid: Domid,
        keep: &mut impl Keep,
    ) -> Result<Self, Overrun> {
        let backend = Backend::attach(ring)?;
        keep.keep(name, &Answers::after(backend.position().answered));
        Ok(Self::new(backend, name, domid))
    }

    /// The ring of a frontend that an earlier backend has served: the frontend is to be sent an event.
    ///
    /// # Errors
    /// [`Overrun`].
    pub fn resume(
        ring: Ring<'a, NetReceive>,
        name: RingName,
        domid: Domid,
        kept: Option<&Answers>,
    ) -> Result<Self, Overrun> {
        Ok(Self::new(Answers::resume(kept, ring)?, name, domid))
    }

    const fn new(ring: Backend<'a, NetReceive>, name: RingName, domid: Domid) -> Self {
        let received = Received { frames: 0, bytes: 0, overflowed: 0, expired: 0 };
        Self { ring, name, domid, queue: Deque::new(), stuck_since_us: None, received }
    }

    /// What passed.
    pub const fn received(&self) -> Received {
        self.received
    }

    /// How many frames wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How many requests are answered, modulo 2^32.
    pub const fn answered(&self) -> u32 {
        self.ring.position().answered
    }

    /// Puts a frame into the queue, which takes over one reference.
    ///
    /// # Errors
    /// There is no room: the frame itself, to be released.
    pub fn enqueue(&mut self, now_us: u64, frame: FrameId, hash: Option<FlowHash>) -> Result<(), FrameId> {
        self.stuck_since_us.get_or_insert(now_us);
        self.queue.push_back(Waiting { frame, hash }).map_err(|waiting| {
            self.received.overflowed += 1;
            waiting.frame
        })
    }

    /// Takes a frame out of the queue if frames have been waiting for so long and none was delivered; it is to be
    /// released.
    pub fn expire(&mut self, now_us: u64, patience_us: u64) -> Option<FrameId> {
        let since_us = self.stuck_since_us?;
        if now_us.saturating_sub(since_us) < patience_us {
            return None;
        }
        let expired = self.queue.pop_front();
        if expired.is_none() {
            self.stuck_since_us = None;
        }
        self.received.expired += u64::from(expired.is_some());
        expired.map(|waiting| waiting.frame)
    }

    /// Takes a frame out of the queue because the guest is gone; it is to be released.
    pub fn abandon(&mut self) -> Option<FrameId> {
        self.queue.pop_front().map(|waiting| waiting.frame)
    }

    /// Delivers what the guest has room for: one batch.
    ///
    /// # Errors
    /// [`Lie`]: the guest is to be disconnected.
    pub fn deliver(
        &mut self,
        now_us: u64,
        abilities: &Abilities,
        room: &mut Room<'_, impl Machine>,
        keep: &mut impl Keep,
    ) -> Result<Delivered, Lie> {
        let mut delivered = Delivered::default();
        let mut filling: Vec<Filling, DELIVERED> = Vec::new();
        room.batch.clear();
        let overrun = |overrun| Lie::Index { ring: RingKind::Receive, overrun };
        while let Some(&next) = self.queue.front() {
            let length = room.pool.length(next.frame);
            let (extras, extra_count) = extras(room.pool, next, abilities);
            let slots = length.div_ceil(PAGE) + extra_count;
            let fits =
                filling.len() + slots <= DELIVERED && room.batch.room() >= Batch::needed(length, slots);
            if !fits {
                delivered.more = true;
                break;
            }
            if !self.ring.final_check_for(slots as u32).map_err(overrun)? {
                break;
            }
            self.queue.pop_front();
            self.fill(room, next.frame, &extras[..extra_count], &mut filling).map_err(overrun)?;
            self.received.frames += 1;
            self.received.bytes += length as u64;
            let pushed = delivered.frames.push(next.frame);
            debug_assert!(pushed.is_ok(), "a frame has at least one slot");
        }
        if filling.is_empty() {
            return Ok(delivered);
        }
        room.batch.run(room.machine);
        let lie = self.publish(room.batch, &filling, keep, &mut delivered);
        self.stuck_since_us = (!self.queue.is_empty()).then_some(now_us);
        match lie {
            Some(lie) => {
                delivered.frames.iter().for_each(|frame| _ = room.pool.release(*frame));
                Err(lie)
            }
            None => Ok(delivered),
        }
    }

    /// Takes the slots of a frame and adds its copies to the batch.
    fn fill(
        &mut self,
        room: &mut Room<'_, impl Machine>,
        frame: FrameId,
        extras: &[ExtraInfo],
        filling: &mut Vec<Filling, DELIVERED>,
    ) -> Result<(), Overrun> {
        let length = room.pool.length(frame);
        let mut flags = first_flags(room.pool.offload(frame).checksum);
        flags.set(RxFlags::EXTRA_INFO, !extras.is_empty());
        for at in (0..length).step_by(PAGE) {
            let bytes = PAGE.min(length - at);
            flags.set(RxFlags::MORE_DATA, at + bytes < length);
            let Some(request) = self.ring.take()? else {
                break;
            };
            let first = room.batch.len();
            let guest = GuestBytes { domid: self.domid, gref: request.gref, offset: 0, length: bytes };
            room.batch.add(room.pool, &*room.machine, (frame, at), guest, Way::ToGuest);
            let response = RxResponse { id: request.id, offset: 0, flags, status: bytes as i16 };
            let _ = filling.push(Filling { response, first, end: room.batch.len() });
            flags = RxFlags::empty();
            // What is extra comes after the first piece, in slots whose pages stay empty.
            for extra in if at == 0 { extras } else { &[] } {
                if self.ring.take()?.is_some() {
                    let response = RxResponse::read_from_bytes(extra.as_bytes()).unwrap_or_default();
                    let _ = filling.push(Filling { response, first: 0, end: 0 });
                }
            }
        }
        Ok(())
    }

    /// Answers the slots that are filled, and says whether the guest lied about a page.
    fn publish(
        &mut self,
        batch: &Batch,
        filling: &[Filling],
        keep: &mut impl Keep,
        delivered: &mut Delivered,
    ) -> Option<Lie> {
        let mut answers = Answers::after(self.ring.position().answered);
        let mut lie = None;
        for slot in filling {
            let mut response = slot.response;
            match batch.outcome(slot.first, slot.end, Way::ToGuest) {
                Outcome::Done => {}
                outcome => {
                    response.status = ResponseStatus::Error.raw();
                    lie = lie.or(outcome.check(RingKind::Receive).err());
                }
            }
            answers.push::<NetReceive>(&response);
        }
        keep.keep(self.name, &answers);
        delivered.notify = answers.write(&mut self.ring);
        lie
    }
}

const fn first_flags(checksum: Checksum) -> RxFlags {
    match checksum {
        Checksum::Unknown => RxFlags::empty(),
        Checksum::Valid => RxFlags::DATA_VALIDATED,
        Checksum::Blank => RxFlags::DATA_VALIDATED.union(RxFlags::CSUM_BLANK),
    }
}

/// What else there is to say about a frame, and how much of it.
fn extras(pool: &Pool, next: Waiting, abilities: &Abilities) -> ([ExtraInfo; MAX_EXTRAS], usize) {
    let offload = pool.offload(next.frame);
    let segments = offload.segments.filter(|_| !abilities.must_cut(&offload)).map(|segments| {
        let gso =
            Gso { size: segments.size.get(), kind: segments.family.gso_type().raw(), pad: 0, features: 0 };
        (ExtraType::Gso, gso.as_bytes().try_into().unwrap_or_default())
    });
    let hash = next.hash.map(|hash| {
        let hash = Hash {
            kind: hash.kind.bits().trailing_zeros() as u8,
            algorithm: HashAlgorithm::Toeplitz.raw() as u8,
            value: hash.value.to_le_bytes(),
        };
        (ExtraType::Hash, hash.as_bytes().try_into().unwrap_or_default())
    });
    let mut extras = [ExtraInfo::default(); MAX_EXTRAS];
    let mut count = 0;
    for (kind, data) in [segments, hash].into_iter().flatten() {
        if count > 0 {
            extras[count - 1].flags = ExtraFlags::MORE;
        }
        extras[count] = ExtraInfo { kind: kind.raw(), flags: ExtraFlags::empty(), data };
        count += 1;
    }
    (extras, count)
}
