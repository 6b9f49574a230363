//! A virtio network card (virtio 1.2, 5.1).

use super::queue::{Buffer, Queue, Rings};
use super::transport::{RING_RESET, Status, UkTransport};
use super::{DeviceError, is, told};
use crate::dma::{DmaPlace, Span};
use crate::nic::{
    CardError, Checked, HEADROOM, MAX_PIECES, Nic, Offloads, RING_PAGES, Received, Unread, Work,
};
use alloc::vec::Vec;
use bitflags::bitflags;
use uk_abi::device_info::DeviceInfo;
use virtio_drivers::transport::{DeviceType, Transport};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The numbers of the queues, without several pairs of them.
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;

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
        /// Both sides say when they want to be told.
        const EVENT_INDEX = 1 << 29;
        /// It is as the standard has it.
        const VERSION_1 = 1 << 32;
        /// A queue can be reset without the device.
        const RING_RESET = RING_RESET;
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

/// What a queue has, by the heads of its chains: the program's numbers, and where the frames are with their headers.
struct Given(Vec<(u16, Span)>);

impl Given {
    fn new(queue: &Queue) -> Self {
        Self((0..queue.size()).map(|_| (0, Span { page: 0, offset: 0, length: 0 })).collect())
    }

    fn note(&mut self, head: u16, number: u16, span: Span) {
        self.0[usize::from(head)] = (number, span);
    }

    /// What has this head, which the queue has checked.
    fn of(&self, head: u16) -> (u16, Span) {
        self.0[usize::from(head)]
    }
}

/// The bytes of a frame, or its first ones, with the header before them.
fn with_header(span: Span) -> Result<Span, CardError> {
    let offset = span.offset.checked_sub(HEADER).ok_or(CardError)?;
    Ok(Span { offset, length: span.length + HEADER, ..span })
}

/// A virtio network card.
pub struct Net {
    /// Dropped first.
    transport: UkTransport,
    receive: Queue,
    transmit: Queue,
    arriving: Given,
    leaving: Given,
    pool: DmaPlace,
    mac: [u8; 6],
    features: Features,
    status: Status,
}

impl Net {
    /// Sets `device` up, with frames in `pool`, and with what it receives in `ring`; none if it is no such card.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn new(
        device: &'static DeviceInfo,
        pool: DmaPlace,
        ring: DmaPlace,
    ) -> Option<Result<Self, DeviceError>> {
        is(device, DeviceType::Network).then(|| Self::set_up(device, pool, ring))
    }

    fn set_up(device: &'static DeviceInfo, pool: DmaPlace, ring: DmaPlace) -> Result<Self, DeviceError> {
        let mut transport = UkTransport::new(device)?;
        let status = transport.status();
        let agreed = transport.agreed().and_then(Features::from_bits);
        let goes_on = agreed.filter(|features| features.contains(Features::RING_RESET));
        let features = goes_on.unwrap_or_else(|| transport.begin_init(Features::all()));
        let event_index = features.contains(Features::EVENT_INDEX);
        // SAFETY: the memory is for this ring alone, and an earlier driver is gone.
        let receiving = unsafe { Rings::left_in(ring) };
        let sending = Rings::new().ok_or(DeviceError::Memory)?;
        let receive = Queue::new(&mut transport, RECEIVE, event_index, receiving, 0)?;
        let transmit = Queue::new(&mut transport, TRANSMIT, event_index, sending, 0)?;
        let mac = transport.read_consistent(|| transport.read_config_space(CONFIG_MAC));
        let mac = mac.map_err(DeviceError::Virtio)?;
        if goes_on.is_none() {
            transport.finish_init();
            log::info!("the card was reset as a whole: it may have dropped what waited for it");
        }
        let (arriving, leaving) = (Given::new(&receive), Given::new(&transmit));
        Ok(Self { transport, receive, transmit, arriving, leaving, pool, mac, features, status })
    }

    /// What the last driver has left in `ring`; none if `device` is no such card.
    pub(crate) fn unread(device: &DeviceInfo, ring: DmaPlace, pool: DmaPlace) -> Option<Vec<Unread>> {
        let whole = |(address, bytes): (_, u32)| {
            let Span { page, offset, length } = pool.find(address, bytes as usize)?;
            let length = length.checked_sub(HEADER)?;
            let checked = read_header(pool, page, offset)?.checked();
            Some(Unread { span: Span { page, offset: offset + HEADER, length }, checked })
        };
        // SAFETY: as in `set_up`.
        let left = || unsafe { Rings::left_in(ring) };
        is(device, DeviceType::Network).then(|| left().unsettled().filter_map(whole).collect())
    }
}

