//! NVMe disks: a driver for the first namespace of a controller, with one pair of queues.

mod controller;
mod identify;
mod queue;

use crate::block::{Busy, Command as Wanted, DmaPage, Driver, Facts, Outcome, SECTOR, Span};
use crate::clock;
use crate::virtio::{DeviceError, told};
use alloc::vec::Vec;
use controller::Controller;
use core::sync::atomic::Ordering::Relaxed;
use identify::Identity;
use queue::{Command, Completion, Queue};
use uk_abi::device_info::{DeviceInfo, IrqKind};
use uk_abi::layout::PAGE_SIZE;

/// PCI's class of NVMe controllers.
const CLASS: u32 = 0x01_08_02;

/// The namespace that is driven.
const NAMESPACE: u32 = 1;

/// Commands for administration.
mod admin {
    pub const CREATE_SUBMISSION: u8 = 0x01;
    pub const CREATE_COMPLETION: u8 = 0x05;
    pub const IDENTIFY: u8 = 0x06;
}

/// Commands for data.
mod data {
    pub const FLUSH: u8 = 0x00;
    pub const WRITE: u8 = 0x01;
    pub const READ: u8 = 0x02;
    pub const MANAGE: u8 = 0x09;
    /// Of [`MANAGE`]: the ranges are needed no more.
    pub const DEALLOCATE: u64 = 4;
}

/// The queue for data.
const DATA: u16 = 1;

/// Bytes that each command has for the list of its pages, or for the range that is to be forgotten; and lists in a page.
const LIST: usize = 256;
const LISTS: usize = PAGE_SIZE / LIST;

/// Spans of a command: one in the command, the others in its list.
const MAX_SPANS: usize = 1 + LIST / 8;

/// How long a command for administration may take.
const PATIENCE_US: u64 = 500_000;

/// An NVMe disk.
pub struct Nvme {
    controller: Controller,
    queue: Queue,
    lists: Vec<DmaPage>,
    /// The names of what the controller has, by the numbers of commands.
    names: Vec<Option<u64>>,
    free: Vec<u16>,
    /// What was not given to the controller, because it cannot do it.
    refused: Vec<u64>,
    facts: Facts,
    broken: bool,
    /// Held for as long as the controller has it.
    _admin: Queue,
}

impl Nvme {
    /// Resets `device` and sets it up; none if it is no such disk.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn new(device: &'static DeviceInfo) -> Option<Result<Self, DeviceError>> {
        (device.class == CLASS).then(|| Self::set_up(device))
    }

    fn set_up(device: &'static DeviceInfo) -> Result<Self, DeviceError> {
        let mut controller = Controller::of(device)?;
        controller.stop()?;
        let mut admin = Queue::new(0, &controller)?;
        let (submissions, completions) = admin.places();
        controller.start(admin.entries().into(), submissions, completions)?;
        let page = DmaPage::new().ok_or(DeviceError::Memory)?;
        let mut identify = |namespace, structure| {
            let data = [page.machine_address().0, 0];
            let command = Command { opcode: admin::IDENTIFY, namespace, data, arguments: [structure, 0] };
            administer(&mut admin, &mut controller, &command)?;
            Ok::<_, DeviceError>(page.iter().map(|word| word.load(Relaxed)).collect::<Vec<_>>())
        };
        let identity = Identity::new(&identify(0, 1)?, &identify(NAMESPACE, 0)?)?;
        let facts = identity.facts(MAX_SPANS);
        let queue = Queue::new(DATA, &controller)?;
        let size = u64::from(queue.entries() - 1) << 16 | u64::from(DATA);
        let (submissions, completions) = queue.places();
        // Physically contiguous, and completions interrupt, by the first vector.
        let interrupts = u64::from(device.irq_kind() != IrqKind::Poll);
        for (opcode, place, flags) in [
            (admin::CREATE_COMPLETION, completions, 1 | interrupts << 1),
            (admin::CREATE_SUBMISSION, submissions, 1 | u64::from(DATA) << 16),
        ] {
            let arguments = [size | flags << 32, 0];
            let command = Command { opcode, data: [place, 0], arguments, ..Command::default() };
            administer(&mut admin, &mut controller, &command)?;
        }
        let count = queue.entries() - 1;
        let lists = (0..usize::from(count).div_ceil(LISTS)).map(|_| DmaPage::new()).collect::<Option<_>>();
        Ok(Self {
            controller,
            queue,
            lists: lists.ok_or(DeviceError::Memory)?,
            names: (0..count).map(|_| None).collect(),
            free: (0..count).rev().collect(),
            refused: Vec::new(),
            facts,
            broken: false,
            _admin: admin,
        })
    }
}

/// Carries out a command for administration, and waits until it is done.
fn administer(queue: &mut Queue, controller: &mut Controller, command: &Command) -> Result<(), DeviceError> {
    queue.submit(0, command);
    queue.kick(controller);
    let end_us = clock::now_us() + PATIENCE_US;
    loop {
        match queue.take() {
            Some(Completion { status: 0, .. }) => return Ok(()),
            Some(Completion { status, .. }) => {
                return Err(DeviceError::Command { opcode: command.opcode, status });
            }
            None if clock::now_us() > end_us => return Err(DeviceError::Reset),
            None => {}
        }
    }
}

