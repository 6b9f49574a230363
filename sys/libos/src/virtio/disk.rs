//! A virtio disk (virtio 1.2, 5.2).

use super::queue::{Buffer, Queue, Rings, TABLE};
use super::transport::UkTransport;
use super::{DeviceError, is};
use crate::block::{Busy, Command, Discard, DmaPage, Driver, Facts, Outcome, SECTOR, Span};
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;
use uk_abi::device_info::DeviceInfo;
use uk_abi::layout::PAGE_SIZE;
use virtio_drivers::transport::{DeviceStatus, DeviceType, Transport};
use xen_abi::MachineAddr;

/// Features, by their bits.
mod feature {
    pub const SEG_MAX: u64 = 1 << 2;
    pub const READ_ONLY: u64 = 1 << 5;
    pub const BLOCK_SIZE: u64 = 1 << 6;
    pub const FLUSH: u64 = 1 << 9;
    pub const TOPOLOGY: u64 = 1 << 10;
    pub const DISCARD: u64 = 1 << 13;
    pub const INDIRECT: u64 = 1 << 28;
    pub const EVENT_INDEX: u64 = 1 << 29;
    pub const VERSION_1: u64 = 1 << 32;
    pub const ALL: u64 =
        SEG_MAX | READ_ONLY | BLOCK_SIZE | FLUSH | TOPOLOGY | DISCARD | INDIRECT | EVENT_INDEX | VERSION_1;
}

/// Offsets in the device's configuration.
mod config {
    pub const CAPACITY: usize = 0;
    pub const SEG_MAX: usize = 12;
    pub const BLOCK_SIZE: usize = 20;
    /// The logarithm of blocks in a physical block.
    pub const PHYSICAL_EXPONENT: usize = 24;
    pub const MAX_DISCARD_SECTORS: usize = 36;
    pub const DISCARD_ALIGNMENT: usize = 44;
}

/// What a request begins with says what it is.
mod kind {
    pub const IN: u32 = 0;
    pub const OUT: u32 = 1;
    pub const FLUSH: u32 = 4;
    pub const DISCARD: u32 = 11;
}

/// What goes before and after the data of a request, by the head of its chain: 16 bytes that say what, 16 of what to discard, and
/// the status.
const ENVELOPE: usize = 64;
const DISCARD: u32 = 16;
const STATUS: u32 = 32;
const ENVELOPES: usize = PAGE_SIZE / ENVELOPE;

/// Spans of the largest request.
const MAX_SPANS: usize = 64;

const _: () = assert!(MAX_SPANS + 3 <= TABLE);

/// Pages with descriptors of large requests: 48 of them, half as many again as a ring of one page holds.
const TABLE_PAGES: usize = 16;

/// What the device is when nobody has touched the status yet.
const NO_STATUS: u64 = 0xff;

/// A virtio disk.
pub struct Disk {
    transport: UkTransport,
    queue: Queue,
    envelopes: Vec<DmaPage>,
    /// The names of what the device has, by the heads of chains.
    names: Vec<u64>,
    facts: Facts,
    broken: bool,
}

impl Disk {
    /// Resets `device` and sets it up; none if it is no such disk.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn new(device: &'static DeviceInfo) -> Option<Result<Self, DeviceError>> {
        is(device, DeviceType::Block).then(|| Self::set_up(device))
    }

    fn set_up(device: &'static DeviceInfo) -> Result<Self, DeviceError> {
        let mut transport = UkTransport::new(device)?;
        transport.reset()?;
        let begun = DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER;
        transport.set_status(begun);
        let features = transport.read_device_features() & feature::ALL;
        transport.write_driver_features(features);
        transport.set_status(begun | DeviceStatus::FEATURES_OK);
        if !transport.get_status().contains(DeviceStatus::FEATURES_OK) {
            return Err(DeviceError::Features { features });
        }
        let facts = facts(&transport, features)?;
        let has = |feature| features & feature != 0;
        let tables = if has(feature::INDIRECT) { TABLE_PAGES } else { 0 };
        let rings = Rings::new().ok_or(DeviceError::Memory)?;
        let queue = Queue::new(&mut transport, 0, has(feature::EVENT_INDEX), rings, tables)?;
        let pages = queue.size().div_ceil(ENVELOPES);
        let envelopes: Option<_> = (0..pages).map(|_| DmaPage::new()).collect();
        let envelopes = envelopes.ok_or(DeviceError::Memory)?;
        let names = (0..queue.size()).map(|_| 0).collect();
        transport.set_status(begun | DeviceStatus::FEATURES_OK | DeviceStatus::DRIVER_OK);
        let max_spans = facts.max_spans.min(queue.size() - 2).min(MAX_SPANS);
        Ok(Self { transport, queue, envelopes, names, facts: Facts { max_spans, ..facts }, broken: false })
    }

    fn envelope(&self, head: u16) -> Envelope<'_> {
        let head = usize::from(head);
        Envelope { page: &self.envelopes[head / ENVELOPES], first: head % ENVELOPES * ENVELOPE }
    }
}

impl Driver for Disk {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn look_at_size(&mut self) {
        // In two halves, of which the device may change one between: what is read twice is the size.
        if let (Ok(once), Ok(again)) = (capacity(&self.transport), capacity(&self.transport))
            && once == again
        {
            self.facts.sectors = once;
        }
    }

