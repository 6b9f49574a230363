//! What network cards have in common: frames in, frames out, in memory that the program chooses.
//!
//! Frames lie in a [`DmaPool`](crate::dma::DmaPool), whose places a driver is told when it is made. The program gives a
//! frame a number of its own, and gets the number back when the card is done with it. A driver holds no frame and waits
//! for nothing: who has made it awaits the device's [interrupt](crate::interrupt::Interrupt), which outlives drivers.
//!
//! What a card has received lies in memory, whatever becomes of its driver. So the ring of what it receives into is in memory that the
//! program keeps over drivers, and over its own lives: when the card has been reset, [`unread`] finds the frames there.

use crate::dma::{DmaPlace, Span};
use crate::e1000e::E1000e;
use crate::virtio::Net;
use alloc::vec::Vec;
use uk_abi::device_info::DeviceInfo;

/// Pages of the memory that a card's ring of received frames lies in: the most that a driver here needs.
pub const RING_PAGES: usize = 3;

/// Bytes before each place to receive into, and before the first span of each frame to send, that are the driver's.
pub const HEADROOM: usize = 12;

/// The most pieces of a frame: the longest one of 64 KiB, with what lies before and behind it in its first and last page.
pub const MAX_PIECES: usize = 18;

/// What a card does to frames on their way out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// It computes the checksums of TCP and UDP.
    pub checksum: bool,
    /// It cuts TCP over IPv4.
    pub tcp_v4: bool,
    /// It cuts TCP over IPv6.
    pub tcp_v6: bool,
}

/// A checksum that the card has to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// From which byte of the frame on.
    pub start: u16,
    /// Where the result belongs, counted from there.
    pub field: u16,
}

/// How the card has to cut a frame of TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Bytes of all headers.
    pub headers: u16,
    /// Bytes of payload in each piece.
    pub size: u16,
    /// Whether it is over IPv6.
    pub is_v6: bool,
}

/// What has to be done to a frame on its way out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Its checksum.
    pub sum: Option<Sum>,
    /// Cutting it.
    pub cut: Option<Cut>,
}

/// What a card says of the checksum of a frame that has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Nothing.
    No,
    /// It is right.
    Yes,
    /// It is not computed yet: the frame comes from this very machine.
    Blank,
}

/// A frame that has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub number: u16,
    /// Its bytes.
    pub length: usize,
    /// What is known of its checksum.
    pub checked: Checked,
}

/// A frame that a card has received and whose driver has not [settled](Nic::settle) it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Where it lies.
    pub span: Span,
    /// What is known of its checksum.
    pub checked: Checked,
}

/// The frames that the last driver of `device` has left in `ring`, its frames being in `pool`. The card must have been reset, and there must
/// be no new driver yet. What is found is checked to lie in the pool, and nothing else: the program knows what it had given the card.
pub fn unread(device: &DeviceInfo, ring: DmaPlace, pool: DmaPlace) -> Vec<Unread> {
    Net::unread(device, ring, pool).or_else(|| E1000e::unread(device, ring, pool)).unwrap_or_default()
}

/// The card has said what no card says: it is to be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardError;

/// The driver of a network card.
pub trait Nic {
    /// Its hardware address.
    fn mac(&self) -> [u8; 6];

    /// Whether there is a link.
    fn is_linked(&self) -> bool;

    /// Whether it works no more, and must be reset.
    fn is_stopped(&self) -> bool;

    /// What it does to frames.
    fn offloads(&self) -> Offloads;

    /// How many frames of [`MAX_PIECES`] it would take now.
    fn room(&self) -> usize;

    /// Takes a frame to send, of [`MAX_PIECES`] at most, while there is [room](Self::room). There are [`HEADROOM`] bytes before it.
    ///
    /// # Errors
    /// [`CardError`].
    fn send(&mut self, number: u16, work: Work, spans: &[Span]) -> Result<(), CardError>;

    /// The number of a frame that was sent and not told of yet.
    ///
    /// # Errors
    /// [`CardError`].
    fn sent(&mut self) -> Result<Option<u16>, CardError>;

    /// Takes a place to put a frame that comes in. There are [`HEADROOM`] bytes before it.
    ///
    /// # Errors
    /// [`CardError`]: also if it has more places than it can note.
    fn post(&mut self, number: u16, span: Span) -> Result<(), CardError>;

    /// A frame that has come in and was not told of yet.
    ///
    /// # Errors
    /// [`CardError`].
    fn received(&mut self) -> Result<Option<Received>, CardError>;

    /// What has been [`received`](Self::received) so far is the program's, and no more to be found by [`unread`]. To be called before a place
    /// of one of these frames is used for something else.
    fn settle(&mut self);

    /// Tells the card of what it was given since the last time.
    fn kick(&mut self);

    /// Has the card interrupt for what it does next. Returns whether it has done something meanwhile, for which it may not.
    fn arm(&mut self) -> bool;

    /// Acknowledges an interrupt by line: the card asserts it no more.
    fn acknowledge(&mut self);
}
