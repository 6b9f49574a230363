//! A card's place on the bridge, and its shadow.
//!
//! *Passive*, the shadow knows what the card was told: its configuration, which frames it sends, which it receives into.
//! *Active*, when the driver has failed, it keeps what the card had and what comes, resets nothing and answers nobody: the
//! guests' frames wait where they are. When there is a new driver, it is configured as the old one was, and sends again
//! every frame that is not known to be sent, in their order.

use crate::card::{Arrived, Card, CardConfig};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use netback::{
    Abilities, CutError, FrameId, Offload, Pages, Pool, RESERVE, Source, Transport, cut, fill_checksum,
    longest_piece,
};
use shadow::{Group, Limits, Next, Order, Outcome, Shadow, Token, Verdict};

/// Bytes of Ethernet's header, and of a VLAN's tag in it.
const HEADERS: usize = 18;

/// The most frames that are cut at a time.
const CUTS: usize = 4;

/// All frames of a card are in one order: then those of each flow are.
const GROUP: Group = Group(0);

/// What passed, since the uk began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UplinkCounters {
    /// Frames that were sent.
    pub sent: u64,
    /// Frames that came in.
    pub arrived: u64,
    /// Frames that the card cannot send: too long, or not to be cut.
    pub impossible: u64,
    /// Frames that were given up, because drivers died of them, or with their card.
    pub given_up: u64,
    /// How often a driver was replaced.
    pub restarts: u64,
    /// Frames that were given to a new driver although an old one may have sent them.
    pub again: u64,
}

/// The driver did what no driver does: it is to be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverFault {
    /// It says that a frame is sent which it does not have.
    SentUnasked(FrameId),
    /// It says that a frame arrived in one that it does not have, or longer than that.
    ArrivedUnasked(FrameId),
}

/// A card's place on the bridge.
#[derive(Debug)]
pub struct Uplink {
    source: Source,
    config: CardConfig,
    abilities: Abilities,
    shadow: Shadow,
    /// Frames that have not been looked at: the shadow has those behind them.
    backlog: VecDeque<FrameId>,
    /// Which of all frames wait to be sent or are being sent; not those that were cut, but their pieces.
    held: Vec<bool>,
    /// Frames that the card receives into.
    posted: Vec<FrameId>,
    /// Nobody waits for the card, until it has a driver again.
    is_given_up: bool,
    counters: UplinkCounters,
}

impl Uplink {
    /// The card `source` without a driver, for frames of a pool of so many.
    pub fn new(source: Source, config: CardConfig, frames: usize) -> Self {
        // A frame that is on its way when its driver is killed is no murderer: that happens to frames whose drivers are
        // killed by tests every second. It is suspected after the third time, and given up after thirty.
        let limits = Limits { alone_after: 3, give_up_after: 30, ..Limits::default() };
        Self {
            source,
            posted: Vec::with_capacity(usize::from(config.receive_frames)),
            config,
            abilities: Abilities::default(),
            shadow: Shadow::new(frames, limits),
            backlog: VecDeque::with_capacity(frames),
            held: alloc::vec![false; frames],
            is_given_up: false,
            counters: UplinkCounters::default(),
        }
    }

    /// What the driver is told.
    pub const fn config(&self) -> &CardConfig {
        &self.config
    }

    /// What passed.
    pub const fn counters(&self) -> UplinkCounters {
        self.counters
    }

    /// Whether there is a driver.
    pub const fn is_up(&self) -> bool {
        self.shadow.driver_is_up()
    }

    /// How many frames wait, the driver's not among them.
    pub fn waiting(&self) -> usize {
        self.backlog.len() + self.shadow.waiting()
    }

    /// How many frames the driver has to send.
    pub const fn sending(&self) -> usize {
        self.shadow.running()
    }

    /// The longest frame that the card sends.
    pub fn max_length(&self) -> usize {
        usize::from(self.config.mtu) + HEADERS
    }

    /// What the card takes off the sender of a frame.
    pub const fn abilities(&self) -> Abilities {
        self.abilities
    }

