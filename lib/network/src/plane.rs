//! How frames get from port to port.

use crate::uplink::{DriverFault, Uplink};
use crate::{Card, CardConfig};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use netback::{
    Abilities, Arrivals, Batch, Burst, Checksum, CutError, Device, FrameId, Keep, Lie, Machine, Notify,
    Offload, Owner, PAGE, Pages, Pool, RESERVE, Rate, Room, Source, Stopped, Transport, cut, fill_checksum,
    longest_piece,
};
use switch::{Arrival, EthernetAddress, PortConfig, PortId, PortSet, Switch, Verdict};

/// Whom to notify on behalf of a guest's port.
pub type PortNotify = Notify;

/// What is behind a port.
#[derive(Debug)]
enum Behind<'a> {
    Nothing,
    Guest(Box<Device<'a>>),
    Card(Box<Uplink>),
    /// This program itself: the frames that it has not looked at.
    Own(VecDeque<FrameId>),
}

/// The most cards. They are at the first ports.
pub const MAX_CARDS: usize = Source::COUNT;

/// The most frames that wait for this program itself.
const OWN_QUEUE: usize = 32;

/// A guest that is to be disconnected, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Whose it is.
    pub port: PortId,
    /// What it did.
    pub lie: Lie,
}

/// Frames that got nowhere, besides those that the switch, the cards and the guests' queues count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaneCounters {
    /// Frames for a guest that cannot take them: too long for it, or not to be cut.
    pub impossible: u64,
    /// Frames for a guest that would have had to be cut, when there was no room for that.
    pub no_room: u64,
    /// Frames for groups that the guest does not want.
    pub unwanted: u64,
}

/// All ports, what is behind them, and the frames on their way.
#[derive(Debug)]
pub struct Plane<'a> {
    pub(crate) pool: Pool,
    batch: Box<Batch>,
    switch: Switch,
    ports: Vec<Behind<'a>>,
    /// Guests with frames to be delivered.
    pub(crate) eager: PortSet,
    counters: PlaneCounters,
}

impl<'a> Plane<'a> {
    /// A plane without ports, with `pages` pages for frames. `seed` and `aging_us` are the switch's.
    pub fn new(pages: usize, seed: u64, aging_us: u64) -> Self {
        let ports = (0..switch::MAX_PORTS).map(|_| Behind::Nothing).collect();
        Self {
            pool: Pool::new(pages),
            batch: Box::new(Batch::new()),
            switch: Switch::new(seed, aging_us),
            ports,
            eager: PortSet::EMPTY,
            counters: PlaneCounters::default(),
        }
    }

    /// Connects a guest. The device's number is the port's.
    pub fn connect_guest(&mut self, port: PortId, config: PortConfig, device: Device<'a>) {
        self.disconnect(port);
        self.switch.connect(port, config);
        self.ports[port.index()] = Behind::Guest(Box::new(device));
    }

    /// Connects a card, which has no driver yet.
    ///
    /// # Panics
    /// If the port is none of the first [`MAX_CARDS`]: what a card receives is noted under its port's number.
    pub fn connect_card(&mut self, port: PortId, port_config: PortConfig, card_config: CardConfig) {
        let Some(source) = Source::new(port.index()) else {
            panic!("port {} is none for a card", port.index())
        };
        self.disconnect(port);
        self.switch.connect(port, port_config);
        let uplink = Uplink::new(source, card_config, self.pool.capacity());
        self.ports[port.index()] = Behind::Card(Box::new(uplink));
    }

    /// Connects this program itself: what it [says](Self::say) comes in by this port, and what is for it can be
    /// [heard](Self::hear).
    pub fn connect_own(&mut self, port: PortId, config: PortConfig) {
        self.disconnect(port);
        self.switch.connect(port, config);
        self.ports[port.index()] = Behind::Own(VecDeque::with_capacity(OWN_QUEUE));
    }

    /// Sends a frame of this program's own. Without room it is lost, as frames may be; answers whether there was.
    pub fn say(&mut self, port: PortId, now_us: u64, bytes: &[u8], pages: &mut impl Pages) -> bool {
        let frame = self.pool.allocate(bytes.len(), RESERVE);
        if let Some(frame) = frame {
            self.pool.write(frame, pages, 0, bytes);
            self.route(now_us, port, frame, pages);
        }
        frame.is_some()
    }

    /// Copies a frame for this program itself into `buffer`, and answers its length. What is longer is passed over.
    pub fn hear(&mut self, port: PortId, buffer: &mut [u8], pages: &impl Pages) -> Option<usize> {
        loop {
            let Behind::Own(queue) = &mut self.ports[port.index()] else { return None };
            let frame = queue.pop_front()?;
            let length = self.pool.length(frame);
            let fits = length <= buffer.len();
            if fits {
                self.pool.read(frame, pages, 0, &mut buffer[..length]);
            }
            self.release(frame);
            if fits {
                return Some(length);
            }
        }
    }

