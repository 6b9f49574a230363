//! A split virtqueue (virtio 1.2, 2.7): chains of buffers to the device, and back when it has used them.
//!
//! ```text
//!   descriptors  address | length | flags, next       driver writes, device reads
//!   available    idx, heads of chains                 driver writes, device reads
//!   used         idx, heads and lengths               device writes, driver reads
//! ```
//!
//! What the device writes is checked: a head that it was not given is a [`Broken`] promise, after which nothing it says counts.

use super::DeviceError;
use crate::block::{self, DmaPage};
use crate::dma::{DmaBuffer, DmaPlace, Span};
use alloc::vec::Vec;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicU16, AtomicU64, fence};
use uk_abi::layout::PAGE_SIZE;
use virtio_drivers::transport::Transport;
use xen_abi::MachineAddr;

/// Chains continue in the descriptor that `next` names; the device writes the buffer.
const NEXT: u64 = 1 << 32;
const WRITE: u64 = 2 << 32;
/// The buffer is a table with the chain's descriptors.
const INDIRECT: u64 = 4 << 32;

/// Longer chains lie in tables of their own, as long as there are such: the queue's own descriptors would be used up by a few
/// requests. Shorter ones do not, because it takes the device longer to find a table.
const MOST_DIRECT: usize = 8;

/// Descriptors of a table: enough for the largest request of a disk. And tables in a page.
pub(super) const TABLE: usize = 85;
const TABLES: usize = PAGE_SIZE / 16 / TABLE;

/// Halves of a page.
const HALVES: usize = PAGE_SIZE / 2;

/// The device has used what it was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// A buffer, as the device is told of it.
#[derive(Clone, Copy)]
pub(super) struct Buffer {
    pub(super) address: MachineAddr,
    pub(super) bytes: u32,
    /// Whether the device writes it; else it reads it.
    pub(super) for_device: bool,
}

impl Buffer {
    pub(super) fn of(span: &block::Span, for_device: bool) -> Self {
        Self { address: super::told(span.address()), bytes: span.bytes(), for_device }
    }
}

/// A page that the device shares, as words of one size: nobody looks at it but by atomics.
struct Shared<T: 'static> {
    address: MachineAddr,
    words: &'static [T],
    /// Given back with this, if it is the queue's own.
    _buffer: Option<DmaBuffer>,
}

impl<T> Shared<T> {
    /// A page of the queue's own.
    ///
    /// # Safety
    /// `T` must be an atomic for which any bits are a value.
    unsafe fn new() -> Option<Self> {
        let buffer = DmaBuffer::new(1)?;
        // SAFETY: the page is the buffer's, which is never looked at as bytes and lives as long as this; the rest is the caller's
        // promise.
        let words = unsafe { words(buffer.as_ptr()) };
        Some(Self { address: buffer.machine_address(), words, _buffer: Some(buffer) })
    }

    /// A page of `place`, with what is in it.
    ///
    /// # Safety
    /// As [`new`](Self::new); and nobody looks at the page but by atomics.
    unsafe fn of(place: DmaPlace, page: usize) -> Self {
        let whole = Span { page, offset: 0, length: PAGE_SIZE };
        // SAFETY: the place checks that it has the page, and is never given back; the rest is the caller's promise.
        let words = unsafe { words(place.pointer(whole).cast().as_ptr()) };
        Self { address: place.machine_address(whole), words, _buffer: None }
    }
}

/// A page as words.
///
/// # Safety
/// `T` must be an atomic for which any bits are a value; the page must be there for ever, or for as long as the words are used, and nobody
/// may look at it in another way.
unsafe fn words<T>(page: *const u8) -> &'static [T] {
    // SAFETY: a page is aligned for any word, and the rest is the caller's promise.
    unsafe { core::slice::from_raw_parts(page.cast(), PAGE_SIZE / size_of::<T>()) }
}

/// The three areas of a queue, a page each.
pub(super) struct Rings {
    descriptors: Shared<AtomicU64>,
    available: Shared<AtomicU16>,
    used: Shared<AtomicU16>,
}

impl Rings {
    /// How many pages they are.
    pub(super) const PAGES: usize = 3;

    /// Areas of the queue's own.
    pub(super) fn new() -> Option<Self> {
        // SAFETY: these are atomics of plain words.
        unsafe { Some(Self { descriptors: Shared::new()?, available: Shared::new()?, used: Shared::new()? }) }
    }

    /// Those that an earlier queue has left in the first pages of `place`.
    ///
    /// # Safety
    /// Nobody looks at these pages but by atomics.
    pub(super) unsafe fn left_in(place: DmaPlace) -> Self {
        // SAFETY: these are atomics of plain words; the rest is the caller's promise.
        unsafe {
            Self {
                descriptors: Shared::of(place, 0),
                available: Shared::of(place, 1),
                used: Shared::of(place, 2),
            }
        }
    }

