//! The legacy frame of lz4: after the magic number, blocks of up to 8 MiB, each with its packed length before it.

use lz4_flex::block::{DecompressError, decompress_into};

use super::Failure;

/// What the frame starts with: 0x184c2102, least significant byte first.
pub(super) const MAGIC: [u8; 4] = 0x184c_2102_u32.to_le_bytes();

/// The most that a block unpacks to.
const BLOCK: usize = 8 << 20;

/// Unpacks `packed` into `out`; answers how many bytes came out.
pub(super) fn unpack(packed: &[u8], out: &mut [u8]) -> Result<usize, Failure> {
    let mut rest = packed.get(MAGIC.len()..).unwrap_or_default();
    let mut done = 0;
    while let Some((length, blocks)) = rest.split_first_chunk() {
        // Frames may follow each other.
        if *length == MAGIC {
            rest = blocks;
            continue;
        }
        let length = u32::from_le_bytes(*length) as usize;
        let Some((block, after)) = blocks.split_at_checked(length) else {
            return Err(Failure::Damaged("a block does not lie inside the payload"));
        };
        let room = BLOCK.min(out.len() - done);
        done += decompress_into(block, &mut out[done..done + room]).map_err(|error| match error {
            DecompressError::OutputTooSmall { .. } => Failure::Overflow,
            _ => Failure::Damaged("a block does not unpack"),
        })?;
        rest = after;
    }
    if rest.is_empty() { Ok(done) } else { Err(Failure::Damaged("it ends inside the length of a block")) }
}
