//! Blocks on a disk, past the kernel's own memory of it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};

/// Bytes in a block.
pub const BLOCK: usize = 4096;

/// Linux's `O_DIRECT`: straight to the disk.
const DIRECT: i32 = 0x4000;

/// A disk.
pub struct Disk(File);

impl Disk {
    /// Opens the disk at `path`.
    pub fn open(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).custom_flags(DIRECT).open(path);
        Ok(Self(file.with_context(|| path.display().to_string())?))
    }

    /// Reads a block, and those that follow as far as there is room.
    pub fn read(&self, block: u64, room: &mut [u8]) -> Result<()> {
        let read = self.0.read_exact_at(room, block * BLOCK as u64);
        read.with_context(|| format!("reading block {block}"))
    }

    /// Writes a block, and those that follow.
    pub fn write(&self, block: u64, bytes: &[u8]) -> Result<()> {
        let written = self.0.write_all_at(bytes, block * BLOCK as u64);
        written.with_context(|| format!("writing block {block}"))
    }

    /// Waits until all that was written is on the medium.
    pub fn flush(&self) -> Result<()> {
        self.0.sync_all().context("flushing")
    }
}

/// Memory that begins where a page does, as the disk wants it.
pub struct Room {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl Room {
    /// Room for so many bytes.
    pub fn new(length: usize) -> Self {
        let bytes = vec![0; length + BLOCK];
        let start = bytes.as_ptr().align_offset(BLOCK);
        Self { bytes, start, length }
    }

    /// The bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.length]
    }
}

/// Fills a block such that it tells its place and its version in every word.
pub fn fill(bytes: &mut [u8], block: u64, version: u64) {
    for (place, word) in (0..).zip(bytes.chunks_exact_mut(8)) {
        word.copy_from_slice(&word_of(block, version, place).to_le_bytes());
    }
}

/// The first word of a block that is not what that version has there.
pub fn difference(bytes: &[u8], block: u64, version: u64) -> Option<usize> {
    let words = (0..).zip(bytes.chunks_exact(8));
    let mut wrong = words.filter(|(place, word)| **word != word_of(block, version, *place).to_le_bytes());
    wrong.next().map(|(place, _)| place as usize)
}

fn word_of(block: u64, version: u64, place: u64) -> u64 {
    (version << 40 ^ block << 12 ^ place).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ version
}
