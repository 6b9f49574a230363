//! Intel's 82574L network card, by its datasheet (revision 3.4): legacy descriptors, one queue in each direction.
//!
//! The card reads and writes rings of descriptors of two words each. What it has done with one stands in the second word, so
//! that nothing of a ring is read from the card itself.

use crate::dma::{DmaBuffer, DmaPlace, Span};
use crate::nic::{CardError, Checked, MAX_PIECES, Nic, Offloads, Received, Unread, Work};
use crate::registers::Registers;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU64, fence};
use uk_abi::device_info::{DeviceInfo, IrqKind};
use uk_abi::layout::PAGE_SIZE;
use xen_abi::MachineAddr;

/// The vendor and the device.
const ID: (u16, u16) = (0x8086, 0x10d3);

/// Descriptors of a ring, and their pages.
const RING: usize = 256;
const PAGES: usize = (RING * 16).div_ceil(PAGE_SIZE);

/// Bytes of a place to receive into, as the card is told (10.2.5.1, BSIZE): the longest frame has fewer.
const PLACE: usize = 2048;

/// How often a register is read that should change: the card is reset within a microsecond (10.2.2.1).
const READS: u32 = 100_000;

/// Registers (10.2), by their offsets, and their bits.
mod register {
    pub const CTRL: usize = 0x0000;
    pub const STATUS: usize = 0x0008;
    pub const ICR: usize = 0x00c0;
    pub const IMS: usize = 0x00d0;
    pub const IMC: usize = 0x00d8;
    pub const EIAC: usize = 0x00dc;
    pub const IVAR: usize = 0x00e4;
    pub const RCTL: usize = 0x0100;
    pub const TCTL: usize = 0x0400;
    pub const TIPG: usize = 0x0410;
    pub const RECEIVE: usize = 0x2800;
    pub const TRANSMIT: usize = 0x3800;
    /// From the first register of a ring: its address, length, head and tail.
    pub const ADDRESS: usize = 0x00;
    pub const LENGTH: usize = 0x08;
    pub const HEAD: usize = 0x10;
    pub const TAIL: usize = 0x18;
    /// Bytes of all registers that are used.
    pub const END: usize = 0x6000;
    /// Groups that are heard: 128 words.
    pub const MTA: usize = 0x5200;
    pub const RAL: usize = 0x5400;
    pub const RAH: usize = 0x5404;
}

/// Link up; reset.
const CTRL_SLU: u32 = 1 << 6;
const CTRL_RST: u32 = 1 << 26;
/// There is a link.
const STATUS_LU: u32 = 1 << 1;
/// Receive: on, everything, broadcasts too, without the checksum at the end.
const RCTL: u32 = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 15 | 1 << 26;
/// Transmit: on, short frames padded, and what half duplex needs.
const TCTL: u32 = 1 << 1 | 1 << 3 | 0x0f << 4 | 0x40 << 12;
/// Gaps between frames, as the datasheet has them.
const TIPG: u32 = 8 | 2 << 10 | 10 << 20;
/// Interrupts: a frame was sent, one has come, and the causes of MSI-X's vectors.
const INTERRUPTS: u32 = 1 | 1 << 4 | 1 << 7 | VECTORS;
const VECTORS: u32 = 1 << 20 | 1 << 22 | 1 << 24;
/// Every cause is told by vector 0.
const IVAR: u32 = 8 | 8 << 8 | 8 << 16;

/// Of a descriptor's second word: its length, the frame's end, the checksum inserted at its end, a report wanted; and what
/// the card says: done, the frame's end, errors.
const LENGTH: u64 = 0xffff;
const SEND_END: u64 = 1 << 24;
const SEND_CRC: u64 = 1 << 25;
const SEND_REPORT: u64 = 1 << 27;
const DONE: u64 = 1 << 32;
const RECEIVED_END: u64 = 1 << 33;
const RECEIVED_ERRORS: u64 = 0xff << 40;

/// Why a card cannot be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetUpError {
    /// Its registers are not mapped.
    NoRegisters,
    /// The description gives this unikernel too little DMA memory.
    Memory,
    /// It does not end its reset.
    Reset,
}

impl fmt::Display for SetUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRegisters => "its registers are not mapped",
            Self::Memory => "there is too little DMA memory",
            Self::Reset => "it does not end its reset",
        })
    }
}

impl core::error::Error for SetUpError {}

/// The descriptors of a ring.
struct Descriptors {
    words: &'static [AtomicU64],
    address: u64,
    /// Given back with this, if it is the ring's own.
    _buffer: Option<DmaBuffer>,
}

impl Descriptors {
    /// Those of a ring that has its own.
    fn new() -> Option<Self> {
        let buffer = DmaBuffer::new(PAGES)?;
        // SAFETY: the memory is the buffer's, which is aligned to pages, never looked at as bytes, and lives as long as this.
        let words = unsafe { core::slice::from_raw_parts(buffer.as_ptr().cast(), RING * 2) };
        Some(Self { words, address: buffer.machine_address().0, _buffer: Some(buffer) })
    }