    /// Makes them anew.
    pub(super) fn clear(&self) {
        self.descriptors.words.iter().for_each(|word| word.store(0, Relaxed));
        self.available.words.iter().chain(self.used.words).for_each(|half| half.store(0, Relaxed));
    }

    /// The buffers that the device has used and whose queue has not [settled](Queue::settle) them, each of them a chain of its own: where it
    /// was, and the bytes that the device has written. The device must have been reset.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = (MachineAddr, u32)> {
        let size = self.available.words[NOTED_SIZE].load(Relaxed).min(SIZE);
        let first = self.available.words[NOTED_SETTLED].load(Relaxed);
        // Anything may stand there.
        let count = self.used.words[1].load(Acquire).wrapping_sub(first).min(size);
        (0..count).filter_map(move |at| {
            let entry = USED_RING + usize::from(first.wrapping_add(at) % size) * USED_ENTRY;
            let [id, _, low, high] = [0, 1, 2, 3].map(|half| self.used.words[entry + half].load(Relaxed));
            let address = self.descriptors.words.get(usize::from(id) * 2)?.load(Relaxed);
            Some((MachineAddr(address), u32::from(low) | u32::from(high) << 16))
        })
    }
}

/// A queue of at most `SIZE` descriptors.
pub(super) struct Queue {
    index: u16,
    size: u16,
    rings: Rings,
    /// Pages with tables of descriptors, for chains that begin with the first heads.
    tables: Vec<DmaPage>,
    /// Descriptors that are in no chain.
    free: Vec<u16>,
    /// For the head of a chain that the device has, its descriptors.
    chains: Vec<Vec<u16>>,
    /// How many chains were made available, and how many of them the device was told of.
    made: u16,
    told: u16,
    /// How many were taken back.
    taken: u16,
    /// Whether both sides say at which index they want to be told (VIRTIO_F_EVENT_IDX).
    event_index: bool,
}

/// Descriptors of a queue at most: those of one page.
const SIZE: u16 = (PAGE_SIZE / 16) as u16;

/// Where the ring of the used area begins, and words of an entry, in halves.
const USED_RING: usize = 2;
const USED_ENTRY: usize = 4;

/// Where the available area's page has, behind it, how much of the queue is settled, and how large it is.
const NOTED_SETTLED: usize = HALVES - 2;
const NOTED_SIZE: usize = HALVES - 1;

impl Queue {
    /// Sets up queue `index` of a device that was reset, with so many pages of tables if it takes such.
    pub(super) fn new(
        transport: &mut impl Transport,
        index: u16,
        event_index: bool,
        rings: Rings,
        tables: usize,
    ) -> Result<Self, DeviceError> {
        let size = transport.max_queue_size(index).min(u32::from(SIZE)) as u16;
        if size == 0 || !size.is_power_of_two() {
            return Err(DeviceError::Queue { size });
        }
        rings.clear();
        rings.available.words[NOTED_SIZE].store(size, Relaxed);
        let queue = Self {
            index,
            size,
            rings,
            tables: (0..tables).map_while(|_| DmaPage::new()).collect(),
            free: (0..size).rev().collect(),
            chains: (0..size).map(|_| Vec::new()).collect(),
            made: 0,
            told: 0,
            taken: 0,
            event_index,
        };
        let Rings { descriptors, available, used } = &queue.rings;
        let (size, [descriptors, available, used]) =
            (u32::from(size), [descriptors.address.0, available.address.0, used.address.0]);
        transport.queue_set(index, size, descriptors, available, used);
        Ok(queue)
    }

    /// Whether there is room for a chain of so many.
    pub(super) fn takes(&self, count: usize) -> bool {
        self.free.len() >= count || self.next_head().is_some_and(|head| self.table(head, count).is_some())
    }

    /// The table for a chain of so many that begins with `head`, and where it is, if the chain is to have one.
    fn table(&self, head: u16, count: usize) -> Option<(&[AtomicU64], MachineAddr)> {
        let page = self.tables.get(usize::from(head) / TABLES)?;
        let first = usize::from(head) % TABLES * TABLE;
        (MOST_DIRECT + 1..=TABLE)
            .contains(&count)
            .then(|| (&page[first * 2..], page.machine_address() + first as u64 * 16))
    }

    /// How many descriptors there are.
    pub(super) const fn size(&self) -> usize {
        self.size as usize
    }

    /// How many descriptors are in no chain.
    pub(super) const fn free(&self) -> usize {
        self.free.len()
    }

