//! Numbered blocks, one after the other, of which it is said when they are safe: on the medium, whatever happens to the power.

use std::path::Path;

use anyhow::Result;

use guest_io::blocks::{BLOCK, Disk, Room, fill};

/// Blocks that are written before they are flushed.
const BATCH: u64 = 4;

/// Writes block after block, each as version 1, until the disk is full.
pub fn run(path: &Path) -> Result<()> {
    let disk = Disk::open(path)?;
    let mut room = Room::new(BLOCK);
    for first in (0..).step_by(BATCH as usize) {
        for block in first..first + BATCH {
            fill(room.bytes(), block, 1);
            disk.write(block, room.bytes())?;
        }
        disk.flush()?;
        println!("guest: safe {}", first + BATCH);
    }
    Ok(())
}