    /// Those that are in `place`, which is for nothing else.
    fn left_in(place: DmaPlace) -> Self {
        let span = Span { page: 0, offset: 0, length: RING * 16 };
        // SAFETY: the place checks that it is so long; it is aligned to pages, never given back, and looked at in no other way.
        let words = unsafe { core::slice::from_raw_parts(place.pointer(span).cast().as_ptr(), RING * 2) };
        Self { words, address: place.machine_address(span).0, _buffer: None }
    }

    /// A word of a descriptor.
    const fn word(&self, index: usize, word: usize) -> &AtomicU64 {
        &self.words[index % RING * 2 + word]
    }
}

/// A ring of descriptors, and the numbers of what the card has.
struct Ring {
    descriptors: Descriptors,
    registers: Registers,
    /// The first of its registers.
    base: usize,
    /// The number of the frame that ends in each descriptor that the card has.
    numbers: Box<[Option<u16>; RING]>,
    /// The next descriptor to be given, and the next that the card gives back. They count on.
    given: usize,
    taken: usize,
    /// The next that is to be settled: those before say no more that the card is done with them.
    settled: usize,
}

impl Ring {
    fn new(registers: Registers, base: usize, descriptors: Descriptors) -> Self {
        descriptors.words.iter().for_each(|word| word.store(0, Relaxed));
        let address = descriptors.address;
        registers.write_wide(base + register::ADDRESS, address);
        registers.write(base + register::LENGTH, (RING * 16) as u32);
        registers.write(base + register::HEAD, 0);
        registers.write(base + register::TAIL, 0);
        let numbers = Box::new([None; RING]);
        Self { descriptors, registers, base, numbers, given: 0, taken: 0, settled: 0 }
    }

    /// Descriptors that can be given. One is kept back: a full ring looks like an empty one.
    fn free(&self) -> usize {
        RING - 1 - (self.given - self.taken)
    }

    fn give(&mut self, address: u64, second: u64, number: Option<u16>) {
        self.descriptors.word(self.given, 0).store(address, Relaxed);
        self.descriptors.word(self.given, 1).store(second, Release);
        self.numbers[self.given % RING] = number;
        self.given += 1;
    }

    /// The second word of the next descriptor, if the card is done with it, and the number of the frame that ends in it.
    fn take(&mut self) -> Option<(u64, Option<u16>)> {
        if self.taken == self.given {
            return None;
        }
        let second = self.descriptors.word(self.taken, 1).load(Acquire);
        if second & DONE == 0 {
            return None;
        }
        let number = self.numbers[self.taken % RING].take();
        self.taken += 1;
        Some((second, number))
    }

    /// What was taken back is not found again.
    fn settle(&mut self) {
        (self.settled..self.taken).for_each(|index| self.descriptors.word(index, 1).store(0, Relaxed));
        self.settled = self.taken;
    }

    fn tell(&self) {
        fence(Release);
        self.registers.write(self.base + register::TAIL, (self.given % RING) as u32);
    }
}

/// An 82574L.
pub struct E1000e {
    registers: Registers,
    receive: Ring,
    transmit: Ring,
    pool: DmaPlace,
    mac: [u8; 6],
    is_untold: [bool; 2],
}

impl E1000e {
    /// Sets `device` up, with frames in `pool`, and with what it receives in `ring`; none if it is no such card.
    ///
    /// # Errors
    /// [`SetUpError`].
    pub fn new(
        device: &'static DeviceInfo,
        pool: DmaPlace,
        ring: DmaPlace,
    ) -> Option<Result<Self, SetUpError>> {
        is(device).then(|| Self::set_up(device, pool, ring))
    }

    /// What the last driver has left in `ring`; none if `device` is no such card.
    pub(crate) fn unread(device: &DeviceInfo, ring: DmaPlace, pool: DmaPlace) -> Option<Vec<Unread>> {
        let descriptors = Descriptors::left_in(ring);
        let frame = |index| {
            let second = descriptors.word(index, 1).load(Acquire);
            let address = MachineAddr(descriptors.word(index, 0).load(Relaxed));
            let span = pool.find(address, (second & LENGTH) as usize)?;
            is_whole(second).then_some(Unread { span, checked: Checked::No })
        };
        is(device).then(|| (0..RING).filter_map(frame).collect())
    }

    fn set_up(device: &'static DeviceInfo, pool: DmaPlace, ring: DmaPlace) -> Result<Self, SetUpError> {
        let registers = Registers::of(&device.bars[0], register::END).ok_or(SetUpError::NoRegisters)?;
        reset(registers)?;
        let mac = address(registers);
        registers.write(register::CTRL, registers.read(register::CTRL) | CTRL_SLU);
        (0..128).for_each(|word| registers.write(register::MTA + word * 4, 0));
        let sending = Descriptors::new().ok_or(SetUpError::Memory)?;
        let receive = Ring::new(registers, register::RECEIVE, Descriptors::left_in(ring));
        let transmit = Ring::new(registers, register::TRANSMIT, sending);
        registers.write(register::TIPG, TIPG);
        registers.write(register::TCTL, TCTL);
        registers.write(register::RCTL, RCTL);
        if device.irq_kind() == IrqKind::Msix {
            registers.write(register::IVAR, IVAR);
            registers.write(register::EIAC, VECTORS);
        }
        registers.write(register::IMS, INTERRUPTS);
        Ok(Self { registers, receive, transmit, pool, mac, is_untold: [false; 2] })
    }

