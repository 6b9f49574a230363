//! Where what must survive is kept.

use crate::answers::Answers;
use crate::device::Saved;
use crate::lie::RingKind;

/// Which ring of all that a backend serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RingName {
    /// The guest's device, as the backend counts them.
    pub vif: u8,
    /// Its queue.
    pub queue: u8,
    /// Which ring of the queue.
    pub kind: RingKind,
}

impl RingName {
    /// A number that no other ring has, for a recovery box.
    pub const fn key(self) -> u32 {
        (self.vif as u32) << 16 | (self.queue as u32) << 8 | self.kind as u32
    }
}

/// Keeps records where they outlive the backend, for instance in a recovery box.
pub trait Keep {
    /// Keeps the responses that are about to be written. When this returns, they must survive.
    fn keep(&mut self, ring: RingName, answers: &Answers);

    /// Keeps what a device's successor must know. When this returns, it must survive.
    fn save(&mut self, vif: u8, saved: &Saved);
}
