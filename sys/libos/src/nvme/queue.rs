//! A pair of queues (3.3): commands to the controller, and their completions back.

use super::controller::Controller;
use crate::block::DmaPage;
use crate::virtio::DeviceError;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::fence;

/// Entries of a queue at most: as many commands as a page holds.
const MOST: u32 = 64;

/// Words of a command and of a completion.
const COMMAND: usize = 8;
const COMPLETION: usize = 2;

/// A command, as far as it is used here; the rest is zero.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Command {
    pub(super) opcode: u8,
    pub(super) namespace: u32,
    /// The data: the first page, and the second or a list of those that follow.
    pub(super) data: [u64; 2],
    /// Dwords 10 and 11, 12 and 13.
    pub(super) arguments: [u64; 2],
}

/// A completion.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    /// The command's number.
    pub(super) id: u16,
    /// Kind (bits 8 to 10) and code (bits 0 to 7) of its status.
    pub(super) status: u16,
}

/// A pair of queues.
pub(super) struct Queue {
    number: u16,
    entries: u16,
    submissions: DmaPage,
    completions: DmaPage,
    tail: u16,
    /// How far the controller was told.
    told: u16,
    head: u16,
    /// How many completions were taken that the controller was not told of.
    untold: u16,
    /// The bit that a completion of this round has.
    phase: bool,
}

impl Queue {
    /// A pair with as many entries as both sides can.
    pub(super) fn new(number: u16, controller: &Controller) -> Result<Self, DeviceError> {
        let entries = controller.most_entries().min(MOST) as u16;
        if entries < 2 {
            return Err(DeviceError::Queue { size: entries });
        }
        let (submissions, completions) = (DmaPage::new(), DmaPage::new());
        let submissions = submissions.ok_or(DeviceError::Memory)?;
        let completions = completions.ok_or(DeviceError::Memory)?;
        Ok(Self {
            number,
            entries,
            submissions,
            completions,
            tail: 0,
            told: 0,
            head: 0,
            untold: 0,
            phase: true,
        })
    }

    /// How many entries each has. One command fewer can be under way.
    pub(super) const fn entries(&self) -> u16 {
        self.entries
    }

    /// Where the machine has the submissions and the completions.
    pub(super) fn places(&self) -> (u64, u64) {
        (self.submissions.machine_address().0, self.completions.machine_address().0)
    }

    /// Adds a command under a number. The caller sees to it that there is room.
    pub(super) fn submit(&mut self, id: u16, command: &Command) {
        let words = &self.submissions[usize::from(self.tail) * COMMAND..][..COMMAND];
        let first = u64::from(command.opcode) | u64::from(id) << 16 | u64::from(command.namespace) << 32;
        let content =
            [first, 0, 0, command.data[0], command.data[1], command.arguments[0], command.arguments[1], 0];
        words.iter().zip(content).for_each(|(word, value)| word.store(value, Relaxed));
        self.tail = (self.tail + 1) % self.entries;
    }

    /// Tells the controller of what it has not been told of.
    pub(super) fn kick(&mut self, controller: &mut Controller) {
        if core::mem::replace(&mut self.told, self.tail) != self.tail {
            fence(Release);
            controller.ring(self.number, false, self.tail);
        }
        if core::mem::take(&mut self.untold) > 0 {
            controller.ring(self.number, true, self.head);
        }
    }

    /// The last word of the next completion, if it is there: it says so itself, by the bit of its round.
    fn next(&self) -> Option<u64> {
        let word = &self.completions[usize::from(self.head) * COMPLETION + 1];
        Some(word.load(Acquire)).filter(|value| (value >> 48 & 1 != 0) == self.phase)
    }

    /// Whether there is a completion.
    pub(super) fn has_completion(&self) -> bool {
        self.next().is_some()
    }

    /// The next completion. The controller hears of it at the next [`kick`](Self::kick): until then it has fewer places for others, and
    /// there is one for each command.
    pub(super) fn take(&mut self) -> Option<Completion> {
        let value = self.next()?;
        self.head = (self.head + 1) % self.entries;
        self.phase ^= self.head == 0;
        self.untold += 1;
        Some(Completion { id: (value >> 32) as u16, status: (value >> 49) as u16 & 0x7ff })
    }
}
