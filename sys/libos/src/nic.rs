//! What network cards have in common: frames in, frames out, in memory that the program chooses.
//!
//! Frames lie in a [`DmaPool`](crate::dma::DmaPool), whose places a driver is told when it is made. The program gives a
//! frame a number of its own, and gets the number back when the card is done with it. A driver holds no frame and waits
//! for nothing: who has made it awaits the device's [interrupt](crate::interrupt::Interrupt), which outlives drivers.

use crate::dma::Span;

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

    /// Takes a frame to send, of [`MAX_PIECES`] at most, while there is [room](Self::room).
    ///
    /// # Errors
    /// [`CardError`].
    fn send(&mut self, number: u16, work: Work, spans: &[Span]) -> Result<(), CardError>;

    /// The number of a frame that was sent and not told of yet.
    ///
    /// # Errors
    /// [`CardError`].
    fn sent(&mut self) -> Result<Option<u16>, CardError>;

    /// Takes a place to put a frame that comes in.
    ///
    /// # Errors
    /// [`CardError`]: also if it has more places than it can note.
    fn post(&mut self, number: u16, span: Span) -> Result<(), CardError>;

    /// A frame that has come in and was not told of yet.
    ///
    /// # Errors
    /// [`CardError`].
    fn received(&mut self) -> Result<Option<Received>, CardError>;

    /// Tells the card of what it was given since the last time.
    fn kick(&mut self);

    /// Acknowledges an interrupt by line: the card asserts it no more.
    fn acknowledge(&mut self);
}
