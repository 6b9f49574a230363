//! Frames that a guest sends: out of its ring, into the pool.
//!
//! A request is answered when its frame is known to be sent, or dropped, and in the order of the requests. Until then
//! the guest keeps its pages for it; so whatever happens to this program, the frame is still there, and a successor
//! takes it anew. A frame may be sent twice, never not at all.

use crate::answers::Answers;
use crate::chain::{self, Chain, Taken};
use crate::copy::{Batch, Copier, GuestBytes, Way};
use crate::cut::seed_checksum;
use crate::keep::{Keep, RingName};
use crate::lie::RingKind;
use crate::offload::{Checksum, Transport};
use crate::pool::{FrameId, Owner, Pages, Pool};
use crate::rate::{Credit, Rate};
use crate::{Lie, Multicast, NetTransmit};
use heapless::Vec;
use ring::request::{Backend, Overrun, Ring};
use xen_abi::Domid;
use xen_abi::netif::{ResponseStatus, TxResponse};

/// Slots of a transmit ring: one page of them.
pub const TX_SLOTS: usize = 256;

/// The most frames that are taken at once.
pub const BURST: usize = 64;

/// Frames that have been taken, in their order.
pub type Burst = Vec<FrameId, BURST>;

/// What a backend has for all of its guests' queues.
#[derive(Debug)]
pub struct Room<'r, M> {
    /// Frames.
    pub pool: &'r mut Pool,
    /// Their memory, and who copies to and from it.
    pub machine: &'r mut M,
    /// What is to be copied.
    pub batch: &'r mut Batch,
}

/// The machine that a backend runs on.
pub trait Machine: Pages + Copier {}

impl<T: Pages + Copier> Machine for T {}

/// Why no more frames were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// There are no more, and the guest will send an event for the next one.
    Idle,
    /// There may be more: it is somebody else's turn.
    Turn,
    /// The pool is full: when frames are released there will be room.
    NoRoom,
    /// The guest has no credit before this time.
    Until {
        /// In microseconds.
        at_us: u64,
    },
}

/// What passed, since the queue began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Frames that were taken.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames that were thrown away, because nothing could be done with them.
    pub bad: u64,
}

/// A slot that was taken and not answered.
#[derive(Clone, Copy, Debug)]
struct Slot {
    id: u16,
    /// How it went, if that is known.
    status: Option<ResponseStatus>,
    /// The slots of the whole frame; 0 unless it is its first.
    span: u8,
}

/// A set of slots, by index.
#[derive(Clone, Copy, Debug, Default)]
struct SlotSet([u64; TX_SLOTS / u64::BITS as usize]);

impl SlotSet {
    const fn place(index: u32) -> (usize, u64) {
        let slot = index as usize % TX_SLOTS;
        (slot / u64::BITS as usize, 1 << (slot % u64::BITS as usize))
    }

    const fn insert(&mut self, index: u32) {
        let (word, bit) = Self::place(index);
        self.0[word] |= bit;
    }

    const fn contains(&self, index: u32) -> bool {
        let (word, bit) = Self::place(index);
        self.0[word] & bit != 0
    }

    /// Whether it was in.
    const fn remove(&mut self, index: u32) -> bool {
        let was_in = self.contains(index);
        let (word, bit) = Self::place(index);
        self.0[word] &= !bit;
        was_in
    }
}

/// A frame whose copies are in the batch.
struct Copying {
    frame: FrameId,
    index: u32,
    first: usize,
    end: usize,
}

/// One queue's transmit ring.
#[derive(Debug)]
pub struct Transmit<'a> {
    ring: Backend<'a, NetTransmit>,
    name: RingName,
    domid: Domid,
    slots: [Slot; TX_SLOTS],
    /// A frame that was taken from the ring and waits for credit or room.
    waiting: Option<Chain>,
    /// Frames that an earlier backend had sent on their way, and which this one has not taken yet.
    adopted: SlotSet,
    /// Those of them that have arrived.
    arrived: SlotSet,
    credit: Credit,
    sent: Sent,
}

impl<'a> Transmit<'a> {
    /// The ring of a frontend that has just connected.
    ///
    /// # Errors
    /// [`Overrun`].
    pub fn connect(
        ring: Ring<'a, NetTransmit>,
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
        ring: Ring<'a, NetTransmit>,
        name: RingName,
        domid: Domid,
        kept: Option<&Answers>,
    ) -> Result<Self, Overrun> {
        Ok(Self::new(Answers::resume(kept, ring)?, name, domid))
    }