    /// Disconnects a guest: its frames that are on their way go on, and nobody waits for them.
    pub fn disconnect(&mut self, port: PortId) {
        let behind = core::mem::replace(&mut self.ports[port.index()], Behind::Nothing);
        self.switch.disconnect(port);
        self.eager.remove(port);
        match behind {
            Behind::Guest(device) => {
                let mut finished = Vec::new();
                device.disconnect(&mut self.pool, |owner| finished.push(owner));
                finished.into_iter().for_each(|owner| self.finish(owner));
            }
            Behind::Own(queue) => queue.into_iter().for_each(|frame| self.release(frame)),
            Behind::Nothing | Behind::Card(_) => {}
        }
    }

    /// Takes what a guest sends, and what it asks for by control messages. Why it stopped, for each queue; and whom to
    /// notify. A guest that lied is disconnected already.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn serve(
        &mut self,
        port: PortId,
        queue: usize,
        now_us: u64,
        machine: &mut impl Machine,
        keep: &mut impl Keep,
    ) -> Result<(Stopped, Notify), Gone> {
        let Self { pool, batch, ports, .. } = self;
        let Behind::Guest(device) = &mut ports[port.index()] else {
            return Ok((Stopped::Idle, Notify::default()));
        };
        let mut burst = Burst::new();
        let mut room = Room { pool, machine, batch };
        let served = device
            .control(&mut room, keep)
            .and_then(|notify| Ok((device.collect(queue, now_us, &mut room, &mut burst)?, notify)));
        for frame in burst {
            self.route(now_us, port, frame, machine);
        }
        served.map_err(|lie| self.gone(port, lie))
    }

    fn gone(&mut self, port: PortId, lie: Lie) -> Gone {
        self.disconnect(port);
        Gone { port, lie }
    }

    /// Delivers what waits for a guest, as far as it has posted room; looks after what has waited for long. To be called
    /// every few milliseconds while anything waits, even if the guest says nothing.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn deliver(
        &mut self,
        port: PortId,
        now_us: u64,
        machine: &mut impl Machine,
        keep: &mut impl Keep,
    ) -> Result<Notify, Gone> {
        let mut notify = Notify::default();
        let mut queue = 0;
        self.eager.remove(port);
        loop {
            let Self { pool, batch, ports, .. } = self;
            let Behind::Guest(device) = &mut ports[port.index()] else {
                return Ok(notify);
            };
            if queue == device.queues() {
                break;
            }
            let mut room = Room { pool, machine, batch };
            let delivered = device.deliver(queue, &mut room, keep);
            notify.receive |= u8::from(delivered.notify) << queue;
            queue += usize::from(!delivered.more);
            for frame in delivered.unclaimed {
                self.pool.release_unclaimed(frame);
            }
            for frame in delivered.frames {
                self.release(frame);
            }
            if let Some(lie) = delivered.lie {
                return Err(self.gone(port, lie));
            }
        }
        let mut finished = Vec::new();
        if let Behind::Guest(device) = &mut self.ports[port.index()] {
            device.expire(now_us, &mut self.pool, |owner| finished.push(owner));
        }
        finished.into_iter().for_each(|owner| self.finish(owner));
        Ok(notify)
    }

    /// Answers what is finished of a guest's frames.
    pub fn answer(&mut self, port: PortId, keep: &mut impl Keep) -> Notify {
        match &mut self.ports[port.index()] {
            Behind::Guest(device) => device.answer(keep),
            _ => Notify::default(),
        }
    }

    /// Does what there is to do with a card: frames that were sent, frames that came in, frames to be sent.
    ///
    /// # Errors
    /// [`DriverFault`]: the driver is to be restarted; what it has is kept.
    pub fn drive(
        &mut self,
        port: PortId,
        now_us: u64,
        card: &mut impl Card,
        pages: &mut impl Pages,
    ) -> Result<(), DriverFault> {
        while let Some(frame) = self.uplink_mut(port).map_or(Ok(None), |(uplink, _)| uplink.sent(card))? {
            self.release(frame);
        }
        // As many as there can be at once: a flood must not keep the others from their turn.
        for _ in 0..netback::BURST {
            let arrived =
                self.uplink_mut(port).map_or(Ok(None), |(uplink, pool)| uplink.arrived(card, pool))?;
            let Some(frame) = arrived else {
                break;
            };
            self.route(now_us, port, frame, pages);
        }
        let mut finished = Vec::new();
        if let Some((uplink, pool)) = self.uplink_mut(port) {
            uplink.pump(now_us, card, pool, pages, |pool, frame| finished.extend(pool.release(frame)));
        }
        finished.into_iter().for_each(|owner| self.finish(owner));
        Ok(())
    }

    /// A card's driver is dead or as good as.
    pub fn driver_failed(&mut self, port: PortId) {
        if let Some((uplink, _)) = self.uplink_mut(port) {
            uplink.driver_failed();
        }
    }

    /// A card is given up, and has been reset: what is sent through it gets nowhere, and nobody waits for that, until there is a driver again.
    pub fn give_card_up(&mut self, port: PortId) {
        let frames = self.uplink_mut(port).map(|(uplink, _)| uplink.give_up());
        frames.into_iter().flatten().for_each(|frame| self.release(frame));
    }

    /// A card has been reset, and there is a new driver. What had come in before is sent where it belongs.
    pub fn driver_ready(&mut self, port: PortId, now_us: u64, card: &mut impl Card, pages: &mut impl Pages) {
        let arrived = self.uplink_mut(port).map(|(uplink, pool)| uplink.driver_ready(card, pool));
        arrived.into_iter().flatten().for_each(|frame| self.route(now_us, port, frame, pages));
    }

    /// Frames that come from cards are noted in `arrivals` from now on, beginning with those that an earlier life has left there: they are
    /// sent where they belong, as from the cards that they came from. To be called when the guests of that life are there again, and before
    /// anything else.
    pub fn note_arrivals(&mut self, arrivals: Arrivals, now_us: u64, pages: &mut impl Pages) -> usize {
        let left = self.pool.note_in(arrivals);
        let count = left.len();
        for (source, frame) in left {
            match PortId::new(source.number()) {
                Some(port) => self.route(now_us, port, frame, pages),
                None => self.release(frame),
            }
        }
        count
    }

    fn uplink_mut(&mut self, port: PortId) -> Option<(&mut Uplink, &mut Pool)> {
        match &mut self.ports[port.index()] {
            Behind::Card(uplink) => Some((uplink, &mut self.pool)),
            _ => None,
        }
    }

    /// A card's place on the bridge.
    pub fn uplink(&self, port: PortId) -> Option<&Uplink> {
        match &self.ports[port.index()] {
            Behind::Card(uplink) => Some(uplink),
            _ => None,
        }
    }

    /// A guest's device.
    pub fn device(&self, port: PortId) -> Option<&Device<'a>> {
        match &self.ports[port.index()] {
            Behind::Guest(device) => Some(device),
            _ => None,
        }
    }

    pub(crate) fn device_mut(&mut self, port: PortId) -> Option<&mut Device<'a>> {
        match &mut self.ports[port.index()] {
            Behind::Guest(device) => Some(device),
            _ => None,
        }
    }

    pub(crate) fn replace_device(&mut self, port: PortId, device: Device<'a>) -> Option<Device<'a>> {
        let behind = &mut self.ports[port.index()];
        match core::mem::replace(behind, Behind::Guest(Box::new(device))) {
            Behind::Guest(old) => Some(*old),
            Behind::Nothing | Behind::Card(_) | Behind::Own(_) => None,
        }
    }

    /// Whether a frame is with a card or this program itself, or waits for a guest.
    pub(crate) fn is_had(&self, frame: FrameId) -> bool {
        self.ports.iter().any(|behind| match behind {
            Behind::Card(uplink) => uplink.has(frame) || uplink.is_posted(frame),
            Behind::Own(queue) => queue.contains(&frame),
            Behind::Guest(device) => device.has(frame),
            Behind::Nothing => false,
        })
    }

    /// Limits what a guest may send.
    pub fn set_rate(&mut self, port: PortId, rate: Option<Rate>, now_us: u64) {
        if let Some(device) = self.device_mut(port) {
            device.set_rate(rate, now_us);
        }
    }

    /// The switch: for its counters.
    pub const fn switch(&self) -> &Switch {
        &self.switch
    }

    /// The frames: for its counters.
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Frames that got nowhere.
    pub const fn counters(&self) -> PlaneCounters {
        self.counters
    }

    /// The guests to whom frames are to be delivered.
    pub const fn eager(&self) -> PortSet {
        self.eager
    }

    /// Forgets addresses that the switch has not seen of late.
    pub fn age(&mut self, now_us: u64) {
        self.switch.age(now_us);
    }

    /// One reader of a frame is done; if it was the last one, so is its guest's request.
    pub(crate) fn release(&mut self, frame: FrameId) {
        if let Some(owner) = self.pool.release(frame) {
            self.finish(owner);
        }
    }

    pub(crate) fn finish(&mut self, owner: Owner) {
        if let Some(Behind::Guest(device)) = self.ports.get_mut(usize::from(owner.vif)) {
            device.finish(owner);
        }
    }

    /// Sends a frame where it belongs. Its one reference is used up.
    fn route(&mut self, now_us: u64, from: PortId, frame: FrameId, pages: &mut impl Pages) {
        let (length, head) = (self.pool.length(frame), self.pool.head(frame, pages));
        let to = EthernetAddress::from_bytes(head.get(..6).unwrap_or(&[0; 6]));
        let verdict = self.switch.forward(now_us, &Arrival { port: from, head, length });
        if let Verdict::Forward(ports) = verdict {
            self.sum_for(ports, frame, pages);
            for port in ports.iter() {
                self.send_to(now_us, port, to, frame, pages);
            }
        }
        self.release(frame);
    }

    /// Computes a blank checksum if one of the readers cannot, before any of them has the frame. A frame that has to be
    /// cut keeps it blank: its pieces have checksums of their own.
    fn sum_for(&mut self, ports: PortSet, frame: FrameId, pages: &mut impl Pages) {
        let offload = self.pool.offload(frame);
        if offload.checksum != Checksum::Blank || offload.segments.is_some() {
            return;
        }
        let Some(transport) = Transport::locate(self.pool.head(frame, pages)) else {
            return;
        };
        let must_sum = |abilities: Abilities| abilities.must_sum(&offload, &transport);
        let is_needed = ports.iter().any(|port| match &self.ports[port.index()] {
            Behind::Guest(device) => must_sum(device.abilities()),
            Behind::Card(uplink) => must_sum(uplink.abilities()),
            Behind::Own(_) => must_sum(Abilities::default()),
            Behind::Nothing => false,
        });
        if is_needed {
            fill_checksum(&mut self.pool, pages, frame, &transport);
        }
    }

    fn send_to(
        &mut self,
        now_us: u64,
        port: PortId,
        to: EthernetAddress,
        frame: FrameId,
        pages: &mut impl Pages,
    ) {
        match &mut self.ports[port.index()] {
            Behind::Nothing => {}
            Behind::Card(uplink) => {
                if uplink.enqueue(frame) {
                    self.pool.retain(frame);
                }
            }
            Behind::Own(queue) => {
                if queue.len() < OWN_QUEUE && self.pool.offload(frame).segments.is_none() {
                    self.pool.retain(frame);
                    queue.push_back(frame);
                }
            }
            Behind::Guest(device) => {
                if !device.accepts(to) {
                    self.counters.unwanted += 1;
                    return;
                }
                let (abilities, longest) = (device.abilities(), device.max_length());
                let offload = self.pool.offload(frame);
                let must_cut = abilities.must_cut(&offload);
                let length =
                    if must_cut { longest_piece(&self.pool, pages, frame) } else { self.pool.length(frame) };
                if length > longest {
                    self.counters.impossible += 1;
                } else if must_cut {
                    self.cut_for(now_us, port, frame, offload, pages);
                } else {
                    self.pool.retain(frame);
                    self.give(now_us, port, frame, pages);
                }
            }
        }
    }

    /// Cuts a frame for a guest that cannot take it whole.
    fn cut_for(
        &mut self,
        now_us: u64,
        port: PortId,
        frame: FrameId,
        offload: Offload,
        pages: &mut impl Pages,
    ) {
        let pieces = offload.segments.ok_or(CutError::Impossible);
        match pieces.and_then(|into| cut(&mut self.pool, pages, frame, into)) {
            Ok(pieces) => {
                for piece in pieces {
                    self.sum_for(PortSet::of(port), piece, pages);
                    self.give(now_us, port, piece, pages);
                }
            }
            Err(CutError::NoRoom) => self.counters.no_room += 1,
            Err(CutError::Impossible) => self.counters.impossible += 1,
        }
    }

    /// Puts a frame into the right queue of a guest, which takes over one reader's part.
    pub(crate) fn give(&mut self, now_us: u64, port: PortId, frame: FrameId, pages: &impl Pages) {
        let Behind::Guest(device) = &mut self.ports[port.index()] else {
            return;
        };
        let (hash, queue) = device.sort(self.pool.head(frame, pages));
        self.eager.insert(port);
        if let Err(frame) = device.enqueue(queue, now_us, frame, hash, &self.pool) {
            self.release(frame);
        }
    }
}

const _: () = assert!(
    switch::HEAD <= PAGE - netback::HEADROOM,
    "a frame's first page has all that the switch looks at"
);