    /// The descriptor that the next chain begins with.
    pub(super) fn next_head(&self) -> Option<u16> {
        self.free.last().copied()
    }

    /// Makes a chain of `buffers` available, if there is room for it. It begins with [`next_head`](Self::next_head).
    pub(super) fn add(&mut self, buffers: impl ExactSizeIterator<Item = Buffer>) {
        let count = buffers.len();
        let Some(&head) = self.free.last() else { return };
        let in_queue = if self.table(head, count).is_some() { 1 } else { count };
        let Some(rest) = self.free.len().checked_sub(in_queue) else { return };
        let mut chain = core::mem::take(&mut self.chains[usize::from(head)]);
        chain.clear();
        chain.extend(self.free.drain(rest..).rev());
        let table = self.table(head, count);
        for (place, buffer) in buffers.enumerate() {
            let (descriptors, at, next) = match table {
                Some((table, _)) => {
                    (table, place, Some(place as u64 + 1).filter(|&next| next < count as u64))
                }
                None => {
                    let next = chain.get(place + 1).map(|&next| u64::from(next));
                    (self.rings.descriptors.words, usize::from(chain[place]), next)
                }
            };
            let write = if buffer.for_device { WRITE } else { 0 };
            let next = next.map_or(0, |next| NEXT | (next << 48));
            descriptors[at * 2].store(buffer.address.0, Relaxed);
            descriptors[at * 2 + 1].store(u64::from(buffer.bytes) | write | next, Relaxed);
        }
        if let Some((_, address)) = table {
            let descriptor = &self.rings.descriptors.words[usize::from(head) * 2..];
            descriptor[0].store(address.0, Relaxed);
            descriptor[1].store((count as u64 * 16) | INDIRECT, Relaxed);
        }
        self.chains[usize::from(head)] = chain;
        self.rings.available.words[2 + usize::from(self.made % self.size)].store(head, Relaxed);
        self.made = self.made.wrapping_add(1);
        self.rings.available.words[1].store(self.made, Release);
    }

    /// Tells the device of the chains that it has not been told of, if it wants to hear of them.
    pub(super) fn kick(&mut self, transport: &mut impl Transport) {
        let old = core::mem::replace(&mut self.told, self.made);
        if old == self.made {
            return;
        }
        // The device says what it wants, then looks at the index; here it is the other way round.
        fence(SeqCst);
        let wanted = if self.event_index {
            let event = self.rings.used.words[USED_RING + USED_ENTRY * usize::from(self.size)].load(Relaxed);
            self.made.wrapping_sub(event).wrapping_sub(1) < self.made.wrapping_sub(old)
        } else {
            self.rings.used.words[0].load(Relaxed) & 1 == 0
        };
        if wanted {
            transport.notify(self.index);
        }
    }

    /// Has the device interrupt for the next chain that it uses. Returns whether it has used one meanwhile, for which it may not.
    pub(super) fn arm(&mut self) -> bool {
        if self.event_index {
            let event = 2 + usize::from(self.size);
            self.rings.available.words[event].store(self.taken, Relaxed);
            fence(SeqCst);
        }
        !self.is_empty()
    }

    /// Takes back the next chain that the device has used: its head, and how many bytes the device has written.
    pub(super) fn take(&mut self) -> Result<Option<(u16, u32)>, Broken> {
        if self.is_empty() {
            return Ok(None);
        }
        let entry = USED_RING + usize::from(self.taken % self.size) * USED_ENTRY;
        let [head, high, bytes_low, bytes_high] =
            [0, 1, 2, 3].map(|half| self.rings.used.words[entry + half].load(Relaxed));
        let chain = self.chains.get_mut(usize::from(head)).filter(|chain| high == 0 && !chain.is_empty());
        let chain = chain.ok_or(Broken)?;
        // So that the next chain begins with the head that was given back last.
        self.free.extend(chain.drain(..).rev());
        self.taken = self.taken.wrapping_add(1);
        Ok(Some((head, u32::from(bytes_low) | u32::from(bytes_high) << 16)))
    }

    /// Notes that everything that was taken back need not be found again by whoever looks at what this queue leaves.
    pub(super) fn settle(&self) {
        self.rings.available.words[NOTED_SETTLED].store(self.taken, Relaxed);
    }

    fn is_empty(&self) -> bool {
        self.rings.used.words[1].load(Acquire) == self.taken
    }
}

// A table that is a page's last ends within it.
const _: () = assert!(TABLES * TABLE * 16 <= PAGE_SIZE);

// Descriptors fill a page; the available and used areas have room in one for as many.
const _: () = assert!(2 + (SIZE as usize) < NOTED_SETTLED && USED_RING + SIZE as usize * USED_ENTRY < HALVES);
