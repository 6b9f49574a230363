//! A virtio network card (virtio 1.2, 5.1).

use super::hal::UkHal;
use super::transport::{Status, UkTransport};
use super::{DeviceError, is};
use crate::dma::{DmaBuffer, DmaPlace, Span};
use crate::nic::{CardError, Checked, MAX_PIECES, Nic, Offloads, Received, Work};
use alloc::boxed::Box;
use bitflags::bitflags;
use heapless::Vec;
use uk_abi::device_info::DeviceInfo;
use uk_abi::layout::PAGE_SIZE;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{DeviceType, Transport};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Descriptors of a queue; QEMU has so many, and other devices have no fewer.
const QUEUE: usize = 256;

/// The numbers of the queues, without several pairs of them.
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;

/// The most frames in a queue: each takes two descriptors at least, one for its header.
const FRAMES: usize = QUEUE / 2;

bitflags! {
    /// What device and driver can agree on.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Features: u64 {
        /// The device computes checksums.
        const CSUM = 1 << 0;
        /// The driver takes frames whose checksum is not computed.
        const GUEST_CSUM = 1 << 1;
        /// The device has an address.
        const MAC = 1 << 5;
        /// The device cuts TCP over IPv4.
        const HOST_TSO4 = 1 << 11;
        /// The device cuts TCP over IPv6.
        const HOST_TSO6 = 1 << 12;
        /// The device says whether there is a link.
        const STATUS = 1 << 16;
        /// It is as the standard has it.
        const VERSION_1 = 1 << 32;
    }
}

/// What the device needs to know of a frame, and what it says of one (5.1.6).
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    flags: u8,
    gso: u8,
    headers: u16,
    size: u16,
    sum_start: u16,
    sum_field: u16,
    buffers: u16,
}

/// Flags of a header.
const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;

/// What a frame is to be cut by.
const GSO_TCP_V4: u8 = 1;
const GSO_TCP_V6: u8 = 4;

/// Bytes of a header.
const HEADER: usize = size_of::<Header>();

/// Where the configuration has the address, and the link.
const CONFIG_MAC: usize = 0;
const CONFIG_STATUS: usize = 6;
const LINK_UP: u16 = 1;

/// The headers of the frames that a queue has, and which those are, by the token of each.
struct Frames {
    headers: DmaBuffer,
    /// The program's number for the frame, and how many pieces it has besides its header.
    given: Box<[Option<(u16, u8)>; QUEUE]>,
    /// The place of its header, by token, and places that are free.
    place: Box<[u8; QUEUE]>,
    free: Vec<u8, FRAMES>,
}

impl Frames {
    fn new() -> Option<Self> {
        let headers = DmaBuffer::new((FRAMES * HEADER).div_ceil(PAGE_SIZE))?;
        let free = (0..FRAMES as u8).rev().collect();
        Some(Self { headers, given: Box::new([None; QUEUE]), place: Box::new([0; QUEUE]), free })
    }

    fn header(&mut self, place: u8) -> &mut [u8] {
        let at = usize::from(place) * HEADER;
        &mut self.headers[at..at + HEADER]
    }

    fn note(&mut self, token: u16, number: u16, place: u8, pieces: usize) -> Result<(), CardError> {
        let at = usize::from(token);
        *self.given.get_mut(at).ok_or(CardError)? = Some((number, pieces as u8));
        self.place[at] = place;
        Ok(())
    }

    /// What the device has had under `token`: the number, the pieces and the header's place.
    fn take(&mut self, token: u16) -> Result<(u16, usize, u8), CardError> {
        let at = usize::from(token);
        let (number, pieces) = self.given.get_mut(at).and_then(Option::take).ok_or(CardError)?;
        let place = self.place[at];
        // It was taken from there.
        let _ = self.free.push(place);
        Ok((number, usize::from(pieces), place))
    }
}

/// A virtio network card.
pub struct Net {
    transport: UkTransport,
    receive: VirtQueue<UkHal, QUEUE>,
    transmit: VirtQueue<UkHal, QUEUE>,
    arriving: Frames,
    leaving: Frames,
    pool: DmaPlace,
    mac: [u8; 6],
    features: Features,
    /// Whether queues have grown since the card was told.
    is_untold: [bool; 2],
    status: Status,
}

impl Net {
    /// Sets `device` up, with frames in `pool`; none if it is no such card.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn new(device: &'static DeviceInfo, pool: DmaPlace) -> Option<Result<Self, DeviceError>> {
        is(device, DeviceType::Network).then(|| Self::set_up(device, pool))
    }

    fn set_up(device: &'static DeviceInfo, pool: DmaPlace) -> Result<Self, DeviceError> {
        let mut transport = UkTransport::new(device)?;
        let status = transport.status();
        let features = transport.begin_init(Features::all());
        let mut queue =
            |number| VirtQueue::new(&mut transport, number, false, false).map_err(DeviceError::Virtio);
        let (receive, transmit) = (queue(RECEIVE)?, queue(TRANSMIT)?);
        let mac = transport.read_consistent(|| transport.read_config_space(CONFIG_MAC));
        let mac = mac.map_err(DeviceError::Virtio)?;
        transport.finish_init();
        let frames = || Frames::new().ok_or(DeviceError::Memory);
        let (arriving, leaving) = (frames()?, frames()?);
        let is_untold = [false; 2];
        Ok(Self { transport, receive, transmit, arriving, leaving, pool, mac, features, is_untold, status })
    }
}