/// Whether all spans but the first begin, and all but the last end, where a page does.
fn has_gaps(spans: &[Span]) -> bool {
    let page = PAGE_SIZE as u64;
    spans.windows(2).any(|pair| {
        !(pair[0].address().0 + u64::from(pair[0].bytes())).is_multiple_of(page)
            || !pair[1].address().0.is_multiple_of(page)
    })
}

impl Nvme {
    fn list(&self, id: u16) -> (&DmaPage, usize) {
        let id = usize::from(id);
        (&self.lists[id / LISTS], id % LISTS * LIST)
    }

    /// A transfer's command: where its pages are stands in the command, and from the third on in its list.
    fn transfer(&self, id: u16, opcode: u8, sector: u64, spans: &[Span]) -> Option<Command> {
        let unit = u64::from(self.facts.sector_size);
        let bytes: u64 = spans.iter().map(|span| u64::from(span.bytes())).sum();
        let start = sector * u64::from(SECTOR);
        let blocks = (bytes / unit).checked_sub(1).filter(|blocks| *blocks <= u16::MAX.into())?;
        if spans.len() > MAX_SPANS
            || has_gaps(spans)
            || !bytes.is_multiple_of(unit)
            || !start.is_multiple_of(unit)
        {
            return None;
        }
        let address = |span: &Span| told(span.address()).0;
        let second = match spans {
            [_] => 0,
            [_, second] => address(second),
            _ => {
                let (page, first) = self.list(id);
                for (word, span) in page[first / 8..].iter().zip(&spans[1..]) {
                    word.store(address(span), Relaxed);
                }
                page.machine_address().0 + first as u64
            }
        };
        let data = [address(spans.first()?), second];
        Some(Command { opcode, namespace: NAMESPACE, data, arguments: [start / unit, blocks] })
    }

    /// The command that forgets sectors: what lies in whole blocks of them.
    fn discard(&self, id: u16, sector: u64, sectors: u64) -> Option<Command> {
        let in_block = u64::from(self.facts.sector_size / SECTOR);
        let first = sector.div_ceil(in_block);
        let blocks = u32::try_from(((sector + sectors) / in_block).checked_sub(first)?).ok()?;
        let (page, offset) = self.list(id);
        page[offset / 8].store(u64::from(blocks) << 32, Relaxed);
        page[offset / 8 + 1].store(first, Relaxed);
        let data = [page.machine_address().0 + offset as u64, 0];
        let arguments = [data::DEALLOCATE << 32, 0];
        Some(Command { opcode: data::MANAGE, namespace: NAMESPACE, data, arguments })
    }
}

impl Driver for Nvme {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn submit(&mut self, name: u64, wanted: &Wanted<'_>) -> Result<(), Busy> {
        let id = self.free.last().copied().filter(|_| !self.broken).ok_or(Busy)?;
        let command = match *wanted {
            Wanted::Read(sector, spans) => self.transfer(id, data::READ, sector, spans),
            Wanted::Write(sector, spans) => self.transfer(id, data::WRITE, sector, spans),
            Wanted::Flush => {
                Some(Command { opcode: data::FLUSH, namespace: NAMESPACE, ..Command::default() })
            }
            Wanted::Discard(sector, sectors) => self.discard(id, sector, sectors),
        };
        let Some(command) = command else {
            self.refused.push(name);
            return Ok(());
        };
        self.free.pop();
        self.names[usize::from(id)] = Some(name);
        self.queue.submit(id, &command);
        Ok(())
    }

    fn kick(&mut self) {
        self.queue.kick(&mut self.controller);
    }

    fn completion(&mut self) -> Option<(u64, Outcome)> {
        if let Some(name) = self.refused.pop() {
            return Some((name, Outcome::Unsupported));
        }
        if self.broken {
            return None;
        }
        let Completion { id, status } = self.queue.take()?;
        let Some(name) = self.names.get_mut(usize::from(id)).and_then(Option::take) else {
            log::error!("the disk has finished command {id}, which it was not given");
            self.broken = true;
            return None;
        };
        self.free.push(id);
        Some((name, outcome(status)))
    }

    fn arm(&mut self) -> bool {
        // The controller interrupts for each, be it taken by then or not; and holds its line until it hears of those that were.
        self.kick();
        !self.broken && (!self.refused.is_empty() || self.queue.has_completion())
    }

    fn acknowledge(&mut self) {
        // Taking the completions ends the interrupt of a controller that holds its line.
    }

    fn is_stopped(&self) -> bool {
        self.broken || self.controller.is_stopped()
    }
}

/// What a status means (3.3.3.2.1): kind in bits 8 to 10, code below.
fn outcome(status: u16) -> Outcome {
    match (status >> 8 & 7, status & 0xff) {
        (0, 0) => Outcome::Done,
        // No such command, or a field that it does not know.
        (0, 1 | 2) => Outcome::Unsupported,
        // It could not reach the data, had an error inside, or was called off.
        (0, 4..=8) | (3, _) => Outcome::Aborted,
        _ => Outcome::Failed,
    }
}

impl Drop for Nvme {
    /// # Panics
    /// If the controller does not stop: nobody may have its memory then, before root has stopped it.
    fn drop(&mut self) {
        if let Err(error) = self.controller.stop() {
            panic!("{error}");
        }
    }
}