impl Header {
    const fn checked(&self) -> Checked {
        match self.flags {
            flags if flags & NEEDS_CSUM != 0 => Checked::Blank,
            flags if flags & DATA_VALID != 0 => Checked::Yes,
            _ => Checked::No,
        }
    }
}

/// The header that the card has written at `offset`.
fn read_header(pool: DmaPlace, page: usize, offset: usize) -> Option<Header> {
    let mut bytes = [0; HEADER];
    pool.read(Span { page, offset, length: HEADER }, &mut bytes);
    Header::read_from_bytes(&bytes).ok()
}

const _: () = assert!(HEADER == HEADROOM && Rings::PAGES == RING_PAGES);

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
        self.transmit.free() / MAX_PIECES
    }

    fn send(&mut self, number: u16, work: Work, spans: &[Span]) -> Result<(), CardError> {
        let (first, rest) = spans.split_first().ok_or(CardError)?;
        let (head, first) = (self.transmit.next_head().ok_or(CardError)?, with_header(*first)?);
        if self.transmit.free() < spans.len() {
            return Err(CardError);
        }
        let mut header = Header::default();
        if let Some(sum) = work.sum {
            header.flags = NEEDS_CSUM;
            (header.sum_start, header.sum_field) = (sum.start, sum.field);
        }
        if let Some(cut) = work.cut {
            header.gso = if cut.is_v6 { GSO_TCP_V6 } else { GSO_TCP_V4 };
            (header.headers, header.size) = (cut.headers, cut.size);
        }
        self.pool.write(Span { length: HEADER, ..first }, header.as_bytes());
        let pool = self.pool;
        let buffer = |place| buffer(pool, if place == 0 { first } else { rest[place - 1] }, false);
        self.transmit.add((0..spans.len()).map(buffer));
        self.leaving.note(head, number, first);
        Ok(())
    }

    fn sent(&mut self) -> Result<Option<u16>, CardError> {
        let used = self.transmit.take().map_err(|_| CardError)?;
        Ok(used.map(|(head, _)| self.leaving.of(head).0))
    }

    fn post(&mut self, number: u16, span: Span) -> Result<(), CardError> {
        let (head, span) = (self.receive.next_head().ok_or(CardError)?, with_header(span)?);
        self.receive.add([buffer(self.pool, span, true)].into_iter());
        self.arriving.note(head, number, span);
        Ok(())
    }

    fn received(&mut self) -> Result<Option<Received>, CardError> {
        let Some((head, bytes)) = self.receive.take().map_err(|_| CardError)? else { return Ok(None) };
        let (number, Span { page, offset, .. }) = self.arriving.of(head);
        let length = (bytes as usize).checked_sub(HEADER).ok_or(CardError)?;
        let checked = read_header(self.pool, page, offset).ok_or(CardError)?.checked();
        Ok(Some(Received { number, length, checked }))
    }

    fn settle(&mut self) {
        self.receive.settle();
    }

    fn kick(&mut self) {
        self.receive.kick(&mut self.transport);
        self.transmit.kick(&mut self.transport);
    }

    fn arm(&mut self) -> bool {
        // Both, whatever the first says.
        self.receive.arm() | self.transmit.arm()
    }

    fn acknowledge(&mut self) {
        self.transport.ack_interrupt();
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // After this the transport is dropped, and then the queues: the card has forgotten their memory before it is given back.
        if self.features.contains(Features::RING_RESET) {
            self.transport.reset_queues(RECEIVE..TRANSMIT + 1);
        }
    }
}

/// Bytes of the pool, as the card is told of them.
fn buffer(pool: DmaPlace, span: Span, for_device: bool) -> Buffer {
    Buffer { address: told(pool.machine_address(span)), bytes: span.length as u32, for_device }
}
