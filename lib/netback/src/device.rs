//! A guest's interface: its queues, and what is common to them.

use crate::answers::Answers;
use crate::control::Control;
use crate::hash::{FlowHash, Hashing};
use crate::keep::{Keep, RingName};
use crate::keys::FrontendKeys;
use crate::lie::RingKind;
use crate::multicast::Multicast;
use crate::offload::Abilities;
use crate::pool::{FrameId, Owner, Pool};
use crate::rate::Rate;
use crate::receive::{Delivered, Receive, Received};
use crate::transmit::{Burst, Machine, Room, Sent, Stopped, Transmit};
use crate::{Lie, NetControl, NetReceive, NetTransmit};
use alloc::vec::Vec;
use recovery_box::Record;
use ring::request::Ring;
use serde::{Deserialize, Serialize};
use smoltcp::wire::EthernetAddress;
use xen_abi::Domid;

/// How long frames wait for a guest that posts no room for them. Linux's backend waits as long.
const PATIENCE_US: u64 = 10_000_000;

/// The same for a guest that does not say when it has posted room.
const SHORT_PATIENCE_US: u64 = 30_000;

/// What a successor must know of a device, besides [`Answers`] for each of its rings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    domid: u16,
    keys: FrontendKeys,
    multicast: Multicast,
    hashing: Hashing,
}

impl Record for Saved {
    const TYPE: u16 = 0x4e44;
    const VERSION: u16 = 1;
}

impl Saved {
    /// The device of a frontend that has said this when it connected, and nothing since.
    pub fn new(domid: Domid, keys: FrontendKeys) -> Self {
        let mut multicast = Multicast::new();
        multicast.set_filter(keys.multicast_control);
        Self { domid: domid.0, keys, multicast, hashing: Hashing::new() }
    }

    /// Whose device it is.
    pub const fn domid(&self) -> Domid {
        Domid(self.domid)
    }

    /// What its frontend said when it connected: which pages and event channels there are to be mapped again.
    pub const fn keys(&self) -> &FrontendKeys {
        &self.keys
    }
}

/// The memory of a queue's rings.
#[derive(Clone, Copy, Debug)]
pub struct QueueRings<'a> {
    /// The transmit ring.
    pub transmit: Ring<'a, NetTransmit>,
    /// The receive ring.
    pub receive: Ring<'a, NetReceive>,
}

/// Which event channels are to be notified: a bit for each queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// For transmit rings.
    pub transmit: u8,
    /// For receive rings.
    pub receive: u8,
    /// For the control ring.
    pub control: bool,
}

impl Notify {
    /// Both together.
    pub const fn or(self, other: Self) -> Self {
        Self {
            transmit: self.transmit | other.transmit,
            receive: self.receive | other.receive,
            control: self.control || other.control,
        }
    }
}

#[derive(Debug)]
struct Queue<'a> {
    transmit: Transmit<'a>,
    receive: Receive<'a>,
}

/// A guest's interface, connected.
#[derive(Debug)]
pub struct Device<'a> {
    vif: u8,
    saved: Saved,
    /// Whether `saved` has changed and not been kept.
    is_changed: bool,
    queues: Vec<Queue<'a>>,
    control: Option<Control<'a>>,
}