    fn new(ring: Backend<'a, NetTransmit>, name: RingName, domid: Domid) -> Self {
        let slots = [Slot { id: 0, status: None, span: 0 }; TX_SLOTS];
        Self {
            ring,
            name,
            domid,
            slots,
            waiting: None,
            adopted: SlotSet::default(),
            arrived: SlotSet::default(),
            credit: Credit::new(None, 0),
            sent: Sent::default(),
        }
    }

    /// Limits what the guest may send.
    pub fn set_rate(&mut self, rate: Option<Rate>, now_us: u64) {
        self.credit.set_rate(rate, now_us);
    }

    /// The frame at `index`, which is not taken yet, is on its way already.
    pub(crate) fn adopt(&mut self, index: u32) {
        self.adopted.insert(index);
    }

    /// What passed.
    pub const fn sent(&self) -> Sent {
        self.sent
    }

    /// How many requests were taken and are not answered.
    pub const fn in_flight(&self) -> u32 {
        self.ring.in_flight()
    }

    /// How many requests are answered, modulo 2^32.
    pub const fn answered(&self) -> u32 {
        self.ring.position().answered
    }

    /// Takes frames: at most [`BURST`], in their order. Each has one reference, and an owner who has to be told by
    /// [`finish`](Self::finish).
    ///
    /// # Errors
    /// [`Lie`]: the guest is to be disconnected. Then no frame was taken.
    pub fn collect(
        &mut self,
        now_us: u64,
        room: &mut Room<'_, impl Machine>,
        multicast: &mut Multicast,
        burst: &mut Burst,
    ) -> Result<Stopped, Lie> {
        let mut copying: Vec<Copying, BURST> = Vec::new();
        room.batch.clear();
        let stopped = self.take_frames(now_us, room, multicast, &mut copying);
        let copied = stopped.and_then(|stopped| {
            room.batch.run(room.machine);
            self.check_copies(room, &copying).map(|()| stopped)
        });
        match copied {
            Ok(_) => copying.iter().for_each(|copying| self.admit(room, copying, burst)),
            Err(_) => copying.iter().for_each(|copying| _ = room.pool.release(copying.frame)),
        }
        copied
    }

    fn take_frames(
        &mut self,
        now_us: u64,
        room: &mut Room<'_, impl Machine>,
        multicast: &mut Multicast,
        copying: &mut Vec<Copying, BURST>,
    ) -> Result<Stopped, Lie> {
        loop {
            let next = match self.waiting.take() {
                Some(chain) => Some(chain),
                None => self.next_chain()?,
            };
            let Some(chain) = next else {
                let overrun = |overrun| Lie::Index { ring: RingKind::Transmit, overrun };
                let more = self.ring.final_check().map_err(overrun)?;
                return Ok(if more { Stopped::Turn } else { Stopped::Idle });
            };
            if let Some((address, wanted)) = chain.multicast {
                let is_done = multicast.change(address, wanted);
                self.finish_at(
                    chain.index,
                    if is_done { ResponseStatus::Okay } else { ResponseStatus::Error },
                );
                continue;
            }
            if self.adopted.remove(chain.index) {
                if self.arrived.remove(chain.index) {
                    self.finish(chain.index);
                }
                continue;
            }
            if !chain.is_frame() {
                self.sent.bad += 1;
                self.finish_at(chain.index, ResponseStatus::Error);
                continue;
            }
            let stopped = match self.start_copying(now_us, room, &chain) {
                Ok(started) => {
                    let full = copying.push(started).is_err() || copying.is_full();
                    if !full {
                        continue;
                    }
                    return Ok(Stopped::Turn);
                }
                Err(stopped) => stopped,
            };
            self.waiting = Some(chain);
            return Ok(stopped);
        }
    }

    fn next_chain(&mut self) -> Result<Option<Chain>, Lie> {
        let Self { ring, slots, .. } = self;
        let first = ring.position().consumed;
        let mut span = 0_u8;
        let chain = chain::take(ring, |Taken { index, id, is_request }| {
            let status = (!is_request).then_some(ResponseStatus::Null);
            slots[index as usize % TX_SLOTS] = Slot { id, status, span: 0 };
            span += 1;
        })?;
        // When the ring is full, the next slot is one that is still in flight.
        if span > 0 {
            slots[first as usize % TX_SLOTS].span = span;
        }
        Ok(chain)
    }