    /// Where the card is told that the machine has the bytes of `span`.
    fn machine_address(&self, span: Span) -> u64 {
        crate::virtio::told(self.pool.machine_address(span)).0
    }
}

fn is(device: &DeviceInfo) -> bool {
    (device.vendor, device.device) == ID
}

/// Whether the second word of a descriptor says that a whole frame lies in its place.
const fn is_whole(second: u64) -> bool {
    second & (DONE | RECEIVED_END | RECEIVED_ERRORS) == DONE | RECEIVED_END
}

/// Resets the card: it forgets where rings were, and touches no memory.
fn reset(registers: Registers) -> Result<(), SetUpError> {
    registers.write(register::IMC, u32::MAX);
    registers.write(register::RCTL, 0);
    registers.write(register::TCTL, 0);
    registers.write(register::CTRL, registers.read(register::CTRL) | CTRL_RST);
    let is_done = (0..READS).any(|_| registers.read(register::CTRL) & CTRL_RST == 0);
    registers.write(register::IMC, u32::MAX);
    let _ = registers.read(register::ICR);
    if is_done { Ok(()) } else { Err(SetUpError::Reset) }
}

/// The card's own address, which its reset has read out of its memory.
fn address(registers: Registers) -> [u8; 6] {
    let [low, high] = [register::RAL, register::RAH].map(|at| registers.read(at).to_le_bytes());
    [low[0], low[1], low[2], low[3], high[0], high[1]]
}

impl Nic for E1000e {
    fn mac(&self) -> [u8; 6] {
        self.mac
    }

    fn is_linked(&self) -> bool {
        self.registers.read(register::STATUS) & STATUS_LU != 0
    }

    /// All ones are what is read of a card that is gone; one that was reset does not send.
    fn is_stopped(&self) -> bool {
        let control = self.registers.read(register::TCTL);
        control == u32::MAX || control & TCTL != TCTL
    }

    fn offloads(&self) -> Offloads {
        Offloads::default()
    }

    fn room(&self) -> usize {
        self.transmit.free() / MAX_PIECES
    }

    fn send(&mut self, number: u16, _: Work, spans: &[Span]) -> Result<(), CardError> {
        let (last, first) = spans.split_last().ok_or(CardError)?;
        if self.transmit.free() < spans.len() {
            return Err(CardError);
        }
        for (span, end) in first.iter().map(|span| (span, None)).chain([(last, Some(number))]) {
            let flags = SEND_CRC | SEND_REPORT | if end.is_some() { SEND_END } else { 0 };
            let address = self.machine_address(*span);
            self.transmit.give(address, span.length as u64 & LENGTH | flags, end);
        }
        self.is_untold[1] = true;
        Ok(())
    }

    fn sent(&mut self) -> Result<Option<u16>, CardError> {
        while let Some((_, number)) = self.transmit.take() {
            if number.is_some() {
                return Ok(number);
            }
        }
        Ok(None)
    }

    fn post(&mut self, number: u16, span: Span) -> Result<(), CardError> {
        let is_large = span.offset + PLACE <= PAGE_SIZE;
        if self.receive.free() == 0 || !is_large {
            return Err(CardError);
        }
        let address = self.machine_address(span);
        self.receive.give(address, 0, Some(number));
        self.is_untold[0] = true;
        Ok(())
    }

    fn received(&mut self) -> Result<Option<Received>, CardError> {
        let Some((second, number)) = self.receive.take() else { return Ok(None) };
        let number = number.ok_or(CardError)?;
        // What is longer than a place, or damaged, is nothing that this driver has asked for.
        if !is_whole(second) {
            return Err(CardError);
        }
        Ok(Some(Received { number, length: (second & LENGTH) as usize, checked: Checked::No }))
    }

    fn settle(&mut self) {
        self.receive.settle();
    }

    /// It interrupts for everything.
    fn arm(&mut self) -> bool {
        false
    }

    fn kick(&mut self) {
        let [receive, transmit] = core::mem::take(&mut self.is_untold);
        if receive {
            self.receive.tell();
        }
        if transmit {
            self.transmit.tell();
        }
    }

    fn acknowledge(&mut self) {
        // Reading clears it.
        let _ = self.registers.read(register::ICR);
    }
}

impl Drop for E1000e {
    fn drop(&mut self) {
        // The rings' memory is given back after this: the card must have forgotten it. One that does not come back from its
        // reset is stopped all the same.
        let _ = reset(self.registers);
    }
}
