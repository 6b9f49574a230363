//! Frames for a guest: out of the pool, into the room that it has posted in its ring.
//!
//! They wait here, in their order, for the guest to post room. A guest that posts none keeps nobody waiting: what waits
//! for long has no claim on its sender any more, the queue is bounded, and what waits too long is dropped, as by any
//! switch whose port is full.

use crate::answers::Answers;
use crate::copy::{Batch, GuestBytes, Outcome, Way};
use crate::hash::FlowHash;
use crate::keep::{Keep, RingName};
use crate::lie::RingKind;
use crate::offload::{Abilities, Checksum};
use crate::pool::{FrameId, Owner, PAGE, Pool};
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

/// The most pages that those have, so that a guest which posts no room does not use up the pool: 1 MiB.
const RX_PAGES: usize = 256;

/// For so long, in microseconds, the sender of a frame waits for its receiver to post room. A guest under load posts
/// room every millisecond; and one that means harm slows others down to no less than a ring in this time.
const CLAIM_US: u64 = 10_000;

/// The most frames that are delivered at once: one for each response of a batch.
pub const DELIVERED: usize = 32;

/// The most extra slots of a frame: how to cut it, and its hash.
const MAX_EXTRAS: usize = 2;

/// A frame that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    frame: FrameId,
    hash: Option<FlowHash>,
    since_us: u64,
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
    /// The frames that the guest has now: each is to be released, with the claim on its sender.
    pub frames: Vec<FrameId, DELIVERED>,
    /// Those that have no claim any more.
    pub unclaimed: Vec<FrameId, DELIVERED>,
    /// Whether the frontend wants an event for them.
    pub notify: bool,
    /// Whether it was only the size of the batch that kept more from being delivered.
    pub more: bool,
    /// What the guest did that it must not do: it is to be disconnected.
    pub lie: Option<Lie>,
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
    /// How many of the first in the queue have no claim on their senders any more.
    unclaimed: usize,
    /// Pages of the frames in the queue.
    pages: usize,
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
        Ok(Self::new(Answers::connect(ring, name, keep)?, name, domid))
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
        Self { ring, name, domid, queue: Deque::new(), unclaimed: 0, pages: 0, received }
    }

    /// What passed.
    pub const fn received(&self) -> Received {
        self.received
    }

    /// How many frames wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whether a frame waits.
    pub fn has(&self, frame: FrameId) -> bool {
        self.queue.iter().any(|waiting| waiting.frame == frame)
    }

    /// How many requests are answered, modulo 2^32.
    pub const fn answered(&self) -> u32 {
        self.ring.position().answered
    }

    /// Puts a frame into the queue, which takes over one reader's part.
    ///
    /// # Errors
    /// There is no room: the frame itself, to be released.
    pub fn enqueue(
        &mut self,
        now_us: u64,
        frame: FrameId,
        hash: Option<FlowHash>,
        pool: &Pool,
    ) -> Result<(), FrameId> {
        let pages = pool.pages(frame);
        let waiting = Waiting { frame, hash, since_us: now_us };
        if self.pages + pages > RX_PAGES || self.queue.push_back(waiting).is_err() {
            self.received.overflowed += 1;
            return Err(frame);
        }
        self.pages += pages;
        Ok(())
    }

    /// Takes the first frame out of the queue, and says whether it still has a claim on its sender.
    fn pop(&mut self, pool: &Pool) -> Option<(FrameId, bool)> {
        let Waiting { frame, .. } = self.queue.pop_front()?;
        self.pages -= pool.pages(frame);
        let is_claimed = self.unclaimed == 0;
        self.unclaimed = self.unclaimed.saturating_sub(1);
        Some((frame, is_claimed))
    }

    /// Takes a frame out of the queue: if it has waited for `patience_us`. With [`unclaim`](Self::unclaim) before, it has
    /// no claim any more.
    pub fn expire(&mut self, now_us: u64, patience_us: u64, pool: &Pool) -> Option<(FrameId, bool)> {
        let since_us = self.queue.front()?.since_us;
        if now_us.saturating_sub(since_us) < patience_us {
            return None;
        }
        self.received.expired += 1;
        self.pop(pool)
    }

    /// Takes a frame out of the queue because nobody will deliver it, and says whether it has a claim.
    pub fn abandon(&mut self, pool: &Pool) -> Option<(FrameId, bool)> {
        self.pop(pool)
    }

    /// Takes the claim on its sender from the next frame that has waited for long; the sender, if nobody else has one.
    pub fn unclaim(&mut self, now_us: u64, pool: &mut Pool) -> Option<Option<Owner>> {
        let next = self.queue.iter().nth(self.unclaimed)?;
        if now_us.saturating_sub(next.since_us) < CLAIM_US {
            return None;
        }
        self.unclaimed += 1;
        Some(pool.unclaim(next.frame))
    }

    /// Delivers what the guest has room for: one batch.
    pub fn deliver(
        &mut self,
        abilities: &Abilities,
        room: &mut Room<'_, impl Machine>,
        keep: &mut impl Keep,
    ) -> Delivered {
        let mut delivered = Delivered::default();
        let mut filling: Vec<Filling, DELIVERED> = Vec::new();
        room.batch.clear();
        let taken = self.take_frames(abilities, room, &mut filling, &mut delivered);
        delivered.lie = taken.err().map(|overrun| Lie::Index { ring: RingKind::Receive, overrun });
        if !filling.is_empty() && delivered.lie.is_none() {
            room.batch.run(room.machine);
            self.publish(room.batch, &filling, keep, &mut delivered);
        }
        delivered
    }

    fn take_frames(
        &mut self,
        abilities: &Abilities,
        room: &mut Room<'_, impl Machine>,
        filling: &mut Vec<Filling, DELIVERED>,
        delivered: &mut Delivered,
    ) -> Result<(), Overrun> {
        while let Some(&next) = self.queue.front() {
            let length = room.pool.length(next.frame);
            let (extras, extra_count) = extras(room.pool, next, abilities);
            let slots = length.div_ceil(PAGE) + extra_count;
            if filling.len() + slots > DELIVERED || room.batch.room() < Batch::needed(length, slots) {
                delivered.more = true;
                break;
            }
            if !self.ring.final_check_for(slots as u32)? {
                break;
            }
            let Some((frame, is_claimed)) = self.pop(room.pool) else {
                break;
            };
            let list = if is_claimed { &mut delivered.frames } else { &mut delivered.unclaimed };
            let pushed = list.push(frame);
            debug_assert!(pushed.is_ok(), "a frame has at least one slot");
            self.fill(room, frame, &extras[..extra_count], filling)?;
            self.received.frames += 1;
            self.received.bytes += length as u64;
        }
        Ok(())
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

    /// Answers the slots that are filled, and notes whether the guest lied about a page.
    fn publish(
        &mut self,
        batch: &Batch,
        filling: &[Filling],
        keep: &mut impl Keep,
        delivered: &mut Delivered,
    ) {
        let mut answers = Answers::after(self.ring.position().answered);
        for slot in filling {
            let mut response = slot.response;
            match batch.outcome(slot.first, slot.end, Way::ToGuest) {
                Outcome::Done => {}
                outcome => {
                    response.status = ResponseStatus::Error.raw();
                    delivered.lie = delivered.lie.or(outcome.check(RingKind::Receive).err());
                }
            }
            answers.push::<NetReceive>(&response);
        }
        keep.keep(self.name, &answers);
        delivered.notify = answers.write(&mut self.ring);
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
