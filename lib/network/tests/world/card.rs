//! A card: it sends in its own time, and tells of it later still. Its driver may die between the two.

use crate::frames::mac;
use crate::machine::SimMachine;
use crate::numbers::Numbers;
use netback::{Abilities, Found, FrameId, Offload, PageId, Pages, Piece, Pool};
use network::netback;
use network::switch::EthernetAddress;
use network::{Arrived, Card, CardConfig};
use std::collections::VecDeque;

/// A frame on the wire, and what the card was told about it.
#[derive(Clone, Debug)]
pub struct OnWire {
    pub bytes: Vec<u8>,
    pub offload: Offload,
}

struct Given {
    frame: FrameId,
    pieces: Vec<Piece>,
    offload: Offload,
}

impl Given {
    fn new(frame: FrameId, pool: &Pool) -> Self {
        Self { frame, pieces: pool.pieces(frame, 0).collect(), offload: pool.offload(frame) }
    }

    fn read(&self, pages: &impl Pages) -> Vec<u8> {
        let bytes =
            |piece: &Piece| pages.bytes(piece.page)[piece.offset..piece.offset + piece.length].to_vec();
        self.pieces.iter().flat_map(bytes).collect()
    }
}

pub struct SimCard {
    pub abilities: Abilities,
    pub capacity: usize,
    /// It has stopped, and does not say so.
    pub hangs: bool,
    pub config: Option<CardConfig>,
    /// How often it was set up.
    pub configured: usize,
    to_send: VecDeque<Given>,
    done: VecDeque<FrameId>,
    posted: VecDeque<Given>,
    /// What has come in: with the page that it lies in.
    filled: VecDeque<(Arrived, PageId)>,
    /// How many of these were told of, and not settled.
    told: usize,
    /// What an earlier driver has left.
    unread: VecDeque<Found>,
    /// What it has sent.
    pub wire: Vec<OnWire>,
    /// What it will say next, whether it is true or not.
    pub lie_sent: Option<FrameId>,
    pub lie_arrived: Option<Arrived>,
}

impl SimCard {
    pub fn new(abilities: Abilities) -> Self {
        Self {
            abilities,
            capacity: 16,
            hangs: false,
            config: None,
            configured: 0,
            to_send: VecDeque::new(),
            done: VecDeque::new(),
            posted: VecDeque::new(),
            filled: VecDeque::new(),
            told: 0,
            unread: VecDeque::new(),
            wire: Vec::new(),
            lie_sent: None,
            lie_arrived: None,
        }
    }

    /// The card is reset: it forgets everything, and touches no memory any more. What it has received is in memory.
    pub fn reset(&mut self) {
        let left = self.filled.iter().map(|(arrived, page)| Found {
            pages: [*page].into_iter().collect(),
            length: arrived.length,
            offload: arrived.offload,
        });
        self.unread.extend(left);
        self.to_send.clear();
        self.done.clear();
        self.posted.clear();
        self.filled.clear();
        self.told = 0;
        self.hangs = false;
        self.config = None;
    }

    /// Sends some of what it has, and tells of some of it.
    pub fn work(&mut self, machine: &SimMachine, numbers: &mut Numbers) {
        if self.hangs {
            return;
        }
        for _ in 0..numbers.below(self.capacity + 1) {
            if let Some(given) = self.to_send.pop_front() {
                self.wire.push(OnWire { bytes: given.read(machine), offload: given.offload });
                self.done.push_back(given.frame);
            }
        }
    }

    /// A frame comes in, if there is room for it.
    pub fn receive(&mut self, machine: &mut SimMachine, bytes: &[u8], offload: Offload) -> bool {
        if self.hangs || self.posted.is_empty() {
            return false;
        }
        let Some(given) = self.posted.pop_front() else {
            return false;
        };
        let mut rest = bytes;
        for piece in &given.pieces {
            let (now, later) = rest.split_at(piece.length.min(rest.len()));
            machine.bytes_mut(piece.page)[piece.offset..piece.offset + now.len()].copy_from_slice(now);
            rest = later;
        }
        assert!(rest.is_empty(), "the wire has no longer frames");
        let arrived = Arrived { frame: given.frame, length: bytes.len(), offload };
        self.filled.push_back((arrived, given.pieces[0].page));
        true
    }

    /// How many frames it has and has not told of.
    pub fn unfinished(&self) -> usize {
        self.to_send.len() + self.done.len()
    }

    /// How many frames it can receive into.
    pub fn posted(&self) -> usize {
        self.posted.len()
    }
}

impl Card for SimCard {
    fn configure(&mut self, config: &CardConfig) {
        self.config = Some(config.clone());
        self.configured += 1;
    }

    fn mac(&self) -> EthernetAddress {
        mac(0)
    }

    fn is_linked(&self) -> bool {
        true
    }

    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn room(&self) -> usize {
        self.capacity - self.unfinished().min(self.capacity)
    }

    fn send(&mut self, frame: FrameId, pool: &Pool, _: &impl Pages) {
        assert!(self.config.is_some(), "it is set up first");
        self.to_send.push_back(Given::new(frame, pool));
    }

    fn sent(&mut self) -> Option<FrameId> {
        let told = if self.hangs { None } else { self.done.pop_front() };
        self.lie_sent.take().or(told)
    }

    fn post(&mut self, frame: FrameId, pool: &Pool, _: &impl Pages) {
        self.posted.push_back(Given::new(frame, pool));
    }

    fn arrived(&mut self) -> Option<Arrived> {
        let next = if self.hangs { None } else { self.filled.get(self.told) };
        let told = next.map(|(arrived, _)| *arrived);
        self.told += usize::from(told.is_some());
        self.lie_arrived.take().or(told)
    }

    fn settle(&mut self) {
        self.filled.drain(..self.told);
        self.told = 0;
    }

    fn unread(&mut self) -> Option<Found> {
        self.unread.pop_front()
    }

    fn kick(&mut self) {}
}