    /// Makes a frame and adds its copies to the batch; or says why not now.
    fn start_copying(
        &mut self,
        now_us: u64,
        room: &mut Room<'_, impl Machine>,
        chain: &Chain,
    ) -> Result<Copying, Stopped> {
        if room.batch.room() < Batch::needed(chain.length, chain.pieces.len()) {
            return Err(Stopped::Turn);
        }
        let owner = Owner { vif: self.name.vif, queue: self.name.queue, index: chain.index };
        let frame = room.pool.allocate_for(owner, chain.length).ok_or(Stopped::NoRoom)?;
        if let Err(at_us) = self.credit.take(now_us, chain.length) {
            room.pool.release(frame);
            return Err(Stopped::Until { at_us });
        }
        room.pool.set_offload(frame, chain.offload);
        let first = room.batch.len();
        let mut at = 0;
        for piece in &chain.pieces {
            let (offset, length) = (usize::from(piece.offset), usize::from(piece.size));
            let guest = GuestBytes { domid: self.domid, gref: piece.gref, offset, length };
            room.batch.add(room.pool, &*room.machine, (frame, at), guest, Way::FromGuest);
            at += length;
        }
        Ok(Copying { frame, index: chain.index, first, end: room.batch.len() })
    }

    /// Finds out whether the guest lied about its grants.
    fn check_copies(&mut self, room: &mut Room<'_, impl Machine>, copying: &[Copying]) -> Result<(), Lie> {
        for copying in copying {
            room.batch.outcome(copying.first, copying.end, Way::FromGuest).check(RingKind::Transmit)?;
        }
        Ok(())
    }

    /// Looks at a frame, now that it is ours alone, and hands it on; or throws it away.
    fn admit(&mut self, room: &mut Room<'_, impl Machine>, copying: &Copying, burst: &mut Burst) {
        let &Copying { frame, index, first, end } = copying;
        let is_copied = room.batch.outcome(first, end, Way::FromGuest).check(RingKind::Transmit) == Ok(true);
        if is_copied && prepare(room.pool, room.machine, frame) && burst.push(frame).is_ok() {
            self.sent.frames += 1;
            self.sent.bytes += room.pool.length(frame) as u64;
        } else {
            self.sent.bad += 1;
            room.pool.release(frame);
            self.finish_at(index, ResponseStatus::Error);
        }
    }

    /// Notes that a frame is sent, or that there is nothing more to be done for it. Anything that is not in flight is
    /// no news.
    pub fn finish(&mut self, index: u32) {
        if self.adopted.contains(index) {
            self.arrived.insert(index);
        }
        self.finish_at(index, ResponseStatus::Okay);
    }

    fn finish_at(&mut self, index: u32, status: ResponseStatus) {
        let first = self.answered();
        let slot = self.slots[index as usize % TX_SLOTS];
        if index.wrapping_sub(first) >= self.in_flight() || slot.status.is_some() {
            return;
        }
        for at in 0..u32::from(slot.span) {
            let slot = &mut self.slots[index.wrapping_add(at) as usize % TX_SLOTS];
            slot.status.get_or_insert(status);
        }
    }

    /// Answers what is finished, in its order. Whether the frontend wants an event for that.
    pub fn answer(&mut self, keep: &mut impl Keep) -> bool {
        let mut notify = false;
        loop {
            let answers = self.next_answers();
            if answers.count::<NetTransmit>() == 0 {
                return notify;
            }
            keep.keep(self.name, &answers);
            notify |= answers.write(&mut self.ring);
        }
    }

    /// A batch of answers: to whole frames, because a successor begins where a batch ends.
    fn next_answers(&self) -> Answers {
        let first = self.answered();
        let mut answers = Answers::after(first);
        let mut at = 0;
        while at < self.in_flight() {
            let span = u32::from(self.slots[first.wrapping_add(at) as usize % TX_SLOTS].span.max(1));
            let slots = (at..at + span).map(|at| &self.slots[first.wrapping_add(at) as usize % TX_SLOTS]);
            let fits = (at + span) as usize <= Answers::room::<NetTransmit>();
            if !fits || slots.clone().any(|slot| slot.status.is_none()) {
                break;
            }
            for slot in slots {
                let status = slot.status.unwrap_or(ResponseStatus::Error).raw();
                answers.push::<NetTransmit>(&TxResponse { id: slot.id, status });
            }
            at += span;
        }
        answers
    }
}

/// Checks that what has to be done to a frame can be done. Whether it can.
fn prepare(pool: &Pool, pages: &mut impl Pages, frame: FrameId) -> bool {
    let offload = pool.offload(frame);
    if offload.checksum != Checksum::Blank {
        return true;
    }
    let Some(transport) = Transport::locate(pool.head(frame, pages)) else {
        return false;
    };
    // Not every frontend has put the sum of the pseudo header there, and a card relies on it.
    seed_checksum(pool, pages, frame, &transport);
    match offload.segments {
        Some(segments) => segments.is_of(&transport),
        None => true,
    }
}
