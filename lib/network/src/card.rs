//! What is asked of a driver.

use netback::{Abilities, Found, FrameId, Offload, Pages, Pool};
use serde::{Deserialize, Serialize};
use switch::EthernetAddress;

/// How a card is configured: what its shadow knows, and gives to each new driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardConfig {
    /// The most bytes of a frame without Ethernet's header.
    pub mtu: u16,
    /// Whether it hears everything; a bridge needs that, because its guests have addresses of their own.
    pub promiscuous: bool,
    /// Whether it may compute checksums and cut frames, if it can.
    pub offloads: bool,
    /// How many frames it shall have room for to receive into.
    pub receive_frames: u16,
}

impl Default for CardConfig {
    fn default() -> Self {
        Self { mtu: 1500, promiscuous: true, offloads: true, receive_frames: 128 }
    }
}

/// A frame that has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// One of those that were posted.
    pub frame: FrameId,
    /// Its bytes; at most what was posted.
    pub length: usize,
    /// What is known of it.
    pub offload: Offload,
}

/// A driver and its card. It is not trusted: it may die or hang at any moment, and what it says is checked.
pub trait Card {
    /// Sets the card up. What an earlier driver had given it is forgotten by now.
    fn configure(&mut self, config: &CardConfig);

    /// Its address.
    fn mac(&self) -> EthernetAddress;

    /// Whether there is a link.
    fn is_linked(&self) -> bool;

    /// What it takes off the sender of a frame.
    fn abilities(&self) -> Abilities;

    /// How many frames it would take now to send.
    fn room(&self) -> usize;

    /// Takes a frame to send. It may be read until it is [`sent`](Self::sent), or the card has been reset.
    fn send(&mut self, frame: FrameId, pool: &Pool, pages: &impl Pages);

    /// A frame that has been sent, if there is one that was not told yet.
    fn sent(&mut self) -> Option<FrameId>;

    /// Takes a frame to receive into. It may be written until it has [`arrived`](Self::arrived), or the card has been
    /// reset.
    fn post(&mut self, frame: FrameId, pool: &Pool, pages: &impl Pages);

    /// A frame that has come in, if there is one that was not told yet.
    fn arrived(&mut self) -> Option<Arrived>;

    /// All frames that have [arrived](Self::arrived) are noted elsewhere: they need not be found again if the driver dies.
    fn settle(&mut self);

    /// A frame that an earlier driver's card had received, and that was not settled, if there is another one: found where that had left it.
    fn unread(&mut self) -> Option<Found>;

    /// Tells the card that there is something to do: called once after a round of frames.
    fn kick(&mut self);
}