    fn submit(&mut self, name: u64, command: &Command<'_>) -> Result<(), Busy> {
        let (kind, sector, spans, writes) = match *command {
            Command::Read(sector, spans) => (kind::IN, sector, spans, true),
            Command::Write(sector, spans) => (kind::OUT, sector, spans, false),
            Command::Flush => (kind::FLUSH, 0, &[][..], false),
            Command::Discard(..) => (kind::DISCARD, 0, &[][..], false),
        };
        let discard = matches!(command, Command::Discard(..));
        let count = spans.len() + 2 + usize::from(discard);
        let head = self.queue.next_head().filter(|_| self.queue.takes(count) && !self.broken);
        let head = head.ok_or(Busy)?;
        let envelope = self.envelope(head);
        envelope.begin(kind, sector, command);
        let part = |offset, bytes, for_device| Buffer { address: envelope.at(offset), bytes, for_device };
        let before = [part(0, 16, false), part(DISCARD, 16, false)];
        let after = part(STATUS, 1, true);
        let before = &before[..1 + usize::from(discard)];
        let data = |place: usize| match place.checked_sub(before.len()) {
            None => before[place],
            Some(place) => spans.get(place).map_or(after, |span: &Span| Buffer::of(span, writes)),
        };
        self.queue.add((0..count).map(data));
        self.names[usize::from(head)] = name;
        Ok(())
    }

    fn kick(&mut self) {
        self.queue.kick(&mut self.transport);
    }

    fn completion(&mut self) -> Option<(u64, Outcome)> {
        if self.broken {
            return None;
        }
        let head = match self.queue.take() {
            Ok(used) => used?.0,
            Err(broken) => {
                log::error!("the disk breaks the protocol: {broken:?}");
                self.broken = true;
                return None;
            }
        };
        let outcome = match self.envelope(head).status() {
            0 => Outcome::Done,
            1 => Outcome::Failed,
            2 => Outcome::Unsupported,
            _ => Outcome::Aborted,
        };
        Some((self.names[usize::from(head)], outcome))
    }

    fn arm(&mut self) -> bool {
        !self.broken && self.queue.arm()
    }

    fn acknowledge(&mut self) {
        self.transport.ack_interrupt();
    }

    fn is_stopped(&self) -> bool {
        self.broken || self.transport.status().is_stopped()
    }
}

impl Drop for Disk {
    /// # Panics
    /// If the device does not end its reset: nobody may have its memory then, before root has stopped it.
    fn drop(&mut self) {
        if let Err(error) = self.transport.reset() {
            panic!("{error}");
        }
    }
}

/// What goes before and after the data of one request.
struct Envelope<'a> {
    page: &'a DmaPage,
    /// Its first byte in the page.
    first: usize,
}

impl Envelope<'_> {
    fn at(&self, offset: u32) -> MachineAddr {
        self.page.machine_address() + (self.first as u64 + u64::from(offset))
    }

    fn store(&self, offset: u32, value: u64) {
        self.page[(self.first + offset as usize) / 8].store(value, Relaxed);
    }

    fn begin(&self, kind: u32, sector: u64, command: &Command<'_>) {
        self.store(0, u64::from(kind));
        self.store(8, sector);
        if let Command::Discard(sector, sectors) = *command {
            self.store(DISCARD, sector);
            // No flags: the sectors need not read as anything.
            self.store(DISCARD + 8, sectors & u64::from(u32::MAX));
        }
        self.store(STATUS, NO_STATUS);
    }

    fn status(&self) -> u8 {
        self.page[(self.first + STATUS as usize) / 8].load(Relaxed) as u8
    }
}

/// Sectors of the disk, as the device's configuration says.
fn capacity(transport: &UkTransport) -> Result<u64, DeviceError> {
    let word = |offset| transport.read_config_space::<u32>(offset).map_err(DeviceError::Virtio);
    Ok(u64::from(word(config::CAPACITY)?) | u64::from(word(config::CAPACITY + 4)?) << 32)
}

/// What the device's configuration says, with `features` in use.
fn facts(transport: &UkTransport, features: u64) -> Result<Facts, DeviceError> {
    let has = |feature| features & feature != 0;
    let word = |offset| transport.read_config_space::<u32>(offset).map_err(DeviceError::Virtio);
    let sectors = capacity(transport)?;
    let sector_size = if has(feature::BLOCK_SIZE) { word(config::BLOCK_SIZE)? } else { SECTOR };
    if !sector_size.is_power_of_two() || !(SECTOR..=PAGE_SIZE as u32).contains(&sector_size) {
        return Err(DeviceError::SectorSize { found: sector_size });
    }
    let exponent = if has(feature::TOPOLOGY) {
        transport.read_config_space::<u8>(config::PHYSICAL_EXPONENT).map_err(DeviceError::Virtio)?
    } else {
        0
    };
    // What no page can hold is no unit to align to here.
    let physical = sector_size.checked_shl(exponent.into()).filter(|&size| size as usize <= PAGE_SIZE);
    let discard = if has(feature::DISCARD) {
        let granularity = word(config::DISCARD_ALIGNMENT)?.saturating_mul(SECTOR).max(sector_size);
        Some(Discard { granularity, max_sectors: word(config::MAX_DISCARD_SECTORS)?.into() })
    } else {
        None
    };
    let max_spans = if has(feature::SEG_MAX) { word(config::SEG_MAX)? as usize } else { 1 };
    Ok(Facts {
        sectors,
        sector_size,
        physical_sector_size: physical.unwrap_or(sector_size),
        read_only: has(feature::READ_ONLY),
        has_cache: has(feature::FLUSH),
        discard: discard.filter(|discard| discard.max_sectors > 0),
        max_spans: max_spans.max(1),
        takes_gaps: true,
    })
}
