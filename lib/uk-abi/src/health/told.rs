//! A line that the operator has for a component, handed on by root, which does not look at it.

use super::{HealthPage, word};
use core::sync::atomic::Ordering::Relaxed;

/// The most bytes of a line.
pub const TOLD_MAX: usize = 120;

impl HealthPage<'_> {
    /// Hands a line on, in the place of one that was not taken. The doorbell has to be rung besides. What is longer than
    /// [`TOLD_MAX`] is cut. Root's.
    pub fn tell(&self, line: &str) {
        let bytes = &line.as_bytes()[..line.len().min(TOLD_MAX)];
        for (index, chunk) in bytes.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.words[word::TOLD_TEXT + index].store(u64::from_le_bytes(word), Relaxed);
        }
        let number = (self.get(word::TOLD) >> 32).wrapping_add(1);
        self.set(word::TOLD, number << 32 | bytes.len() as u64);
    }

    /// The line that was not taken yet, if it is text, and its number, which is not 0 and another for each line as long as this page
    /// lives. The unikernel's.
    pub fn told(&self) -> Option<(u64, heapless::String<TOLD_MAX>)> {
        let told = self.get(word::TOLD);
        if told == self.get(word::TOLD_TAKEN) {
            return None;
        }
        let mut bytes = heapless::Vec::<u8, TOLD_MAX>::new();
        let words = (0..TOLD_MAX / 8).map(|index| self.words[word::TOLD_TEXT + index].load(Relaxed));
        // There is room for as many.
        bytes.extend(words.flat_map(u64::to_le_bytes).take(told as u32 as usize));
        Some((told, heapless::String::from_utf8(bytes).ok()?))
    }

    /// Takes the line of this number. The unikernel's.
    pub fn take_told(&self, number: u64) {
        self.set(word::TOLD_TAKEN, number);
    }
}