/// Stands for the pieces of a frame when they are taken back: how many there were is all that is looked at, because this
/// domain's memory is the device's as it is.
const PIECE: &[u8] = &[0];

impl Nic for Net {
    fn mac(&self) -> [u8; 6] {
        self.mac
    }

    fn is_linked(&self) -> bool {
        let link = self.transport.read_config_space::<u16>(CONFIG_STATUS);
        !self.features.contains(Features::STATUS) || link.is_ok_and(|status| status & LINK_UP != 0)
    }

    fn is_stopped(&self) -> bool {
        self.status.is_stopped()
    }

    fn offloads(&self) -> Offloads {
        let checksum = self.features.contains(Features::CSUM);
        Offloads {
            checksum,
            tcp_v4: checksum && self.features.contains(Features::HOST_TSO4),
            tcp_v6: checksum && self.features.contains(Features::HOST_TSO6),
        }
    }

    fn room(&self) -> usize {
        (self.transmit.available_desc() / (MAX_PIECES + 1)).min(self.leaving.free.len())
    }

    fn send(&mut self, number: u16, work: Work, spans: &[Span]) -> Result<(), CardError> {
        let place = self.leaving.free.pop().ok_or(CardError)?;
        let mut header = Header::default();
        if let Some(sum) = work.sum {
            header.flags = NEEDS_CSUM;
            (header.sum_start, header.sum_field) = (sum.start, sum.field);
        }
        if let Some(cut) = work.cut {
            header.gso = if cut.is_v6 { GSO_TCP_V6 } else { GSO_TCP_V4 };
            (header.headers, header.size) = (cut.headers, cut.size);
        }
        let bytes = self.leaving.header(place);
        bytes.copy_from_slice(header.as_bytes());
        let mut pieces: Vec<&[u8], { MAX_PIECES + 1 }> = Vec::new();
        // The list is empty, and longer than the longest frame.
        let _ = pieces.push(bytes);
        for &span in spans {
            // SAFETY: the place checks that the bytes lie in the pool, which is never given back; they are plain.
            let piece = unsafe { self.pool.pointer(span).as_ref() };
            pieces.push(piece).map_err(|_| CardError)?;
        }
        // SAFETY: the header's place is not used again before `take`, and the pool is the device's whenever it likes.
        let token = unsafe { self.transmit.add(&pieces, &mut []) }.map_err(|_| CardError)?;
        drop(pieces);
        self.is_untold[usize::from(TRANSMIT)] = true;
        self.leaving.note(token, number, place, spans.len())
    }

    fn sent(&mut self) -> Result<Option<u16>, CardError> {
        let Some(token) = self.transmit.peek_used() else { return Ok(None) };
        let (number, pieces, _) = self.leaving.take(token)?;
        let pieces = &[PIECE; MAX_PIECES + 1][..pieces + 1];
        // SAFETY: so many were added under this token, and nothing is done with them but to count them.
        unsafe { self.transmit.pop_used(token, pieces, &mut []) }.map_err(|_| CardError)?;
        Ok(Some(number))
    }

    fn post(&mut self, number: u16, span: Span) -> Result<(), CardError> {
        let place = self.arriving.free.pop().ok_or(CardError)?;
        let header = self.arriving.header(place);
        // SAFETY: the place checks that the bytes lie in the pool, which is never given back; they are plain, and the
        // device writes to them alone.
        let bytes = unsafe { self.pool.pointer(span).as_mut() };
        // SAFETY: as for `send`.
        let token = unsafe { self.receive.add(&[], &mut [header, bytes]) }.map_err(|_| CardError)?;
        self.is_untold[usize::from(RECEIVE)] = true;
        self.arriving.note(token, number, place, 1)
    }

    fn received(&mut self) -> Result<Option<Received>, CardError> {
        let Some(token) = self.receive.peek_used() else { return Ok(None) };
        let (number, _, place) = self.arriving.take(token)?;
        let (mut one, mut other) = ([0], [0]);
        // SAFETY: as for `sent`.
        let bytes = unsafe { self.receive.pop_used(token, &[], &mut [&mut one, &mut other]) };
        let length = (bytes.map_err(|_| CardError)? as usize).checked_sub(HEADER).ok_or(CardError)?;
        let header = Header::read_from_bytes(self.arriving.header(place)).map_err(|_| CardError)?;
        let checked = match header.flags {
            flags if flags & NEEDS_CSUM != 0 => Checked::Blank,
            flags if flags & DATA_VALID != 0 => Checked::Yes,
            _ => Checked::No,
        };
        Ok(Some(Received { number, length, checked }))
    }

    fn kick(&mut self) {
        for (queue, untold) in (0..).zip(&mut self.is_untold) {
            let ring = if queue == RECEIVE { &self.receive } else { &self.transmit };
            if core::mem::take(untold) && ring.should_notify() {
                self.transport.notify(queue);
            }
        }
    }

    fn acknowledge(&mut self) {
        self.transport.ack_interrupt();
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // The queues' memory is given back after this: the card must have forgotten it.
        self.transport.set_status(virtio_drivers::transport::DeviceStatus::empty());
    }
}