impl<'a> Device<'a> {
    /// The device of a frontend that has just connected: `vif` is its number here.
    ///
    /// # Errors
    /// [`Lie`]: the rings are not what a frontend makes.
    pub fn connect(
        vif: u8,
        domid: Domid,
        keys: FrontendKeys,
        rings: &[QueueRings<'a>],
        control: Option<Ring<'a, NetControl>>,
        keep: &mut impl Keep,
    ) -> Result<Self, Lie> {
        let saved = Saved::new(domid, keys);
        let mut queues = Vec::with_capacity(rings.len());
        for (queue, rings) in (0..).zip(rings) {
            let name = |kind| RingName { vif, queue, kind };
            let (tx, rx) = (RingKind::Transmit, RingKind::Receive);
            let queue = Queue {
                transmit: Transmit::connect(rings.transmit, name(tx), domid, keep).map_err(index(tx))?,
                receive: Receive::connect(rings.receive, name(rx), domid, keep).map_err(index(rx))?,
            };
            queues.push(queue);
        }
        let control = match control {
            Some(ring) => {
                let name = RingName { vif, queue: 0, kind: RingKind::Control };
                Some(Control::connect(ring, name, domid, keep).map_err(index(RingKind::Control))?)
            }
            None => None,
        };
        keep.save(vif, &saved);
        Ok(Self { vif, saved, is_changed: false, queues, control })
    }

    /// The device that an earlier backend has served: all of the guest's event channels are to be notified. `kept`
    /// answers what was kept of a ring.
    ///
    /// # Errors
    /// [`Lie`].
    pub fn resume(
        vif: u8,
        saved: Saved,
        rings: &[QueueRings<'a>],
        control: Option<Ring<'a, NetControl>>,
        kept: impl Fn(RingName) -> Option<Answers>,
    ) -> Result<Self, Lie> {
        let domid = saved.domid();
        let mut queues = Vec::with_capacity(rings.len());
        for (queue, rings) in (0..).zip(rings) {
            let name = |kind| RingName { vif, queue, kind };
            let (tx, rx) = (name(RingKind::Transmit), name(RingKind::Receive));
            let queue = Queue {
                transmit: Transmit::resume(rings.transmit, tx, domid, kept(tx).as_ref())
                    .map_err(index(tx.kind))?,
                receive: Receive::resume(rings.receive, rx, domid, kept(rx).as_ref())
                    .map_err(index(rx.kind))?,
            };
            queues.push(queue);
        }
        let control = match control {
            Some(ring) => {
                let name = RingName { vif, queue: 0, kind: RingKind::Control };
                Some(Control::resume(ring, name, domid, kept(name).as_ref()).map_err(index(name.kind))?)
            }
            None => None,
        };
        Ok(Self { vif, saved, is_changed: false, queues, control })
    }

    /// Its number.
    pub const fn vif(&self) -> u8 {
        self.vif
    }

    /// Whose it is.
    pub const fn domid(&self) -> Domid {
        self.saved.domid()
    }

    /// How many queues it has.
    pub fn queues(&self) -> usize {
        self.queues.len()
    }

    /// What it takes off the sender of a frame.
    pub const fn abilities(&self) -> Abilities {
        self.saved.keys.abilities()
    }

    /// The longest frame that it can be sent.
    pub const fn max_length(&self) -> usize {
        self.saved.keys.max_length()
    }

    /// Limits what each of its queues may send to its share.
    pub fn set_rate(&mut self, rate: Option<Rate>, now_us: u64) {
        let count = self.queues.len().max(1) as u64;
        for queue in &mut self.queues {
            let share = rate.map(|rate| Rate { bytes: rate.bytes.div_ceil(count), ..rate });
            queue.transmit.set_rate(share, now_us);
        }
    }

    /// Whether it wants frames for this address.
    pub fn accepts(&self, to: EthernetAddress) -> bool {
        self.saved.multicast.accepts(to)
    }

    /// Takes frames that a queue's guest sends. See [`Transmit::collect`].
    ///
    /// # Errors
    /// [`Lie`]: the guest is to be disconnected.
    pub fn collect(
        &mut self,
        queue: usize,
        now_us: u64,
        room: &mut Room<'_, impl Machine>,
        burst: &mut Burst,
    ) -> Result<Stopped, Lie> {
        let Some(queue) = self.queues.get_mut(queue) else {
            return Ok(Stopped::Idle);
        };
        let before = self.saved.multicast.changes();
        let stopped = queue.transmit.collect(now_us, room, &mut self.saved.multicast, burst);
        self.is_changed |= before != self.saved.multicast.changes();
        stopped
    }

    /// Nobody needs a frame of the guest's any more: its slots can be answered.
    pub fn finish(&mut self, owner: Owner) {
        if let Some(queue) = self.queues.get_mut(usize::from(owner.queue)) {
            queue.transmit.finish(owner.index);
        }
    }

    /// A frame of the guest's is on its way already, although this backend has not taken it: an earlier one did. Its slots
    /// are answered when it is finished.
    pub fn adopt(&mut self, owner: Owner) {
        if let Some(queue) = self.queues.get_mut(usize::from(owner.queue)) {
            queue.transmit.adopt(owner.index);
        }
    }

    /// Answers what is finished in all queues.
    pub fn answer(&mut self, keep: &mut impl Keep) -> Notify {
        self.keep_changes(keep);
        let mut notify = Notify::default();
        for (number, queue) in self.queues.iter_mut().enumerate() {
            notify.transmit |= u8::from(queue.transmit.answer(keep)) << number;
        }
        notify
    }

    /// What the guest asks for must survive before it is told that it is done.
    fn keep_changes(&mut self, keep: &mut impl Keep) {
        if core::mem::take(&mut self.is_changed) {
            keep.save(self.vif, &self.saved);
        }
    }

    /// Hears and answers control messages, some at a time.
    ///
    /// # Errors
    /// [`Lie`]: the guest is to be disconnected.
    pub fn control(
        &mut self,
        room: &mut Room<'_, impl Machine>,
        keep: &mut impl Keep,
    ) -> Result<Notify, Lie> {
        const AT_A_TIME: usize = 16;
        let mut notify = Notify::default();
        for _ in 0..AT_A_TIME {
            let Some(control) = &mut self.control else {
                break;
            };
            let Some(response) = control.hear(self.queues.len(), &mut self.saved.hashing, room)? else {
                break;
            };
            keep.save(self.vif, &self.saved);
            notify.control |= control.reply(&response, keep);
        }
        Ok(notify)
    }

    /// The hash of a frame, if the guest wants one, and the queue that it goes to.
    pub fn sort(&self, head: &[u8]) -> (Option<FlowHash>, usize) {
        self.saved.hashing.sort(head, self.queues.len())
    }

    /// Puts a frame into a queue for the guest, which takes over one reader's part.
    ///
    /// # Errors
    /// There is no room: the frame itself, to be released.
    pub fn enqueue(
        &mut self,
        queue: usize,
        now_us: u64,
        frame: FrameId,
        hash: Option<FlowHash>,
        pool: &Pool,
    ) -> Result<(), FrameId> {
        match self.queues.get_mut(queue) {
            Some(queue) => queue.receive.enqueue(now_us, frame, hash, pool),
            None => Err(frame),
        }
    }

    /// Delivers frames to a queue's guest: one batch.
    pub fn deliver(
        &mut self,
        queue: usize,
        room: &mut Room<'_, impl Machine>,
        keep: &mut impl Keep,
    ) -> Delivered {
        let abilities = self.abilities();
        match self.queues.get_mut(queue) {
            Some(queue) => queue.receive.deliver(&abilities, room, keep),
            None => Delivered::default(),
        }
    }

    /// Looks after frames that wait for the guest to post room: senders who have waited for long are handed to `finish`,
    /// and frames that have waited too long are dropped.
    pub fn expire(&mut self, now_us: u64, pool: &mut Pool, mut finish: impl FnMut(Owner)) {
        let patience_us = if self.saved.keys.rx_notify { PATIENCE_US } else { SHORT_PATIENCE_US };
        for queue in &mut self.queues {
            while let Some(owner) = queue.receive.unclaim(now_us, pool) {
                owner.into_iter().for_each(&mut finish);
            }
            while let Some(waiting) = queue.receive.expire(now_us, patience_us, pool) {
                drop_frame(pool, waiting, &mut finish);
            }
        }
    }

    /// Whether a frame waits for the guest.
    pub fn has(&self, frame: FrameId) -> bool {
        self.queues.iter().any(|queue| queue.receive.has(frame))
    }

    /// Whether frames wait for the guest, in any queue, or in one.
    pub fn waiting(&self, queue: Option<usize>) -> usize {
        match queue {
            Some(queue) => self.queues.get(queue).map_or(0, |queue| queue.receive.waiting()),
            None => self.queues.iter().map(|queue| queue.receive.waiting()).sum(),
        }
    }

    /// Lets go of everything: nobody waits for its own frames, and who waits for it to get a frame is handed to `finish`.
    pub fn disconnect(self, pool: &mut Pool, finish: impl FnMut(Owner)) {
        pool.disown(self.vif);
        for frame in self.abandon(pool, finish) {
            pool.release_unclaimed(frame);
        }
    }

    /// Lets go of the frames that wait for the guest, because another backend takes its place: their senders are handed
    /// to `finish`. Frames that came from outside are answered: nobody sends them again, so they are to be given to whoever takes that place,
    /// with the one reader's part that this device had.
    pub fn abandon(mut self, pool: &mut Pool, mut finish: impl FnMut(Owner)) -> Vec<FrameId> {
        let mut arrivals = Vec::new();
        for queue in &mut self.queues {
            while let Some(waiting) = queue.receive.abandon(pool) {
                if pool.is_arrival(waiting.0) {
                    arrivals.push(waiting.0);
                } else {
                    drop_frame(pool, waiting, &mut finish);
                }
            }
        }
        arrivals
    }

    /// What a queue has passed.
    pub fn passed(&self, queue: usize) -> (Sent, Received) {
        let queue = self.queues.get(queue);
        queue.map_or_else(Default::default, |queue| (queue.transmit.sent(), queue.receive.received()))
    }

    /// How many requests of a transmit queue are answered, modulo 2^32.
    pub fn answered(&self, queue: usize) -> u32 {
        self.queues.get(queue).map_or(0, |queue| queue.transmit.answered())
    }

    /// How many requests of a receive queue are answered, modulo 2^32.
    pub fn delivered(&self, queue: usize) -> u32 {
        self.queues.get(queue).map_or(0, |queue| queue.receive.answered())
    }

    /// How far its rings are: requests taken and not answered, and requests answered, of all transmit queues; the
    /// private side of what a watcher compares with the shared counters.
    pub fn progress(&self) -> (u32, u64) {
        let open = self.queues.iter().map(|queue| queue.transmit.in_flight()).sum();
        let done = self.queues.iter().map(|queue| {
            u64::from(queue.transmit.answered()).wrapping_add(u64::from(queue.receive.answered()))
        });
        (open, done.fold(0, u64::wrapping_add))
    }
}

/// Drops a frame that waited, with its claim or without one.
fn drop_frame(pool: &mut Pool, (frame, is_claimed): (FrameId, bool), finish: &mut impl FnMut(Owner)) {
    if is_claimed {
        pool.release(frame).into_iter().for_each(finish);
    } else {
        pool.release_unclaimed(frame);
    }
}

/// An index that contradicts what is known of a ring.
fn index(ring: RingKind) -> impl Fn(ring::request::Overrun) -> Lie {
    move |overrun| Lie::Index { ring, overrun }
}