    /// Takes a frame to be sent, with one reference. Whether it does: a card that is given up takes none.
    pub fn enqueue(&mut self, frame: FrameId) -> bool {
        if self.is_given_up {
            self.counters.given_up += 1;
            return false;
        }
        self.held[usize::from(frame.0)] = true;
        self.backlog.push_back(frame);
        true
    }

    /// Whether a frame waits to be sent, or is being sent.
    pub fn has(&self, frame: FrameId) -> bool {
        self.held[usize::from(frame.0)]
    }

    /// Whether the card receives into a frame.
    pub fn is_posted(&self, frame: FrameId) -> bool {
        self.posted.contains(&frame)
    }

    /// The driver is dead or as good as. What it had waits for the next.
    pub fn driver_failed(&mut self) {
        self.counters.again += self.shadow.running() as u64;
        self.shadow.driver_failed();
    }

    /// The card is given up until there is a driver again, and has been reset. The frames that it was to send are the caller's to release.
    pub fn give_up(&mut self) -> Vec<FrameId> {
        self.shadow.driver_failed();
        self.is_given_up = true;
        let mut frames: Vec<FrameId> = self.backlog.drain(..).collect();
        for number in 0..self.held.len() as u16 {
            if core::mem::take(&mut self.held[usize::from(number)]) && self.shadow.withdraw(Token(number)) {
                frames.push(FrameId(number));
            }
        }
        self.counters.given_up += frames.len() as u64;
        frames
    }

    /// There is a driver, and its card has been reset: nobody writes into the frames that an earlier one had. Those that had come in
    /// are answered; their one reference is the caller's.
    pub fn driver_ready(&mut self, card: &mut impl Card, pool: &mut Pool) -> Vec<FrameId> {
        let mut arrived = Vec::new();
        while let Some(found) = card.unread() {
            let is_it = |frame: &FrameId| pool.lies_in(*frame, &found.pages);
            arrived.extend(match self.posted.iter().position(is_it) {
                Some(place) => {
                    let frame = self.posted.swap_remove(place);
                    pool.arrived(frame, self.source, found.length, found.offload);
                    Some(frame)
                }
                // An earlier life had posted it, or it is none.
                None => pool.adopt(self.source, &found),
            });
        }
        self.counters.arrived += arrived.len() as u64;
        for frame in self.posted.drain(..) {
            pool.release(frame);
        }
        self.is_given_up = false;
        self.counters.restarts += 1;
        self.configure(card);
        self.shadow.driver_ready();
        arrived
    }

    fn configure(&mut self, card: &mut impl Card) {
        card.configure(&self.config);
        self.abilities = if self.config.offloads { card.abilities() } else { Abilities::default() };
    }

    /// Takes note of a frame that has been sent; it is to be released. None if there is none.
    ///
    /// # Errors
    /// [`DriverFault`].
    pub fn sent(&mut self, card: &mut impl Card) -> Result<Option<FrameId>, DriverFault> {
        let Some(frame) = self.shadow.driver_is_up().then(|| card.sent()).flatten() else {
            return Ok(None);
        };
        match self.shadow.finished(Token(frame.0), Outcome::Done) {
            Verdict::Answer(_) => {
                self.counters.sent += 1;
                self.held[usize::from(frame.0)] = false;
                Ok(Some(frame))
            }
            Verdict::Again | Verdict::DriverAtFault => Err(DriverFault::SentUnasked(frame)),
        }
    }

    /// Takes note of a frame that has come in; its one reference is the caller's. None if there is none.
    ///
    /// # Errors
    /// [`DriverFault`].
    pub fn arrived(&mut self, card: &mut impl Card, pool: &mut Pool) -> Result<Option<FrameId>, DriverFault> {
        let Some(Arrived { frame, length, offload }) =
            self.shadow.driver_is_up().then(|| card.arrived()).flatten()
        else {
            return Ok(None);
        };
        let place = self.posted.iter().position(|posted| *posted == frame);
        let place = place.filter(|_| (1..=pool.length(frame)).contains(&length));
        let Some(place) = place else {
            self.driver_failed();
            return Err(DriverFault::ArrivedUnasked(frame));
        };
        self.posted.swap_remove(place);
        pool.arrived(frame, self.source, length, offload);
        self.counters.arrived += 1;
        Ok(Some(frame))
    }

    /// Gives the card what it has room for, to send and to receive into. Frames that nobody will send are handed to
    /// `give_up`, to be released.
    pub fn pump(
        &mut self,
        now_us: u64,
        card: &mut impl Card,
        pool: &mut Pool,
        pages: &mut impl Pages,
        mut give_up: impl FnMut(&mut Pool, FrameId),
    ) {
        if !self.shadow.driver_is_up() {
            return;
        }
        card.settle();
        self.admit(pool, pages, &mut give_up);
        while card.room() > 0 {
            match self.shadow.next(now_us) {
                Some(Next::Start { token, .. }) => card.send(FrameId(token.0), pool, &*pages),
                Some(Next::GiveUp { token }) => {
                    self.counters.given_up += 1;
                    self.held[usize::from(token.0)] = false;
                    give_up(pool, FrameId(token.0));
                }
                None => break,
            }
        }
        while self.posted.len() < usize::from(self.config.receive_frames) {
            let Some(frame) = pool.allocate(self.max_length(), RESERVE) else {
                break;
            };
            self.posted.push(frame);
            card.post(frame, pool, &*pages);
        }
        card.kick();
    }

    /// Moves frames from the backlog into the shadow, cut and summed if the card does not do that. Behind some that are cut the others wait for
    /// these to be sent: that is what takes longest of all, and pieces take more memory than whole frames.
    fn admit(
        &mut self,
        pool: &mut Pool,
        pages: &mut impl Pages,
        give_up: &mut impl FnMut(&mut Pool, FrameId),
    ) {
        let mut cuts = 0;
        while let Some(&frame) = self.backlog.front() {
            let offload = pool.offload(frame);
            // What a guest wants its frame cut into may be longer than what goes on the wire.
            let fits = longest_piece(pool, pages, frame) <= self.max_length();
            let is_sent_whole = if !fits {
                self.counters.impossible += 1;
                false
            } else if self.abilities.must_cut(&offload) {
                if cuts == CUTS {
                    return;
                }
                match offload
                    .segments
                    .ok_or(CutError::Impossible)
                    .and_then(|into| cut(pool, pages, frame, into))
                {
                    Ok(pieces) => {
                        cuts += 1;
                        pieces.into_iter().for_each(|piece| self.admit_one(pool, pages, piece));
                    }
                    Err(CutError::NoRoom) => return,
                    Err(CutError::Impossible) => self.counters.impossible += 1,
                }
                false
            } else {
                true
            };
            self.backlog.pop_front();
            if is_sent_whole {
                self.admit_one(pool, pages, frame);
            } else {
                // If it was cut, its pieces hold it now.
                self.held[usize::from(frame.0)] = false;
                give_up(pool, frame);
            }
        }
    }

    fn admit_one(&mut self, pool: &mut Pool, pages: &mut impl Pages, frame: FrameId) {
        self.held[usize::from(frame.0)] = true;
        self.sum(pool, pages, frame);
        self.shadow.admit(Token(frame.0), GROUP, Order::Free);
    }

    fn sum(&self, pool: &mut Pool, pages: &mut impl Pages, frame: FrameId) {
        let Offload { checksum, .. } = pool.offload(frame);
        if checksum != netback::Checksum::Blank {
            return;
        }
        if let Some(transport) = Transport::locate(pool.head(frame, pages))
            && self.abilities.must_sum(&pool.offload(frame), &transport)
        {
            fill_checksum(pool, pages, frame, &transport);
        }
    }

    /// When the frame that the driver has had for longest was given to it, in microseconds.
    pub fn oldest_us(&self) -> Option<u64> {
        self.shadow.oldest_us()
    }

    /// How many frames the driver has sent and received, ever.
    pub const fn progress(&self) -> u64 {
        self.counters.sent.wrapping_add(self.counters.arrived)
    }
}
